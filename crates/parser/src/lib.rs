//! MySQL's SQL, with TiDB's additions: text to a tree of our own, the tree back to text, normalised text and digests.
//!
//! Sits on `types` (for [`SqlMode`](tidewater_types::SqlMode)) and below everything that speaks of statements. One way in:
//! [`parse_one`], [`parse`] and, for texts of several statements, [`StatementIter`]; one thing out: [`ast::Statement`].
//!
//! ```
//! use tidewater_parser::{ParserOptions, parse_one};
//!
//! let parsed = parse_one("select 1+1, a from t where b = ?", &ParserOptions::default())?;
//! assert_eq!(parsed.statement.to_string(), "SELECT 1 + 1, `a` FROM `t` WHERE `b` = ?");
//! assert_eq!(parsed.parameters, 1);
//! # Ok::<(), tidewater_parser::ParseError>(())
//! ```
//!
//! # Invariants
//! * **The parser knows no schema**: it binds no name, checks no type, reads no variable but `sql_mode`.
//! * **No text makes it panic or overflow the stack.** Nesting, chains of operators and joins have limits with names
//!   ([`ParseError::TooDeep`]); trees are never deeper than these, so functions that walk them may call themselves.
//! * **Restored text parses to the same tree** (under the default `sql_mode`).
//! * **No type of `sqlparser` leaves the crate.**
//! * **Time is linear in the text**, and the rows of an INSERT take the short way.
//!
//! # Tour
//! `lexer` (bytes to lexemes, comments resolved) → `statement` (one statement after the other) → `grammar` on `cursor` (all statements).
//! Where an expression or a query starts, the grammar hands over: `tokens` makes `sqlparser` tokens of the lexemes, `sqlparser` reads them
//! under `dialect`, and `lower` turns its tree into ours. `restore` is the way back; `digest` and `hint` stand beside.
//!
//! # Why two grammars
//! `sqlparser` is good at expressions and queries and reads two thirds of MySQL's other statements, so we take the former from it and
//! write the latter. Its trees serve many systems; ours has only what MySQL can say, and one exhaustive lowering stands between them,
//! so that a statement may move from one grammar to the other unseen.

pub mod ast;
mod cursor;
mod dialect;
mod digest;
mod error;
mod grammar;
mod hint;
mod lexer;
mod literal;
mod lower;
mod restore;
mod statement;
mod tokens;
mod words;

pub use digest::{Normalized, normalize};
pub use error::ParseError;
pub use statement::{ParsedStatement, ParserOptions, StatementIter, parse, parse_one};
