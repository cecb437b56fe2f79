//! Expressions as `tipb` messages, for evaluation by the store.
//!
//! To our own stores functions go by their registry name (`Expr.func_name`, our extension), so both ends evaluate with the same
//! kernels and nothing has to stay behind for want of a number. To a TiKV they go by signature, as TiDB sends them, and only what
//! has one goes ([`Dialect`]). Our stores take both.
//!
//! Types travel with every node and are not inferred again; a message from a stranger is checked for names, arity and
//! depth, and kernels treat arguments of a wrong form as NULL.

mod public;
mod signatures;

use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::number;
use tidewater_proto::tipb;
use tidewater_types::{Collation, Datum, Decimal, Duration, FieldType, Json, Time, TypeCode, TypeFlags};

use crate::aggregate::{AggregateCall, AggregateFunction, AggregateMode, SortItem};
use crate::collate::Coercibility;
use crate::error::ExprError;
use crate::expr::{ColumnRef, Expr, FunctionCall, Prepared};
use crate::registry::function;

pub use public::{is_public, is_public_aggregate, signature_examples};

/// For whom a message is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// A store of ours: functions by name (and by signature, where there is one).
    #[default]
    Tidewater,
    /// Any TiKV: functions by signature.
    Public,
}

/// Deepest nesting of an expression that is sent or accepted: `prost` refuses messages of 100 levels, and those of the
/// executor and the request around it count too.
const DEPTH_MAX: usize = 80;

/// Whether a store may evaluate the expression.
pub fn can_push_down(expr: &Expr) -> bool {
    is_pushable_at(expr, 0)
}

fn is_pushable_at(expr: &Expr, depth: usize) -> bool {
    match expr {
        Expr::Literal { .. } | Expr::Column(_) => depth <= DEPTH_MAX,
        Expr::Parameter { .. } | Expr::Correlated { .. } => false,
        Expr::Function(call) => {
            depth <= DEPTH_MAX
                && call.function.is_pushable()
                && call.args.iter().all(|arg| is_pushable_at(arg, depth + 1))
        }
    }
}

/// Whether a store may evaluate the aggregate's partial part.
pub fn can_push_down_aggregate(call: &AggregateCall) -> bool {
    call.can_split() && call.function != AggregateFunction::GroupConcat && call.inputs().all(can_push_down)
}

/// The expression as a message; `None` if a store may not evaluate it. Parameters and correlated columns must have been
/// replaced by literals before.
pub fn to_tipb(expr: &Expr) -> Option<tipb::Expr> {
    if can_push_down(expr) { encode(expr) } else { None }
}

/// The same in a dialect.
pub fn to_tipb_in(expr: &Expr, dialect: Dialect) -> Option<tipb::Expr> {
    match dialect {
        Dialect::Tidewater => to_tipb(expr),
        Dialect::Public if can_push_down(expr) => public::encode(expr),
        Dialect::Public => None,
    }
}

fn encode(expr: &Expr) -> Option<tipb::Expr> {
    Some(match expr {
        Expr::Literal { value, field_type } => literal_to_tipb(value, field_type)?,
        Expr::Column(column) => {
            let mut val = Vec::with_capacity(8);
            number::write_i64(column.index as i64, &mut val);
            node(tipb::ExprType::ColumnRef, val, &column.field_type)
        }
        Expr::Parameter { .. } | Expr::Correlated { .. } => return None,
        Expr::Function(call) => tipb::Expr {
            sig: public::signature_of(call).map_or(0, |row| row.sig),
            func_name: call.function.name.to_owned(),
            func_collation: u32::from(call.collation.id()),
            children: call.args.iter().map(encode).collect::<Option<_>>()?,
            ..node(tipb::ExprType::ScalarFunc, Vec::new(), &call.field_type)
        },
    })
}

fn node(tp: tipb::ExprType, val: Vec<u8>, field_type: &FieldType) -> tipb::Expr {
    tipb::Expr {
        tp: tp.into(),
        val: Bytes::from(val),
        field_type: Some(field_type_to_tipb(field_type)),
        ..Default::default()
    }
}

fn literal_to_tipb(value: &Datum, field_type: &FieldType) -> Option<tipb::Expr> {
    use tipb::ExprType as T;
    let mut val = Vec::new();
    let tp = match value {
        Datum::Null => T::Null,
        Datum::Int(v) => {
            number::write_i64(*v, &mut val);
            T::Int64
        }
        Datum::UInt(v) => {
            number::write_u64(*v, &mut val);
            T::Uint64
        }
        Datum::Float(v) => {
            number::write_f64(f64::from(*v), &mut val);
            T::Float32
        }
        Datum::Double(v) => {
            number::write_f64(*v, &mut val);
            T::Float64
        }
        Datum::Decimal(v) => {
            val.extend_from_slice(&[v.precision(), v.scale()]);
            v.write_mysql_bin(v.precision(), v.scale(), &mut val).ok()?;
            T::MysqlDecimal
        }
        Datum::Bytes(v) => {
            val.extend_from_slice(v);
            if field_type.collation == Collation::Binary { T::Bytes } else { T::String }
        }
        Datum::Time(v) => {
            number::write_u64(v.packed(), &mut val);
            T::MysqlTime
        }
        Datum::Duration(v) => {
            number::write_i64(v.micros() * 1000, &mut val);
            T::MysqlDuration
        }
        Datum::Json(v) => {
            val.extend_from_slice(v.as_bytes());
            T::MysqlJson
        }
    };
    Some(node(tp, val, field_type))
}

/// The expression of a message. Columns are positions in the fragment's input.
pub fn from_tipb(message: &tipb::Expr) -> Result<Expr, ExprError> {
    from_tipb_at(message, 0)
}

fn from_tipb_at(message: &tipb::Expr, depth: usize) -> Result<Expr, ExprError> {
    use tipb::ExprType as T;
    if depth > DEPTH_MAX {
        return Err(ExprError::Malformed { what: "nesting" });
    }
    match T::try_from(message.tp) {
        Ok(T::ScalarFunc) => {}
        Ok(T::ColumnRef) => return column_from_tipb(message),
        Ok(tp) => return literal_from_tipb(tp, message),
        Err(_) => return Err(ExprError::Malformed { what: "node kind" }),
    }
    let mut args = Vec::with_capacity(message.children.len());
    for child in &message.children {
        args.push(from_tipb_at(child, depth + 1)?);
    }
    call_from_tipb(message, args)
}

fn declared_type(message: &tipb::Expr) -> Result<FieldType, ExprError> {
    field_type_from_tipb(message.field_type.as_ref().ok_or(ExprError::Malformed { what: "untyped node" })?)
}

fn column_from_tipb(message: &tipb::Expr) -> Result<Expr, ExprError> {
    let malformed = || ExprError::Malformed { what: "column" };
    let index = number::read_i64(&mut &message.val[..]).ok().and_then(|index| usize::try_from(index).ok());
    let index = index.ok_or_else(malformed)?;
    let name: Arc<str> = format!("Column#{index}").into();
    Ok(Expr::Column(ColumnRef { unique_id: index as u64, index, field_type: declared_type(message)?, name }))
}

fn call_from_tipb(message: &tipb::Expr, args: Vec<Expr>) -> Result<Expr, ExprError> {
    if message.func_name.is_empty() {
        return public::call_from_signature(message, args);
    }
    let def = function(&message.func_name).filter(|def| def.is_pushable());
    let function = def.ok_or_else(|| ExprError::UnknownFunction { name: message.func_name.clone() })?;
    if !(function.min_args..=function.max_args).contains(&args.len()) {
        return Err(ExprError::WrongArgumentCount { name: message.func_name.clone() });
    }
    let collation = u16::try_from(message.func_collation).ok().and_then(Collation::from_id);
    Ok(Expr::Function(Box::new(FunctionCall {
        function,
        args,
        field_type: declared_type(message)?,
        collation: collation.ok_or(ExprError::Malformed { what: "collation" })?,
        coercibility: Coercibility::Implicit,
        prepared: Prepared::default(),
    })))
}

fn literal_from_tipb(tp: tipb::ExprType, message: &tipb::Expr) -> Result<Expr, ExprError> {
    use tipb::ExprType as T;
    let malformed = |what: &'static str| ExprError::Malformed { what };
    let mut val: &[u8] = &message.val;
    let number = |_| malformed("number");
    let (value, default) = match tp {
        T::Null => (Datum::Null, FieldType::null()),
        T::Int64 => (Datum::Int(number::read_i64(&mut val).map_err(number)?), FieldType::int()),
        T::Uint64 => (Datum::UInt(number::read_u64(&mut val).map_err(number)?), FieldType::uint()),
        T::Float32 => (Datum::Float(number::read_f64(&mut val).map_err(number)? as f32), FieldType::float()),
        T::Float64 => (Datum::Double(number::read_f64(&mut val).map_err(number)?), FieldType::double()),
        T::MysqlDecimal => {
            let [precision, scale, digits @ ..] = val else { return Err(malformed("decimal")) };
            let (value, _) =
                Decimal::from_mysql_bin(digits, *precision, *scale).map_err(|_| malformed("decimal"))?;
            (Datum::Decimal(value), FieldType::decimal((*precision).max(1), *scale))
        }
        T::String => (Datum::Bytes(val.to_vec()), FieldType::string()),
        T::Bytes => (Datum::Bytes(val.to_vec()), FieldType::binary_string()),
        T::MysqlTime => {
            let packed = number::read_u64(&mut val).map_err(number)?;
            (Datum::Time(Time::from_packed(packed).ok_or_else(|| malformed("time"))?), FieldType::datetime(6))
        }
        T::MysqlDuration => {
            let nanos = number::read_i64(&mut val).map_err(number)?;
            let duration = Duration::from_micros(nanos / 1000).ok_or_else(|| malformed("duration"))?;
            (Datum::Duration(duration), FieldType::duration(6))
        }
        T::MysqlJson => {
            (Datum::Json(Json::from_binary(val).map_err(|_| malformed("JSON"))?), FieldType::json())
        }
        _ => return Err(malformed("node kind")),
    };
    let field_type = match &message.field_type {
        Some(field_type) => field_type_from_tipb(field_type)?,
        None => default,
    };
    Ok(Expr::Literal { value, field_type })
}

/// A bare column in the public dialect, of any type; `None` for other expressions.
pub fn column_to_tipb(expr: &Expr) -> Option<tipb::Expr> {
    if let Expr::Column(column) = expr { Some(public::column(column)) } else { None }
}

/// An aggregate call as a message; `None` if a store may not evaluate it.
pub fn aggregate_to_tipb(call: &AggregateCall) -> Option<tipb::Expr> {
    use tipb::AggFunctionMode as M;
    if !call.inputs().all(can_push_down) {
        return None;
    }
    let mode = match call.mode {
        AggregateMode::Complete => M::CompleteMode,
        AggregateMode::Partial => M::Partial1Mode,
        AggregateMode::Final => M::FinalMode,
    };
    let order_by = call
        .order_by
        .iter()
        .map(|item| Some(tipb::ByItem { expr: Some(to_tipb(&item.expr)?), desc: item.descending }))
        .collect::<Option<_>>()?;
    Some(tipb::Expr {
        func_name: call.function.name().to_owned(),
        children: call.args.iter().map(to_tipb).collect::<Option<_>>()?,
        has_distinct: call.distinct,
        order_by,
        agg_func_mode: Some(mode.into()),
        separator: Bytes::copy_from_slice(call.separator.as_bytes()),
        ..node(
            public::aggregate_number(call.function).unwrap_or(tipb::ExprType::NamedAggregate),
            Vec::new(),
            &call.field_type,
        )
    })
}

/// An aggregate call as messages in a dialect: one, or one for each of its partial results.
pub fn aggregate_to_tipb_in(call: &AggregateCall, dialect: Dialect) -> Option<Vec<tipb::Expr>> {
    match dialect {
        Dialect::Tidewater => aggregate_to_tipb(call).map(|message| vec![message]),
        Dialect::Public if call.inputs().all(can_push_down) => public::encode_aggregate(call),
        Dialect::Public => None,
    }
}

/// The aggregate call of a message.
pub fn aggregate_from_tipb(message: &tipb::Expr) -> Result<AggregateCall, ExprError> {
    use tipb::AggFunctionMode as M;
    let malformed = |what: &'static str| ExprError::Malformed { what };
    let is_named = !message.func_name.is_empty();
    let function = if is_named {
        AggregateFunction::from_name(&message.func_name)
            .ok_or_else(|| ExprError::UnknownFunction { name: message.func_name.clone() })?
    } else {
        public::aggregate_of_number(message.tp)?
    };
    let mode = match message.agg_func_mode.map(M::try_from) {
        // A TiKV gives partial results whatever the mode says.
        _ if !is_named => AggregateMode::Partial,
        None | Some(Ok(M::CompleteMode)) => AggregateMode::Complete,
        Some(Ok(M::Partial1Mode)) => AggregateMode::Partial,
        Some(Ok(M::FinalMode)) => AggregateMode::Final,
        Some(_) => return Err(malformed("aggregate mode")),
    };
    let args: Vec<Expr> = message.children.iter().map(from_tipb).collect::<Result<_, _>>()?;
    let variance = matches!(
        function,
        AggregateFunction::StddevPop
            | AggregateFunction::StddevSamp
            | AggregateFunction::VarPop
            | AggregateFunction::VarSamp
    );
    let wanted = match (function, mode) {
        (AggregateFunction::Avg, AggregateMode::Final) | (AggregateFunction::JsonObjectAgg, _) => 2,
        (_, AggregateMode::Final) if variance => 3,
        _ => 1,
    };
    if args.len() < wanted {
        return Err(ExprError::WrongArgumentCount { name: message.func_name.clone() });
    }
    let sort_item = |item: &tipb::ByItem| {
        let expr = item.expr.as_ref().ok_or_else(|| malformed("order by"))?;
        Ok(SortItem { expr: from_tipb(expr)?, descending: item.desc })
    };
    Ok(AggregateCall {
        function,
        args,
        distinct: message.has_distinct,
        order_by: message.order_by.iter().map(sort_item).collect::<Result<_, ExprError>>()?,
        separator: String::from_utf8_lossy(&message.separator).into_owned(),
        field_type: field_type_from_tipb(
            message.field_type.as_ref().ok_or_else(|| malformed("aggregate type"))?,
        )?,
        mode,
    })
}

/// A type as a message.
pub fn field_type_to_tipb(field_type: &FieldType) -> tipb::FieldType {
    tipb::FieldType {
        tp: i32::from(u8::from(field_type.code)),
        flag: field_type.flags.bits(),
        flen: field_type.length,
        decimal: field_type.decimals,
        collate: i32::from(field_type.collation.id()),
        charset: field_type.charset().name().to_owned(),
        elems: field_type.elements.to_vec(),
    }
}

/// The type of a message. Negative collation numbers (TiDB's mark of its new collations) count by their value.
pub fn field_type_from_tipb(message: &tipb::FieldType) -> Result<FieldType, ExprError> {
    let malformed = || ExprError::Malformed { what: "type" };
    let code =
        u8::try_from(message.tp).ok().and_then(|tp| TypeCode::try_from(tp).ok()).ok_or_else(malformed)?;
    let collation = u16::try_from(message.collate.unsigned_abs()).ok().and_then(Collation::from_id);
    Ok(FieldType {
        code,
        flags: TypeFlags::from_bits_truncate(message.flag),
        length: message.flen,
        decimals: message.decimal,
        collation: match collation {
            Some(collation) => collation,
            // Numbers need not name one.
            None if message.collate == 0 && !code.is_string() => Collation::Binary,
            None => return Err(malformed()),
        },
        elements: message.elems.clone().into(),
    })
}
