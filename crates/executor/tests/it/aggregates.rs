use std::collections::BTreeMap;

use proptest::prelude::*;
use tidewater_executor::{BoxedOperator, ExecContext, HashAggregate, Sort, SortKey, StreamAggregate};
use tidewater_expr::{AggregateCall, AggregateFunction, AggregateMode, Expr};
use tidewater_types::{Collation, Datum, FieldType};

use crate::support::{Row, as_int, column, context, int, nullable, run, sorted, values};

fn aggregate(ctx: &ExecContext, function: AggregateFunction, arg: Expr) -> AggregateCall {
    AggregateCall::new(function, vec![arg], false, &ctx.eval).expect("well typed")
}

fn schema() -> Vec<FieldType> {
    vec![
        FieldType::int(),
        FieldType::varchar(10).with_collation(Collation::Utf8mb4GeneralCi),
        FieldType::int(),
    ]
}

/// count(*), count(c2), min(c2), max(c2), then the keys of the group's first row.
fn calls(ctx: &ExecContext) -> Vec<AggregateCall> {
    vec![
        aggregate(ctx, AggregateFunction::Count, Expr::int(1)),
        aggregate(ctx, AggregateFunction::Count, int(2)),
        aggregate(ctx, AggregateFunction::Min, int(2)),
        aggregate(ctx, AggregateFunction::Max, int(2)),
    ]
}

/// The values MySQL calls equal become equal texts.
fn canonical(value: &Datum) -> String {
    match value {
        Datum::Bytes(text) => String::from_utf8_lossy(text).trim_end().to_lowercase(),
        other => format!("{other:?}"),
    }
}

fn model(rows: &[Row], keys: &[usize]) -> Vec<Row> {
    let mut groups: BTreeMap<Vec<String>, (Row, Vec<Option<i64>>)> = BTreeMap::new();
    for row in rows {
        let key: Vec<String> = keys.iter().map(|key| canonical(&row[*key])).collect();
        let first = || (keys.iter().map(|key| row[*key].clone()).collect(), Vec::new());
        groups.entry(key).or_insert_with(first).1.push(as_int(&row[2]));
    }
    if keys.is_empty() && groups.is_empty() {
        groups.insert(Vec::new(), (Vec::new(), Vec::new()));
    }
    groups
        .into_values()
        .map(|(first, members)| {
            let known: Vec<i64> = members.iter().flatten().copied().collect();
            let mut row = vec![
                Datum::Int(members.len() as i64),
                Datum::Int(known.len() as i64),
                nullable(known.iter().min().copied()),
                nullable(known.iter().max().copied()),
            ];
            row.extend(first);
            row
        })
        .collect()
}

fn row() -> impl Strategy<Value = Row> {
    let number = || prop_oneof![1 => Just(None), 5 => (-2..3_i64).prop_map(Some)].prop_map(nullable);
    let text = prop_oneof![
        1 => Just(Datum::Null),
        5 => prop_oneof![Just("a"), Just("A"), Just("a "), Just("b"), Just("")].prop_map(|t| Datum::Bytes(t.into())),
    ];
    (number(), text, number()).prop_map(|(a, b, c)| vec![a, b, c])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn hash_and_stream_equal_the_model(
        rows in proptest::collection::vec(row(), 0..80),
        // One integer, one string, two integers, a mix, none.
        keys in prop_oneof![
            Just(vec![0]), Just(vec![1]), Just(vec![0, 2]), Just(vec![0, 1]), Just(vec![2, 1, 0]), Just(vec![]),
        ],
    ) {
        let ctx = context();
        let schema = schema();
        let expected = sorted(model(&rows, &keys));
        let group_by: Vec<Expr> = keys.iter().map(|key| column(*key, schema[*key].clone())).collect();
        let hash = HashAggregate::new(&ctx, values(&ctx, &schema, &rows), group_by.clone(), calls(&ctx)).unwrap();
        prop_assert_eq!(sorted(run(Box::new(hash))), expected.clone());

        let order = group_by.iter().cloned().map(SortKey::ascending).collect();
        let ordered: BoxedOperator = Box::new(Sort::new(&ctx, values(&ctx, &schema, &rows), order));
        let stream = StreamAggregate::new(&ctx, ordered, group_by.clone(), calls(&ctx)).unwrap();
        prop_assert_eq!(sorted(run(Box::new(stream))), expected.clone());

        // Split between stores and SQL node: partial results of two halves, then the final aggregation.
        let (left, right) = rows.split_at(rows.len() / 2);
        let partial: Vec<AggregateCall> =
            calls(&ctx).into_iter().map(|call| AggregateCall { mode: AggregateMode::Partial, ..call }).collect();
        let mut partial_rows = Vec::new();
        let mut partial_schema = Vec::new();
        for half in [left, right] {
            let half = values(&ctx, &schema, half);
            let half: BoxedOperator =
                Box::new(HashAggregate::new(&ctx, half, group_by.clone(), partial.clone()).unwrap());
            partial_schema = half.schema().to_vec();
            partial_rows.extend(run(half));
        }
        let finals: Vec<AggregateCall> = calls(&ctx).iter().enumerate().map(|(i, call)| call.split(i).1).collect();
        let keys: Vec<Expr> =
            keys.iter().enumerate().map(|(i, key)| column(finals.len() + i, schema[*key].clone())).collect();
        let merged = HashAggregate::new(&ctx, values(&ctx, &partial_schema, &partial_rows), keys, finals).unwrap();
        prop_assert_eq!(sorted(run(Box::new(merged))), expected);
    }
}

#[test]
fn groups_come_in_order_of_first_appearance() {
    let ctx = context();
    let rows: Vec<Row> = [5, 3, 5, 9, 3, 1].map(|value| vec![Datum::Int(value)]).into();
    let calls = vec![aggregate(&ctx, AggregateFunction::Count, Expr::int(1))];
    let hash =
        HashAggregate::new(&ctx, values(&ctx, &[FieldType::int()], &rows), vec![int(0)], calls).unwrap();
    let expected: Vec<Row> =
        [(2, 5), (2, 3), (1, 9), (1, 1)].map(|(count, key)| vec![Datum::Int(count), Datum::Int(key)]).into();
    assert_eq!(run(Box::new(hash)), expected);
}

#[test]
fn real_keys_know_no_negative_zero() {
    let ctx = context();
    let rows: Vec<Row> = [0.0, -0.0, 1.5, 0.0].map(|value| vec![Datum::Double(value)]).into();
    let calls = vec![aggregate(&ctx, AggregateFunction::Count, Expr::int(1))];
    let key = column(0, FieldType::double());
    let hash =
        HashAggregate::new(&ctx, values(&ctx, &[FieldType::double()], &rows), vec![key], calls).unwrap();
    let counts: Vec<Datum> = run(Box::new(hash)).into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(counts, [Datum::Int(3), Datum::Int(1)]);
}
