//! Reading and writing the binary layout. Reading checks every bound; from invalid bytes it returns None, or some other value.

use super::{JSON_DEPTH_MAX, JsonError, JsonRef};
use crate::Time;
use crate::collation::char_boundary_before;

pub(super) const OBJECT: u8 = 0x01;
pub(super) const ARRAY: u8 = 0x03;
pub(super) const LITERAL: u8 = 0x04;
pub(super) const INT: u8 = 0x09;
pub(super) const UINT: u8 = 0x0a;
pub(super) const DOUBLE: u8 = 0x0b;
pub(super) const STRING: u8 = 0x0c;
pub(super) const OPAQUE: u8 = 0x0d;
pub(super) const DATE: u8 = 0x0e;
pub(super) const DATETIME: u8 = 0x0f;
pub(super) const TIMESTAMP: u8 = 0x10;
pub(super) const DURATION: u8 = 0x11;

pub(super) const LITERAL_NULL: u8 = 0;
pub(super) const LITERAL_TRUE: u8 = 1;
pub(super) const LITERAL_FALSE: u8 = 2;

const HEADER_LEN: usize = 8;
const KEY_ENTRY_LEN: usize = 6;
const VALUE_ENTRY_LEN: usize = 5;
/// A TIME's payload: nanoseconds and digits of the fraction.
const DURATION_LEN: usize = 12;

impl<'a> JsonRef<'a> {
    /// The eight bytes of a number or a time.
    pub(super) fn fixed(self) -> Option<[u8; 8]> {
        self.payload.first_chunk().copied()
    }

    /// Members or elements of a container; never more than its bytes could hold.
    pub(super) fn count(self) -> usize {
        let count = read_u32(self.payload, 0).unwrap_or(0);
        let room = self.payload.len().saturating_sub(HEADER_LEN) / self.entry_len();
        count.min(room)
    }

    /// Bytes that one member or element takes in the container's head.
    fn entry_len(self) -> usize {
        if self.code == OBJECT { KEY_ENTRY_LEN + VALUE_ENTRY_LEN } else { VALUE_ENTRY_LEN }
    }

    /// The key of an object's member at a position of storage.
    pub(super) fn key(self, position: usize) -> Option<&'a [u8]> {
        let at = HEADER_LEN + position * KEY_ENTRY_LEN;
        let offset = read_u32(self.payload, at)?;
        let len = usize::from(u16::from_le_bytes(*self.payload.get(at + 4..)?.first_chunk()?));
        self.payload.get(offset..)?.get(..len)
    }

    /// The child of a container at a position of storage.
    pub(super) fn entry(self, position: usize) -> Option<JsonRef<'a>> {
        let keys = if self.code == OBJECT { self.count() * KEY_ENTRY_LEN } else { 0 };
        let at = HEADER_LEN + keys + position * VALUE_ENTRY_LEN;
        let code = *self.payload.get(at)?;
        if code == LITERAL {
            return Some(JsonRef { code, payload: self.payload.get(at + 1..at + 2)? });
        }
        let offset = read_u32(self.payload, at + 1)?;
        // A child behind its parent's head is smaller than its parent: following children comes to an end.
        if offset < HEADER_LEN {
            return None;
        }
        Some(JsonRef { code, payload: self.payload.get(offset..)? })
    }

    /// How many bytes of the payload belong to the value.
    pub(super) fn payload_len(self) -> Option<usize> {
        match self.code {
            OBJECT | ARRAY => read_u32(self.payload, 4).filter(|size| *size >= HEADER_LEN),
            LITERAL => Some(1),
            INT | UINT | DOUBLE | DATE | DATETIME | TIMESTAMP => Some(8),
            DURATION => Some(DURATION_LEN),
            STRING => {
                let (len, rest) = read_var(self.payload)?;
                (self.payload.len() - rest.len()).checked_add(len)
            }
            OPAQUE => {
                let (len, rest) = read_var(self.payload.get(1..)?)?;
                (self.payload.len() - rest.len()).checked_add(len)
            }
            _ => None,
        }
    }

    /// Checks every byte that reading may look at.
    pub fn validate(self) -> Result<(), JsonError> {
        self.validate_below(0)
    }

    fn validate_below(self, above: usize) -> Result<(), JsonError> {
        if above > JSON_DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        let len = self.payload_len().ok_or(JsonError::InvalidBinary)?;
        let payload = self.payload.get(..len).ok_or(JsonError::InvalidBinary)?;
        let this = JsonRef { code: self.code, payload };
        let is_valid = match self.code {
            OBJECT | ARRAY => return this.validate_children(above),
            LITERAL => payload[0] <= LITERAL_FALSE,
            STRING => this.as_str().is_some(),
            OPAQUE => this.as_opaque().is_some(),
            DATE | DATETIME | TIMESTAMP => this.as_time().is_some(),
            DURATION => this.as_duration().is_some(),
            _ => true,
        };
        if is_valid { Ok(()) } else { Err(JsonError::InvalidBinary) }
    }

    fn validate_children(self, above: usize) -> Result<(), JsonError> {
        let count = self.count();
        if read_u32(self.payload, 0) != Some(count) {
            return Err(JsonError::InvalidBinary);
        }
        let mut previous: Option<&[u8]> = None;
        for position in 0..count {
            if self.code == OBJECT {
                let key = self.key(position).ok_or(JsonError::InvalidBinary)?;
                if std::str::from_utf8(key).is_err() || previous.is_some_and(|previous| previous >= key) {
                    return Err(JsonError::InvalidBinary);
                }
                previous = Some(key);
            }
            self.entry(position).ok_or(JsonError::InvalidBinary)?.validate_below(above + 1)?;
        }
        Ok(())
    }
}

/// Appends an array's payload.
pub(super) fn write_array(elements: &[JsonRef<'_>], out: &mut Vec<u8>) {
    let start = write_header(elements.len(), out);
    let entries = out.len();
    out.resize(entries + elements.len() * VALUE_ENTRY_LEN, 0);
    write_values(elements.iter().copied(), start, entries, out);
}

/// Appends an object's payload; the keys are in order of their bytes, without duplicates.
pub(super) fn write_object(members: &[(&str, JsonRef<'_>)], out: &mut Vec<u8>) {
    let start = write_header(members.len(), out);
    let key_entries = out.len();
    let value_entries = key_entries + members.len() * KEY_ENTRY_LEN;
    out.resize(value_entries + members.len() * VALUE_ENTRY_LEN, 0);
    for (position, (key, _)) in members.iter().enumerate() {
        let at = key_entries + position * KEY_ENTRY_LEN;
        let offset = (out.len() - start) as u32;
        // Longer keys are cut: 64 KiB is the format's limit.
        let key = &key.as_bytes()[..char_boundary_before(key, usize::from(u16::MAX))];
        out[at..at + 4].copy_from_slice(&offset.to_le_bytes());
        out[at + 4..at + 6].copy_from_slice(&(key.len() as u16).to_le_bytes());
        out.extend_from_slice(key);
    }
    write_values(members.iter().map(|(_, value)| *value), start, value_entries, out);
}

/// Appends count and room for the size; returns where the payload begins.
fn write_header(count: usize, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&(count as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    start
}

/// Appends the values, fills in their entries, and the container's size.
fn write_values<'a>(
    values: impl Iterator<Item = JsonRef<'a>>,
    start: usize,
    entries: usize,
    out: &mut Vec<u8>,
) {
    for (position, value) in values.enumerate() {
        let at = entries + position * VALUE_ENTRY_LEN;
        let payload = value.payload_len().and_then(|len| value.payload.get(..len));
        let (code, payload) = payload.map_or((LITERAL, &[LITERAL_NULL][..]), |payload| (value.code, payload));
        out[at] = code;
        if code == LITERAL {
            out[at + 1] = payload[0];
            continue;
        }
        let offset = (out.len() - start) as u32;
        out[at + 1..at + 5].copy_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(payload);
    }
    let size = (out.len() - start) as u32;
    out[start + 4..start + 8].copy_from_slice(&size.to_le_bytes());
}

pub(super) fn write_var(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn read_var(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (position, byte) in bytes.iter().enumerate().take(9) {
        value |= usize::from(byte & 0x7f) << (7 * position);
        if *byte < 0x80 {
            return Some((value, &bytes[position + 1..]));
        }
    }
    None
}

fn read_u32(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// TiDB's in-memory time: year 14 bits, month 4, day 5, hour 5, minute 6, second 6, microsecond 20, digits and kind 4.
pub(super) fn time_to_core(time: Time) -> u64 {
    u64::from(time.year()) << 50
        | u64::from(time.month()) << 46
        | u64::from(time.day()) << 41
        | u64::from(time.hour()) << 36
        | u64::from(time.minute()) << 30
        | u64::from(time.second()) << 24
        | u64::from(time.micro()) << 4
}

pub(super) fn time_from_core(core: u64) -> Option<Time> {
    let bits = |shift: u32, count: u32| (core >> shift & ((1 << count) - 1)) as u32;
    Time::from_parts(
        bits(50, 14),
        bits(46, 4),
        bits(41, 5),
        bits(36, 5),
        bits(30, 6),
        bits(24, 6),
        bits(4, 20),
    )
}
