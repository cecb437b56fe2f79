//! Expressions as any TiKV takes them: functions by signature alone, types and collations as TiDB writes them.
//!
//! What has no signature has no public form; the SQL node evaluates it itself. What comes in by signature becomes a call of our
//! function, after a look at the types of its arguments.

use tidewater_codec::number;
use tidewater_proto::tipb;
use tidewater_types::{Collation, Datum, EvalType, FieldType, TypeCode};

use super::signatures::{self, Signature};
use super::{declared_type, field_type_to_tipb, literal_to_tipb, node};
use crate::aggregate::{AggregateCall, AggregateFunction};
use crate::collate::Coercibility;
use crate::error::ExprError;
use crate::expr::{ColumnRef, Expr, FunctionCall, Prepared};
use crate::registry::function;

const SIG_LIKE: i32 = 4310;
const SIG_NOT: i32 = 3104;
/// IntIsTrueWithNull and its kin for doubles and decimals.
const SIGS_IS_TRUE_WITH_NULL: std::ops::RangeInclusive<i32> = 3142..=3144;
/// IntIsFalseWithNull and its kin.
const SIGS_IS_FALSE_WITH_NULL: std::ops::RangeInclusive<i32> = 3145..=3147;

/// The signature of a call, if its function has one for arguments of these types.
pub(super) fn signature_of(call: &FunctionCall) -> Option<&'static Signature> {
    let args: Vec<Option<&FieldType>> = call.args.iter().map(type_of_argument).collect();
    signatures::of_call(call.function.name, &args, &call.field_type)
}

/// `None` for a bare NULL, which is of any type.
fn type_of_argument(arg: &Expr) -> Option<&FieldType> {
    Some(arg.field_type_ref()).filter(|_| !is_null(arg))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal { value: Datum::Null, .. }) || expr.field_type_ref().code == TypeCode::Null
}

/// Whether any TiKV evaluates the expression as we do. Parameters and outer columns count as the constants they will be.
pub fn is_public(expr: &Expr) -> bool {
    match expr {
        Expr::Literal { .. } | Expr::Parameter { .. } | Expr::Correlated { .. } => {
            is_null(expr) || is_public_type(expr.field_type_ref())
        }
        Expr::Column(column) => is_public_type(&column.field_type),
        Expr::Function(call) => is_public_call(call) && call.args.iter().all(is_public),
    }
}

fn is_public_call(call: &FunctionCall) -> bool {
    let known = match call.function.name {
        "like" => escape_of(call).is_some() && is_text(&call.args[0]) && is_text(&call.args[1]),
        "is_not_null" => null_test(&call.args[0]).is_some(),
        // TiKV has no 32-bit floats to cast to, and years of its own.
        "cast" => !matches!(call.field_type.code, TypeCode::Float | TypeCode::Year),
        _ => true,
    };
    let has_signature = matches!(call.function.name, "like" | "is_not_null") || signature_of(call).is_some();
    known && has_signature && is_public_type(&call.field_type) && is_public_collation(call.collation)
}

fn is_text(expr: &Expr) -> bool {
    is_null(expr) || expr.field_type_ref().eval_type() == EvalType::String
}

/// Types whose values are the same thing to TiKV in every expression.
fn is_public_type(field_type: &FieldType) -> bool {
    !matches!(field_type.code, TypeCode::Enum | TypeCode::Set | TypeCode::Bit | TypeCode::Null)
        && (!field_type.is_string() || is_public_collation(field_type.collation))
}

/// Collations TiKV has: `_bin` of its four character sets, `_general_ci` and `_unicode_ci` of Unicode, `utf8mb4_0900_*`, and none.
fn is_public_collation(collation: Collation) -> bool {
    matches!(collation.id(), 33 | 45 | 46 | 47 | 63 | 65 | 83 | 192 | 224 | 255 | 309)
}

/// The public form; `None` if there is none.
pub(super) fn encode(expr: &Expr) -> Option<tipb::Expr> {
    if !is_public(expr) {
        return None;
    }
    match expr {
        Expr::Literal { value, field_type } => literal(value, field_type),
        Expr::Column(column) => Some(self::column(column)),
        Expr::Parameter { .. } | Expr::Correlated { .. } => None,
        Expr::Function(call) => encode_call(call),
    }
}

pub(super) fn column(column: &ColumnRef) -> tipb::Expr {
    let mut val = Vec::with_capacity(8);
    number::write_i64(column.index as i64, &mut val);
    public_node(tipb::ExprType::ColumnRef, val, &column.field_type)
}

fn encode_call(call: &FunctionCall) -> Option<tipb::Expr> {
    match call.function.name {
        "like" => {
            let mut escape = Vec::with_capacity(8);
            number::write_i64(i64::from(escape_of(call)?), &mut escape);
            let escape = public_node(tipb::ExprType::Int64, escape, &FieldType::int());
            let text = |arg: &Expr| argument(arg, Some(EvalType::String));
            Some(scalar(SIG_LIKE, call, vec![text(&call.args[0])?, text(&call.args[1])?, escape]))
        }
        "is_not_null" => {
            let arg = argument(&call.args[0], Some(EvalType::Int))?;
            let is_null = scalar(null_test(&call.args[0])?.sig, call, vec![arg]);
            Some(scalar(SIG_NOT, call, vec![is_null]))
        }
        _ => {
            let row = signature_of(call)?;
            let count = call.args.len();
            let args = call.args.iter().enumerate();
            let children =
                args.map(|(at, arg)| argument(arg, row.arg_type(at, count))).collect::<Option<_>>()?;
            Some(scalar(row.sig, call, children))
        }
    }
}

/// The IS NULL that takes this argument.
fn null_test(arg: &Expr) -> Option<&'static Signature> {
    signatures::of_call("isnull", &[type_of_argument(arg)], &FieldType::int())
}

/// The character that takes the meaning from `%` and `_`, as a number.
fn escape_of(call: &FunctionCall) -> Option<u8> {
    match call.args.get(2) {
        None => Some(b'\\'),
        Some(Expr::Literal { value: Datum::Bytes(escape), .. }) => match escape[..] {
            [byte] if byte.is_ascii() => Some(byte),
            _ => None,
        },
        Some(_) => None,
    }
}

/// An argument; a NULL is given the type that is expected.
fn argument(arg: &Expr, wanted: Option<EvalType>) -> Option<tipb::Expr> {
    if !is_null(arg) {
        return encode(arg);
    }
    let field_type = wanted.map_or_else(FieldType::int, plain_type);
    Some(public_node(tipb::ExprType::Null, Vec::new(), &field_type))
}

fn plain_type(eval_type: EvalType) -> FieldType {
    match eval_type {
        EvalType::Int => FieldType::int(),
        EvalType::Real => FieldType::double(),
        EvalType::Decimal => FieldType::decimal(65, 30),
        EvalType::String => FieldType::string(),
        EvalType::DateTime => FieldType::datetime(6),
        EvalType::Duration => FieldType::duration(6),
        EvalType::Json => FieldType::json(),
    }
}

fn scalar(sig: i32, call: &FunctionCall, children: Vec<tipb::Expr>) -> tipb::Expr {
    let mut message =
        tipb::Expr { sig, children, ..public_node(tipb::ExprType::ScalarFunc, Vec::new(), &call.field_type) };
    // What is compared inside shows in the type of the result.
    if let Some(field_type) = &mut message.field_type
        && !has_collation(&call.field_type)
    {
        field_type.collate = -i32::from(call.collation.id());
    }
    message
}

fn has_collation(field_type: &FieldType) -> bool {
    field_type.is_string() || field_type.code == TypeCode::Json
}

fn public_node(tp: tipb::ExprType, val: Vec<u8>, field_type: &FieldType) -> tipb::Expr {
    tipb::Expr { field_type: Some(public_type(field_type)), ..node(tp, val, field_type) }
}

/// A type as TiDB writes it: a negative collation is one whose order is in force.
fn public_type(field_type: &FieldType) -> tipb::FieldType {
    let message = field_type_to_tipb(field_type);
    tipb::FieldType { collate: -message.collate, ..message }
}

fn literal(value: &Datum, field_type: &FieldType) -> Option<tipb::Expr> {
    if value.is_null() {
        return argument(&Expr::null(), Some(field_type.eval_type()));
    }
    // A TIMESTAMP constant is a local time here and would be taken for UTC there. A constant need not be of its declared type, either.
    let own_type = match value {
        Datum::Time(_) if field_type.code == TypeCode::Timestamp => FieldType::datetime(6),
        Datum::Int(_) if field_type.eval_type() != EvalType::Int => FieldType::int(),
        Datum::UInt(_) if field_type.eval_type() != EvalType::Int => FieldType::uint(),
        _ => field_type.clone(),
    };
    let message = literal_to_tipb(value, &own_type)?;
    Some(tipb::Expr { field_type: Some(public_type(&own_type)), ..message })
}

/// The call a signature stands for.
pub(super) fn call_from_signature(message: &tipb::Expr, args: Vec<Expr>) -> Result<Expr, ExprError> {
    let sig = message.sig;
    let declared = declared_type(message)?;
    let collation = declared.collation;
    let field_type = if has_collation(&declared) {
        declared
    } else {
        FieldType { collation: Collation::Binary, ..declared }
    };
    let call = |name: &'static str, args| build(name, args, field_type.clone(), collation);
    if sig == SIG_LIKE {
        return call("like", like_arguments(sig, args)?);
    }
    if SIGS_IS_TRUE_WITH_NULL.contains(&sig) {
        return call("ne", with_zero(sig, args)?);
    }
    if SIGS_IS_FALSE_WITH_NULL.contains(&sig) {
        return call("eq", with_zero(sig, args)?);
    }
    let row = signatures::by_number(sig)
        .ok_or_else(|| ExprError::UnknownFunction { name: format!("of signature {sig}") })?;
    let types: Vec<Option<EvalType>> =
        args.iter().map(|arg| type_of_argument(arg).map(FieldType::eval_type)).collect();
    if !row.accepts(&types, field_type.eval_type()) {
        return Err(wrong_arguments(sig));
    }
    call(row.name, args)
}

fn wrong_arguments(sig: i32) -> ExprError {
    ExprError::WrongArguments { function: format!("signature {sig}") }
}

fn like_arguments(sig: i32, mut args: Vec<Expr>) -> Result<Vec<Expr>, ExprError> {
    let escape = match args.pop() {
        Some(Expr::Literal { value: Datum::Int(escape), .. }) => u8::try_from(escape).ok(),
        Some(Expr::Literal { value: Datum::UInt(escape), .. }) => u8::try_from(escape).ok(),
        _ => None,
    };
    let escape = escape.filter(u8::is_ascii).ok_or_else(|| wrong_arguments(sig))?;
    if args.len() != 2 || !args.iter().all(is_text) {
        return Err(wrong_arguments(sig));
    }
    args.push(Expr::string(char::from(escape).encode_utf8(&mut [0; 4])));
    Ok(args)
}

/// A truth test that keeps NULL is a comparison with zero.
fn with_zero(sig: i32, mut args: Vec<Expr>) -> Result<Vec<Expr>, ExprError> {
    let [arg] = &args[..] else { return Err(wrong_arguments(sig)) };
    let zero = match arg.field_type_ref().eval_type() {
        EvalType::Int => Expr::int(0),
        EvalType::Real => Expr::literal(Datum::Double(0.0), FieldType::double()),
        EvalType::Decimal => Expr::literal(Datum::Decimal(Default::default()), FieldType::decimal(1, 0)),
        _ => return Err(wrong_arguments(sig)),
    };
    args.push(zero);
    Ok(args)
}

fn build(
    name: &'static str,
    args: Vec<Expr>,
    field_type: FieldType,
    collation: Collation,
) -> Result<Expr, ExprError> {
    let def = function(name).ok_or_else(|| ExprError::UnknownFunction { name: name.to_owned() })?;
    if !(def.min_args..=def.max_args).contains(&args.len()) {
        return Err(ExprError::WrongArgumentCount { name: name.to_owned() });
    }
    Ok(Expr::Function(Box::new(FunctionCall {
        function: def,
        args,
        field_type,
        collation,
        coercibility: Coercibility::Implicit,
        prepared: Prepared::default(),
    })))
}

/// The number of an aggregate function, if it has one.
pub(super) fn aggregate_number(function: AggregateFunction) -> Option<tipb::ExprType> {
    use tipb::ExprType as T;
    Some(match function {
        AggregateFunction::Count => T::Count,
        AggregateFunction::Sum => T::Sum,
        AggregateFunction::Avg => T::Avg,
        AggregateFunction::Min => T::Min,
        AggregateFunction::Max => T::Max,
        AggregateFunction::FirstRow | AggregateFunction::AnyValue => T::First,
        AggregateFunction::BitAnd => T::AggBitAnd,
        AggregateFunction::BitOr => T::AggBitOr,
        AggregateFunction::BitXor => T::AggBitXor,
        _ => return None,
    })
}

/// The aggregate function of a number.
pub(super) fn aggregate_of_number(tp: i32) -> Result<AggregateFunction, ExprError> {
    use tipb::ExprType as T;
    Ok(match T::try_from(tp) {
        Ok(T::Count) => AggregateFunction::Count,
        Ok(T::Sum) => AggregateFunction::Sum,
        Ok(T::Avg) => AggregateFunction::Avg,
        Ok(T::Min) => AggregateFunction::Min,
        Ok(T::Max) => AggregateFunction::Max,
        Ok(T::First) => AggregateFunction::FirstRow,
        Ok(T::AggBitAnd) => AggregateFunction::BitAnd,
        Ok(T::AggBitOr) => AggregateFunction::BitOr,
        Ok(T::AggBitXor) => AggregateFunction::BitXor,
        _ => return Err(ExprError::UnknownFunction { name: format!("of aggregate {tp}") }),
    })
}

/// Whether any TiKV evaluates the aggregate's partial part as we do.
pub fn is_public_aggregate(call: &AggregateCall) -> bool {
    call.can_split()
        && aggregate_number(call.function).is_some()
        && call.args.len() == 1
        && !is_null(&call.args[0])
        && is_public(&call.args[0])
}

/// An aggregate call as messages, one for each partial result: an average is a count and a sum.
pub(super) fn encode_aggregate(call: &AggregateCall) -> Option<Vec<tipb::Expr>> {
    if !is_public_aggregate(call) {
        return None;
    }
    let functions = match call.function {
        AggregateFunction::Avg => vec![AggregateFunction::Count, AggregateFunction::Sum],
        other => vec![other],
    };
    let types = call.partial_types();
    functions
        .into_iter()
        .zip(&types)
        .map(|(function, field_type)| {
            Some(tipb::Expr {
                children: vec![encode(&call.args[0])?],
                agg_func_mode: Some(tipb::AggFunctionMode::Partial1Mode.into()),
                ..public_node(aggregate_number(function)?, Vec::new(), field_type)
            })
        })
        .collect()
}

/// An example of every signature that is sent, over columns: a call by name.
#[doc(hidden)]
pub fn signature_examples() -> Vec<(i32, Expr)> {
    signatures::all()
        .filter_map(|row| {
            let (args, result) = row.example();
            let args = args.into_iter().enumerate();
            let args =
                args.map(|(at, field_type)| Expr::column(at, field_type, &format!("Column#{at}"))).collect();
            Some((row.sig, build(row.name, args, result, Collation::default()).ok()?))
        })
        .collect()
}
