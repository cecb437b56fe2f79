//! The public encodings of answers: known vectors, round trips, and what strangers may send.

use proptest::prelude::*;
use tidewater_chunk::{
    Chunk, ChunkBuilder, decode_columns, decode_rows, encode_columns, encode_row, fits_columns,
};
use tidewater_types::{Datum, FieldType, Time, TimeZone, TypeCode};

use crate::{rows, types};

/// The types of rows in `main`, then those with numbers behind names.
fn all_types() -> Vec<FieldType> {
    let named = |code| FieldType {
        elements: ["red", "green", "blue"].map(str::to_owned).to_vec().into(),
        ..FieldType::new(code)
    };
    let mut all = types();
    all.extend([
        named(TypeCode::Enum),
        named(TypeCode::Set),
        FieldType { length: 12, ..FieldType::new(TypeCode::Bit) },
        FieldType::new(TypeCode::Year),
        FieldType::date(),
        FieldType::timestamp(3),
        FieldType::null(),
    ]);
    all
}

fn chunk(rows: &[Vec<Datum>], types: &[FieldType]) -> Chunk {
    let mut builder = ChunkBuilder::new(types, rows.len());
    rows.iter().for_each(|row| builder.push_row(row));
    builder.finish()
}

fn columns_hex(values: &[Datum], field_type: FieldType) -> String {
    let types = [field_type];
    let rows: Vec<Vec<Datum>> = values.iter().map(|value| vec![value.clone()]).collect();
    let mut out = Vec::new();
    encode_columns(&chunk(&rows, &types), &types, &mut out);
    out.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(text: &str) -> Datum {
    Datum::Bytes(text.as_bytes().to_vec())
}

#[test]
fn columns_lie_as_elsewhere() {
    let bigint = "03000000010000000501000000000000000000000000000000".to_owned() + "0300000000000000";
    assert_eq!(columns_hex(&[Datum::Int(1), Datum::Null, Datum::Int(3)], FieldType::int()), bigint);
    let varchar = "0200000000000000000000000000000001000000000000000300000000000000616263";
    assert_eq!(columns_hex(&[text("a"), text("bc")], FieldType::varchar(5)), varchar);
    let time = Time::from_parts(2018, 1, 19, 3, 14, 7, 0).expect("a time");
    let datetime = format!("0100000000000000{:016x}", 0x1f88_6633_8700_0000_u64.swap_bytes());
    assert_eq!(columns_hex(&[Datum::Time(time)], FieldType::datetime(0)), datetime);
    let decimal = format!("0100000000000000030303007b00000000022e1b{}", "0".repeat(56));
    let value = Datum::Decimal("123.456".parse().expect("a decimal"));
    assert_eq!(columns_hex(&[value], FieldType::decimal(6, 3)), decimal);
    let date = Time::from_date(2018, 1, 19).expect("a date");
    assert!(columns_hex(&[Datum::Time(date)], FieldType::date()).starts_with("01000000000000000e"));
    let color = all_types()[10].clone();
    let green = "010000000000000000000000000000000d000000000000000200000000000000677265656e";
    assert_eq!(columns_hex(&[Datum::UInt(2)], color), green);
}

#[test]
fn names_are_needed() {
    assert!(fits_columns(&all_types()));
    assert!(!fits_columns(&[FieldType::int(), FieldType::new(TypeCode::Enum)]));
}

#[test]
fn timestamps_go_in_utc_as_rows_and_locally_as_columns() {
    let types = [FieldType::timestamp(0)];
    let zone = TimeZone::parse("+08:00").expect("an offset");
    let local = Time::from_parts(2020, 1, 1, 20, 0, 0, 0).expect("a time");
    let chunk = chunk(&[vec![Datum::Time(local)]], &types);
    let (mut row, mut columns) = (Vec::new(), Vec::new());
    encode_row(&chunk, 0, &types, &zone, &mut row).expect("a row");
    encode_columns(&chunk, &types, &mut columns);
    let read = |zone| decode_rows([&row[..]], &types, zone).expect("a row").datum(0, 0, &types[0]);
    assert_eq!(read(&zone), Datum::Time(local));
    let utc = Time::from_parts(2020, 1, 1, 12, 0, 0, 0).expect("a time");
    assert_eq!(read(&TimeZone::utc()), Datum::Time(utc));
    let back = decode_columns(&columns, &types).expect("a column");
    assert_eq!(back.datum(0, 0, &types[0]), Datum::Time(local));
}

/// NULLs?, a color, colors, bits, a year, a month.
type Tail = (bool, u64, u64, u64, i64, u32);

fn wide_rows() -> impl Strategy<Value = Vec<Vec<Datum>>> {
    let tail = (any::<bool>(), 0u64..4, 0u64..8, 0u64..4096, 1901i64..2155, 1u32..13);
    (rows(), proptest::collection::vec(tail, 20)).prop_map(|(rows, tails)| {
        let add = |(mut row, tail): (Vec<Datum>, Tail)| {
            let (is_null, color, set, bits, year, month) = tail;
            let date = Datum::Time(Time::from_date(2000, month, 3).expect("a date"));
            let values = [
                Datum::UInt(color),
                Datum::UInt(set),
                Datum::UInt(bits),
                Datum::Int(year),
                date.clone(),
                date,
            ];
            row.extend(values.map(|value| if is_null { Datum::Null } else { value }));
            row.push(Datum::Null);
            row
        };
        rows.into_iter().zip(tails).map(add).collect()
    })
}

proptest! {
    #[test]
    fn what_is_sent_arrives(rows in wide_rows(), from in 0usize..3) {
        let types = all_types();
        let whole = chunk(&rows, &types);
        let from = from.min(rows.len() - 1);
        let sent = whole.slice(from, rows.len() - from);
        let mut bytes = Vec::new();
        encode_columns(&sent, &types, &mut bytes);
        let received = decode_columns(&bytes, &types).expect("columns of our own");
        let mut pieces = Vec::new();
        for row in 0..sent.num_rows() {
            let mut piece = Vec::new();
            encode_row(&sent, row, &types, &TimeZone::utc(), &mut piece).expect("a row");
            pieces.push(piece);
        }
        let by_row = decode_rows(pieces.iter().map(Vec::as_slice), &types, &TimeZone::utc()).expect("rows of our own");
        for (number, row) in rows[from..].iter().enumerate() {
            prop_assert_eq!(&received.row(number, &types), row);
            prop_assert_eq!(&by_row.row(number, &types), row);
        }
    }

    #[test]
    fn damaged_answers_are_refused_or_read(
        rows in wide_rows(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let types = all_types();
        let whole = chunk(&rows, &types);
        let (mut columns, mut lines) = (Vec::new(), Vec::new());
        encode_columns(&whole, &types, &mut columns);
        (0..rows.len()).for_each(|row| encode_row(&whole, row, &types, &TimeZone::utc(), &mut lines).expect("a row"));
        for bytes in [&mut columns, &mut lines] {
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes.truncate(keep.index(bytes.len()) + 1);
        }
        // Whatever comes out can be looked at.
        for chunk in [decode_columns(&columns, &types), decode_rows([&lines[..]], &types, &TimeZone::utc())].into_iter().flatten() {
            (0..chunk.num_rows()).for_each(|row| drop(chunk.row(row, &types)));
        }
    }

    #[test]
    fn any_bytes_are_answered_as_columns(bytes in proptest::collection::vec(any::<u8>(), 0..80), which in 0usize..17) {
        let types = [all_types()[which].clone()];
        let _ = decode_columns(&bytes, &types);
        let _ = decode_rows([&bytes[..]], &types, &TimeZone::utc());
    }
}
