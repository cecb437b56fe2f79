//! Being written.
use crate::registry::FunctionDef;
pub(crate) const FUNCTIONS: &[FunctionDef] = &[];
