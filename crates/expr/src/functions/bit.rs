//! `& | ^ ~ << >>` and BIT_COUNT: always on unsigned 64-bit integers.

use arrow::datatypes::{Int64Type, UInt64Type};
use tidewater_types::{EvalType, FieldType};

use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::build_cast;
use crate::kernels;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("bitand", 2, 2, infer, Kernel::Vector(|c, a| binary(c, a, |x, y| x & y))),
    FunctionDef::new("bitor", 2, 2, infer, Kernel::Vector(|c, a| binary(c, a, |x, y| x | y))),
    FunctionDef::new("bitxor", 2, 2, infer, Kernel::Vector(|c, a| binary(c, a, |x, y| x ^ y))),
    FunctionDef::new(
        "leftshift",
        2,
        2,
        infer,
        Kernel::Vector(|c, a| binary(c, a, |x, y| shift(x, y, u64::checked_shl))),
    ),
    FunctionDef::new(
        "rightshift",
        2,
        2,
        infer,
        Kernel::Vector(|c, a| binary(c, a, |x, y| shift(x, y, u64::checked_shr))),
    ),
    FunctionDef::new("bitneg", 1, 1, infer, Kernel::Vector(negate)),
    FunctionDef::new("bit_count", 1, 1, infer_count, Kernel::Vector(count)),
];

fn infer(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::Int);
    for arg in &mut i.args {
        let expr = std::mem::replace(arg, Expr::null());
        *arg = build_cast(expr, FieldType::uint());
    }
    Ok(FieldType::uint())
}

fn infer_count(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    infer(i)?;
    Ok(FieldType::int())
}

fn shift(value: u64, by: u64, op: fn(u64, u32) -> Option<u64>) -> u64 {
    u32::try_from(by).ok().and_then(|by| op(value, by)).unwrap_or(0)
}

fn binary(call: &CallContext<'_>, args: &[Value], op: impl Fn(u64, u64) -> u64) -> Result<Value, ExprError> {
    Ok(kernels::uints(kernels::map2::<u64, u64, UInt64Type>(args[0].uints(), args[1].uints(), call.rows, op)))
}

fn negate(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    Ok(kernels::uints(kernels::map1::<u64, UInt64Type>(args[0].uints(), call.rows, |v| !v)))
}

fn count(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    Ok(kernels::ints(kernels::map1::<u64, Int64Type>(args[0].uints(), call.rows, |v| {
        i64::from(v.count_ones())
    })))
}
