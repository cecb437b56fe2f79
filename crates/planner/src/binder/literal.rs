//! Constants.

use tidewater_expr::Expr;
use tidewater_parser::ast;
use tidewater_types::{Charset, Collation, Datum, Decimal, Duration, FieldType, SqlMode, Time, TypeFlags};

use super::Binder;
use crate::PlanError;

impl Binder<'_> {
    pub(super) fn bind_literal(&self, literal: &ast::Literal) -> Result<Expr, PlanError> {
        let (value, field_type) = match literal {
            ast::Literal::Null => {
                return Ok(Expr::Literal { value: Datum::Null, field_type: FieldType::null() });
            }
            ast::Literal::Bool(value) => (Datum::Int(i64::from(*value)), sized(FieldType::int(), 1)),
            // With room for a sign: one character wide are booleans only.
            ast::Literal::Int(value) => {
                (Datum::Int(*value), sized(FieldType::int(), 1 + digits(value.unsigned_abs())))
            }
            ast::Literal::UInt(value) => (Datum::UInt(*value), sized(FieldType::uint(), digits(*value))),
            ast::Literal::Decimal(text) => self.decimal(text)?,
            ast::Literal::Double(value) => (Datum::Double(*value), FieldType::double()),
            ast::Literal::String(string) => {
                let collation = match &string.charset {
                    Some(name) => charset(name)?.default_collation(),
                    None => self.cx.eval.collation,
                };
                let length = match collation {
                    Collation::Binary => string.value.len(),
                    _ => string.text().chars().count(),
                };
                (
                    Datum::Bytes(string.value.clone()),
                    sized(FieldType::varchar(0).with_collation(collation), length),
                )
            }
            ast::Literal::Hex(bytes) | ast::Literal::Bit(bytes) => {
                let collation = match &bytes.charset {
                    Some(name) => charset(name)?.default_collation(),
                    None => Collation::Binary,
                };
                let field_type = FieldType::varchar(0).with_collation(collation);
                // Without a charset it is a number wherever one is wanted: MySQL's UNSIGNED at a string says so.
                let field_type = match &bytes.charset {
                    Some(_) => field_type,
                    None => field_type.with_flags(TypeFlags::UNSIGNED),
                };
                (Datum::Bytes(bytes.value.clone()), sized(field_type, bytes.value.len()))
            }
            ast::Literal::Date(text) => {
                let parsed = Time::parse(text, 0, self.time_mode())
                    .map_err(|_| PlanError::WrongValue { kind: "DATE", value: text.clone() })?;
                (Datum::Time(parsed.time.date()), FieldType::date())
            }
            ast::Literal::Timestamp(text) => {
                let parsed = Time::parse(text, 6, self.time_mode())
                    .map_err(|_| PlanError::WrongValue { kind: "DATETIME", value: text.clone() })?;
                (Datum::Time(parsed.time), FieldType::datetime(parsed.fraction_digits))
            }
            ast::Literal::Time(text) => {
                let parsed = Duration::parse(text, 6)
                    .map_err(|_| PlanError::WrongValue { kind: "TIME", value: text.clone() })?;
                let digits = text.rsplit_once('.').map_or(0, |(_, fraction)| fraction.len().min(6) as u8);
                (Datum::Duration(parsed.duration), FieldType::duration(digits))
            }
        };
        Ok(Expr::Literal { value, field_type: field_type.with_flags(TypeFlags::NOT_NULL) })
    }

    fn decimal(&self, text: &str) -> Result<(Datum, FieldType), PlanError> {
        let Ok(value) = text.parse::<Decimal>() else {
            // More digits than DECIMAL has: MySQL takes the number as approximate.
            let value = text
                .parse()
                .map_err(|_| PlanError::WrongValue { kind: "DECIMAL", value: text.to_owned() })?;
            return Ok((Datum::Double(value), FieldType::double()));
        };
        let digits = text.bytes().filter(u8::is_ascii_digit).count().clamp(1, 65);
        let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len().min(30));
        Ok((Datum::Decimal(value), FieldType::decimal(digits.max(scale).max(1) as u8, scale as u8)))
    }

    fn time_mode(&self) -> SqlMode {
        self.cx.eval.sql_mode
    }

    /// A `?`: its value, or itself in a plan that is to be used again.
    pub(super) fn bind_parameter(&mut self, index: usize) -> Result<Expr, PlanError> {
        let field_type = self.cx.param_types.get(index).cloned();
        if self.cx.vars.keep_parameters {
            let field_type = field_type.unwrap_or_else(FieldType::string);
            return Ok(Expr::Parameter { index, field_type });
        }
        self.cacheable = false;
        let value = self.cx.eval.params.get(index).cloned();
        let value = value.ok_or_else(|| PlanError::UndeclaredParameter(format!("parameter {index}")))?;
        let field_type = field_type.unwrap_or_else(|| type_of_datum(&value));
        Ok(Expr::Literal { value, field_type })
    }
}

/// Decimal digits of a number.
fn digits(value: u64) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// The character set of this name.
pub(super) fn charset(name: &str) -> Result<Charset, PlanError> {
    Charset::from_name(name).ok_or_else(|| PlanError::UnknownCharset(name.to_owned()))
}

fn sized(mut field_type: FieldType, length: usize) -> FieldType {
    field_type.length = i32::try_from(length).unwrap_or(i32::MAX);
    field_type
}

/// The type of a value that came without one.
pub(crate) fn type_of_datum(value: &Datum) -> FieldType {
    match value {
        Datum::Null => FieldType::null(),
        Datum::Int(_) => FieldType::int(),
        Datum::UInt(_) => FieldType::uint(),
        Datum::Float(_) => FieldType::float(),
        Datum::Double(_) => FieldType::double(),
        Datum::Decimal(value) => {
            let scale = value.scale();
            FieldType::decimal(65, scale)
        }
        Datum::Bytes(bytes) => sized(FieldType::varchar(0), String::from_utf8_lossy(bytes).chars().count()),
        Datum::Time(_) => FieldType::datetime(6),
        Datum::Duration(_) => FieldType::duration(6),
        Datum::Json(_) => FieldType::json(),
    }
}
