use std::cmp::Ordering;

use proptest::prelude::*;
use tidewater_executor::{Sort, SortKey, SortOrder, TopN};
use tidewater_types::{Collation, Datum, FieldType};

use crate::support::{Row, column, context, nullable, run, values};

fn schema() -> Vec<FieldType> {
    vec![
        FieldType::int(),
        FieldType::varchar(20).with_collation(Collation::Utf8mb4GeneralCi),
        FieldType::double(),
        FieldType::decimal(20, 2),
        FieldType::int(),
    ]
}

fn compare(column: usize, left: &Datum, right: &Datum) -> Ordering {
    match (left, right) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Less,
        (_, Datum::Null) => Ordering::Greater,
        (Datum::Int(left), Datum::Int(right)) => left.cmp(right),
        (Datum::Double(left), Datum::Double(right)) => left.partial_cmp(right).expect("no NaN in SQL"),
        (Datum::Decimal(left), Datum::Decimal(right)) => left.cmp(right),
        (Datum::Bytes(left), Datum::Bytes(right)) => schema()[column].collation.compare(left, right),
        other => panic!("not a column's values: {other:?}"),
    }
}

/// A stable sort by columns, row by row.
fn model(mut rows: Vec<Row>, keys: &[(usize, SortOrder)]) -> Vec<Row> {
    rows.sort_by(|left, right| {
        keys.iter().fold(Ordering::Equal, |order, (column, direction)| {
            order.then_with(|| {
                let order = compare(*column, &left[*column], &right[*column]);
                if *direction == SortOrder::Descending { order.reverse() } else { order }
            })
        })
    });
    rows
}

fn row() -> impl Strategy<Value = Row> {
    let null = |strategy: BoxedStrategy<Datum>| prop_oneof![1 => Just(Datum::Null), 5 => strategy];
    let text = prop_oneof![Just("a"), Just("A"), Just("a "), Just("ab"), Just("B"), Just(""), Just("a\u{1}")];
    (
        prop_oneof![Just(i64::MIN), Just(i64::MAX), -3..3_i64],
        text,
        prop_oneof![Just(0.0), Just(-0.0), Just(-1.5), Just(f64::MAX), Just(1e-300)],
        prop_oneof![-300..300_i64, Just(123_456_789_012_345_678)],
        any::<u8>(),
    )
        .prop_flat_map(move |(number, text, real, cents, mask)| {
            let decimal = format!("{}.{:02}", cents / 100, (cents % 100).abs());
            let sign = if cents < 0 && cents / 100 == 0 { "-" } else { "" };
            let decimal: Datum = Datum::Decimal(format!("{sign}{decimal}").parse().expect("a decimal"));
            (
                null(Just(Datum::Int(number)).boxed()),
                null(Just(Datum::Bytes(text.into())).boxed()),
                null(Just(Datum::Double(real)).boxed()),
                null(Just(decimal).boxed()),
                Just(nullable(Some(i64::from(mask)))),
            )
        })
        .prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e])
}

fn keys() -> impl Strategy<Value = Vec<(usize, SortOrder)>> {
    let order = prop_oneof![Just(SortOrder::Ascending), Just(SortOrder::Descending)];
    proptest::collection::vec((0..4_usize, order), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn sort_and_top_n_equal_a_stable_sort(
        rows in proptest::collection::vec(row(), 0..60),
        keys in keys(),
        offset in 0..10_u64,
        count in 0..20_u64,
    ) {
        let ctx = context();
        let schema = schema();
        let expected = model(rows.clone(), &keys);
        let keys: Vec<SortKey> = keys
            .iter()
            .map(|(index, order)| SortKey { expr: column(*index, schema[*index].clone()), order: *order })
            .collect();
        let sorted = run(Box::new(Sort::new(&ctx, values(&ctx, &schema, &rows), keys.clone())));
        prop_assert_eq!(&sorted, &expected);
        let top = run(Box::new(TopN::new(&ctx, values(&ctx, &schema, &rows), keys, offset, count)));
        let window: Vec<Row> = expected.into_iter().skip(offset as usize).take(count as usize).collect();
        prop_assert_eq!(top, window);
    }
}

#[test]
fn top_n_stays_right_when_its_buffer_is_cut_back() {
    let ctx = context();
    // Many times the slack, in an order that moves the bar again and again, with ties to keep stable.
    let rows: Vec<Row> = (0..20_000_i64).map(|i| vec![Datum::Int((20_000 - i) / 3), Datum::Int(i)]).collect();
    let schema = [FieldType::int(), FieldType::int()];
    let keys = vec![SortKey::ascending(column(0, FieldType::int()))];
    let expected: Vec<Row> = {
        let mut sorted = rows.clone();
        sorted.sort_by_key(|row| match row[0] {
            Datum::Int(value) => value,
            _ => unreachable!(),
        });
        sorted.into_iter().take(11).collect()
    };
    let top = run(Box::new(TopN::new(&ctx, values(&ctx, &schema, &rows), keys, 0, 11)));
    assert_eq!(top, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn merging_sorted_parts_is_sorting_the_whole(
        parts in proptest::collection::vec(proptest::collection::vec(row(), 0..20), 0..4),
        keys in keys(),
    ) {
        let ctx = context();
        let schema = schema();
        let expected = model(parts.concat(), &keys);
        let sort_keys: Vec<SortKey> = keys
            .iter()
            .map(|(index, order)| SortKey { expr: column(*index, schema[*index].clone()), order: *order })
            .collect();
        let children = parts.into_iter().map(|part| values(&ctx, &schema, &model(part, &keys))).collect();
        let merged = run(Box::new(tidewater_executor::Merge::new(&ctx, schema, children, sort_keys)));
        prop_assert_eq!(merged, expected);
    }
}
