//! Expressions as text: as TiDB's EXPLAIN shows them, and as MySQL's error messages quote them.

use std::fmt;

use tidewater_types::{Datum, FieldType, TypeCode};

use crate::expr::Expr;

/// `gt(test.t.a, 1)`.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal { value, field_type } => write_literal(f, value, field_type),
            Self::Column(column) => f.write_str(&column.name),
            Self::Parameter { index, .. } => write!(f, "?{index}"),
            Self::Correlated { name, .. } => f.write_str(name),
            Self::Function(call) => {
                write!(f, "{}(", call.function.name)?;
                for (i, arg) in call.args.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{arg}")?;
                }
                if matches!(call.function.name, "cast" | "convert_json") {
                    write!(f, ", {}", call.field_type.to_sql())?;
                }
                f.write_str(")")
            }
        }
    }
}

fn write_literal(f: &mut fmt::Formatter<'_>, value: &Datum, field_type: &FieldType) -> fmt::Result {
    match value {
        Datum::Bytes(bytes) => write!(f, "\"{}\"", String::from_utf8_lossy(bytes)),
        other => f.write_str(&datum_text(other, field_type)),
    }
}

/// A value's text as a client sees it.
pub fn datum_text(value: &Datum, field_type: &FieldType) -> String {
    let mut out = Vec::new();
    write_datum(value, field_type, &mut out);
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Appends a value's text as a client sees it. NULL is `NULL`.
pub fn write_datum(value: &Datum, field_type: &FieldType, out: &mut Vec<u8>) {
    use tidewater_types::number;
    match value {
        Datum::Null => out.extend_from_slice(b"NULL"),
        Datum::Int(v) if field_type.code == TypeCode::Year => {
            out.extend_from_slice(format!("{v:04}").as_bytes())
        }
        Datum::Int(v) => number::write_i64(*v, out),
        Datum::UInt(v) => match field_type.code {
            TypeCode::Enum => out.extend_from_slice(enum_name(*v, field_type).as_bytes()),
            TypeCode::Set => set_names(*v, field_type, out),
            TypeCode::Bit => out.extend_from_slice(&bit_bytes(*v, field_type)),
            _ => number::write_u64(*v, out),
        },
        Datum::Float(v) => number::write_f32(*v, out),
        Datum::Double(v) => number::write_f64(*v, out),
        Datum::Decimal(v) => v.write_to(out),
        Datum::Bytes(v) => out.extend_from_slice(v),
        Datum::Time(v) if field_type.code == TypeCode::Date => v.write_date_to(out),
        Datum::Time(v) => v.write_to(field_type.fsp(), out),
        Datum::Duration(v) => v.write_to(field_type.fsp(), out),
        Datum::Json(v) => v.as_ref().write_to(out),
    }
}

/// An ENUM's text; "" for index 0 and for indexes it has not.
pub fn enum_name(index: u64, field_type: &FieldType) -> &str {
    let position = usize::try_from(index).ok().and_then(|i| i.checked_sub(1));
    position.and_then(|i| field_type.elements.get(i)).map_or("", String::as_str)
}

fn set_names(bits: u64, field_type: &FieldType, out: &mut Vec<u8>) {
    let mut first = true;
    for (i, name) in field_type.elements.iter().enumerate().take(64) {
        if bits >> i & 1 == 1 {
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(name.as_bytes());
        }
    }
}

/// A BIT(n) value as ⌈n/8⌉ bytes.
pub fn bit_bytes(value: u64, field_type: &FieldType) -> Vec<u8> {
    let len = usize::try_from((field_type.length.clamp(1, 64) + 7) / 8).unwrap_or(8);
    value.to_be_bytes()[8 - len..].to_vec()
}

/// As MySQL's messages quote an expression: `(`test`.`t`.`a` + 1)`.
pub fn sql_text(expr: &Expr) -> String {
    match expr {
        Expr::Literal { value: Datum::Bytes(bytes), .. } => format!("'{}'", String::from_utf8_lossy(bytes)),
        Expr::Literal { value, field_type } => datum_text(value, field_type),
        Expr::Column(column) => {
            let parts: Vec<String> = column.name.split('.').map(|part| format!("`{part}`")).collect();
            parts.join(".")
        }
        Expr::Parameter { .. } => "?".to_owned(),
        Expr::Correlated { name, .. } => format!("`{}`", name.replace('.', "`.`")),
        Expr::Function(call) => {
            let arg = |i: usize| call.args.get(i).map(sql_text).unwrap_or_default();
            match (call.function.name, call.args.len()) {
                ("cast", 1) if !call.args[0].field_type_ref().is_string() => arg(0),
                ("unaryminus", 1) => format!("-({})", arg(0)),
                (name, 2) => match operator(name) {
                    Some(sign) => format!("({} {sign} {})", arg(0), arg(1)),
                    None => format!("{name}({},{})", arg(0), arg(1)),
                },
                (name, _) => {
                    let args: Vec<String> = call.args.iter().map(sql_text).collect();
                    format!("{name}({})", args.join(","))
                }
            }
        }
    }
}

fn operator(name: &str) -> Option<&'static str> {
    Some(match name {
        "plus" => "+",
        "minus" => "-",
        "mul" => "*",
        "div" => "/",
        "intdiv" => "DIV",
        "mod" => "%",
        "eq" => "=",
        "ne" => "<>",
        "lt" => "<",
        "le" => "<=",
        "gt" => ">",
        "ge" => ">=",
        "nulleq" => "<=>",
        "and" => "and",
        "or" => "or",
        "xor" => "xor",
        "bitand" => "&",
        "bitor" => "|",
        "bitxor" => "^",
        "leftshift" => "<<",
        "rightshift" => ">>",
        _ => return None,
    })
}
