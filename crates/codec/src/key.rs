//! Raw and encoded keys.

use std::fmt;

use crate::{DecodeError, TimeStamp, bytes, number};

/// A key as the SQL layer makes it, e.g. `t{table}_r{handle}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Key(Vec<u8>);

impl Key {
    /// Takes the raw bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The raw bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The memcomparable form the store and PD use.
    pub fn encode(&self) -> EncodedKey {
        let mut out = Vec::with_capacity(bytes::encoded_len(self.0.len()) + 8);
        bytes::write_bytes(&self.0, &mut out);
        EncodedKey(out)
    }

    /// No bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest key above this one.
    pub fn next(&self) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + 1);
        bytes.extend_from_slice(&self.0);
        bytes.push(0);
        Self(bytes)
    }

    /// The smallest key above all keys that have this one as a prefix; empty (= unbounded) if there is none.
    pub fn prefix_next(&self) -> Self {
        let mut bytes = self.0.clone();
        while let Some(last) = bytes.pop() {
            if last < 0xff {
                bytes.push(last + 1);
                break;
            }
        }
        Self(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// A key in the memcomparable form: what regions are bounded by, what the column families hold (with a timestamp appended).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct EncodedKey(Vec<u8>);

impl EncodedKey {
    /// Takes bytes that are already encoded (or a region boundary; empty means unbounded).
    pub fn from_encoded(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoded bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// No bytes at all (an unbounded region boundary).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Back to the raw key; the whole of the bytes must be one encoded key.
    pub fn decode(&self) -> Result<Key, DecodeError> {
        let mut input = self.0.as_slice();
        let mut out = Vec::with_capacity(self.0.len());
        bytes::read_bytes(&mut input, &mut out)?;
        if input.is_empty() { Ok(Key(out)) } else { Err(DecodeError::Invalid("encoded key")) }
    }

    /// The key of one version: later timestamps sort first.
    pub fn with_ts(&self, ts: TimeStamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() + 8);
        out.extend_from_slice(&self.0);
        number::write_u64_desc(ts.into_inner(), &mut out);
        out
    }

    /// Splits what [`Self::with_ts`] made into the encoded key's bytes and the timestamp.
    pub fn split_ts(versioned: &[u8]) -> Result<(&[u8], TimeStamp), DecodeError> {
        let at = versioned.len().checked_sub(8).ok_or(DecodeError::UnexpectedEnd("versioned key"))?;
        let (key, mut ts) = versioned.split_at(at);
        Ok((key, TimeStamp::new(number::read_u64_desc(&mut ts)?)))
    }
}

impl fmt::Debug for EncodedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedKey({self})")
    }
}

impl fmt::Display for EncodedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl AsRef<[u8]> for EncodedKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn versions() {
        let encoded = Key::new(*b"key").encode();
        let versioned = encoded.with_ts(TimeStamp::new(420));
        assert_eq!(versioned, hex("6b65790000000000fa fffffffffffffe5b"));
        assert_eq!(EncodedKey::split_ts(&versioned), Ok((encoded.as_bytes(), TimeStamp::new(420))));
        assert!(encoded.with_ts(TimeStamp::new(421)) < versioned);
        assert!(EncodedKey::split_ts(&[1, 2, 3]).is_err());
    }

    #[test]
    fn neighbors() {
        assert_eq!(Key::new([1, 2]).next(), Key::new([1, 2, 0]));
        assert_eq!(Key::new([1, 2]).prefix_next(), Key::new([1, 3]));
        assert_eq!(Key::new([1, 0xff]).prefix_next(), Key::new([2]));
        assert!(Key::new([0xff, 0xff]).prefix_next().is_empty());
    }

    proptest! {
        #[test]
        fn encoding_keeps_the_order(a in prop::collection::vec(0u8..3, 0..20), b in prop::collection::vec(0u8..3, 0..20)) {
            let (a, b) = (Key::new(a), Key::new(b));
            prop_assert_eq!(a.encode().cmp(&b.encode()), a.cmp(&b));
            prop_assert_eq!(a.encode().decode(), Ok(a));
        }

        #[test]
        fn decoding_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = EncodedKey::from_encoded(bytes.clone()).decode();
            let _ = EncodedKey::split_ts(&bytes);
        }
    }
}
