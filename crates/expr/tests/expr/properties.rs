//! Vectorised kernels against one value at a time by plain rules.

use std::cmp::Ordering;

use proptest::prelude::*;
use tidewater_chunk::{Chunk, ChunkBuilder};
use tidewater_expr::{EvalContext, Expr, build_function, filter_mask};
use tidewater_types::{Datum, Decimal, FieldType};

fn chunk_of(types: &[FieldType], rows: &[Vec<Datum>]) -> Chunk {
    let mut builder = ChunkBuilder::new(types, rows.len());
    rows.iter().for_each(|row| builder.push_row(row));
    builder.finish()
}

fn columns(types: &[FieldType]) -> Vec<Expr> {
    types.iter().enumerate().map(|(i, ft)| Expr::column(i, ft.clone(), &format!("test.t.c{i}"))).collect()
}

fn decimal(scale: u8) -> impl Strategy<Value = Datum> {
    prop_oneof![
        1 => Just(Datum::Null),
        6 => (-1_000_000_000i64..1_000_000_000).prop_map(move |v| Datum::Decimal(Decimal::from_i128(i128::from(v), scale))),
        1 => (0u32..38).prop_map(move |digits| Datum::Decimal(Decimal::from_i128(10i128.pow(digits) - 1, scale))),
    ]
}

fn int() -> impl Strategy<Value = Datum> {
    prop_oneof![
        1 => Just(Datum::Null),
        4 => (-20i64..20).prop_map(Datum::Int),
        1 => any::<i64>().prop_map(Datum::Int),
    ]
}

fn text() -> impl Strategy<Value = Datum> {
    prop_oneof![1 => Just(Datum::Null), 6 => "[abA %_]{0,5}".prop_map(|s| Datum::Bytes(s.into_bytes()))]
}

fn as_decimal(datum: &Datum) -> Option<Decimal> {
    match datum {
        Datum::Decimal(d) => Some(*d),
        _ => None,
    }
}

/// LIKE by the textbook recursion.
fn like_model(text: &[u8], pattern: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'%', rest @ ..] => (0..=text.len()).any(|skip| like_model(&text[skip..], rest)),
        [b'_', rest @ ..] => !text.is_empty() && like_model(&text[1..], rest),
        [c, rest @ ..] => text.first() == Some(c) && like_model(&text[1..], rest),
    }
}

proptest! {
    #[test]
    fn decimal_sums_and_products_are_exact(rows in proptest::collection::vec((decimal(2), decimal(4)), 1..20)) {
        let types = [FieldType::decimal(40, 2), FieldType::decimal(42, 4)];
        let rows: Vec<Vec<Datum>> = rows.into_iter().map(|(a, b)| vec![a, b]).collect();
        let chunk = chunk_of(&types, &rows);
        let ctx = EvalContext::default();
        type Model = fn(Decimal, Decimal) -> Option<Decimal>;
        let operations: [(&str, Model); 3] = [
            ("plus", |a, b| a.checked_add(b).ok()),
            ("minus", |a, b| a.checked_sub(b).ok()),
            // 65 digits have to hold all six of the fraction.
            ("mul", |a, b| a.checked_mul(b).ok().and_then(|v| v.rescale(65, 6).ok())),
        ];
        for (name, model) in operations {
            let expected: Vec<Option<Option<Decimal>>> =
                rows.iter().map(|row| as_decimal(&row[0]).zip(as_decimal(&row[1])).map(|(a, b)| model(a, b))).collect();
            let expr = build_function(name, columns(&types), &ctx).expect("decimal arithmetic");
            match expr.eval(&ctx, &chunk) {
                Err(_) => prop_assert!(expected.contains(&Some(None)), "{name} failed without an overflow"),
                Ok(array) => for (row, expected) in expected.iter().enumerate() {
                    let actual = tidewater_chunk::datum_at(array.as_ref(), row, expr.field_type_ref());
                    prop_assert_eq!(as_decimal(&actual), expected.flatten(), "{} in row {}", name, row);
                },
            }
        }
    }

    #[test]
    fn decimals_compare_as_numbers(rows in proptest::collection::vec((decimal(2), decimal(4)), 1..20), bound in decimal(3)) {
        let types = [FieldType::decimal(40, 2), FieldType::decimal(42, 4)];
        let rows: Vec<Vec<Datum>> = rows.into_iter().map(|(a, b)| vec![a, b]).collect();
        let chunk = chunk_of(&types, &rows);
        let ctx = EvalContext::default();
        let constant = Expr::literal(bound.clone(), FieldType::decimal(41, 3));
        type Test = (&'static str, fn(Ordering) -> bool);
        let tests: [Test; 6] = [
            ("eq", Ordering::is_eq), ("ne", Ordering::is_ne), ("lt", Ordering::is_lt),
            ("le", Ordering::is_le), ("gt", Ordering::is_gt), ("ge", Ordering::is_ge),
        ];
        for (name, holds) in tests {
            let sides = columns(&types);
            let against_column = build_function(name, sides.clone(), &ctx).expect("a comparison");
            let against_constant = build_function(name, vec![sides[0].clone(), constant.clone()], &ctx).expect("a comparison");
            let flipped = build_function(name, vec![constant.clone(), sides[1].clone()], &ctx).expect("a comparison");
            let masks = [
                filter_mask(&[against_column], &ctx, &chunk).expect("a mask"),
                filter_mask(&[against_constant], &ctx, &chunk).expect("a mask"),
                filter_mask(&[flipped], &ctx, &chunk).expect("a mask"),
            ];
            for (row, values) in rows.iter().enumerate() {
                let (a, b, c) = (as_decimal(&values[0]), as_decimal(&values[1]), as_decimal(&bound));
                let expect = |x: Option<Decimal>, y: Option<Decimal>| x.zip(y).is_some_and(|(x, y)| holds(x.cmp(&y)));
                prop_assert_eq!(masks[0].value(row), expect(a, b));
                prop_assert_eq!(masks[1].value(row), expect(a, c));
                prop_assert_eq!(masks[2].value(row), expect(c, b));
            }
        }
    }

    #[test]
    fn integer_arithmetic_is_exact_or_an_error(rows in proptest::collection::vec((int(), int()), 1..10)) {
        let types = [FieldType::int(), FieldType::int()];
        let rows: Vec<Vec<Datum>> = rows.into_iter().map(|(a, b)| vec![a, b]).collect();
        let chunk = chunk_of(&types, &rows);
        let ctx = EvalContext::default();
        type Model = fn(i64, i64) -> Option<i64>;
        let operations: [(&str, Model); 3] =
            [("plus", i64::checked_add), ("minus", i64::checked_sub), ("mul", i64::checked_mul)];
        for (name, model) in operations {
            let expected: Vec<Option<Option<i64>>> = rows.iter().map(|row| match (&row[0], &row[1]) {
                (Datum::Int(a), Datum::Int(b)) => Some(model(*a, *b)),
                _ => None,
            }).collect();
            let expr = build_function(name, columns(&types), &ctx).expect("integer arithmetic");
            match expr.eval(&ctx, &chunk) {
                Err(_) => prop_assert!(expected.contains(&Some(None))),
                Ok(array) => for (row, expected) in expected.iter().enumerate() {
                    let actual = tidewater_chunk::datum_at(array.as_ref(), row, expr.field_type_ref());
                    prop_assert_eq!(actual, expected.flatten().map_or(Datum::Null, Datum::Int));
                },
            }
        }
    }

    #[test]
    fn like_is_the_textbook_recursion(texts in proptest::collection::vec(text(), 1..10), pattern in "[abA%_]{0,6}") {
        let types = [FieldType::varchar(10)];
        let rows: Vec<Vec<Datum>> = texts.iter().map(|t| vec![t.clone()]).collect();
        let ctx = EvalContext::default();
        let expr = build_function("like", vec![columns(&types)[0].clone(), Expr::string(&pattern)], &ctx).expect("LIKE");
        let mask = filter_mask(&[expr], &ctx, &chunk_of(&types, &rows)).expect("a mask");
        for (row, text) in texts.iter().enumerate() {
            let expected = matches!(text, Datum::Bytes(t) if like_model(t, pattern.as_bytes()));
            prop_assert_eq!(mask.value(row), expected, "{:?} like {}", text, pattern);
        }
    }

    #[test]
    fn in_is_an_or_of_equalities(rows in proptest::collection::vec(int(), 1..20), list in proptest::collection::vec(int(), 1..20)) {
        let types = [FieldType::int()];
        let chunk = chunk_of(&types, &rows.iter().map(|v| vec![v.clone()]).collect::<Vec<_>>());
        let ctx = EvalContext::default();
        let column = columns(&types)[0].clone();
        let items: Vec<Expr> = list.iter().map(|v| Expr::literal(v.clone(), FieldType::int())).collect();
        let expr = build_function("in", std::iter::once(column).chain(items).collect(), &ctx).expect("IN");
        let array = expr.eval(&ctx, &chunk).expect("a column");
        for (row, value) in rows.iter().enumerate() {
            let expected = match value {
                Datum::Null => Datum::Null,
                v if list.contains(v) => Datum::Int(1),
                _ if list.contains(&Datum::Null) => Datum::Null,
                _ => Datum::Int(0),
            };
            prop_assert_eq!(tidewater_chunk::datum_at(array.as_ref(), row, expr.field_type_ref()), expected);
        }
    }

    #[test]
    fn conditions_are_joined_by_and(rows in proptest::collection::vec((int(), int()), 1..30)) {
        let types = [FieldType::int(), FieldType::int()];
        let chunk = chunk_of(&types, &rows.iter().map(|(a, b)| vec![a.clone(), b.clone()]).collect::<Vec<_>>());
        let ctx = EvalContext::default();
        let sides = columns(&types);
        let first = build_function("gt", vec![sides[0].clone(), Expr::int(0)], &ctx).expect("a comparison");
        let second = build_function("lt", vec![sides[1].clone(), Expr::int(5)], &ctx).expect("a comparison");
        let both = build_function("and", vec![first.clone(), second.clone()], &ctx).expect("AND");
        let apart = filter_mask(&[first, second], &ctx, &chunk).expect("a mask");
        let joined = filter_mask(&[both], &ctx, &chunk).expect("a mask");
        prop_assert_eq!(apart, joined);
    }
}
