//! Stored rows to columns, against values encoded one by one.

mod wire;

use proptest::prelude::*;
use tidewater_chunk::{
    Chunk, ChunkBuilder, ColumnBuilder, ColumnToDecode, RowDecodeError, RowDecoder, from_ipc, to_ipc,
};
use tidewater_codec::{ColumnId, Handle, row::RowEncoder};
use tidewater_types::{Datum, Decimal, Duration, FieldType, Json, Time, TimeZone};

fn types() -> Vec<FieldType> {
    vec![
        FieldType::int(),
        FieldType::uint(),
        FieldType::double(),
        FieldType::float(),
        FieldType::decimal(15, 2),
        FieldType::decimal(65, 10),
        FieldType::varchar(20),
        FieldType::datetime(6),
        FieldType::duration(6),
        FieldType::json(),
    ]
}

fn value(index: usize) -> BoxedStrategy<Datum> {
    let value = match index {
        0 => any::<i64>().prop_map(Datum::Int).boxed(),
        1 => any::<u64>().prop_map(Datum::UInt).boxed(),
        2 => (-1e300f64..1e300).prop_map(Datum::Double).boxed(),
        3 => (-1e30f32..1e30).prop_map(Datum::Float).boxed(),
        4 => (-999_999_999_999_999i64..999_999_999_999_999)
            .prop_map(|v| Datum::Decimal(Decimal::from_i128(i128::from(v), 2)))
            .boxed(),
        5 => "-?[1-9][0-9]{0,54}\\.[0-9]{10}"
            .prop_map(|t| Datum::Decimal(t.parse().expect("a decimal")))
            .boxed(),
        6 => "[a-zäö ]{0,12}".prop_map(|t| Datum::Bytes(t.into_bytes())).boxed(),
        7 => (1u32..9999, 1u32..13, 1u32..29, 0u32..24, 0u32..1_000_000)
            .prop_map(|(y, m, d, h, us)| Datum::Time(Time::from_parts(y, m, d, h, 1, 2, us).expect("a time")))
            .boxed(),
        8 => (-3_000_000_000_000i64..3_000_000_000_000)
            .prop_map(|v| Datum::Duration(Duration::from_micros_clamped(v)))
            .boxed(),
        _ => "[a-z]{0,5}".prop_map(|t| Datum::Json(Json::from_string(&t))).boxed(),
    };
    prop_oneof![1 => Just(Datum::Null), 4 => value].boxed()
}

fn rows() -> impl Strategy<Value = Vec<Vec<Datum>>> {
    let row: Vec<BoxedStrategy<Datum>> = (0..types().len()).map(value).collect();
    proptest::collection::vec(row, 1..20)
}

fn encode(values: &[Datum], types: &[FieldType]) -> Vec<u8> {
    let columns: Vec<_> =
        values.iter().zip(types).enumerate().map(|(i, (v, t))| (ColumnId(i as i64 + 1), v, t)).collect();
    let mut out = Vec::new();
    RowEncoder::new().encode(&columns, &mut out).expect("an encodable row");
    out
}

proptest! {
    #[test]
    fn decoded_rows_are_the_encoded_ones(rows in rows()) {
        let types = types();
        let wanted = types.iter().enumerate().map(|(i, t)| ColumnToDecode::new(ColumnId(i as i64 + 1), t.clone())).collect();
        let mut decoder = RowDecoder::new(wanted, TimeZone::utc());
        let mut builders = decoder.builders(rows.len());
        for row in &rows {
            decoder.decode_row(&Handle::Int(1), &encode(row, &types), &mut builders).expect("a row of our own");
        }
        let chunk = Chunk::new(builders.into_iter().map(ColumnBuilder::finish).collect(), rows.len());
        for (number, row) in rows.iter().enumerate() {
            prop_assert_eq!(&chunk.row(number, &types), row);
        }
        // The same rows through values, and through the wire.
        let mut by_value = ChunkBuilder::new(&types, rows.len());
        rows.iter().for_each(|row| by_value.push_row(row));
        let sent = to_ipc(&[chunk, by_value.finish()], &types);
        let received = from_ipc(sent.into()).expect("a stream of our own");
        prop_assert_eq!(received.len(), 2);
        for chunk in received {
            for (number, row) in rows.iter().enumerate() {
                prop_assert_eq!(&chunk.row(number, &types), row);
            }
        }
    }

    #[test]
    fn any_bytes_are_answered(mut bytes in proptest::collection::vec(any::<u8>(), 0..60), big in any::<bool>()) {
        if bytes.len() > 6 {
            (bytes[0], bytes[1]) = (128, u8::from(big));
            (bytes[2], bytes[3], bytes[4], bytes[5]) = (bytes[2] % 6, 0, bytes[4] % 3, 0);
        }
        let types = types();
        let wanted = types.iter().enumerate().map(|(i, t)| ColumnToDecode::new(ColumnId(i as i64 + 1), t.clone())).collect();
        let mut decoder = RowDecoder::new(wanted, TimeZone::utc());
        let mut builders = decoder.builders(1);
        let _ = decoder.decode_row(&Handle::Int(1), &bytes, &mut builders);
    }

    #[test]
    fn any_stream_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(bytes.is_empty() || from_ipc(bytes.into()).map_or(true, |chunks| chunks.is_empty()));
    }
}

#[test]
fn handles_defaults_and_missing_columns() {
    let stored = encode(&[Datum::Int(5)], &[FieldType::int()]);
    let wanted = vec![
        ColumnToDecode::handle(FieldType::int()),
        ColumnToDecode::new(ColumnId(1), FieldType::int()),
        ColumnToDecode::new(ColumnId(9), FieldType::varchar(5)).with_default(Datum::Bytes(b"new".to_vec())),
        ColumnToDecode::new(ColumnId(10), FieldType::varchar(5)),
    ];
    let types: Vec<FieldType> = wanted.iter().map(|c| c.field_type.clone()).collect();
    let mut decoder = RowDecoder::new(wanted, TimeZone::utc());
    let mut builders = decoder.builders(1);
    decoder.decode_row(&Handle::Int(42), &stored, &mut builders).expect("a good row");
    let chunk = Chunk::new(builders.into_iter().map(ColumnBuilder::finish).collect(), 1);
    let expected = [Datum::Int(42), Datum::Int(5), Datum::Bytes(b"new".to_vec()), Datum::Null];
    assert_eq!(chunk.row(0, &types), expected);
    let mut builders = decoder.builders(1);
    let error = decoder.decode_row(&Handle::Int(1), b"nonsense", &mut builders);
    assert_eq!(error, Err(RowDecodeError::UnknownFormat(b'n')));
}

#[test]
fn timestamps_come_in_the_session_zone() {
    let ft = FieldType::timestamp(0);
    let stored = encode(
        &[Datum::Time(Time::from_parts(2020, 1, 1, 12, 0, 0, 0).expect("a time"))],
        std::slice::from_ref(&ft),
    );
    let zone = TimeZone::parse("+08:00").expect("an offset");
    let mut decoder = RowDecoder::new(vec![ColumnToDecode::new(ColumnId(1), ft.clone())], zone);
    let mut builders = decoder.builders(1);
    decoder.decode_row(&Handle::Int(1), &stored, &mut builders).expect("a good row");
    let chunk = Chunk::new(builders.into_iter().map(ColumnBuilder::finish).collect(), 1);
    assert_eq!(
        chunk.datum(0, 0, &ft),
        Datum::Time(Time::from_parts(2020, 1, 1, 20, 0, 0, 0).expect("a time"))
    );
}

#[test]
fn chunks_without_columns_keep_their_rows() {
    let received = from_ipc(to_ipc(&[Chunk::rows_only(7)], &[]).into()).expect("a stream of our own");
    assert_eq!(received[0].num_rows(), 7);
    assert_eq!(Chunk::concat(&received).slice(2, 3).num_rows(), 3);
}
