//! The parser's integration tests.

mod clients;
mod columns;
mod digests;
mod errors;
mod golden;
mod limits;
mod precedence;
mod properties;

use tidewater_parser::ast::Statement;
use tidewater_parser::{ParserOptions, parse_one};

/// The one statement of a text under the default options.
#[track_caller]
fn statement(sql: &str) -> Statement {
    match parse_one(sql, &ParserOptions::default()) {
        Ok(parsed) => parsed.statement,
        Err(error) => panic!("{sql}\n{error}"),
    }
}

/// Parses, restores, parses again: nothing may change.
#[track_caller]
fn assert_round_trip(first: &Statement) {
    let restored = first.to_string();
    let second = statement(&restored);
    assert_eq!(*first, second, "{restored}");
    assert_eq!(restored, second.to_string());
}
