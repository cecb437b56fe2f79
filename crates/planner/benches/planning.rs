//! How long planning takes.

#[path = "../tests/fixture.rs"]
mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::Fixture;

fn planning(criterion: &mut Criterion) {
    let fixture = Fixture::new();
    let statements: Vec<_> = fixture::TPCH.iter().map(|sql| fixture::parse(sql)).collect();
    criterion.bench_function("tpch_plan_all_22", |bencher| {
        bencher.iter(|| {
            fixture.with_context("tpch", |context| {
                for statement in &statements {
                    std::hint::black_box(tidewater_planner::plan(statement, context).expect("it has a plan"));
                }
            })
        });
    });
    for (name, sql) in [
        ("point_select", "SELECT c FROM sbtest1 WHERE id = 5"),
        ("point_update", "UPDATE sbtest1 SET k = k + 1 WHERE id = 5"),
    ] {
        let statement = fixture::parse(sql);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                fixture.with_context("test", |context| tidewater_planner::point_plan(&statement, context))
            });
        });
    }
    let range = fixture::parse("SELECT c FROM sbtest1 WHERE id BETWEEN 10 AND 109 ORDER BY c");
    criterion.bench_function("range_select", |bencher| {
        bencher.iter(|| fixture.with_context("test", |context| tidewater_planner::plan(&range, context)));
    });
}

criterion_group!(benches, planning);
criterion_main!(benches);
