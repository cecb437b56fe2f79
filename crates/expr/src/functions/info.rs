//! What a session tells of itself, and what is known of an expression.

use tidewater_types::{Datum, EvalType, FieldType, TypeCode};

use crate::collate::{self, Coercibility};
use crate::error::ExprError;
use crate::expr::Expr;
use crate::registry::{CallContext, FunctionDef, FunctionTraits, Inference, Kernel};

const SESSION: FunctionTraits = FunctionTraits::SESSION;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("database", 0, 0, infer_name, Kernel::Row(database)).with(SESSION),
    FunctionDef::new("user", 0, 0, infer_name, Kernel::Row(user)).with(SESSION),
    FunctionDef::new("current_user", 0, 0, infer_name, Kernel::Row(current_user)).with(SESSION),
    FunctionDef::new("current_role", 0, 0, infer_name, Kernel::Row(current_role)).with(SESSION),
    FunctionDef::new("version", 0, 0, infer_name, Kernel::Row(version)).with(SESSION),
    FunctionDef::new("tidb_version", 0, 0, infer_name, Kernel::Row(version)).with(SESSION),
    FunctionDef::new("connection_id", 0, 0, infer_uint, Kernel::Row(connection_id)).with(SESSION),
    FunctionDef::new("last_insert_id", 0, 1, infer_last_insert_id, Kernel::Row(last_insert_id))
        .with(FunctionTraits::VOLATILE),
    FunctionDef::new("found_rows", 0, 0, infer_uint, Kernel::Row(found_rows)).with(SESSION),
    FunctionDef::new("row_count", 0, 0, infer_row_count, Kernel::Row(row_count)).with(SESSION),
    FunctionDef::new("charset", 1, 1, infer_charset, Kernel::Row(first)),
    FunctionDef::new("collation", 1, 1, infer_collation, Kernel::Row(first)),
    FunctionDef::new("coercibility", 1, 1, infer_coercibility, Kernel::Row(first)),
];

fn infer_name(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.coercibility = Coercibility::SystemConstant;
    i.collation = i.ctx.collation;
    Ok(i.text(64))
}

fn infer_uint(_: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(FieldType::uint().not_null())
}

fn infer_row_count(_: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(FieldType::int().not_null())
}

fn text(text: &str) -> Result<Datum, ExprError> {
    Ok(Datum::Bytes(text.as_bytes().to_vec()))
}

fn database(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    match &call.eval.session.database {
        Some(name) => text(name),
        None => Ok(Datum::Null),
    }
}

fn user(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    text(&call.eval.session.user)
}

fn current_user(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    text(&call.eval.session.current_user)
}

fn current_role(_: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    text("NONE")
}

fn version(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    text(&call.eval.session.version)
}

fn connection_id(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::UInt(call.eval.session.connection_id))
}

fn infer_last_insert_id(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::Int);
    i.cast_as(0, FieldType::uint());
    Ok(FieldType::uint())
}

/// LAST_INSERT_ID(n) sets what the next LAST_INSERT_ID() gives; the session takes it after the statement.
fn last_insert_id(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let session = &call.eval.session;
    match args.first() {
        None => Ok(Datum::UInt(session.last_insert_id)),
        Some(Datum::UInt(id)) => {
            *session.next_last_insert_id.lock() = Some(*id);
            Ok(Datum::UInt(*id))
        }
        Some(_) => {
            *session.next_last_insert_id.lock() = Some(0);
            Ok(Datum::Null)
        }
    }
}

fn found_rows(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::UInt(call.eval.session.found_rows))
}

fn row_count(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(call.eval.session.row_count))
}

fn first(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(args[0].clone())
}

/// Replaces the argument by what is known of it: the value does not matter.
fn known(i: &mut Inference<'_>, known: &str) -> FieldType {
    i.args[0] = Expr::string(known);
    i.coercibility = Coercibility::SystemConstant;
    i.collation = i.ctx.collation;
    i.text(64).not_null()
}

fn text_collation(arg: &Expr) -> tidewater_types::Collation {
    let ft = arg.field_type_ref();
    if ft.is_string() || matches!(ft.code, TypeCode::Enum | TypeCode::Set | TypeCode::Json) {
        ft.collation
    } else {
        tidewater_types::Collation::Binary
    }
}

fn infer_charset(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let collation = text_collation(&i.args[0]);
    Ok(known(i, collation.charset().name()))
}

fn infer_collation(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let collation = text_collation(&i.args[0]);
    Ok(known(i, collation.name()))
}

fn infer_coercibility(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let (_, coercibility) = collate::of(&i.args[0]);
    i.args[0] = Expr::int(coercibility as i64);
    Ok(FieldType::int().not_null())
}
