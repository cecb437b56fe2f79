//! When a change of a column's type is only words, and when every row must be rewritten.

use tidewater_catalog::IndexInfo;
use tidewater_types::{FieldType, TypeCode};

pub(crate) use tidewater_table::CHANGING_PREFIX;

/// Whether an index will take the place of another at the end of a change.
pub(crate) fn is_copy(index: &IndexInfo) -> bool {
    index.name.lower().starts_with(CHANGING_PREFIX)
}

/// Whether stored values of the old type must be rewritten (or checked) to be values of the new one.
pub fn needs_reorganization(old: &FieldType, new: &FieldType) -> bool {
    if new.is_not_null() && !old.is_not_null() {
        return true;
    }
    if old.code == new.code && old.is_unsigned() == new.is_unsigned() {
        return match old.code {
            TypeCode::NewDecimal => old.length != new.length || old.decimals != new.decimals,
            TypeCode::DateTime | TypeCode::Timestamp | TypeCode::Duration => new.decimals < old.decimals,
            TypeCode::Enum | TypeCode::Set => {
                old.collation != new.collation || !new.elements.starts_with(&old.elements)
            }
            TypeCode::Bit => new.length < old.length,
            TypeCode::Float | TypeCode::Double => {
                new.decimals != old.decimals || (new.decimals >= 0 && new.length < old.length)
            }
            _ if old.is_string() => string_changes(old, new),
            _ => false,
        };
    }
    if old.is_integer() && new.is_integer() {
        // Values are stored as narrow as they are: a wider type changes nothing.
        return old.is_unsigned() != new.is_unsigned() || width(new.code) < width(old.code);
    }
    if old.is_string() && new.is_string() {
        return string_changes(old, new) || is_fixed_binary(old) != is_fixed_binary(new);
    }
    true
}

/// BINARY(n) is stored padded.
fn is_fixed_binary(field_type: &FieldType) -> bool {
    field_type.code == TypeCode::String && field_type.is_binary_string()
}

fn string_changes(old: &FieldType, new: &FieldType) -> bool {
    old.collation != new.collation
        || (new.length >= 0 && (old.length < 0 || new.length < old.length))
        || (is_fixed_binary(new) && new.length != old.length)
}

fn width(code: TypeCode) -> u8 {
    match code {
        TypeCode::Tiny => 1,
        TypeCode::Short => 2,
        TypeCode::Int24 => 3,
        TypeCode::Long => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_is_free_and_narrowing_is_not() {
        let int = FieldType::new(TypeCode::Long);
        let big = FieldType::int();
        assert!(!needs_reorganization(&int, &big));
        assert!(needs_reorganization(&big, &int));
        assert!(needs_reorganization(&int, &FieldType::uint()));
        assert!(!needs_reorganization(&FieldType::varchar(10), &FieldType::varchar(20)));
        assert!(needs_reorganization(&FieldType::varchar(20), &FieldType::varchar(10)));
        assert!(needs_reorganization(&FieldType::decimal(10, 2), &FieldType::decimal(12, 2)));
        assert!(needs_reorganization(&int, &FieldType::varchar(20)));
        assert!(needs_reorganization(&int, &int.clone().not_null()));
        assert!(!needs_reorganization(&int.clone().not_null(), &int));
    }
}
