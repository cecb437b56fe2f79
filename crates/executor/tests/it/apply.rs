use tidewater_executor::{
    ApplySpec, BuildSide, Correlation, ExecContext, HashJoinSpec, IndexJoin, IndexJoinSpec, JoinKey,
    JoinKind, NestedLoopApply, Selection,
};
use tidewater_expr::Expr;
use tidewater_types::{Datum, FieldType};

use crate::support::{Row, call, column, context, int, nullable, run, values};

const INT: fn() -> [FieldType; 1] = || [FieldType::int()];

fn ints(values: &[Option<i64>]) -> Vec<Row> {
    values.iter().map(|value| vec![nullable(*value)]).collect()
}

/// `outer APPLY (SELECT * FROM inner WHERE inner.c0 < correlated)`.
fn apply(
    kind: JoinKind,
    outer: &[Option<i64>],
    inner: &[Option<i64>],
    null_aware_keys: Vec<JoinKey>,
) -> Vec<Row> {
    let ctx = context();
    let inner_rows = ints(inner);
    let factory = Box::new(move |ctx: &ExecContext| {
        let correlated =
            Expr::Correlated { unique_id: 0, slot: 0, field_type: FieldType::int(), name: "o".into() };
        let condition = call(ctx, "lt", vec![int(0), correlated]);
        let scan = values(ctx, &INT(), &inner_rows);
        Ok(Box::new(Selection::new(ctx, scan, vec![condition])) as _)
    });
    let spec = ApplySpec {
        kind,
        inner_schema: INT().to_vec(),
        correlated: vec![Correlation { slot: 0, column: 0 }],
        null_aware_keys,
        conditions: vec![],
    };
    run(Box::new(NestedLoopApply::new(&ctx, values(&ctx, &INT(), &ints(outer)), factory, spec).unwrap()))
}

#[test]
fn each_kind_sees_the_outer_row() {
    let outer = [Some(1), Some(3), None, Some(3), Some(4)];
    let inner = [Some(1), Some(2), Some(3)];
    let pair = |a: i64, b: Option<i64>| vec![Datum::Int(a), nullable(b)];
    let inner_pairs: Vec<Row> =
        [(3, 1), (3, 2), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3)].map(|(a, b)| pair(a, Some(b))).into();
    assert_eq!(apply(JoinKind::Inner, &outer, &inner, vec![]), inner_pairs);
    let mut padded = inner_pairs.clone();
    padded.insert(0, pair(1, None));
    padded.insert(3, vec![Datum::Null, Datum::Null]);
    assert_eq!(apply(JoinKind::LeftOuter, &outer, &inner, vec![]), padded);
    assert_eq!(apply(JoinKind::Semi, &outer, &inner, vec![]), ints(&[Some(3), Some(3), Some(4)]));
    assert_eq!(apply(JoinKind::AntiSemi, &outer, &inner, vec![]), ints(&[Some(1), None]));
}

#[test]
fn not_in_of_a_correlated_subquery_knows_unknown() {
    // outer.c0 NOT IN (SELECT c0 FROM inner WHERE c0 < outer.c0) never finds an equal value; with NULLs in between the
    // comparison `<` drops them, so nothing is unknown but a NULL on the left with an empty set, which is not either.
    let keys = || vec![JoinKey::equal(int(0), int(0))];
    let outer = [Some(2), None];
    assert_eq!(apply(JoinKind::AntiSemi, &outer, &[Some(1), None], keys()), ints(&outer));
    let marks = apply(JoinKind::LeftOuterSemi, &outer, &[Some(1), None], keys());
    assert_eq!(marks, [vec![Datum::Int(2), Datum::Int(0)], vec![Datum::Null, Datum::Int(0)]]);
}

#[test]
fn an_uncorrelated_inner_plan_runs_once() {
    let ctx = context();
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = runs.clone();
    let factory = Box::new(move |ctx: &ExecContext| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(values(ctx, &INT(), &ints(&[Some(7), None])))
    });
    let spec = ApplySpec {
        kind: JoinKind::LeftOuterSemi,
        inner_schema: INT().to_vec(),
        correlated: vec![],
        null_aware_keys: vec![JoinKey::equal(int(0), int(0))],
        conditions: vec![],
    };
    let outer = values(&ctx, &INT(), &ints(&[Some(7), Some(8), None]));
    let rows = run(Box::new(NestedLoopApply::new(&ctx, outer, factory, spec).unwrap()));
    let expected: Vec<Row> = [(Some(7), Some(1)), (Some(8), None), (None, None)]
        .map(|(value, mark)| vec![nullable(value), nullable(mark)])
        .into();
    assert_eq!(rows, expected);
    assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn an_index_join_reads_only_the_keys_of_its_batches() {
    let ctx = context();
    let schema = [FieldType::int(), FieldType::int()];
    let outer: Vec<Row> =
        (0..600_i64).map(|i| vec![nullable((i % 7 != 0).then_some(i % 50)), Datum::Int(i)]).collect();
    let inner: Vec<Row> = (0..40_i64).map(|i| vec![Datum::Int(i), Datum::Int(i * 10)]).collect();
    let table = inner.clone();
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = read.clone();
    let factory = Box::new(move |ctx: &ExecContext, keys: Vec<Vec<Datum>>| {
        let rows: Vec<Row> =
            table.iter().filter(|row| keys.contains(&vec![row[0].clone()])).cloned().collect();
        counter.fetch_add(rows.len(), std::sync::atomic::Ordering::Relaxed);
        Ok(values(ctx, &[FieldType::int(), FieldType::int()], &rows))
    });
    let spec = IndexJoinSpec {
        inner_schema: schema.to_vec(),
        lookup_keys: vec![int(0)],
        join: HashJoinSpec {
            kind: JoinKind::LeftOuter,
            build: BuildSide::Right,
            keys: vec![JoinKey::equal(column(0, FieldType::int()), int(0))],
            null_aware_keys: vec![],
            other_conditions: vec![],
        },
    };
    let join = IndexJoin::new(&ctx, values(&ctx, &schema, &outer), factory, spec);
    let joined = run(Box::new(join));
    let expected: Vec<Row> = outer
        .iter()
        .map(|row| {
            let found = inner.iter().find(|candidate| candidate[0] == row[0]);
            [row.clone(), found.cloned().unwrap_or(vec![Datum::Null, Datum::Null])].concat()
        })
        .collect();
    let text = |rows: Vec<Row>| crate::support::sorted(rows);
    assert_eq!(text(joined), text(expected));
    // Two batches, each reading every key once at most.
    assert!(read.load(std::sync::atomic::Ordering::Relaxed) <= 2 * inner.len());
}
