//! Ranges of keys.

use tidewater_codec::{DecodeError, datum::encode_key_datum};
use tidewater_types::{Datum, FieldType};

/// The keys between two prefixes, over the columns of an index or handle.
///
/// A key is in the range when its first `low.len()` values are above `low` (or equal to it, if `low_inclusive`), and
/// its first `high.len()` values are below `high` (or equal, if `high_inclusive`). An empty bound is no bound. NULL
/// sorts before all values, so `low = [NULL]`, exclusive, means "not NULL".
///
/// In key bytes: start = `encode(low)`, or the prefix after it when exclusive; end (exclusive) = `encode(high)`, or the
/// prefix after it when inclusive ([`KeyRange::encode`] does it).
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRange {
    /// The lower bound.
    pub low: Vec<Datum>,
    /// Whether keys equal to it are inside.
    pub low_inclusive: bool,
    /// The upper bound.
    pub high: Vec<Datum>,
    /// Whether keys equal to it are inside.
    pub high_inclusive: bool,
}

impl KeyRange {
    /// All keys, those with NULL included.
    pub fn full() -> Self {
        KeyRange { low: Vec::new(), low_inclusive: true, high: Vec::new(), high_inclusive: true }
    }

    /// All keys whose first value is not NULL.
    pub fn not_null() -> Self {
        KeyRange { low: vec![Datum::Null], low_inclusive: false, high: Vec::new(), high_inclusive: true }
    }

    /// The keys that start with these values.
    pub fn point(values: Vec<Datum>) -> Self {
        KeyRange { low: values.clone(), low_inclusive: true, high: values, high_inclusive: true }
    }

    /// Whether there is no bound on either side.
    pub fn is_full(&self) -> bool {
        self.low.is_empty() && self.high.is_empty()
    }

    /// Whether both bounds are the same values, both inclusive.
    pub fn is_point(&self) -> bool {
        self.low_inclusive && self.high_inclusive && !self.low.is_empty() && self.low == self.high
    }

    /// The bytes between which the encoded keys lie (start inclusive, end exclusive), to be put behind the prefix of
    /// the index. An end of `None` is the end of the index.
    pub fn encode(&self, types: &[FieldType]) -> Result<(Vec<u8>, Option<Vec<u8>>), DecodeError> {
        let mut start = encode_values(&self.low, types)?;
        if !self.low_inclusive && !self.low.is_empty() {
            // A flag byte of a key datum is never 0xff, so the prefix has a successor.
            next_prefix(&mut start);
        }
        let mut end = encode_values(&self.high, types)?;
        if self.high.is_empty() {
            return Ok((start, None));
        }
        if self.high_inclusive {
            next_prefix(&mut end);
        }
        Ok((start, Some(end)))
    }
}

/// The key datums of `values`, one after the other.
pub fn encode_values(values: &[Datum], types: &[FieldType]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(values.len() * 9);
    for (value, field_type) in values.iter().zip(types) {
        encode_key_datum(value, field_type, &mut bytes)?;
    }
    Ok(bytes)
}

/// The smallest byte string above all that start with `bytes`.
fn next_prefix(bytes: &mut Vec<u8>) {
    while let Some(last) = bytes.pop() {
        if last != 0xff {
            bytes.push(last + 1);
            return;
        }
    }
}
