//! SUM and AVG.
use tidewater_types::{EvalType, FieldType};

use super::{AggregateCall, Aggregator, count};
use crate::context::EvalContext;

/// SUM's type: integers and decimals give DECIMAL with 22 more digits, everything else DOUBLE.
pub(super) fn sum_type(arg: &FieldType) -> FieldType {
    match arg.eval_type() {
        EvalType::Int => FieldType::decimal(if arg.length > 0 { (arg.length + 22).min(65) as u8 } else { 42 }, 0),
        EvalType::Decimal => {
            let precision = if arg.length > 0 { (arg.length + 22).min(65) as u8 } else { 65 };
            FieldType::decimal(precision, arg.decimals.clamp(0, 30) as u8)
        }
        _ => FieldType::double(),
    }
}

/// AVG's type: SUM's with `div_precision_increment` more digits after the point.
pub(super) fn avg_type(arg: &FieldType, ctx: &EvalContext) -> FieldType {
    let increment = i32::from(ctx.div_precision_increment);
    match arg.eval_type() {
        EvalType::Int => {
            let digits = if arg.length > 0 { arg.length } else { 20 };
            FieldType::decimal((digits + increment).min(65) as u8, increment.min(30) as u8)
        }
        EvalType::Decimal => {
            let scale = arg.decimals.clamp(0, 30);
            let precision = if arg.length > 0 { arg.length } else { 65 };
            FieldType::decimal((precision + increment).min(65) as u8, (scale + increment).min(30) as u8)
        }
        _ => FieldType::double(),
    }
}

pub(super) fn aggregator(call: &AggregateCall, _ctx: &EvalContext) -> Box<dyn Aggregator> {
    count::aggregator(call)
}
