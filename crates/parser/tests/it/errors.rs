//! Error messages point where MySQL's do.

use tidewater_parser::{ParseError, ParserOptions, parse};

#[track_caller]
fn near(sql: &str) -> (String, usize) {
    match parse(sql, &ParserOptions::default()) {
        Err(ParseError::Syntax { near, line, .. }) => (near, line),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn errors_quote_the_text_from_the_offending_token_on() {
    for (sql, expected, expected_line) in [
        ("selec 1", "selec 1", 1),
        ("select 1 from", "", 1),
        ("select * from where a = 1", "where a = 1", 1),
        ("select a form t", "t", 1),
        ("select a,\nb,\nfrom t", "from t", 3),
        ("select (1 from t", "from t", 1),
        ("select * from t where", "", 1),
        ("select * from t where a = = 2", "= 2", 1),
        ("select f(1,) from t", ") from t", 1),
        ("select * from (select a frm t where) x", "t where) x", 1),
        ("insert into t values (1, 2", "", 1),
        ("insert into t values (1 2)", "2)", 1),
        ("create table t (a int, b nonsense)", "nonsense)", 1),
        ("create table t (a int default)", ")", 1),
        ("select 1; select 2; selct 3; select 4", "selct 3; select 4", 1),
        ("update t set a == 1", "= 1", 1),
        ("delete from t limit 1, 2", ", 2", 1),
        ("alter table t add column", "", 1),
        ("select 'abc", "'abc", 1),
        ("drop table", "", 1),
        ("select a from t group a", "a", 1),
        ("select a from t order b", "b", 1),
        ("select a between 1 or 2", "or 2", 1),
        ("select a is 5", "5", 1),
        ("select case when 1 end", "end", 1),
        ("select * from t limit 1 limit 2", "limit 2", 1),
        ("select @", "@", 1),
        ("select a from t1 join", "", 1),
    ] {
        assert_eq!(near(sql), (expected.to_owned(), expected_line), "{sql}");
    }
}

#[test]
fn the_message_is_mysqls() {
    let error = parse("selec 1", &ParserOptions::default()).expect_err("no statement");
    assert_eq!(
        error.to_string(),
        "You have an error in your SQL syntax; check the manual that corresponds to your Tidewater version for the right syntax to \
         use near 'selec 1' at line 1"
    );
    assert_eq!(error.mysql_code(), 1064);
}

#[test]
fn at_most_80_bytes_are_quoted_and_no_character_is_cut() {
    let (text, _) = near(&format!("selec {}", "x".repeat(200)));
    assert_eq!(text.len(), 80);
    let (text, _) = near(&format!("selec {}", "é".repeat(200)));
    assert_eq!(text.len(), 80);
    let (text, _) = near(&format!("selecx {}", "é".repeat(200)));
    assert_eq!(text.len(), 79);
    let (text, _) = near(&format!("selecxy {}", "日本".repeat(200)));
    assert!(text.len() <= 80 && text.len() > 77);
}

#[test]
fn an_empty_text_is_no_statement() {
    assert_eq!(parse(" ; /* */ ", &ParserOptions::default()), Ok(Vec::new()));
    assert_eq!(tidewater_parser::parse_one(" -- x", &ParserOptions::default()), Err(ParseError::Empty));
}
