//! What an answer costs in each of its encodings, from chunk to bytes and back; prints times and sizes relative to Arrow IPC.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewater_chunk::{
    Chunk, ChunkBuilder, decode_columns, decode_rows, encode_columns, encode_row, from_ipc, to_ipc,
};
use tidewater_types::{Datum, Decimal, FieldType, Time, TimeZone};

const ROWS: usize = 1024;

fn types() -> Vec<FieldType> {
    vec![
        FieldType::int(),
        FieldType::decimal(15, 2),
        FieldType::varchar(25),
        FieldType::date(),
        FieldType::double(),
    ]
}

fn chunk(types: &[FieldType]) -> Chunk {
    let mut builder = ChunkBuilder::new(types, ROWS);
    for number in 0..ROWS as i64 {
        let date = Time::from_date(1995, 1 + (number % 12) as u32, 1 + (number % 28) as u32);
        builder.push_row(&[
            Datum::Int(number),
            Datum::Decimal(Decimal::from_i128(i128::from(number) * 1999, 2)),
            if number % 10 == 0 { Datum::Null } else { Datum::Bytes(b"DELIVER IN PERSON".to_vec()) },
            Datum::Time(date.expect("a date")),
            Datum::Double(number as f64 / 3.0),
        ]);
    }
    builder.finish()
}

fn arrow(chunk: &Chunk, types: &[FieldType]) -> Vec<u8> {
    to_ipc(std::slice::from_ref(chunk), types)
}

fn columns(chunk: &Chunk, types: &[FieldType]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_columns(chunk, types, &mut out);
    out
}

fn rows(chunk: &Chunk, types: &[FieldType]) -> Vec<u8> {
    let mut out = Vec::new();
    (0..chunk.num_rows())
        .for_each(|row| encode_row(chunk, row, types, &TimeZone::utc(), &mut out).expect("a row"));
    out
}

fn there_and_back(which: usize, chunk: &Chunk, types: &[FieldType]) -> usize {
    match which {
        0 => from_ipc(arrow(chunk, types).into()).expect("a stream")[0].num_rows(),
        1 => decode_columns(&columns(chunk, types), types).expect("columns").num_rows(),
        _ => decode_rows([&rows(chunk, types)[..]], types, &TimeZone::utc()).expect("rows").num_rows(),
    }
}

/// The shortest of some runs.
#[expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]
fn shortest(mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let began = Instant::now();
        run();
        began.elapsed()
    };
    (0..50).map(time).min().unwrap_or_default()
}

fn encodings(c: &mut Criterion) {
    let types = types();
    let chunk = chunk(&types);
    let names = ["arrow", "type_chunk", "type_default"];
    let sizes = [arrow(&chunk, &types).len(), columns(&chunk, &types).len(), rows(&chunk, &types).len()];
    let times = [0, 1, 2].map(|which| {
        shortest(|| {
            black_box(there_and_back(which, &chunk, &types));
        })
    });
    for which in 0..3 {
        println!(
            "{:<12} {:>7} bytes ({:.2}), {:>9.1?} ({:.2})",
            names[which],
            sizes[which],
            sizes[which] as f64 / sizes[0] as f64,
            times[which],
            times[which].as_secs_f64() / times[0].as_secs_f64(),
        );
    }
    let mut group = c.benchmark_group("answer_there_and_back");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (which, name) in names.into_iter().enumerate() {
        group.bench_function(name, |b| b.iter(|| there_and_back(which, black_box(&chunk), &types)));
    }
    group.finish();
}

criterion_group!(benches, encodings);
criterion_main!(benches);
