//! What one condition says about one column: a set of values.

use tidewater_expr::{EvalContext, Expr, FunctionCall};
use tidewater_types::{Collation, Datum, EvalType, FieldType, TypeCode};

use super::RangeColumn;
use super::interval::{Bound, Interval, Set, intersect, union};

/// A set, and whether it says exactly what the condition says (else the condition must be checked again).
pub(crate) struct Restriction {
    pub(crate) set: Set,
    pub(crate) exact: bool,
}

impl Restriction {
    fn exact(set: Set) -> Option<Self> {
        Some(Restriction { set, exact: true })
    }

    fn nothing() -> Option<Self> {
        Self::exact(Vec::new())
    }
}

/// The restriction of `column` by `condition`; `None` if the condition is of no use for it.
pub(crate) fn restrict(condition: &Expr, column: &RangeColumn, ctx: &EvalContext) -> Option<Restriction> {
    let Expr::Function(call) = condition else {
        // A constant condition, a bare column: left to the filter.
        return None;
    };
    match call.function.name {
        "and" => {
            let mut all: Option<Restriction> = None;
            let mut exact = true;
            for arg in &call.args {
                match restrict(arg, column, ctx) {
                    None => exact = false,
                    Some(next) => {
                        all = Some(match all {
                            None => next,
                            Some(all) => Restriction {
                                set: intersect(&all.set, &next.set),
                                exact: all.exact && next.exact,
                            },
                        });
                    }
                }
            }
            all.map(|all| Restriction { exact: all.exact && exact, ..all })
        }
        "or" => {
            let mut any = Restriction { set: Vec::new(), exact: true };
            for arg in &call.args {
                let next = restrict(arg, column, ctx)?;
                any = Restriction { set: union(any.set, next.set), exact: any.exact && next.exact };
            }
            Some(any)
        }
        "isnull" if is_column(&call.args[0], column) => {
            Restriction::exact(vec![Interval::point(Bound::new(Datum::Null, &column.field_type, true)?)])
        }
        "not" => match &call.args[0] {
            Expr::Function(inner) if inner.function.name == "isnull" && is_column(&inner.args[0], column) => {
                Restriction::exact(vec![Interval::not_null()])
            }
            _ => None,
        },
        "in" if is_column(&call.args[0], column) && comparable(call, column) => {
            let mut any = Restriction { set: Vec::new(), exact: true };
            for arg in &call.args[1..] {
                let next = compare("eq", &constant(arg, ctx)?, column)?;
                any = Restriction { set: union(any.set, next.set), exact: any.exact && next.exact };
            }
            Some(any)
        }
        "like" => like(call, column, ctx),
        name @ ("eq" | "nulleq" | "ne" | "lt" | "le" | "gt" | "ge") if comparable(call, column) => {
            let [left, right] = call.args.as_slice() else {
                return None;
            };
            if is_column(left, column) {
                compare(name, &constant(right, ctx)?, column)
            } else if is_column(right, column) {
                compare(flip(name), &constant(left, ctx)?, column)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// The operator with its operands swapped.
pub(crate) fn flip(name: &'static str) -> &'static str {
    match name {
        "lt" => "gt",
        "le" => "ge",
        "gt" => "lt",
        "ge" => "le",
        same => same,
    }
}

/// Whether a comparison with this column goes by the index's order.
pub(crate) fn comparable(call: &FunctionCall, column: &RangeColumn) -> bool {
    !column.field_type.is_string()
        || call.collation == column.field_type.collation
        || (column.field_type.collation == Collation::Binary && call.collation.is_binary_comparable())
}

pub(crate) fn is_column(expr: &Expr, column: &RangeColumn) -> bool {
    matches!(expr, Expr::Column(found) if found.unique_id == column.unique_id)
}

fn constant(expr: &Expr, ctx: &EvalContext) -> Option<Datum> {
    if !expr.is_constant() {
        return None;
    }
    expr.eval_datum(ctx).ok()
}

/// Where a constant lies among the values of a column's type.
enum Place {
    /// It is one.
    Exact(Datum),
    /// Right above this one.
    Above(Datum),
    BelowAll,
    AboveAll,
}

fn compare(name: &str, value: &Datum, column: &RangeColumn) -> Option<Restriction> {
    if value.is_null() {
        return match name {
            "nulleq" => {
                Restriction::exact(vec![Interval::point(Bound::new(Datum::Null, &column.field_type, true)?)])
            }
            _ => Restriction::nothing(),
        };
    }
    let (value, exact) = match place(value, &column.field_type)? {
        Place::Exact(value) => (value, true),
        Place::Above(value) => (value, false),
        Place::BelowAll => {
            return match name {
                "gt" | "ge" | "ne" => Restriction::exact(vec![Interval::not_null()]),
                _ => Restriction::nothing(),
            };
        }
        Place::AboveAll => {
            return match name {
                "lt" | "le" | "ne" => Restriction::exact(vec![Interval::not_null()]),
                _ => Restriction::nothing(),
            };
        }
    };
    let (value, cut) = cut_to_prefix(value, column);
    let bound = |inclusive| Bound::new(value.clone(), &column.field_type, inclusive);
    let null = Bound::new(Datum::Null, &column.field_type, false);
    // With a value cut to the index's prefix, or one between two of the type, strict bounds become loose ones.
    let set = match name {
        "eq" | "nulleq" if !exact => Vec::new(),
        "eq" | "nulleq" => vec![Interval::point(bound(true)?)],
        "ne" if !exact || cut => vec![Interval::not_null()],
        "ne" => vec![
            Interval { low: null, high: Some(bound(false)?) },
            Interval { low: Some(bound(false)?), high: None },
        ],
        "gt" => vec![Interval { low: Some(bound(cut)?), high: None }],
        "ge" => vec![Interval { low: Some(bound(exact || cut)?), high: None }],
        "lt" => vec![Interval { low: null, high: Some(bound(!exact || cut)?) }],
        "le" => vec![Interval { low: null, high: Some(bound(true)?) }],
        _ => return None,
    };
    // A prefix index cannot tell values apart that agree in the prefix, even if the constant is short.
    Some(Restriction { set, exact: column.length < 0 })
}

fn cut_to_prefix(value: Datum, column: &RangeColumn) -> (Datum, bool) {
    let (Datum::Bytes(bytes), Ok(length)) = (&value, usize::try_from(column.length)) else {
        return (value, false);
    };
    let end = if column.field_type.is_binary_string() {
        length.min(bytes.len())
    } else {
        let text = String::from_utf8_lossy(bytes);
        text.char_indices().nth(length).map_or(bytes.len(), |(at, _)| at)
    };
    if end >= bytes.len() {
        // A value as long as the prefix still stands for all longer ones.
        let full = String::from_utf8_lossy(bytes).chars().count() >= length;
        return (value, full);
    }
    (Datum::Bytes(bytes[..end].to_vec()), true)
}

/// Finds a constant's place in the column's type. Both are of one evaluation type: the comparison's casts saw to it.
fn place(value: &Datum, to: &FieldType) -> Option<Place> {
    match (to.eval_type(), value) {
        (EvalType::Int, Datum::Int(_) | Datum::UInt(_)) => Some(place_int(value, to)),
        (EvalType::Real, Datum::Double(value)) if to.code == TypeCode::Float => {
            let single = *value as f32;
            Some(if f64::from(single) == *value {
                Place::Exact(Datum::Float(single))
            } else if f64::from(single) < *value {
                Place::Above(Datum::Float(single))
            } else {
                Place::Above(Datum::Float(single.next_down()))
            })
        }
        (EvalType::Real, Datum::Float(value)) if to.code == TypeCode::Double => {
            Some(Place::Exact(Datum::Double(f64::from(*value))))
        }
        (EvalType::Real, Datum::Float(_) | Datum::Double(_)) => Some(Place::Exact(value.clone())),
        (EvalType::Decimal, Datum::Decimal(decimal)) => {
            let scale = to.decimals.clamp(0, 30);
            let cut = decimal.truncate(scale);
            let limit = i32::max(to.length, 1) - scale;
            // Digits before the point that the column does not have.
            let whole = cut.truncate(0).to_string();
            let digits = whole.trim_start_matches('-').trim_start_matches('0').len();
            if digits as i32 > limit {
                return Some(if decimal.is_negative() { Place::BelowAll } else { Place::AboveAll });
            }
            if cut == *decimal {
                Some(Place::Exact(Datum::Decimal(cut)))
            } else if decimal.is_negative() {
                // Truncation went up; ranges want the value below.
                None
            } else {
                Some(Place::Above(Datum::Decimal(cut)))
            }
        }
        (EvalType::String, Datum::Bytes(_)) => Some(Place::Exact(value.clone())),
        (EvalType::DateTime, Datum::Time(time)) => {
            let cut = match to.code {
                TypeCode::Date => time.date(),
                _ => time.truncate(to.fsp()),
            };
            Some(if cut == *time { Place::Exact(Datum::Time(cut)) } else { Place::Above(Datum::Time(cut)) })
        }
        (EvalType::Duration, Datum::Duration(_)) => Some(Place::Exact(value.clone())),
        _ => None,
    }
}

fn place_int(value: &Datum, to: &FieldType) -> Place {
    let number = match value {
        Datum::Int(value) => i128::from(*value),
        Datum::UInt(value) => i128::from(*value),
        _ => 0,
    };
    let unsigned = to.is_unsigned() || matches!(to.code, TypeCode::Bit | TypeCode::Enum | TypeCode::Set);
    if unsigned {
        match u64::try_from(number) {
            Ok(number) => Place::Exact(Datum::UInt(number)),
            Err(_) if number < 0 => Place::BelowAll,
            Err(_) => Place::AboveAll,
        }
    } else {
        match i64::try_from(number) {
            Ok(number) => Place::Exact(Datum::Int(number)),
            Err(_) => Place::AboveAll,
        }
    }
}

/// `column LIKE 'x%'`: the strings that start with x.
fn like(call: &FunctionCall, column: &RangeColumn, ctx: &EvalContext) -> Option<Restriction> {
    if !is_column(&call.args[0], column) || !column.field_type.is_string() || !comparable(call, column) {
        return None;
    }
    let Datum::Bytes(pattern) = constant(&call.args[1], ctx)? else {
        return Restriction::nothing();
    };
    let escape = match call.args.get(2) {
        None => b'\\',
        Some(arg) => match constant(arg, ctx)? {
            Datum::Bytes(text) if text.len() == 1 => text[0],
            Datum::Int(code) => u8::try_from(code).ok()?,
            _ => return None,
        },
    };
    let mut prefix = Vec::new();
    let mut bytes = pattern.iter();
    let mut wildcards = 0;
    let mut only_percent_at_end = true;
    while let Some(&byte) = bytes.next() {
        match byte {
            b'%' | b'_' => {
                wildcards += 1;
                only_percent_at_end = byte == b'%' && bytes.as_slice().is_empty();
                break;
            }
            byte if byte == escape => prefix.push(bytes.next().copied().unwrap_or(escape)),
            byte => prefix.push(byte),
        }
    }
    let collation = column.field_type.collation;
    if wildcards == 0 {
        // Without wildcards LIKE still differs from = in trailing spaces.
        let mut equal = compare("eq", &Datum::Bytes(prefix), column)?;
        equal.exact &= !collation.pad_space();
        return Some(equal);
    }
    if prefix.is_empty() {
        return Some(Restriction { set: vec![Interval::not_null()], exact: only_percent_at_end });
    }
    // The strings with a prefix are the interval from it to the next prefix only where sort keys are the bytes.
    if !collation.is_binary_comparable() {
        return None;
    }
    // PAD SPACE keys drop trailing spaces, so a prefix that ends in a space would start too late.
    let mut low = prefix.clone();
    if collation.pad_space() {
        while low.last() == Some(&b' ') {
            low.pop();
        }
    }
    let high = next_string(&low)?;
    let (low, _) = cut_to_prefix(Datum::Bytes(low), column);
    let (high, high_cut) = cut_to_prefix(Datum::Bytes(high), column);
    let set = vec![Interval {
        low: Some(Bound::new(low, &column.field_type, true)?),
        high: Some(Bound::new(high, &column.field_type, high_cut)?),
    }];
    let exact = only_percent_at_end && column.length < 0 && !prefix.ends_with(b" ") && !collation.pad_space();
    Some(Restriction { set, exact })
}

/// The smallest byte string above all that start with `prefix`.
fn next_string(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last != 0xff {
            // Bytes need not be valid text to be compared.
            next.push(last + 1);
            return Some(next);
        }
    }
    None
}
