//! Write records.

use super::{
    LAST_CHANGE, LastChange, SHORT_VALUE, read_last_change, read_short_value, read_ts, take_byte,
    write_last_change, write_short_value,
};
use crate::{DecodeError, StartTs, TimeStamp, number};

const OVERLAPPED_ROLLBACK: u8 = b'R';
const GC_FENCE: u8 = b'F';
const TXN_SOURCE: u8 = b'S';
/// The short value of a rollback that must be kept.
const PROTECTED: &[u8] = b"p";

/// What a write record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteType {
    /// Put a value.
    Put,
    /// Deleted the value.
    Delete,
    /// Nothing: the key was only locked.
    Lock,
    /// Nothing: the transaction was rolled back.
    Rollback,
}

impl WriteType {
    const fn letter(self) -> u8 {
        match self {
            Self::Put => b'P',
            Self::Delete => b'D',
            Self::Lock => b'L',
            Self::Rollback => b'R',
        }
    }

    const fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'P' => Self::Put,
            b'D' => Self::Delete,
            b'L' => Self::Lock,
            b'R' => Self::Rollback,
            _ => return None,
        })
    }
}

/// A write record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What it did.
    pub write_type: WriteType,
    /// The transaction; a long value is stored under this timestamp.
    pub start_ts: StartTs,
    /// The value, if it is short.
    pub short_value: Option<Vec<u8>>,
    /// Another transaction was rolled back at this very commit timestamp.
    pub overlapped_rollback: bool,
    /// With an overlapped rollback: where the next version was when it was written; zero if there was none.
    pub gc_fence: Option<TimeStamp>,
    /// Where the key's last change is.
    pub last_change: Option<LastChange>,
    /// Who wrote the transaction (for change feeds).
    pub txn_source: u64,
}

impl Write {
    /// A record without any of the other optional parts.
    pub fn new(write_type: WriteType, start_ts: StartTs, short_value: Option<Vec<u8>>) -> Self {
        Self {
            write_type,
            start_ts,
            short_value,
            overlapped_rollback: false,
            gc_fence: None,
            last_change: None,
            txn_source: 0,
        }
    }

    /// A rollback record; a protected one survives when rollbacks are collapsed.
    pub fn rollback(start_ts: StartTs, protected: bool) -> Self {
        Self::new(WriteType::Rollback, start_ts, protected.then(|| PROTECTED.to_vec()))
    }

    /// A rollback record that must not be collapsed.
    pub fn is_protected_rollback(&self) -> bool {
        self.write_type == WriteType::Rollback && self.short_value.as_deref() == Some(PROTECTED)
    }

    /// The record as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.short_value.as_ref().map_or(0, Vec::len));
        self.encode(&mut out);
        out
    }

    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.write_type.letter());
        number::write_var_u64(self.start_ts.into_inner(), out);
        if let Some(value) = &self.short_value {
            write_short_value(value, out);
        }
        if self.overlapped_rollback {
            out.push(OVERLAPPED_ROLLBACK);
        }
        if let Some(fence) = self.gc_fence {
            out.push(GC_FENCE);
            number::write_u64(fence.into_inner(), out);
        }
        if let Some(change) = self.last_change {
            write_last_change(change, out);
        }
        if self.txn_source != 0 {
            out.push(TXN_SOURCE);
            number::write_var_u64(self.txn_source, out);
        }
    }

    /// Reads a record. An unknown letter ends it: newer writers may know more.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = bytes;
        let letter = take_byte(&mut input).ok_or(DecodeError::UnexpectedEnd("write"))?;
        let write_type =
            WriteType::from_letter(letter).ok_or(DecodeError::UnknownFlag { what: "write", flag: letter })?;
        let mut write = Self::new(write_type, StartTs::new(number::read_var_u64(&mut input)?), None);
        while let Some(letter) = take_byte(&mut input) {
            match letter {
                SHORT_VALUE => write.short_value = Some(read_short_value(&mut input)?.to_vec()),
                OVERLAPPED_ROLLBACK => write.overlapped_rollback = true,
                GC_FENCE => write.gc_fence = Some(read_ts(&mut input)?),
                LAST_CHANGE => write.last_change = Some(read_last_change(&mut input)?),
                TXN_SOURCE => write.txn_source = number::read_var_u64(&mut input)?,
                _ => break,
            }
        }
        Ok(write)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn vectors() {
        let write = Write::new(WriteType::Put, StartTs::new(10), Some(b"v".to_vec()));
        assert_eq!(write.to_bytes(), hex("50 0a 76 01 76"));
        let rollback = Write::rollback(StartTs::new(1 << 40), true);
        assert_eq!(rollback.to_bytes(), hex("52 808080808020 76 01 70"));
        assert!(rollback.is_protected_rollback());
        assert!(!Write::rollback(StartTs::new(1), false).is_protected_rollback());
    }

    fn any_write() -> impl Strategy<Value = Write> {
        let kinds = [WriteType::Put, WriteType::Delete, WriteType::Lock, WriteType::Rollback];
        (
            prop::sample::select(kinds.to_vec()),
            any::<u64>(),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..=255)),
            any::<bool>(),
            any::<Option<u64>>(),
            any::<Option<(u64, u64)>>(),
            any::<u64>(),
        )
            .prop_map(
                |(kind, start, short_value, overlapped_rollback, fence, change, txn_source)| Write {
                    overlapped_rollback,
                    gc_fence: fence.map(TimeStamp::new),
                    last_change: change.map(|(ts, versions)| LastChange { ts: TimeStamp::new(ts), versions }),
                    txn_source,
                    ..Write::new(kind, StartTs::new(start), short_value)
                },
            )
    }

    proptest! {
        #[test]
        fn writes_round_trip(write in any_write()) {
            prop_assert_eq!(Write::decode(&write.to_bytes()), Ok(write));
        }

        #[test]
        fn decoding_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60), letters in "[PDLRvRFlS]{1,10}") {
            let _ = Write::decode(&bytes);
            let _ = Write::decode(&[letters.as_bytes(), &bytes].concat());
            let _ = Write::decode(&[b"P\x01", letters.as_bytes(), &bytes].concat());
        }
    }
}
