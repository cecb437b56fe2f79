//! Data keys: where a user key lives in the engine.

use tidewater_codec::{DecodeError, Key, TimeStamp, bytes, number};

/// First byte of every data key; keys of the node itself start with a smaller one.
pub(crate) const DATA_PREFIX: u8 = b'z';

/// A user key as the engine knows it, without a timestamp.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct DataKey(Vec<u8>);

impl DataKey {
    pub(crate) fn from_raw(raw: &[u8]) -> Self {
        let mut out = Vec::with_capacity(1 + bytes::encoded_len(raw.len()) + 8);
        out.push(DATA_PREFIX);
        bytes::write_bytes(raw, &mut out);
        Self(out)
    }

    /// From bytes read out of the engine.
    pub(crate) fn from_engine(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.0.clone()
    }

    pub(crate) fn into_boxed(self) -> Box<[u8]> {
        self.0.into_boxed_slice()
    }

    /// The key of the version written at `ts`; newer versions sort first.
    pub(crate) fn with_ts(&self, ts: TimeStamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() + 8);
        out.extend_from_slice(&self.0);
        number::write_u64_desc(ts.into_inner(), &mut out);
        out
    }

    /// The user key.
    pub(crate) fn raw(&self) -> Key {
        let mut out = Vec::with_capacity(self.0.len());
        // A data key is made by `from_raw` or comes from the engine, where only such keys are written.
        decode_raw(&self.0, &mut out).expect("a data key decodes");
        Key::new(out)
    }
}

/// Appends the user key of a data key without timestamp.
pub(crate) fn decode_raw(data_key: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut input = data_key.strip_prefix(&[DATA_PREFIX]).ok_or(DecodeError::Invalid("data key"))?;
    bytes::read_bytes(&mut input, out)?;
    if input.is_empty() { Ok(()) } else { Err(DecodeError::Invalid("data key")) }
}

/// Splits a versioned engine key.
pub(crate) fn split_ts(versioned: &[u8]) -> Result<(&[u8], TimeStamp), DecodeError> {
    let at = versioned.len().checked_sub(8).ok_or(DecodeError::UnexpectedEnd("versioned key"))?;
    let (key, mut ts) = versioned.split_at(at);
    Ok((key, TimeStamp::new(number::read_u64_desc(&mut ts)?)))
}

/// The engine range of the user keys `start..end`; an empty end is unbounded.
pub(crate) fn data_range(start: &[u8], end: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let lower = if start.is_empty() { vec![DATA_PREFIX] } else { DataKey::from_raw(start).0 };
    let upper = if end.is_empty() { vec![DATA_PREFIX + 1] } else { DataKey::from_raw(end).0 };
    (lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_keys_round_trip_and_order() {
        let key = DataKey::from_raw(b"hello world");
        assert_eq!(key.raw().as_bytes(), b"hello world");
        let (data, ts) =
            split_ts(&key.with_ts(TimeStamp::new(7))).map(|(key, ts)| (key.to_vec(), ts)).unwrap();
        assert_eq!((data.as_slice(), ts), (key.as_bytes(), TimeStamp::new(7)));
        assert!(key.with_ts(TimeStamp::new(8)) < key.with_ts(TimeStamp::new(7)));
        assert!(DataKey::from_raw(b"") < DataKey::from_raw(b"\0"));
        assert_eq!(data_range(b"", b""), (b"z".to_vec(), b"{".to_vec()));
    }
}
