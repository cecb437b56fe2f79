//! To CHAR, VARCHAR, TEXT and their binary kin.

use super::{ConvertError, Source, Stored, ValueKind};
use crate::collation::char_boundary_before;
use crate::{Datum, FieldType, TypeCode};

pub(super) fn to_string(source: &Source<'_>, to: &FieldType) -> Stored {
    let mut bytes = source.bytes();
    let mut problem = None;
    let mut noted = false;
    if let Err(valid) = to.charset().accepts(&bytes) {
        problem =
            Some(ConvertError::IncorrectValue { kind: ValueKind::String, value: escaped(&bytes[valid..]) });
        bytes.truncate(valid);
    }
    if let Some(kept) = too_long(&bytes, to) {
        // Spaces at the end do not count, so that their loss is no error.
        let only_spaces = to.is_text() && !to.is_blob() && bytes[kept..].iter().all(|byte| *byte == b' ');
        bytes.truncate(kept);
        match (only_spaces, to.code) {
            (true, TypeCode::String) => {}
            (true, _) => noted = true,
            (false, _) => problem = problem.or(Some(ConvertError::DataTooLong)),
        }
    }
    if to.code == TypeCode::String {
        match to.is_binary_string() {
            // CHAR is stored without its padding, BINARY with it.
            false => bytes.truncate(bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1)),
            true if to.length > 0 => bytes.resize((to.length as usize).max(bytes.len()), 0),
            true => {}
        }
    }
    Stored { value: Datum::Bytes(bytes), problem, noted }
}

/// How many bytes fit, if not all do. Characters count in text, bytes in binary strings and in BLOB and TEXT.
fn too_long(bytes: &[u8], to: &FieldType) -> Option<usize> {
    let limit = usize::try_from(to.length).ok()?;
    if bytes.len() <= limit {
        return None;
    }
    if to.is_binary_string() {
        return Some(limit);
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if to.is_blob() {
        return Some(char_boundary_before(text, limit));
    }
    text.char_indices().nth(limit).map(|(at, _)| at)
}

/// Wrong bytes as messages show them: `\xFF\xFE`, at most six.
fn escaped(bytes: &[u8]) -> String {
    let mut shown: String = bytes
        .iter()
        .take(6)
        .map(|byte| match byte {
            b' '..=b'~' => char::from(*byte).to_string(),
            other => format!("\\x{other:02X}"),
        })
        .collect();
    if bytes.len() > 6 {
        shown.push_str("...");
    }
    shown
}
