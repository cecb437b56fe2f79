//! How long texts take: what a client waits for before anything else can start.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewater_parser::{ParserOptions, normalize, parse_one};
use tidewater_types::SqlMode;

const TPCH_Q8: &str = "select o_year, sum(case when nation = 'BRAZIL' then volume else 0 end) / sum(volume) as mkt_share from \
    (select extract(year from o_orderdate) as o_year, l_extendedprice * (1 - l_discount) as volume, n2.n_name as nation from \
    part, supplier, lineitem, orders, customer, nation n1, nation n2, region where p_partkey = l_partkey and s_suppkey = l_suppkey \
    and l_orderkey = o_orderkey and o_custkey = c_custkey and c_nationkey = n1.n_nationkey and n1.n_regionkey = r_regionkey and \
    r_name = 'AMERICA' and s_nationkey = n2.n_nationkey and o_orderdate between date '1995-01-01' and date '1996-12-31' and \
    p_type = 'ECONOMY ANODIZED STEEL') as all_nations group by o_year order by o_year";

/// An INSERT of so many rows of 20 columns.
fn insert(rows: usize) -> String {
    let mut sql = "INSERT INTO t VALUES ".to_owned();
    for row in 0..rows {
        sql.push_str(if row > 0 { ", (" } else { "(" });
        for column in 0..20 {
            let separator = if column > 0 { ", " } else { "" };
            match column % 4 {
                0 => write!(sql, "{separator}{}", row * 31 + column),
                1 => write!(sql, "{separator}'value {column}'"),
                2 => write!(sql, "{separator}-{column}.25"),
                _ => write!(sql, "{separator}NULL"),
            }
            .expect("a string takes all");
        }
        sql.push(')');
    }
    sql
}

fn parse(criterion: &mut Criterion) {
    let options = ParserOptions::default();
    for (name, sql) in [
        ("point_select", "SELECT c FROM sbtest1 WHERE id=5049".to_owned()),
        ("point_update", "UPDATE sbtest1 SET k=k+1 WHERE id=5049".to_owned()),
        ("begin", "BEGIN".to_owned()),
        ("tpch_q8", TPCH_Q8.to_owned()),
        ("insert_100_rows", insert(100)),
        ("insert_4000_rows", insert(4000)),
        ("in_list_1000", format!("SELECT * FROM t WHERE a IN ({})", vec!["12345"; 1000].join(", "))),
    ] {
        let mut group = criterion.benchmark_group("parse");
        group.throughput(Throughput::Bytes(sql.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| parse_one(black_box(&sql), &options)));
        group.finish();
    }
    let point_select =
        parse_one("SELECT c FROM sbtest1 WHERE id=5049", &options).expect("it parses").statement;
    criterion
        .bench_function("clone_point_select", |bencher| bencher.iter(|| black_box(&point_select).clone()));
    criterion.bench_function("restore_point_select", |bencher| {
        bencher.iter(|| black_box(&point_select).to_string())
    });
    criterion.bench_function("normalize_point_select", |bencher| {
        bencher.iter(|| normalize(black_box("SELECT c FROM sbtest1 WHERE id=5049"), SqlMode::DEFAULT));
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
