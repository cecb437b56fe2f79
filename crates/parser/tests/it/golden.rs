//! Golden files: statements by class and what they restore to.
//!
//! A file holds blocks separated by an empty line: SQL text (of one or more lines), `----`, and the expected lines: each statement
//! restored, or the error. `UPDATE_GOLDEN=1 cargo test -p tidewater-parser` records what the parser does today; read the difference.

use std::fmt::Write as _;
use std::path::PathBuf;

use tidewater_parser::{ParserOptions, StatementIter};

use crate::assert_round_trip;

fn answer(sql: &str) -> String {
    let mut answer = String::new();
    let mut statements = StatementIter::new(sql);
    while let Some(parsed) = statements.next_statement(&ParserOptions::default()) {
        match parsed {
            Ok(parsed) => {
                assert_round_trip(&parsed.statement);
                writeln!(answer, "{}", parsed.statement).expect("a string takes all");
            }
            Err(error) => writeln!(answer, "error: {error}").expect("a string takes all"),
        }
    }
    answer
}

fn check(name: &str) {
    let path = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("tests/it/golden")
        .join(name);
    let file = std::fs::read_to_string(&path).expect("the golden file exists");
    let mut recorded = String::new();
    for block in file.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty()) {
        if block.lines().all(|line| line.starts_with('#')) {
            writeln!(recorded, "{block}\n").expect("a string takes all");
            continue;
        }
        let sql = block.split("\n----").next().expect("split gives at least one");
        writeln!(recorded, "{sql}\n----\n{}", answer(sql)).expect("a string takes all");
    }
    let recorded = format!("{}\n", recorded.trim_end());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, recorded).expect("the golden file is writable");
        return;
    }
    for (line, (expected, found)) in file.lines().zip(recorded.lines()).enumerate() {
        assert_eq!(found, expected, "{name}:{}", line + 1);
    }
    assert_eq!(recorded, file, "{name}");
}

macro_rules! golden {
    ($($test:ident => $file:literal),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                check($file);
            }
        )+
    };
}

golden! {
    select => "select.test",
    expressions => "expressions.test",
    dml => "dml.test",
    tables => "tables.test",
    alter_table => "alter_table.test",
    schema => "schema.test",
    accounts => "accounts.test",
    set => "set.test",
    show => "show.test",
    transactions => "transactions.test",
    admin => "admin.test",
    comments => "comments.test",
    refused => "refused.test",
}
