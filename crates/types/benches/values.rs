//! The paths through this crate that queries spend their time in.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tidewater_types::{
    Collation, ConvertContext, Datum, Decimal, FieldType, Json, JsonPath, SqlMode, Time, TimeZone, TypeCode,
    convert, number,
};

fn decimals(c: &mut Criterion) {
    let prices: Vec<Decimal> = (0..1000).map(|cents| Decimal::from_i128(cents * 37 + 1, 2)).collect();
    c.bench_function("sum_1000_decimals", |b| {
        b.iter(|| prices.iter().try_fold(Decimal::ZERO, |sum, price| sum.checked_add(*price)));
    });
    let discount: Decimal = "0.95".parse().expect("a number");
    c.bench_function("multiply_1000_decimals", |b| {
        b.iter(|| prices.iter().map(|price| price.checked_mul(discount)).filter(Result::is_ok).count());
    });
    let mut out = Vec::new();
    c.bench_function("format_1000_decimals", |b| {
        b.iter(|| {
            out.clear();
            prices.iter().for_each(|price| price.write_to(&mut out));
            out.len()
        });
    });
    c.bench_function("parse_decimal", |b| b.iter(|| black_box("123456789.1234").parse::<Decimal>()));
}

fn times(c: &mut Criterion) {
    let mode = SqlMode::DEFAULT;
    c.bench_function("parse_datetime", |b| b.iter(|| Time::parse(black_box("2024-02-29 12:34:56"), 0, mode)));
    let time = Time::parse("2024-02-29 12:34:56", 0, mode).expect("a time").time;
    let mut out = Vec::with_capacity(32);
    c.bench_function("format_datetime", |b| {
        b.iter(|| {
            out.clear();
            black_box(time).write_to(0, &mut out);
        });
    });
    let berlin = TimeZone::parse("Europe/Berlin").expect("a time zone");
    c.bench_function("timestamp_to_local_named_zone", |b| {
        b.iter(|| berlin.timestamp_to_local(black_box(time)))
    });
}

fn text(c: &mut Criterion) {
    let (a, b) = ("the quick brown fox jumps".as_bytes(), "the quick brown fox jumped".as_bytes());
    for collation in [Collation::Utf8mb4Bin, Collation::Utf8mb4GeneralCi, Collation::Utf8mb4_0900AiCi] {
        let name = format!("compare_{}", collation.name());
        c.bench_function(&name, |bench| bench.iter(|| collation.compare(black_box(a), black_box(b))));
    }
    c.bench_function("read_integer_from_text", |b| b.iter(|| number::parse_i64(black_box(b"1234567"))));
    let mut out = Vec::with_capacity(32);
    c.bench_function("write_integer", |b| {
        b.iter(|| {
            out.clear();
            number::write_i64(black_box(-1_234_567), &mut out);
        });
    });
}

fn documents(c: &mut Criterion) {
    let text = r#"{"name": "Ada", "tags": ["a", "b", "c"], "address": {"city": "London", "zip": 12345}}"#;
    c.bench_function("parse_json", |b| b.iter(|| Json::parse(black_box(text))));
    let document = Json::parse(text).expect("a document");
    let path = JsonPath::parse("$.address.city").expect("a path");
    c.bench_function("extract_json_member", |b| b.iter(|| document.as_ref().find(black_box(&path))));
    let mut out = Vec::with_capacity(128);
    c.bench_function("print_json", |b| {
        b.iter(|| {
            out.clear();
            document.as_ref().write_to(&mut out);
        });
    });
}

fn conversions(c: &mut Criterion) {
    let ctx = ConvertContext::default();
    let int = FieldType::new(TypeCode::Long);
    c.bench_function("assign_integer_to_int", |b| b.iter(|| convert(black_box(&Datum::Int(42)), &int, &ctx)));
    let name = FieldType::varchar(64);
    let value = Datum::from("some customer's name");
    c.bench_function("assign_text_to_varchar", |b| b.iter(|| convert(black_box(&value), &name, &ctx)));
}

criterion_group!(benches, decimals, times, text, documents, conversions);
criterion_main!(benches);
