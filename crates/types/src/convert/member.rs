//! To ENUM, SET and BIT.

use super::{ConvertError, Source, Stored};
use crate::{Datum, FieldType, TypeCode, number};

/// ENUM: a name, or the number of a member, or the text of that number.
pub(super) fn to_enum(source: &Source<'_>, to: &FieldType) -> Stored {
    let count = to.elements.len() as u64;
    let by_number = |index: u64| match index {
        index if (1..=count).contains(&index) => Stored::exact(Datum::UInt(index)),
        _ => Stored::wrong(Datum::UInt(0), ConvertError::Truncated),
    };
    if let Some(index) = number_without_name(source) {
        return by_number(index.unwrap_or(0));
    }
    let name = source.text();
    if let Some(index) = to.enum_index(&name) {
        return Stored::exact(Datum::UInt(index));
    }
    let prefix = number::parse_u64(&name);
    by_number(if prefix.truncated || prefix.overflow { 0 } else { prefix.value })
}

/// SET: names separated by commas, or the bits as a number, or the text of that number.
pub(super) fn to_set(source: &Source<'_>, to: &FieldType) -> Stored {
    let all = match to.elements.len() {
        0 => 0,
        count => u64::MAX >> (64 - count.min(64)),
    };
    let by_number = |bits: u64| match bits {
        bits if bits & !all == 0 => Stored::exact(Datum::UInt(bits)),
        _ => Stored::wrong(Datum::UInt(bits & all), ConvertError::Truncated),
    };
    if let Some(bits) = number_without_name(source) {
        return bits.map_or_else(|| Stored::wrong(Datum::UInt(0), ConvertError::Truncated), by_number);
    }
    let text = source.text();
    let text = to.collation.significant(&text);
    if text.is_empty() {
        return Stored::exact(Datum::UInt(0));
    }
    let mut bits = 0u64;
    let mut unknown = false;
    for name in text.split(|byte| *byte == b',') {
        match to.enum_index(name) {
            Some(index @ 1..=64) => bits |= 1 << (index - 1),
            _ => unknown = true,
        }
    }
    if !unknown {
        return Stored::exact(Datum::UInt(bits));
    }
    let prefix = number::parse_u64(text);
    if !prefix.truncated && !prefix.overflow && bits == 0 {
        return by_number(prefix.value);
    }
    Stored::wrong(Datum::UInt(bits), ConvertError::Truncated)
}

/// The value if it is a number and not the member of some ENUM or SET; Some(None) if it is negative or no integer fits.
fn number_without_name(source: &Source<'_>) -> Option<Option<u64>> {
    match source.value {
        Datum::Int(value) => Some(u64::try_from(*value).ok()),
        Datum::UInt(_) if source.member_name().is_some() => None,
        Datum::UInt(value) => Some(Some(*value)),
        Datum::Float(_) | Datum::Double(_) | Datum::Decimal(_) => {
            let text = source.value.to_text();
            let prefix = number::parse_u64(&text);
            Some((!prefix.overflow).then_some(prefix.value))
        }
        _ => None,
    }
}

/// BIT(M): the bytes of a string as a big-endian number, numbers as they are.
pub(super) fn to_bit(source: &Source<'_>, to: &FieldType) -> Stored {
    let bits = to.length.clamp(1, 64) as u32;
    let max = u64::MAX >> (64 - bits);
    let value = match source.value {
        Datum::Int(value) => Some(*value as u64),
        Datum::UInt(value) => Some(*value),
        Datum::Bytes(bytes) if source.field_type.is_none_or(|from| from.code != TypeCode::Json) => {
            let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            (significant.len() <= 8)
                .then(|| significant.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
        }
        other => {
            let text = other.to_text();
            let prefix = number::parse_u64(&text);
            (!prefix.overflow).then_some(prefix.value)
        }
    };
    match value {
        Some(value) if value <= max => Stored::exact(Datum::UInt(value)),
        _ => Stored::wrong(Datum::UInt(max), ConvertError::DataTooLong),
    }
}
