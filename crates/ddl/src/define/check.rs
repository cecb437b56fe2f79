//! CHECK constraints, checked as MySQL checks them.

use tidewater_catalog::{CheckInfo, CiName, SchemaState, TableInfo};
use tidewater_parser::ast::{BinaryOp, CheckConstraint, Expr, UnaryOp};
use tidewater_types::{ErrorCode, SqlError};

use super::check_text::Condition;
use super::column::check_identifier;
use crate::error::DdlError;

/// Functions whose value is not the same for the same row at any time, by any client.
const DISALLOWED: &[&str] = &[
    "benchmark",
    "connection_id",
    "curdate",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "curtime",
    "database",
    "found_rows",
    "get_lock",
    "is_free_lock",
    "is_used_lock",
    "last_insert_id",
    "load_file",
    "localtime",
    "localtimestamp",
    "now",
    "rand",
    "random_bytes",
    "release_all_locks",
    "release_lock",
    "row_count",
    "schema",
    "session_user",
    "sleep",
    "sysdate",
    "system_user",
    "unix_timestamp",
    "user",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
    "uuid_short",
    "version",
];

/// Functions that are true or false.
const BOOLEAN: &[&str] = &[
    "isnull",
    "json_contains",
    "json_contains_path",
    "json_overlaps",
    "json_schema_valid",
    "json_valid",
    "is_ipv4",
    "is_ipv6",
    "is_uuid",
    "regexp_like",
];

/// The constraint a CHECK clause of `table` describes; at a column's definition it may read that `column` only.
pub fn build_check(
    table: &TableInfo,
    check: &CheckConstraint,
    column: Option<&str>,
) -> Result<CheckInfo, DdlError> {
    let name = match &check.name {
        Some(name) => CiName::new(name.as_str()),
        None => free_name(table),
    };
    check_identifier(name.as_str())?;
    if table.checks.iter().any(|other| other.name == name) {
        return Err(refuse(ErrorCode::CheckConstraintDupName, &[&name]));
    }
    if !is_boolean(&check.expr) {
        return Err(refuse(ErrorCode::NonBooleanExprForCheckConstraint, &[&name]));
    }
    let mut columns = Vec::new();
    read(table, &name, &check.expr, &mut columns)?;
    if let Some(own) = column
        && columns.iter().any(|other| !other.matches(own))
    {
        return Err(refuse(ErrorCode::ColumnCheckConstraintReferencesOtherColumn, &[&name]));
    }
    let expr = Condition(&check.expr).to_string();
    Ok(CheckInfo { name, columns, enforced: check.enforced, expr, state: SchemaState::Public })
}

fn free_name(table: &TableInfo) -> CiName {
    let name = table.name.as_str();
    let last = table.checks.iter().filter_map(|check| check.generated_number(name)).max();
    CheckInfo::generated_name(name, last.unwrap_or(0) + 1)
}

fn is_boolean(expr: &Expr) -> bool {
    match expr {
        Expr::Binary { op, .. } => {
            op.is_comparison()
                || matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::SoundsLike)
        }
        Expr::Unary { op: UnaryOp::Not, .. }
        | Expr::IsNull { .. }
        | Expr::IsTruth { .. }
        | Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::Like { .. }
        | Expr::Regexp { .. }
        | Expr::MemberOf { .. } => true,
        // Refused for a better reason.
        Expr::Exists(_) | Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Quantified { .. } => true,
        Expr::Literal(literal) => matches!(literal, tidewater_parser::ast::Literal::Bool(_)),
        Expr::Function(call) => BOOLEAN.contains(&call.name.to_ascii_lowercase().as_str()),
        _ => false,
    }
}

/// Collects the columns of a condition, and refuses what a condition must not contain.
fn read(table: &TableInfo, name: &CiName, expr: &Expr, columns: &mut Vec<CiName>) -> Result<(), DdlError> {
    match expr {
        Expr::Column(column) => {
            let unknown = || {
                let column = column.to_string().replace('`', "");
                refuse(ErrorCode::CheckConstraintRefersUnknownColumn, &[name, &column])
            };
            // A qualified name would not outlive a RENAME TABLE.
            let found =
                table.public_column(&column.name).filter(|_| column.table.is_none()).ok_or_else(unknown)?;
            if table.auto_increment_column().is_some_and(|auto| auto.id == found.id) {
                return Err(refuse(ErrorCode::CheckConstraintRefersAutoIncrementColumn, &[name]));
            }
            if !columns.contains(&found.name) {
                columns.push(found.name.clone());
            }
        }
        Expr::UserVariable(_) | Expr::SystemVariable(_) | Expr::Assign { .. } => {
            return Err(refuse(ErrorCode::CheckConstraintVariables, &[name]));
        }
        Expr::Function(call) if DISALLOWED.contains(&call.name.to_ascii_lowercase().as_str()) => {
            let function = call.name.to_ascii_lowercase();
            return Err(refuse(ErrorCode::CheckConstraintNamedFunctionIsNotAllowed, &[name, &function]));
        }
        Expr::Exists(_)
        | Expr::Subquery(_)
        | Expr::InSubquery { .. }
        | Expr::Quantified { .. }
        | Expr::Aggregate(_)
        | Expr::Window(_)
        | Expr::Parameter(_)
        | Expr::Default(_)
        | Expr::Values(_)
        | Expr::Match { .. } => return Err(refuse(ErrorCode::CheckConstraintFunctionIsNotAllowed, &[name])),
        _ => {}
    }
    expr.children().into_iter().try_for_each(|child| read(table, name, child, columns))
}

pub(crate) fn refuse(code: ErrorCode, args: &[&dyn std::fmt::Display]) -> DdlError {
    DdlError::Rejected(SqlError::with(code, args))
}
