//! Nothing makes the parser panic, and what it accepts restores to itself.

use proptest::prelude::*;
use tidewater_parser::{ParserOptions, StatementIter, normalize};
use tidewater_types::SqlMode;

use crate::assert_round_trip;

/// Words and signs that statements are made of; sequences of them get deep into the grammar.
const PIECES: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "t",
    "a",
    "b",
    ",",
    ",",
    "(",
    ")",
    "(",
    ")",
    "1",
    "'x'",
    "2.5",
    "1e3",
    "=",
    "+",
    "-",
    "*",
    "AND",
    "OR",
    "NOT",
    "IN",
    "LIKE",
    "BETWEEN",
    "IS",
    "NULL",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "INTERVAL",
    "DAY",
    "CAST",
    "AS",
    "CHAR",
    "JOIN",
    "LEFT",
    "ON",
    "USING",
    "UNION",
    "ALL",
    "ORDER",
    "BY",
    "GROUP",
    "LIMIT",
    "HAVING",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "CREATE",
    "TABLE",
    "INT",
    "KEY",
    "PRIMARY",
    "ALTER",
    "ADD",
    "DROP",
    "?",
    "@v",
    "@@s",
    ":=",
    "x'41'",
    "`q`",
    ".",
    "EXISTS",
    "ANY",
    "count(*)",
    "f(",
    "sum(",
    "OVER",
    "WITH",
    "DIV",
    "MOD",
    "BINARY",
    "COLLATE",
    "utf8mb4_bin",
    "DEFAULT",
    "ROW",
    "FOR",
    "SHARE",
    "SHOW",
    "GRANT",
    "TO",
    "PARTITION",
    "/*!",
    "*/",
    "/*+",
    ";",
    "DATE",
    "TRIM",
    "->",
    "||",
    "!",
    "~",
    "{",
    "}",
    "@",
];

fn feed(sql: &[u8], sql_mode: SqlMode) {
    let mut statements = StatementIter::from_bytes(sql);
    while let Some(parsed) = statements.next_statement(&ParserOptions { sql_mode }) {
        let Ok(parsed) = parsed else { return };
        let restored = parsed.statement.to_string();
        assert!(restored.len() < 100_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        feed(&bytes, SqlMode::DEFAULT);
        feed(&bytes, SqlMode::ANSI_QUOTES | SqlMode::NO_BACKSLASH_ESCAPES);
    }

    #[test]
    fn any_text_is_normalized(text in ".{0,100}") {
        let first = normalize(&text, SqlMode::DEFAULT);
        prop_assert_eq!(first.digest.len(), 64);
    }

    #[test]
    fn any_words_are_answered(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..30)) {
        feed(pieces.join(" ").as_bytes(), SqlMode::DEFAULT);
        feed(pieces.concat().as_bytes(), SqlMode::DEFAULT);
    }

    #[test]
    fn accepted_expressions_restore(pieces in prop::collection::vec(prop::sample::select(PIECES), 1..12)) {
        let sql = format!("SELECT a {} FROM t", pieces.join(" "));
        let mut statements = StatementIter::new(&sql);
        while let Some(Ok(parsed)) = statements.next_statement(&ParserOptions::default()) {
            assert_round_trip(&parsed.statement);
        }
    }

    #[test]
    fn strings_survive(text in any::<String>()) {
        let quoted = tidewater_parser::ast::Literal::String(tidewater_parser::ast::StringLiteral::new(text.clone())).to_string();
        let sql = format!("SELECT {quoted}");
        let parsed = tidewater_parser::parse_one(&sql, &ParserOptions::default()).expect("it parses");
        let expected = tidewater_parser::ast::Expr::Literal(tidewater_parser::ast::Literal::String(
            tidewater_parser::ast::StringLiteral::new(text),
        ));
        let tidewater_parser::ast::Statement::Query(query) = parsed.statement else { panic!("a query") };
        let select = query.as_select().expect("one SELECT");
        match &select.items[0] {
            tidewater_parser::ast::SelectItem::Expr { expr, .. } => prop_assert_eq!(expr, &expected),
            other => panic!("{other:?}"),
        }
    }
}
