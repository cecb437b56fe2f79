//! The kernels a TPC-H query lives in, over chunks of 1024 rows.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewater_chunk::{Chunk, ChunkBuilder, MAX_CHUNK_ROWS};
use tidewater_expr::{AggregateCall, AggregateFunction, EvalContext, Expr, build_function, filter_mask};
use tidewater_types::{Datum, Decimal, FieldType, Time};

/// price decimal(15,2), discount decimal(15,2), ship date, comment.
fn types() -> Vec<FieldType> {
    vec![FieldType::decimal(15, 2), FieldType::decimal(15, 2), FieldType::date(), FieldType::varchar(44)]
}

fn line_items() -> Chunk {
    let mut builder = ChunkBuilder::new(&types(), MAX_CHUNK_ROWS);
    for row in 0..MAX_CHUNK_ROWS as i64 {
        let date = Time::from_date(1992 + (row % 7) as u32, 1 + (row % 12) as u32, 1 + (row % 28) as u32);
        let comment = format!(
            "carefully {} packages {} requests",
            row % 13,
            if row % 5 == 0 { "special" } else { "final" }
        );
        builder.push_row(&[
            Datum::Decimal(Decimal::from_i128(i128::from(90_000 + row * 37), 2)),
            Datum::Decimal(Decimal::from_i128(i128::from(row % 11), 2)),
            Datum::Time(date.expect("a date")),
            Datum::Bytes(comment.into_bytes()),
        ]);
    }
    builder.finish()
}

fn column(index: usize) -> Expr {
    Expr::column(index, types()[index].clone(), "l")
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    build_function(name, args, &EvalContext::default()).expect("a known function")
}

fn kernels(c: &mut Criterion) {
    let ctx = EvalContext::default();
    let chunk = line_items();
    let one = Expr::literal(Datum::Decimal(Decimal::from_i64(1)), FieldType::decimal(1, 0));
    let hundredths = |v| Expr::literal(Datum::Decimal(Decimal::from_i128(v, 2)), FieldType::decimal(3, 2));
    let revenue = call("mul", vec![column(0), call("minus", vec![one, column(1)])]);
    let mut group = c.benchmark_group("kernels");
    group.throughput(Throughput::Elements(MAX_CHUNK_ROWS as u64));
    let expressions = [
        ("date_before_constant", call("le", vec![column(2), Expr::string("1998-09-02")])),
        ("decimal_between_constants", call("between", vec![column(1), hundredths(5), hundredths(7)])),
        ("decimal_revenue", revenue.clone()),
        ("like_two_pieces", call("like", vec![column(3), Expr::string("%special%requests%")])),
        ("like_prefix", call("like", vec![column(3), Expr::string("carefully 1%")])),
        ("extract_year", call("extract", vec![Expr::string("YEAR"), column(2)])),
        (
            "text_in_list",
            call("in", vec![column(3), Expr::string("a"), Expr::string("b"), Expr::string("c")]),
        ),
    ];
    for (name, expr) in &expressions {
        group.bench_function(*name, |b| b.iter(|| black_box(expr.eval_value(&ctx, &chunk))));
    }
    let conditions = [expressions[0].1.clone(), expressions[1].1.clone()];
    group.bench_function("filter_of_two_conditions", |b| {
        b.iter(|| black_box(filter_mask(&conditions, &ctx, &chunk)))
    });
    let groups: Vec<u32> = (0..MAX_CHUNK_ROWS as u32).map(|row| row % 4).collect();
    for function in [AggregateFunction::Sum, AggregateFunction::Avg, AggregateFunction::Count] {
        let aggregate =
            AggregateCall::new(function, vec![revenue.clone()], false, &ctx).expect("an aggregate");
        let args = vec![revenue.eval(&ctx, &chunk).expect("a column")];
        group.bench_function(format!("{}_in_four_groups", function.name()), |b| {
            let mut states = aggregate.aggregator(&ctx).expect("an aggregator");
            b.iter(|| states.update(black_box(&args), black_box(&groups), 4));
        });
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
