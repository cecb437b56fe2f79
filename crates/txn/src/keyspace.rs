//! How the caller's keys look on the wire, and at the placement driver.
//!
//! | client | on the wire | boundaries of regions |
//! | --- | --- | --- |
//! | transactions | the key | memcomparable(the key) |
//! | raw | the key | the key |
//! | either, in a keyspace | mode, id of the keyspace, the key (API V2) | memcomparable(that) |
//!
//! Inside this crate keys are the caller's. They are translated where requests leave and answers arrive ([`crate::wire_keys`]), and where
//! regions are learned: a region that reaches beyond the keyspace is, to this client, unbounded there.

use bytes::Bytes;
use tidewater_codec::{EncodedKey, Key};
use tidewater_proto::{kvrpcpb, metapb};

use crate::TxnError;

/// Sorts after every key that is not made to spite it: where the last region is asked for.
const LAST_KEY: [u8; 64] = [0xff; 64];
/// Mode and id.
const PREFIX_BYTES: usize = 4;

/// A part of the key space of its own, as API V2 has it: clients in different keyspaces never see each other's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyspace {
    id: u32,
}

impl Keyspace {
    /// The largest id: it has three bytes.
    pub const ID_MAX: u32 = (1 << 24) - 1;

    /// The keyspace with an id of the placement driver; `None` above [`Self::ID_MAX`].
    pub fn new(id: u32) -> Option<Self> {
        (id <= Self::ID_MAX).then_some(Self { id })
    }

    /// The id.
    pub fn id(self) -> u32 {
        self.id
    }
}

/// What a client's keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Transactions,
    Raw,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyForm {
    mode: Mode,
    prefix: Option<Prefix>,
}

/// What all keys of a keyspace begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefix {
    first: [u8; PREFIX_BYTES],
    /// The first key after the keyspace.
    end: [u8; PREFIX_BYTES],
}

impl KeyForm {
    pub(crate) fn new(mode: Mode, keyspace: Option<Keyspace>) -> Self {
        let letter = match mode {
            Mode::Transactions => b'x',
            Mode::Raw => b'r',
        };
        let prefix = keyspace.map(|keyspace| {
            let first = u32::from(letter) << 24 | keyspace.id;
            Prefix { first: first.to_be_bytes(), end: (first + 1).to_be_bytes() }
        });
        Self { mode, prefix }
    }

    pub(crate) fn prefix(&self) -> Option<&Prefix> {
        self.prefix.as_ref()
    }

    /// A key as region boundaries have it.
    pub(crate) fn boundary(&self, key: &[u8]) -> Bytes {
        match &self.prefix {
            Some(prefix) => memcomparable(&prefix.add(key)),
            None if self.mode == Mode::Raw => Bytes::copy_from_slice(key),
            None => memcomparable(key),
        }
    }

    /// Where the last region is asked for.
    pub(crate) fn last_boundary(&self) -> Bytes {
        match &self.prefix {
            Some(prefix) => memcomparable(&prefix.add(&LAST_KEY)),
            None => Bytes::from_static(&LAST_KEY),
        }
    }

    /// The caller's keys that a region holds; an empty end is unbounded. `None` if it holds none.
    pub(crate) fn range_of(&self, region: &metapb::Region) -> Result<Option<(Bytes, Bytes)>, TxnError> {
        let start = self.wire_key(region.id, &region.start_key)?;
        let end = self.wire_key(region.id, &region.end_key)?;
        let Some(prefix) = &self.prefix else { return Ok(Some((start, end))) };
        let is_outside = start[..] >= prefix.end[..] || (!end.is_empty() && end[..] <= prefix.first[..]);
        if is_outside {
            return Ok(None);
        }
        let start = start.strip_prefix(&prefix.first).map(Bytes::copy_from_slice).unwrap_or_default();
        let end = end.strip_prefix(&prefix.first).map(Bytes::copy_from_slice).unwrap_or_default();
        Ok(Some((start, end)))
    }

    fn wire_key(&self, id: u64, boundary: &Bytes) -> Result<Bytes, TxnError> {
        if boundary.is_empty() || (self.prefix.is_none() && self.mode == Mode::Raw) {
            return Ok(boundary.clone());
        }
        match EncodedKey::from_encoded(&boundary[..]).decode() {
            Ok(key) => Ok(Bytes::from(key.into_bytes())),
            Err(error) => Err(TxnError::Protocol {
                reason: format!("region {id} has a boundary that is not a key: {error}"),
            }),
        }
    }
}

impl Prefix {
    pub(crate) const API_VERSION: i32 = kvrpcpb::ApiVersion::V2 as i32;

    fn add(&self, key: &[u8]) -> Bytes {
        [&self.first, key].concat().into()
    }

    /// A key, or the start of a range.
    pub(crate) fn add_to(&self, key: &mut Bytes) {
        *key = self.add(key);
    }

    /// The end of a range: empty is the end of the keyspace.
    pub(crate) fn add_to_end(&self, end: &mut Bytes) {
        *end = if end.is_empty() { Bytes::copy_from_slice(&self.end) } else { self.add(end) };
    }

    pub(crate) fn strip_from(&self, key: &mut Bytes) {
        if key.starts_with(&self.first) {
            *key = key.slice(PREFIX_BYTES..);
        }
    }

    /// The end of a range, which may be that of the keyspace.
    pub(crate) fn strip_from_end(&self, end: &mut Bytes) {
        if end[..] >= self.end[..] {
            *end = Bytes::new();
        }
        self.strip_from(end);
    }
}

fn memcomparable(key: &[u8]) -> Bytes {
    Key::new(key).encode().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: &[u8], end: &[u8]) -> metapb::Region {
        let boundary = |key: &[u8]| if key.is_empty() { Bytes::new() } else { memcomparable(key) };
        metapb::Region { start_key: boundary(start), end_key: boundary(end), ..Default::default() }
    }

    #[test]
    fn regions_end_with_the_keyspace() {
        let form = KeyForm::new(Mode::Transactions, Keyspace::new(0x0102ff));
        type Boundary = &'static [u8];
        type Expected = Option<(&'static str, &'static str)>;
        let cases: [(Boundary, Boundary, Expected); 7] = [
            (b"", b"", Some(("", ""))),
            (b"x\x01\x02\xffb", b"x\x01\x02\xffd", Some(("b", "d"))),
            (b"x\x01\x02\xfeb", b"x\x01\x02\xffd", Some(("", "d"))),
            (b"x\x01\x02\xffb", b"x\x01\x03\x00", Some(("b", ""))),
            (b"x\x01\x02\xffb", b"z", Some(("b", ""))),
            (b"x\x01\x03\x00", b"", None),
            (b"", b"x\x01\x02\xff", None),
        ];
        for (start, end, expected) in cases {
            let range = form.range_of(&region(start, end)).unwrap();
            let expected = expected.map(|(start, end)| (Bytes::from(start), Bytes::from(end)));
            assert_eq!(range, expected, "{start:?}..{end:?}");
        }
        assert_eq!(Keyspace::new(1 << 24), None);
    }

    #[test]
    fn keys_go_out_and_come_in() {
        for (mode, expected) in [(Mode::Transactions, &b"x\0\0\x07k"[..]), (Mode::Raw, &b"r\0\0\x07k"[..])] {
            let form = KeyForm::new(mode, Keyspace::new(7));
            let prefix = form.prefix().unwrap();
            let mut key = Bytes::from("k");
            prefix.add_to(&mut key);
            assert_eq!(key, expected);
            assert_eq!(form.boundary(b"k"), memcomparable(expected));
            prefix.strip_from(&mut key);
            assert_eq!(key, "k");
            let mut end = Bytes::new();
            prefix.add_to_end(&mut end);
            assert_eq!(end[1..], [0, 0, 8]);
            prefix.strip_from_end(&mut end);
            assert_eq!(end, "");
        }
        assert_eq!(KeyForm::new(Mode::Raw, None).boundary(b"k"), "k");
        assert_eq!(KeyForm::new(Mode::Transactions, None).boundary(b"k"), memcomparable(b"k"));
    }
}
