//! Rewrites done before typing.

use crate::expr::Expr;
use crate::registry::FunctionDef;

/// Prepares the arguments of a call; for now, every function takes them as they come.
pub(crate) fn flatten(_def: &FunctionDef, args: Vec<Expr>) -> Vec<Expr> {
    args
}
