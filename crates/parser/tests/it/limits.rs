//! No text overflows the stack, and none takes more than linear time.

use tidewater_parser::{ParseError, ParsedStatement, ParserOptions, parse_one};

/// Parses, restores, clones and drops on a thread with the stack of a runtime's worker.
fn on_small_stack(sql: String) -> Result<usize, ParseError> {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let parsed: ParsedStatement = parse_one(&sql, &ParserOptions::default())?;
            let copy = parsed.clone();
            Ok(copy.statement.to_string().len())
        })
        .expect("a thread starts")
        .join()
        .expect("the thread does not panic")
}

#[test]
fn long_chains_of_and_and_or_are_fine() {
    for operator in [" OR ", " AND ", " || "] {
        let condition = vec!["a = 1"; 30_000].join(operator);
        assert!(on_small_stack(format!("SELECT * FROM t WHERE {condition}")).is_ok(), "{operator}");
    }
}

#[test]
fn long_chains_of_other_operators_are_refused() {
    for operator in ["+", "-", " DIV ", " XOR ", "=", " LIKE ", "->", "<<"] {
        let chain = vec!["1"; 60_000].join(operator);
        assert_eq!(on_small_stack(format!("SELECT {chain}")), Err(ParseError::TooDeep), "{operator}");
        // The same with an error at its end, when everything read so far is thrown away.
        assert!(on_small_stack(format!("SELECT {chain} FROM")).is_err(), "{operator}");
    }
    let short = vec!["1"; 400].join("+");
    assert!(on_small_stack(format!("SELECT {short}")).is_ok());
}

#[test]
fn more_than_100000_operators_are_refused() {
    let chain = vec!["a"; 100_002].join(" OR ");
    assert_eq!(on_small_stack(format!("SELECT {chain}")), Err(ParseError::TooDeep));
}

#[test]
fn deep_nesting_is_refused() {
    let wrap = |open: &str, close: &str, depth: usize| {
        format!("SELECT {}1{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, close) in [
        ("(", ")"),
        ("f(", ")"),
        ("(SELECT ", ")"),
        ("1 + (", ")"),
        ("EXISTS (SELECT ", ")"),
        ("1 IN (", ")"),
        ("CAST(", " AS CHAR)"),
        ("IF(1, ", ", 2)"),
    ] {
        assert!(on_small_stack(wrap(open, close, 100)).is_ok(), "{open}");
        assert_eq!(on_small_stack(wrap(open, close, 60_000)), Err(ParseError::TooDeep), "{open}");
        assert!(on_small_stack(wrap(open, "", 60_000)).is_err(), "{open}");
    }
    for prefix in [
        "NOT ",
        "- ",
        "! ",
        "~",
        "+ ",
        "CASE WHEN 1 THEN ",
        "@a := ",
        "BINARY ",
        "INTERVAL 1 DAY + ",
        "CASE ",
    ] {
        assert!(on_small_stack(format!("SELECT {}1", prefix.repeat(60_000))).is_err(), "{prefix}");
    }
    let tables = format!("SELECT * FROM {}t{}", "(".repeat(100), ")".repeat(100));
    assert!(on_small_stack(tables).is_ok());
    let derived = format!("{}SELECT 1{}", "SELECT * FROM (".repeat(60), ") x".repeat(60));
    assert!(on_small_stack(derived).is_ok());
    let explain = format!("{}SELECT 1", "EXPLAIN ".repeat(60_000));
    assert_eq!(on_small_stack(explain), Err(ParseError::TooDeep));
}

#[test]
fn long_lists_are_fine() {
    let numbers = vec!["1"; 100_000].join(", ");
    assert!(on_small_stack(format!("SELECT * FROM t WHERE a IN ({numbers})")).is_ok());
    assert!(on_small_stack(format!("SELECT {numbers}")).is_ok());
    assert!(on_small_stack(format!("SELECT f({numbers})")).is_ok());
    let rows = vec!["(1, 'abc', NULL, -1.5, now())"; 50_000].join(", ");
    assert!(on_small_stack(format!("INSERT INTO t VALUES {rows}")).is_ok());
    let union = vec!["SELECT 1"; 20_000].join(" UNION ALL ");
    assert!(on_small_stack(union).is_ok());
    let columns = vec!["a INT"; 20_000].join(", ");
    assert!(on_small_stack(format!("CREATE TABLE t ({columns})")).is_ok());
    let joins = "t".to_owned() + &" JOIN t ON 1".repeat(20_000);
    assert_eq!(on_small_stack(format!("SELECT * FROM {joins}")), Err(ParseError::TooDeep));
    let case = "WHEN a THEN b ".repeat(20_000);
    assert!(on_small_stack(format!("SELECT CASE {case} END")).is_ok());
    let string = "x".repeat(8 << 20);
    assert!(on_small_stack(format!("INSERT INTO t VALUES ('{string}')")).is_ok());
}
