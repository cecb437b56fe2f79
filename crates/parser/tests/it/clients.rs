//! What real clients send when they connect, dump and restore. Each statement must parse and restore.

use tidewater_parser::{ParserOptions, StatementIter};

use crate::assert_round_trip;

#[test]
fn statements_of_clients_parse() {
    let file = include_str!("clients.sql");
    let mut statements = StatementIter::new(file);
    let mut count = 0;
    while let Some(parsed) = statements.next_statement(&ParserOptions::default()) {
        match parsed {
            Ok(parsed) => assert_round_trip(&parsed.statement),
            Err(error) => panic!("after statement {count}: {error}"),
        }
        count += 1;
    }
    assert!(count > 100, "{count}");
}
