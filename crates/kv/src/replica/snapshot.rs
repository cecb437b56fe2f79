//! All of a region in pieces, and a region made from them.

use std::{cmp::Ordering, sync::Arc};

use bytes::Bytes;
use prost::Message;
use tidewater_proto::{metapb, regionpb};
use tidewater_raft::{MachineError, Pieces};

use super::{
    Shape,
    command::family,
    machine::{Failure, members_of},
};
use crate::{Cf, Engine, EngineIterator, IteratorOptions, Snapshot, WriteBatch, region::Region};

/// Bytes of keys and values in a piece before it is compressed.
const PIECE_BYTES: usize = 1 << 20;

/// A column family and a range of it.
pub(super) type Part = (Cf, Vec<u8>, Vec<u8>);

/// All parts of a region, in the order in which they are sent.
fn parts(region: &Region) -> Vec<Part> {
    let ranges = region.engine_ranges();
    ranges
        .into_iter()
        .flat_map(|(lower, upper)| Cf::ALL.map(|cf| (cf, lower.clone(), upper.clone())))
        .collect()
}

/// All parts of a region that is stored here.
pub(super) fn parts_of(region: &metapb::Region) -> Result<Vec<Part>, String> {
    Ok(parts(&as_here(region).map_err(|failure| failure.0)?))
}

/// A region as if it were here, for its ranges.
fn as_here(region: &metapb::Region) -> Result<Region, Failure> {
    let store_id = region.peers.first().map_or(0, |peer| peer.store_id);
    Region::new(region.clone(), store_id).map_err(|error| Failure(error.to_string()))
}

pub(super) fn options(lower: &[u8], upper: &[u8]) -> IteratorOptions {
    IteratorOptions { fill_cache: false, ..IteratorOptions::range(lower.to_vec(), Some(upper.to_vec())) }
}

fn pack(piece: &regionpb::Piece) -> Bytes {
    lz4_flex::compress_prepend_size(&piece.encode_to_vec()).into()
}

fn unpack(data: &[u8]) -> Result<regionpb::Piece, Failure> {
    let plain = lz4_flex::decompress_size_prepended(data).map_err(|error| Failure(error.to_string()))?;
    regionpb::Piece::decode(Bytes::from(plain)).map_err(|error| Failure(error.to_string()))
}

/// The region that a snapshot is of, from its first piece.
pub(crate) fn first_piece_region(data: &[u8]) -> Option<metapb::Region> {
    unpack(data).ok()?.region
}

/// The pieces of a region at the moment of the snapshot; they are read when they are taken.
pub(super) fn read(
    snapshot: Arc<dyn Snapshot>,
    region: metapb::Region,
    merging_into: Option<metapb::Region>,
) -> Result<Pieces, String> {
    let parts = parts(&as_here(&region).map_err(|failure| failure.0)?);
    let head = regionpb::Piece { region: Some(region), merging_into, pairs: Vec::new() };
    let mut reader = Reader { snapshot, parts, part: 0, from: None };
    let rest = std::iter::from_fn(move || reader.next_piece().transpose());
    Ok(Box::new(std::iter::once(Ok(pack(&head))).chain(rest)))
}

struct Reader {
    snapshot: Arc<dyn Snapshot>,
    parts: Vec<Part>,
    part: usize,
    /// Where the part goes on.
    from: Option<Vec<u8>>,
}

impl Reader {
    fn next_piece(&mut self) -> Result<Option<Bytes>, MachineError> {
        let mut pairs = Vec::new();
        let mut bytes = 0;
        while let Some((cf, lower, upper)) = self.parts.get(self.part) {
            let mut iterator = self.snapshot.iterator(*cf, options(lower, upper));
            let failed = |error: crate::EngineError| MachineError(error.to_string());
            let mut valid = iterator.seek(self.from.as_deref().unwrap_or(lower)).map_err(failed)?;
            while valid && bytes < PIECE_BYTES {
                let key = Bytes::copy_from_slice(iterator.key());
                let value = Bytes::copy_from_slice(iterator.value());
                bytes += key.len() + value.len();
                pairs.push(regionpb::Op { cf: *cf as u32, key, value: Some(value) });
                valid = iterator.next().map_err(failed)?;
            }
            if valid {
                self.from = Some(iterator.key().to_vec());
                break;
            }
            self.part += 1;
            self.from = None;
        }
        Ok((!pairs.is_empty()).then(|| pack(&regionpb::Piece { pairs, ..Default::default() })))
    }
}

/// What pieces are a snapshot of; the pieces with its data are left.
pub(super) fn take_head(
    region_id: u64,
    pieces: &mut Pieces,
) -> Result<(Shape, metapb::Region), MachineError> {
    let head = pieces.next().ok_or_else(|| MachineError("an empty snapshot".to_owned()))??;
    let regionpb::Piece { region, merging_into, .. } = unpack(&head)?;
    let region = region.filter(|region| region.id == region_id);
    let region = region.ok_or_else(|| MachineError("a snapshot of another region".to_owned()))?;
    if members_of(&region).members.is_empty() {
        return Err(MachineError("a snapshot of a region without members".to_owned()));
    }
    Ok((Shape { region: Some(region.clone()), merging_into, ..Shape::default() }, region))
}

/// What has to change for the engine to hold exactly the data of pieces in a region's ranges.
///
/// Only differences are written: a replica that is a little behind gets a small batch. Whenever `bytes_max` bytes of them have gathered they go to
/// `sink`; the rest is returned.
pub(super) fn changes(
    engine: &dyn Engine,
    region: &metapb::Region,
    pieces: Pieces,
    bytes_max: usize,
    sink: Sink<'_>,
) -> Result<WriteBatch, MachineError> {
    let gathered = Gathered { batch: WriteBatch::new(), bytes: 0, bytes_max, sink };
    let mut differences = Differences::new(engine, parts(&as_here(region)?), gathered);
    for piece in pieces {
        for pair in unpack(&piece?)?.pairs {
            differences.take(pair)?;
        }
    }
    Ok(differences.finish()?)
}

/// Where full batches go.
pub(super) type Sink<'s> = &'s mut dyn FnMut(WriteBatch) -> Result<(), Failure>;

/// Changes that are not written yet.
struct Gathered<'s> {
    batch: WriteBatch,
    bytes: usize,
    bytes_max: usize,
    sink: Sink<'s>,
}

impl Gathered<'_> {
    fn put(&mut self, cf: Cf, key: Vec<u8>, value: Vec<u8>) -> Result<(), Failure> {
        self.bytes += key.len() + value.len();
        self.batch.put(cf, key, value);
        self.pass_on()
    }

    fn delete(&mut self, cf: Cf, key: Vec<u8>) -> Result<(), Failure> {
        self.bytes += key.len();
        self.batch.delete(cf, key);
        self.pass_on()
    }

    fn pass_on(&mut self) -> Result<(), Failure> {
        if self.bytes < self.bytes_max {
            return Ok(());
        }
        self.bytes = 0;
        (self.sink)(std::mem::take(&mut self.batch))
    }
}

/// Compares pairs that come in the order of the parts with what the engine has.
struct Differences<'e, 's> {
    engine: &'e dyn Engine,
    parts: Vec<Part>,
    part: usize,
    /// Of the engine as it was when the part began: what is written since is not seen.
    existing: Option<Box<dyn EngineIterator>>,
    valid: bool,
    gathered: Gathered<'s>,
}

impl<'e, 's> Differences<'e, 's> {
    fn new(engine: &'e dyn Engine, parts: Vec<Part>, gathered: Gathered<'s>) -> Self {
        Self { engine, parts, part: 0, existing: None, valid: false, gathered }
    }

    fn open(&mut self) -> Result<(), Failure> {
        if self.existing.is_none()
            && let Some((cf, lower, upper)) = self.parts.get(self.part)
        {
            let mut existing = self.engine.snapshot().iterator(*cf, options(lower, upper));
            self.valid = existing.seek(lower)?;
            self.existing = Some(existing);
        }
        Ok(())
    }

    /// Everything up to `key` that is here and did not come goes; tells whether `key` is here with `value`.
    fn remove_before(&mut self, cf: Cf, until: Option<(&[u8], &[u8])>) -> Result<bool, Failure> {
        self.open()?;
        let Some(existing) = &mut self.existing else { return Ok(false) };
        while self.valid {
            let order = until.map_or(Ordering::Less, |(key, _)| existing.key().cmp(key));
            if order == Ordering::Greater {
                return Ok(false);
            }
            let is_same =
                order == Ordering::Equal && until.is_some_and(|(_, value)| existing.value() == value);
            if order == Ordering::Less {
                self.gathered.delete(cf, existing.key().to_vec())?;
            }
            self.valid = existing.next()?;
            if order == Ordering::Equal {
                return Ok(is_same);
            }
        }
        Ok(false)
    }

    fn take(&mut self, pair: regionpb::Op) -> Result<(), Failure> {
        let cf = family(pair.cf)?;
        let value = pair.value.unwrap_or_default();
        while let Some((of, lower, upper)) = self.parts.get(self.part) {
            if *of == cf && pair.key >= lower[..] && pair.key < upper[..] {
                if !self.remove_before(cf, Some((&pair.key, &value)))? {
                    self.gathered.put(cf, pair.key.into(), value.into())?;
                }
                return Ok(());
            }
            self.end_part()?;
        }
        Err(Failure("a key that is not the region's, or out of order".to_owned()))
    }

    fn end_part(&mut self) -> Result<(), Failure> {
        if let Some((cf, ..)) = self.parts.get(self.part) {
            let cf = *cf;
            self.remove_before(cf, None)?;
        }
        self.existing = None;
        self.part += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<WriteBatch, Failure> {
        while self.part < self.parts.len() {
            self.end_part()?;
        }
        Ok(self.gathered.batch)
    }
}
