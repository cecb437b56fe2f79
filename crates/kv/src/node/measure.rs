//! Measuring a region: how much is in it, and where to cut it.
//!
//! Transactional data and raw data of all kinds lie side by side in the engine, each in its own order. The measuring walks through
//! them at once, in the order of the placement driver's keys, so that a piece holds its share of each.

use tidewater_codec::{EncodedKey, Key};

use crate::{
    Cf, EngineIterator, IteratorOptions, Snapshot,
    error::CommandError,
    mvcc::split_ts,
    raw::{RawSpace, client_key},
    region::{KeyForm, Region},
};

/// When a piece is full, and when enough is known of the whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct PieceSize {
    pub bytes: u64,
    pub keys: u64,
    pub pieces_max: usize,
    /// The measuring of a region with more than this ends early.
    pub region_bytes_max: u64,
    pub region_keys_max: u64,
}

/// What is in a region.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub bytes: u64,
    /// Versions of transactional keys, and raw keys.
    pub keys: u64,
    /// User keys: where pieces end.
    pub cuts: Vec<Key>,
    /// Nothing was left out.
    pub is_complete: bool,
}

/// Measures all data of a region.
pub(super) fn measure(
    snapshot: &dyn Snapshot,
    region: &Region,
    piece: PieceSize,
) -> Result<Measured, CommandError> {
    let mut walks = walks(snapshot, region)?;
    let mut measured = Measured::default();
    let (mut piece_bytes, mut piece_keys) = (0, 0);
    let mut previous = Vec::new();
    // A boundary that still has to be reached: one of an inexact cut lies above the key it was made of.
    let mut ahead = None::<(EncodedKey, Key)>;
    while let Some(index) = first(&walks) {
        if measured.bytes > piece.region_bytes_max || measured.keys > piece.region_keys_max {
            return Ok(measured);
        }
        let walk = &mut walks[index];
        if walk.position != previous {
            let full = piece_bytes >= piece.bytes || piece_keys >= piece.keys;
            if full && measured.cuts.len() + 1 < piece.pieces_max {
                let (boundary, cut) = match ahead.take() {
                    Some(ahead) if *ahead.0.as_bytes() <= walk.position[..] || !walk.cuts_exactly() => ahead,
                    _ => walk.cut()?,
                };
                if *boundary.as_bytes() <= walk.position[..] {
                    measured.cuts.push(cut);
                    (piece_bytes, piece_keys) = (0, 0);
                } else {
                    ahead = Some((boundary, cut));
                }
            }
            previous.clone_from(&walk.position);
        }
        let size = walk.size()?;
        (measured.bytes, measured.keys) = (measured.bytes + size, measured.keys + 1);
        (piece_bytes, piece_keys) = (piece_bytes + size, piece_keys + 1);
        if !walk.next()? {
            walks.swap_remove(index);
        }
    }
    measured.is_complete = true;
    Ok(measured)
}

/// The walk that stands on the smallest key.
fn first(walks: &[Walk]) -> Option<usize> {
    (0..walks.len()).min_by(|a, b| walks[*a].position.cmp(&walks[*b].position))
}

/// A cursor over one kind of data.
struct Walk {
    cursor: Box<dyn EngineIterator>,
    kind: Kind,
    /// The current key as the placement driver compares it.
    position: Vec<u8>,
}

enum Kind {
    /// Over the family `write`, with the long values in `default` (and whether there are more).
    Txn {
        values: Box<dyn EngineIterator>,
        values_valid: bool,
    },
    Raw(KeyForm),
}

/// The walks that find anything.
fn walks(snapshot: &dyn Snapshot, region: &Region) -> Result<Vec<Walk>, CommandError> {
    let open = |cf, lower: &[u8], upper: &[u8]| {
        let range = IteratorOptions::range(lower.to_vec(), Some(upper.to_vec()));
        snapshot.iterator(cf, IteratorOptions { fill_cache: false, ..range })
    };
    let (lower, upper) = region.data_range();
    let mut values = open(Cf::Default, &lower, &upper);
    let values_valid = values.seek(&lower)?;
    let txn = Kind::Txn { values, values_valid };
    let mut all = vec![(open(Cf::Write, &lower, &upper), lower, txn)];
    for space in RawSpace::all() {
        let (lower, upper) = region.raw_range(space);
        all.push((open(Cf::Default, &lower, &upper), lower, Kind::Raw(space.form)));
    }
    let mut walks = Vec::new();
    for (mut cursor, lower, kind) in all {
        if cursor.seek(&lower)? {
            let mut walk = Walk { cursor, kind, position: Vec::new() };
            walk.note_position()?;
            walks.push(walk);
        }
    }
    Ok(walks)
}

impl Walk {
    fn note_position(&mut self) -> Result<(), CommandError> {
        let key = self.cursor.key();
        self.position.clear();
        match self.kind {
            // A data key is the encoded key behind one byte.
            Kind::Txn { .. } => {
                self.position.extend_from_slice(split_ts(key)?.0.get(1..).unwrap_or_default())
            }
            Kind::Raw(KeyForm::Plain) => self.position.extend_from_slice(client_key(key)),
            Kind::Raw(KeyForm::Encoded) => {
                self.position = Key::new(client_key(key)).encode().into_bytes();
            }
        }
        Ok(())
    }

    /// Whether a region can begin with the current key.
    fn cuts_exactly(&self) -> bool {
        !matches!(self.kind, Kind::Raw(KeyForm::Plain))
    }

    /// The first boundary at or above the current key, and the user key it is made of.
    fn cut(&self) -> Result<(EncodedKey, Key), CommandError> {
        Ok(match self.cuts_exactly() {
            true => {
                let boundary = EncodedKey::from_encoded(self.position.clone());
                let key = boundary.decode()?;
                (boundary, key)
            }
            // Every boundary is an encoded key, and that of a plain key lies a little above it.
            false => {
                let key = Key::new(self.position.clone());
                (key.encode(), key)
            }
        })
    }

    /// Bytes of the current entry, with the long values up to it.
    fn size(&mut self) -> Result<u64, CommandError> {
        let key = self.cursor.key();
        let mut size = key.len() + self.cursor.value().len();
        if let Kind::Txn { values, values_valid } = &mut self.kind {
            while *values_valid && values.key() <= key {
                size += values.key().len() + values.value().len();
                *values_valid = values.next()?;
            }
        }
        Ok(size as u64)
    }

    fn next(&mut self) -> Result<bool, CommandError> {
        let valid = self.cursor.next()?;
        if valid {
            self.note_position()?;
        }
        Ok(valid)
    }
}
