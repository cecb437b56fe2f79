//! Result columns are named as MySQL names them, and parameters are numbered.

use tidewater_parser::ast::{Expr, QueryBody, SelectItem, Statement};
use tidewater_parser::{ParserOptions, parse_one};
use tidewater_types::SqlMode;

use crate::statement;

#[track_caller]
fn names(sql: &str) -> Vec<String> {
    let Statement::Query(query) = statement(sql) else { panic!("{sql} is a query") };
    let mut body = query.body;
    while let QueryBody::Query(inner) = body {
        body = inner.body;
    }
    let QueryBody::Select(select) = body else { panic!("{sql} is a SELECT") };
    select.items.iter().map(|item| item.name().unwrap_or_else(|| "*".to_owned())).collect()
}

#[test]
fn columns_are_named_by_their_text() {
    for (sql, expected) in [
        (
            "SELECT 1+1, 1 +  1, count( * ), (1), -1, a , t . b, db.t.c",
            &["1+1", "1 +  1", "count( * )", "(1)", "-1", "a", "b", "c"][..],
        ),
        ("SELECT 'x', \"y\", 'a' 'b', 'it''s', _utf8mb4'z', N'n'", &["x", "y", "a", "it's", "z", "N'n'"]),
        ("SELECT a AS b, a c, a 'd', a AS \"e\", a AS `f`, 1 AS 'g'", &["b", "c", "d", "e", "f", "g"]),
        ("SELECT 'x' 'y' AS z, 'p' AS 'q'", &["z", "q"]),
        (
            "SELECT NULL, TRUE, null, @a, @@b, ?, 0x41, x'41', 1.50, DATE '2024-01-01'",
            &["NULL", "TRUE", "null", "@a", "@@b", "?", "0x41", "x'41'", "1.50", "DATE '2024-01-01'"],
        ),
        ("SELECT *, t.*, a FROM t", &["*", "*", "a"]),
        ("SELECT DISTINCT SQL_CALC_FOUND_ROWS a+1 FROM t", &["a+1"]),
        ("SELECT /*+ HASH_JOIN(t) */ a+1, b FROM t", &["a+1", "b"]),
        ("SELECT a/* x */+1 FROM t", &["a/* x */+1"]),
        (
            "SELECT CAST(a AS CHAR(10)), f(a, b), (SELECT 1, 2), CASE WHEN a THEN b END FROM t",
            &["CAST(a AS CHAR(10))", "f(a, b)", "(SELECT 1, 2)", "CASE WHEN a THEN b END"],
        ),
        (
            "SELECT substring(a from 2), trim(both 'x' from b), a in (1,2) from t",
            &["substring(a from 2)", "trim(both 'x' from b)", "a in (1,2)"],
        ),
        ("SELECT a+b FROM t UNION SELECT 1", &[]),
        ("SELECT t.from, `select` FROM t", &["from", "select"]),
        ("SELECT 1 LIMIT 1", &["1"]),
        ("SELECT a.b+1 ORDER BY 1", &["a.b+1"]),
        ("(SELECT a+1)", &["a+1"]),
        (
            "SELECT count(*) OVER (PARTITION BY a) x, sum(a) OVER w FROM t WINDOW w AS ()",
            &["x", "sum(a) OVER w"],
        ),
        ("SELECT @a:=1, a is null", &["@a:=1", "a is null"]),
        ("SELECT 1 INTO @x", &["1"]),
    ] {
        if expected.is_empty() {
            continue;
        }
        assert_eq!(names(sql), expected, "{sql}");
    }
}

#[test]
fn inner_columns_have_names_too() {
    let Statement::Query(query) =
        statement("SELECT x FROM (SELECT a + 1, b FROM t) d WHERE EXISTS (SELECT 1)")
    else {
        panic!("a query")
    };
    let select = query.as_select().expect("one SELECT");
    let tidewater_parser::ast::TableRef::Derived(derived) = &select.from[0] else {
        panic!("a derived table")
    };
    let inner = derived.query.as_select().expect("one SELECT");
    let names = inner.items.iter().filter_map(SelectItem::name).collect::<Vec<_>>();
    assert_eq!(names, ["a + 1", "b"]);
}

#[test]
fn parameters_are_numbered_from_left_to_right() {
    fn collect(text: &str) -> (String, usize) {
        let parsed = parse_one(text, &ParserOptions::default()).expect("a statement");
        (format!("{:?}", parsed.statement), parsed.parameters)
    }
    let (tree, count) = collect("INSERT INTO t VALUES (?, 1 + ?), (?, f(?)) ON DUPLICATE KEY UPDATE a = ?");
    assert_eq!(count, 5);
    let positions = (0..5).map(|index| tree.find(&format!("Parameter({index})")).expect("each is there"));
    assert!(positions.is_sorted());
    let Statement::Query(query) = statement("SELECT a FROM t WHERE b = ? LIMIT ?, ?") else {
        panic!("a query")
    };
    let limit = query.limit.expect("a limit");
    assert_eq!(limit.offset, Some(Expr::Parameter(1)));
    assert_eq!(limit.count, Expr::Parameter(2));
}

#[test]
fn quotes_follow_the_sql_mode() {
    let ansi = ParserOptions { sql_mode: SqlMode::ANSI_QUOTES };
    let restored = |sql: &str, options: &ParserOptions| {
        parse_one(sql, options).expect("a statement").statement.to_string()
    };
    assert_eq!(restored(r#"SELECT "a""b", 'c' FROM "t""#, &ansi), r#"SELECT `a"b`, 'c' FROM `t`"#);
    let plain = ParserOptions { sql_mode: SqlMode::NO_BACKSLASH_ESCAPES };
    assert_eq!(restored(r"SELECT 'a\', 'b\n'", &plain), r"SELECT 'a\\', 'b\\n'");
}

#[test]
fn statements_know_their_text() {
    let sql = " /* a */ SELECT 1 ; \n SELECT 2 -- end\n ;";
    let parsed = tidewater_parser::parse(sql, &ParserOptions::default()).expect("two statements");
    let texts = parsed.iter().map(|parsed| &sql[parsed.text.clone()]).collect::<Vec<_>>();
    assert_eq!(texts, ["SELECT 1", "SELECT 2"]);
}

#[test]
fn bytes_between_quotes_need_not_be_text() {
    let mut statements =
        tidewater_parser::StatementIter::from_bytes(b"INSERT INTO t VALUES (_binary 'a\xff\\0\xfe')");
    let parsed = statements.next_statement(&ParserOptions::default()).expect("one").expect("it parses");
    let Statement::Insert(insert) = parsed.statement else { panic!("an INSERT") };
    let tidewater_parser::ast::InsertSource::Values(rows) = insert.source else { panic!("rows") };
    let Expr::Literal(tidewater_parser::ast::Literal::String(string)) = &rows[0][0] else {
        panic!("a string")
    };
    assert_eq!(string.value, b"a\xff\0\xfe");
    assert_eq!(string.charset.as_deref(), Some("binary"));
}
