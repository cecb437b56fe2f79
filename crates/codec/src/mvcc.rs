//! Lock and write records of the transaction protocol.
//!
//! A **lock** says that a transaction is about to change a key; a **write** says that it did, and where. The fixed fields come
//! first, then optional ones, each behind a letter.

mod lock;
mod write;

pub use lock::{Lock, LockType};
pub use write::{Write, WriteType};

use crate::{DecodeError, TimeStamp, number};

/// Values of at most this many bytes stand inside the lock or write record.
pub const SHORT_VALUE_LEN_MAX: usize = 255;

const SHORT_VALUE: u8 = b'v';
const LAST_CHANGE: u8 = b'l';

/// Where the last change of a key's data is, seen from a record that changed none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastChange {
    /// Its commit timestamp; zero if there is none.
    pub ts: TimeStamp,
    /// Versions between it and the record.
    pub versions: u64,
}

fn write_short_value(value: &[u8], out: &mut Vec<u8>) {
    let len = u8::try_from(value.len()).expect("longer values are stored in the default column family");
    out.extend_from_slice(&[SHORT_VALUE, len]);
    out.extend_from_slice(value);
}

fn read_short_value<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let (len, rest) = input.split_first().ok_or(DecodeError::UnexpectedEnd("short value"))?;
    let (value, rest) =
        rest.split_at_checked(usize::from(*len)).ok_or(DecodeError::UnexpectedEnd("short value"))?;
    *input = rest;
    Ok(value)
}

fn write_last_change(change: LastChange, out: &mut Vec<u8>) {
    out.push(LAST_CHANGE);
    number::write_u64(change.ts.into_inner(), out);
    number::write_var_u64(change.versions, out);
}

fn read_last_change(input: &mut &[u8]) -> Result<LastChange, DecodeError> {
    Ok(LastChange { ts: read_ts(input)?, versions: number::read_var_u64(input)? })
}

fn read_ts(input: &mut &[u8]) -> Result<TimeStamp, DecodeError> {
    number::read_u64(input).map(TimeStamp::new)
}

fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = input.split_first()?;
    *input = rest;
    Some(*byte)
}
