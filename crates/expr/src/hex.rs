//! Hexadecimal and bit literals: `0xFF`, `x'41'`, `b'101'`.
//!
//! They are binary strings, and numbers wherever a number is wanted (`0xFF + 0` is 255). The binder marks their type with
//! MySQL's own mark, UNSIGNED at a string.

use tidewater_types::{Datum, EvalType, FieldType, TypeFlags};

use crate::expr::Expr;

/// Bytes of a number; of a longer literal the last ones count.
const NUMBER_BYTES: usize = 8;

/// A hexadecimal or bit literal as the number it spells; any other expression as it is.
pub fn hex_as_number(expr: Expr) -> Expr {
    match &expr {
        Expr::Literal { value: Datum::Bytes(bytes), field_type }
            if field_type.is_string() && field_type.is_unsigned() =>
        {
            let last = &bytes[bytes.len().saturating_sub(NUMBER_BYTES)..];
            let number = last.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            Expr::Literal {
                value: Datum::UInt(number),
                field_type: FieldType::uint().with_flags(field_type.flags & TypeFlags::NOT_NULL),
            }
        }
        _ => expr,
    }
}

/// The literal as a number where `wanted` is one.
pub(crate) fn hex_for(expr: Expr, wanted: EvalType) -> Expr {
    match wanted {
        EvalType::Int | EvalType::Real | EvalType::Decimal => hex_as_number(expr),
        _ => expr,
    }
}
