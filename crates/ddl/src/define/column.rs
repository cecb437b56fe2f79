//! Column definitions.

use tidewater_catalog::ColumnInfo;
use tidewater_codec::ColumnId;
use tidewater_parser::ast::{
    CheckConstraint, ColumnDef, ColumnOption, Expr, ForeignKeyReference, Literal, UnaryOp,
};
use tidewater_table::datum_text;
use tidewater_types::{Collation, Datum, ErrorCode, TypeCode, TypeFlags, convert};

use crate::error::{DdlError, reject};

use super::{DefineContext, build_field_type};

/// Longest comment of a column, in characters.
const COMMENT_LENGTH_MAX: usize = 1024;
/// Longest identifier, in characters.
const IDENTIFIER_LENGTH_MAX: usize = 64;

/// What a column definition says besides the column itself.
#[derive(Default)]
pub struct ColumnParts {
    /// PRIMARY KEY, with CLUSTERED (true) or NONCLUSTERED when said.
    pub primary: Option<Option<bool>>,
    /// UNIQUE.
    pub unique: bool,
    /// Whether NULL was written.
    pub explicit_null: bool,
    /// CHECK clauses.
    pub checks: Vec<CheckConstraint>,
    /// REFERENCES, which MySQL ignores at a column.
    pub references: Option<ForeignKeyReference>,
}

/// The column a definition describes; id and offset are the caller's.
pub fn build_column(
    ctx: &DefineContext<'_>,
    definition: &ColumnDef,
    table_collation: Collation,
) -> Result<(ColumnInfo, ColumnParts), DdlError> {
    check_identifier(&definition.name)?;
    let field_type = build_field_type(&definition.name, &definition.data_type, table_collation)?;
    let mut column = ColumnInfo::new(ColumnId(0), definition.name.as_str(), 0, field_type);
    let mut parts = ColumnParts::default();
    let mut default = None;
    for option in &definition.options {
        match option {
            ColumnOption::Null => {
                parts.explicit_null = true;
                column.field_type.flags.remove(TypeFlags::NOT_NULL);
            }
            ColumnOption::NotNull => column.field_type.flags |= TypeFlags::NOT_NULL,
            ColumnOption::Default { value, parenthesised } => default = Some((value, *parenthesised)),
            ColumnOption::OnUpdate(_) => {
                if !matches!(column.field_type.code, TypeCode::Timestamp | TypeCode::DateTime) {
                    return Err(reject(
                        ErrorCode::InvalidOnUpdate,
                        format!("Invalid ON UPDATE clause for '{}' column", column.name),
                    ));
                }
                column.field_type.flags |= TypeFlags::ON_UPDATE_NOW;
            }
            ColumnOption::AutoIncrement => {
                if !column.field_type.is_integer()
                    && !matches!(column.field_type.code, TypeCode::Float | TypeCode::Double)
                {
                    return Err(reject(
                        ErrorCode::WrongFieldSpec,
                        format!("Incorrect column specifier for column '{}'", column.name),
                    ));
                }
                column.field_type.flags |= TypeFlags::AUTO_INCREMENT | TypeFlags::NOT_NULL;
            }
            ColumnOption::AutoRandom { .. } => {
                return Err(reject(ErrorCode::NotSupportedYet, "AUTO_RANDOM is not supported".to_owned()));
            }
            ColumnOption::PrimaryKey { clustered } => parts.primary = Some(*clustered),
            ColumnOption::UniqueKey => parts.unique = true,
            ColumnOption::Comment(comment) => column.comment = check_comment(comment, &column)?,
            ColumnOption::Generated { expr, text, stored } => {
                column.generated_expr =
                    if text.as_str().is_empty() { expr.to_string() } else { text.as_str().trim().to_owned() };
                column.generated_stored = *stored;
            }
            ColumnOption::References(reference) => parts.references = Some(reference.clone()),
            ColumnOption::Check(check) => parts.checks.push(check.clone()),
            ColumnOption::ColumnFormat(_) | ColumnOption::Storage(_) | ColumnOption::Visible(_) => {}
        }
    }
    if parts.primary.is_some() {
        if parts.explicit_null {
            return Err(primary_cant_be_null());
        }
        column.field_type.flags |= TypeFlags::NOT_NULL;
    }
    match default {
        Some((value, parenthesised)) => set_default(ctx, &mut column, value, parenthesised)?,
        None => note_missing_default(&mut column),
    }
    Ok((column, parts))
}

/// Gives a column its DEFAULT clause.
pub fn set_default(
    ctx: &DefineContext<'_>,
    column: &mut ColumnInfo,
    value: &Expr,
    parenthesised: bool,
) -> Result<(), DdlError> {
    column.default_value = None;
    column.default_bytes = None;
    column.default_is_expr = false;
    let invalid =
        || reject(ErrorCode::InvalidDefault, format!("Invalid default value for '{}'", column.name));
    if column.is_auto_increment() || column.is_generated() {
        return Err(invalid());
    }
    if parenthesised && !matches!(value, Expr::Literal(_)) {
        column.default_value = Some(value.to_string());
        column.default_is_expr = true;
        column.field_type.flags.remove(TypeFlags::NO_DEFAULT_VALUE);
        return Ok(());
    }
    if let Expr::Function(call) = value {
        let is_time = matches!(column.field_type.code, TypeCode::Timestamp | TypeCode::DateTime);
        if call.name != "now" || !is_time {
            return Err(invalid());
        }
        let fsp = match call.args.first() {
            Some(Expr::Literal(Literal::Int(fsp))) => *fsp,
            Some(_) => return Err(invalid()),
            None => 0,
        };
        if fsp != i64::from(column.field_type.fsp()) {
            return Err(invalid());
        }
        column.default_value =
            Some(if fsp == 0 { "CURRENT_TIMESTAMP".to_owned() } else { format!("CURRENT_TIMESTAMP({fsp})") });
        column.field_type.flags.remove(TypeFlags::NO_DEFAULT_VALUE);
        return Ok(());
    }
    let Some(mut datum) = literal_datum(value) else { return Err(invalid()) };
    if let (Expr::Literal(Literal::Hex(hex)), true) = (value, column.field_type.is_integer()) {
        // A number to columns of numbers.
        datum = hex.value.iter().fold(Datum::UInt(0), |number, byte| match number {
            Datum::UInt(number) => Datum::UInt(number << 8 | u64::from(*byte)),
            other => other,
        });
    }
    if datum.is_null() {
        if column.field_type.is_not_null() {
            return Err(invalid());
        }
        return Ok(());
    }
    if (column.field_type.is_blob() || column.field_type.code == TypeCode::Json) && !parenthesised {
        // Without strict mode MySQL lets an empty default pass.
        if ctx.convert.strict || !matches!(&datum, Datum::Bytes(bytes) if bytes.is_empty()) {
            return Err(reject(
                ErrorCode::BlobCantHaveDefault,
                format!("BLOB, TEXT, GEOMETRY or JSON column '{}' can't have a default value", column.name),
            ));
        }
    }
    let stored = convert(&datum, &column.field_type, &ctx.convert).map_err(|_| invalid())?;
    store_literal(column, &stored);
    column.field_type.flags.remove(TypeFlags::NO_DEFAULT_VALUE);
    Ok(())
}

/// Keeps a value, already of the column's type, as the text of the DEFAULT clause.
fn store_literal(column: &mut ColumnInfo, stored: &Datum) {
    match stored {
        Datum::Bytes(bytes) if column.field_type.is_binary_string() => {
            column.default_bytes = Some(bytes.clone())
        }
        Datum::UInt(bits) if column.field_type.code == TypeCode::Bit => {
            let bytes = bits.to_be_bytes();
            let width = (column.field_type.length.clamp(1, 64) as usize).div_ceil(8);
            column.default_bytes = Some(bytes[8 - width..].to_vec());
        }
        stored => column.default_value = Some(datum_text(stored, &column.field_type)),
    }
}

/// The value of a literal, with a sign if it has one.
fn literal_datum(value: &Expr) -> Option<Datum> {
    Some(match value {
        Expr::Literal(literal) => {
            match literal {
                Literal::Null => Datum::Null,
                Literal::Bool(value) => Datum::Int(i64::from(*value)),
                Literal::Int(value) => Datum::Int(*value),
                Literal::UInt(value) => Datum::UInt(*value),
                Literal::Decimal(text) => Datum::Decimal(text.parse().ok()?),
                Literal::Double(value) => Datum::Double(*value),
                Literal::String(text) => Datum::Bytes(text.value.clone()),
                Literal::Hex(bytes) => Datum::Bytes(bytes.value.clone()),
                Literal::Bit(bytes) => Datum::UInt(bytes.value.iter().try_fold(0u64, |bits, byte| {
                    (bits >> 56 == 0).then_some(bits << 8 | u64::from(*byte))
                })?),
                Literal::Date(text) | Literal::Time(text) | Literal::Timestamp(text) => {
                    Datum::Bytes(text.clone().into_bytes())
                }
            }
        }
        Expr::Unary { op: UnaryOp::Plus, expr } => literal_datum(expr)?,
        Expr::Unary { op: UnaryOp::Minus, expr } => match literal_datum(expr)? {
            Datum::Int(value) => Datum::Int(value.checked_neg()?),
            Datum::UInt(value) => Datum::Int(0i64.checked_sub_unsigned(value)?),
            Datum::Double(value) => Datum::Double(-value),
            Datum::Decimal(value) => Datum::Decimal(format!("-{value}").parse().ok()?),
            _ => return None,
        },
        _ => return None,
    })
}

/// NOT NULL columns without default say so in their flags.
pub(crate) fn note_missing_default(column: &mut ColumnInfo) {
    let missing = column.field_type.is_not_null()
        && !column.is_auto_increment()
        && column.default_value.is_none()
        && column.default_bytes.is_none();
    column.field_type.flags.set(TypeFlags::NO_DEFAULT_VALUE, missing);
}

fn check_comment(comment: &str, column: &ColumnInfo) -> Result<String, DdlError> {
    if comment.chars().count() > COMMENT_LENGTH_MAX {
        return Err(reject(
            ErrorCode::TooLongFieldComment,
            format!("Comment for field '{}' is too long (max = {COMMENT_LENGTH_MAX})", column.name),
        ));
    }
    Ok(comment.to_owned())
}

/// 1059 for names that are too long, 1166 for names that end in a blank.
pub(crate) fn check_identifier(name: &str) -> Result<(), DdlError> {
    if name.chars().count() > IDENTIFIER_LENGTH_MAX {
        return Err(reject(ErrorCode::TooLongIdent, format!("Identifier name '{name}' is too long")));
    }
    if name.is_empty() || name.ends_with(' ') {
        return Err(reject(ErrorCode::WrongColumnName, format!("Incorrect column name '{name}'")));
    }
    Ok(())
}

pub(crate) fn primary_cant_be_null() -> DdlError {
    reject(
        ErrorCode::PrimaryCantHaveNull,
        "All parts of a PRIMARY KEY must be NOT NULL; if you need NULL in a key, use UNIQUE instead"
            .to_owned(),
    )
}
