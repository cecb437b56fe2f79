use tidewater_executor::{
    ExecContext, ExecError, KillFlag, Limit, MaxOneRow, MemoryTracker, Operator, Projection, RuntimeStats,
    Selection, Sort, SortKey, UnionAll, instrument,
};
use tidewater_types::{Datum, FieldType};

use crate::support::{Row, call, context, int, nullable, run, try_run, values};

fn numbers(range: std::ops::Range<i64>) -> Vec<Row> {
    range.map(|value| vec![Datum::Int(value)]).collect()
}

const SCHEMA: fn() -> [FieldType; 1] = || [FieldType::int()];

#[test]
fn limit_is_a_window() {
    let ctx = context();
    for (offset, count) in [(0, 0), (0, 5), (3, 4), (18, 100), (20, 1), (99, 1), (0, u64::MAX)] {
        let limit = Limit::new(&ctx, values(&ctx, &SCHEMA(), &numbers(0..20)), offset, count);
        let expected: Vec<Row> =
            numbers(0..20).into_iter().skip(offset as usize).take(usize::try_from(count).unwrap()).collect();
        assert_eq!(run(Box::new(limit)), expected, "limit {offset}, {count}");
    }
}

#[test]
fn selection_keeps_true_rows_only_and_projection_computes() {
    let ctx = context();
    let rows: Vec<Row> = [Some(1), None, Some(5), Some(9)].map(|value| vec![nullable(value)]).into();
    let condition = call(&ctx, "gt", vec![int(0), call(&ctx, "plus", vec![int(0), int(0)])]);
    let none = Selection::new(&ctx, values(&ctx, &SCHEMA(), &rows), vec![condition]);
    assert_eq!(run(Box::new(none)), Vec::<Row>::new());
    let twice = call(&ctx, "plus", vec![int(0), int(0)]);
    let kept = Selection::new(
        &ctx,
        values(&ctx, &SCHEMA(), &rows),
        vec![call(&ctx, "gt", vec![twice.clone(), int(0)])],
    );
    let doubled = Projection::new(&ctx, Box::new(kept), vec![twice, int(0)]);
    let expected: Vec<Row> = [1, 5, 9].map(|value| vec![Datum::Int(2 * value), Datum::Int(value)]).into();
    assert_eq!(run(Box::new(doubled)), expected);
}

#[test]
fn union_all_concatenates() {
    let ctx = context();
    let children = vec![
        values(&ctx, &SCHEMA(), &numbers(0..9)),
        values(&ctx, &SCHEMA(), &[]),
        values(&ctx, &SCHEMA(), &numbers(9..12)),
    ];
    assert_eq!(run(Box::new(UnionAll::new(&ctx, SCHEMA().to_vec(), children))), numbers(0..12));
}

#[test]
fn max_one_row_pads_and_refuses() {
    let ctx = context();
    let guard = |rows: &[Row]| try_run(Box::new(MaxOneRow::new(&ctx, values(&ctx, &SCHEMA(), rows))));
    assert_eq!(guard(&[]).unwrap(), [vec![Datum::Null]]);
    assert_eq!(guard(&numbers(4..5)).unwrap(), numbers(4..5));
    assert!(matches!(guard(&numbers(0..2)), Err(ExecError::MoreThanOneRow)));
}

#[test]
fn a_passed_quota_stops_a_sort_and_gives_everything_back() {
    let memory = MemoryTracker::with_quota("statement", 2000);
    let ctx = ExecContext { memory: memory.clone(), ..context() };
    let sort = Sort::new(&ctx, values(&ctx, &SCHEMA(), &numbers(0..1000)), vec![SortKey::ascending(int(0))]);
    assert!(matches!(try_run(Box::new(sort)), Err(ExecError::QuotaExceeded { quota: 2000, .. })));
    assert_eq!(memory.consumed(), 0);
}

#[test]
fn a_kill_stops_a_running_operator() {
    let kill = KillFlag::new();
    let ctx = ExecContext { kill: kill.clone(), ..context() };
    let mut sort =
        Sort::new(&ctx, values(&ctx, &SCHEMA(), &numbers(0..100)), vec![SortKey::ascending(int(0))]);
    futures::executor::block_on(async {
        sort.open().await.unwrap();
        assert!(sort.next().await.unwrap().is_some());
        kill.kill_query();
        assert!(matches!(sort.next().await, Err(ExecError::Killed)));
    });
}

#[test]
fn instrumented_operators_count_rows() {
    let ctx = context();
    let stats = std::sync::Arc::new(RuntimeStats::default());
    let counted: Box<dyn Operator> = instrument(values(&ctx, &SCHEMA(), &numbers(0..20)), stats.clone());
    assert_eq!(run(counted), numbers(0..20));
    // 2 + 4 + 1 + 7 + 6 rows, and the call that found the end.
    assert_eq!((stats.rows(), stats.loops()), (20, 6));
}
