//! Typed expressions, built-in and aggregate functions, vectorised evaluation.
//!
//! Sits above `types`, `codec`, `chunk` and `proto`; below the planner (which builds expressions with
//! [`build_function`] and [`build_cast`]) and the executor (which evaluates them over chunks).
//!
//! # Invariants
//! * **Types are settled when an expression is built**: [`build_function`] inserts every cast that MySQL does silently,
//!   so a kernel sees exactly the argument types it is made for.
//! * **Each function is declared once**: name, arity, typing, kernel and traits stand in one line of its family's table
//!   under `functions/`.
//! * **No `Datum` per row in hot kernels** (comparison, arithmetic, logic, LIKE, IN, date parts). Rare functions run
//!   row by row.
//! * **Nothing here does I/O or reads a clock**: time, random numbers and session facts come in by [`EvalContext`].
//!
//! # Tour
//! [`Expr`] and its evaluation, [`Value`] (columns, masks, constants), `infer` (types and coercion), `collate`, the
//! [`FunctionDef`] registry and the families, [`AggregateCall`] and [`Aggregator`], [`pushdown`].
//!
//! # Example
//! ```
//! use tidewater_expr::{EvalContext, Expr, build_function};
//! use tidewater_types::Datum;
//!
//! let ctx = EvalContext::default();
//! let sum = build_function("plus", vec![Expr::int(1), Expr::int(2)], &ctx)?;
//! assert_eq!(sum.to_string(), "plus(1, 2)");
//! assert_eq!(sum.eval_datum(&ctx)?, Datum::Int(3));
//! # Ok::<(), tidewater_expr::ExprError>(())
//! ```

mod aggregate;
mod cast;
pub mod collate;
mod context;
mod display;
mod error;
mod expr;
mod fold;
mod functions;
mod hex;
mod infer;
mod kernels;
mod named_locks;
pub mod pushdown;
mod registry;
mod value;

pub use aggregate::{AggregateCall, AggregateFunction, AggregateMode, Aggregator, SortItem};
pub use cast::cast_datum;
pub use collate::Coercibility;
pub use context::{EvalContext, RandomSource, SessionInfo, Severity, Sleeper};
pub use display::{bit_bytes, datum_text, enum_name, sql_text, write_datum};
pub use error::ExprError;
pub use expr::{ColumnRef, Expr, FunctionCall, filter_mask};
pub use hex::hex_as_number;
pub use infer::{
    boolean_type, build_cast, build_function, cast_to, common_type, decimal_type_of, text_length, to_json,
};
pub use named_locks::NamedLocks;
pub use registry::{
    CallContext, FunctionDef, FunctionTraits, Inference, Kernel, VARIADIC, all_functions, function,
};
pub use value::{Decimals, Operand, Strings, Value, datum_truth};
