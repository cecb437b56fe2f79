//! How operators bind: each text must mean the same as its parenthesised twin, which every grammar reads alike.

use tidewater_parser::ast::Statement;
use tidewater_parser::{ParserOptions, parse_one};
use tidewater_types::SqlMode;

#[track_caller]
fn tree(expr: &str, sql_mode: SqlMode) -> Statement {
    match parse_one(&format!("SELECT {expr}"), &ParserOptions { sql_mode }) {
        Ok(parsed) => parsed.statement,
        Err(error) => panic!("{expr}\n{error}"),
    }
}

#[track_caller]
fn same(pairs: &[(&str, &str)], sql_mode: SqlMode) {
    for (plain, parenthesised) in pairs {
        assert_eq!(tree(plain, sql_mode), tree(parenthesised, sql_mode), "{plain} is not {parenthesised}");
    }
}

#[test]
fn operators_bind_as_in_mysql() {
    same(
        &[
            ("a OR b AND c", "a OR (b AND c)"),
            ("a AND b OR c", "(a AND b) OR c"),
            ("a || b && c", "a OR (b AND c)"),
            ("a && b || c", "(a AND b) OR c"),
            ("a OR b XOR c", "a OR (b XOR c)"),
            ("a XOR b AND c", "a XOR (b AND c)"),
            ("a AND b XOR c", "(a AND b) XOR c"),
            ("a XOR b XOR c", "(a XOR b) XOR c"),
            ("a = b XOR c = d", "(a = b) XOR (c = d)"),
            ("NOT a AND b", "(NOT a) AND b"),
            ("NOT a = b", "NOT (a = b)"),
            ("NOT a LIKE b", "NOT (a LIKE b)"),
            ("NOT a IS NULL", "NOT (a IS NULL)"),
            ("NOT a BETWEEN b AND c", "NOT (a BETWEEN b AND c)"),
            ("NOT NOT a", "NOT (NOT a)"),
            ("NOT a IN (1) AND b", "(NOT (a IN (1))) AND b"),
            ("!a = b", "(!a) = b"),
            ("! a + b", "(!a) + b"),
            ("!a IS NULL", "(!a) IS NULL"),
            ("a = b = c", "(a = b) = c"),
            ("a < b < c", "(a < b) < c"),
            ("a = b IS NULL", "(a = b) IS NULL"),
            ("a IS NULL = b", "(a IS NULL) = b"),
            ("a IS NULL IS TRUE", "(a IS NULL) IS TRUE"),
            ("a = b LIKE c", "a = (b LIKE c)"),
            ("a LIKE b = c", "(a LIKE b) = c"),
            ("a = b IN (c)", "a = (b IN (c))"),
            ("a IN (b) = c", "(a IN (b)) = c"),
            ("a = b BETWEEN c AND d", "a = (b BETWEEN c AND d)"),
            ("a BETWEEN b AND c = d", "(a BETWEEN b AND c) = d"),
            ("a BETWEEN b AND c AND d", "(a BETWEEN b AND c) AND d"),
            ("a BETWEEN b + 1 AND c + 1 OR d", "(a BETWEEN (b + 1) AND (c + 1)) OR d"),
            ("a NOT BETWEEN b AND c AND d", "(a NOT BETWEEN b AND c) AND d"),
            ("a = b REGEXP c", "a = (b REGEXP c)"),
            ("a <=> b RLIKE c", "a <=> (b RLIKE c)"),
            ("a = b NOT LIKE c", "a = (b NOT LIKE c)"),
            ("a = b SOUNDS LIKE c", "a = (b SOUNDS LIKE c)"),
            ("a = b MEMBER OF (c)", "a = (b MEMBER OF (c))"),
            ("a LIKE b ESCAPE c AND d", "(a LIKE b ESCAPE c) AND d"),
            ("a + b LIKE c", "(a + b) LIKE c"),
            ("a | b LIKE c", "(a | b) LIKE c"),
            ("a | b IN (1)", "(a | b) IN (1)"),
            ("a = b | c", "a = (b | c)"),
            ("a | b = c", "(a | b) = c"),
            ("a | b & c", "a | (b & c)"),
            ("a & b | c", "(a & b) | c"),
            ("a & b << c", "a & (b << c)"),
            ("a << b & c", "(a << b) & c"),
            ("a << b + c", "a << (b + c)"),
            ("a + b << c", "(a + b) << c"),
            ("a << b >> c", "(a << b) >> c"),
            ("a - b - c", "(a - b) - c"),
            ("a + b * c", "a + (b * c)"),
            ("a * b + c", "(a * b) + c"),
            ("a / b / c", "(a / b) / c"),
            ("a DIV b * c", "(a DIV b) * c"),
            ("a * b DIV c", "(a * b) DIV c"),
            ("a DIV b DIV c", "(a DIV b) DIV c"),
            ("a MOD b + c", "(a MOD b) + c"),
            ("a + b MOD c", "a + (b MOD c)"),
            ("a % b MOD c", "(a % b) MOD c"),
            ("a MOD (b) * c", "(a MOD b) * c"),
            ("a * b ^ c", "a * (b ^ c)"),
            ("a ^ b * c", "(a ^ b) * c"),
            ("a ^ b ^ c", "(a ^ b) ^ c"),
            ("-a ^ b", "(-a) ^ b"),
            ("~a ^ b", "(~a) ^ b"),
            ("-2 ^ 3", "(-2) ^ 3"),
            ("- a + b", "(-a) + b"),
            ("-a * b", "(-a) * b"),
            ("- - a", "-(-a)"),
            ("~ - a", "~(-a)"),
            ("a - -b", "a - (-b)"),
            ("a -> '$.x' + 1", "(a -> '$.x') + 1"),
            ("a ->> '$.x' = b", "(a ->> '$.x') = b"),
            ("-a -> '$.x'", "-(a -> '$.x')"),
            ("a + b COLLATE c", "a + (b COLLATE c)"),
            ("a = b COLLATE c", "a = (b COLLATE c)"),
            ("-a COLLATE c", "-(a COLLATE c)"),
            ("BINARY a = b", "(BINARY a) = b"),
            ("BINARY a + b", "(BINARY a) + b"),
            ("BINARY a COLLATE c", "BINARY (a COLLATE c)"),
            ("a = BINARY b", "a = (BINARY b)"),
            ("@a := b = c", "@a := (b = c)"),
            ("@a := b OR c", "@a := (b OR c)"),
            ("@a := @b := 3", "@a := (@b := 3)"),
            ("1 + @a := 2 + 3", "1 + (@a := (2 + 3))"),
            ("a = (@b := c) + 1", "a = ((@b := c) + 1)"),
            ("d + INTERVAL 1 DAY + INTERVAL 1 HOUR", "(d + INTERVAL 1 DAY) + INTERVAL 1 HOUR"),
            ("d - INTERVAL a + 1 DAY", "d - INTERVAL (a + 1) DAY"),
            ("a = d + INTERVAL 1 DAY AND b", "(a = (d + INTERVAL 1 DAY)) AND b"),
            ("a > d - INTERVAL 1 DAY OR b", "(a > (d - INTERVAL 1 DAY)) OR b"),
            ("CASE WHEN a THEN b END + 1", "(CASE WHEN a THEN b END) + 1"),
            ("CASE a = b WHEN c THEN d END", "CASE (a = b) WHEN c THEN d END"),
            ("a IN (1) AND b IN (2)", "(a IN (1)) AND (b IN (2))"),
            ("a = ANY (SELECT 1) AND b", "(a = ANY (SELECT 1)) AND b"),
            ("EXISTS (SELECT 1) AND b", "(EXISTS (SELECT 1)) AND b"),
            ("NOT EXISTS (SELECT 1) OR b", "(NOT (EXISTS (SELECT 1))) OR b"),
            ("a AND b AND c AND d", "((a AND b) AND c) AND d"),
            ("a OR b OR c OR d", "a OR (b OR (c OR d))"),
        ],
        SqlMode::DEFAULT,
    );
}

#[test]
fn pipes_may_concatenate() {
    same(
        &[
            ("a || b = c", "(a || b) = c"),
            ("a + b || c", "a + (b || c)"),
            ("a ^ b || c", "a ^ (b || c)"),
            ("-a || b", "(-a) || b"),
            ("a || b || c", "(a || b) || c"),
        ],
        SqlMode::DEFAULT | SqlMode::PIPES_AS_CONCAT,
    );
    assert_eq!(tree("a || b", SqlMode::PIPES_AS_CONCAT).to_string(), "SELECT CONCAT(`a`, `b`)");
}

#[test]
fn not_may_bind_tight() {
    same(
        &[
            ("NOT a BETWEEN b AND c", "(NOT a) BETWEEN b AND c"),
            ("NOT a = b", "(NOT a) = b"),
            ("NOT a + b", "(NOT a) + b"),
        ],
        SqlMode::DEFAULT | SqlMode::HIGH_NOT_PRECEDENCE,
    );
}
