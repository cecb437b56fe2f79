//! Expressions as `tipb` messages, for evaluation by the store: functions go by their registry name
//! (`Expr.func_name`, our extension), so both ends evaluate with the same kernels.

use tidewater_proto::tipb;

use crate::aggregate::AggregateCall;
use crate::error::ExprError;
use crate::expr::Expr;

/// Whether a store may evaluate the expression.
pub fn can_push_down(_expr: &Expr) -> bool {
    false
}

/// Whether a store may evaluate the aggregate's partial part.
pub fn can_push_down_aggregate(_call: &AggregateCall) -> bool {
    false
}

/// The expression as a message; `None` if a store may not evaluate it. Parameters and correlated columns must have been
/// replaced by literals before.
pub fn to_tipb(_expr: &Expr) -> Option<tipb::Expr> {
    None
}

/// The expression of a message. `column_types` are the types of the fragment's input columns.
pub fn from_tipb(_message: &tipb::Expr) -> Result<Expr, ExprError> {
    Err(ExprError::Malformed { what: "expression" })
}

/// An aggregate call as a message.
pub fn aggregate_to_tipb(_call: &AggregateCall) -> Option<tipb::Expr> {
    None
}

/// The aggregate call of a message.
pub fn aggregate_from_tipb(_message: &tipb::Expr) -> Result<AggregateCall, ExprError> {
    Err(ExprError::Malformed { what: "aggregate" })
}

/// A type as a message.
pub fn field_type_to_tipb(_field_type: &tidewater_types::FieldType) -> tipb::FieldType {
    tipb::FieldType::default()
}
