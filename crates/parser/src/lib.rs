//! MySQL and TiDB SQL text to AST and back, digests and hints.

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
