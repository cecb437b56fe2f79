use proptest::prelude::*;
use tidewater_types::{Decimal, Duration, Json, Time};

use super::*;
use crate::testing::hex;

fn encode(columns: &[(i64, Datum, FieldType)]) -> Result<Vec<u8>, DecodeError> {
    let columns: Vec<_> =
        columns.iter().map(|(id, value, field_type)| (ColumnId(*id), value, field_type)).collect();
    let mut out = Vec::new();
    RowEncoder::new().encode(&columns, &mut out)?;
    Ok(out)
}

#[test]
fn vectors() {
    let row = encode(&[(1, Datum::UInt(u64::MAX), FieldType::uint()), (2, Datum::Int(-1), FieldType::int())]);
    assert_eq!(row, Ok(hex("80 00 0200 0000 01 02 0800 0900 ffffffffffffffff ff")));
    let int = FieldType::int();
    let row = encode(&[
        (335, Datum::Null, int.clone()),
        (12, Datum::Int(2), int.clone()),
        (1, Datum::Int(1000), int.clone()),
        (8, Datum::Int(32767), int.clone()),
        (3, Datum::Int(3), int.clone()),
    ]);
    let expected = "80 01 0400 0100 01000000 03000000 08000000 0c000000 4f010000 \
                    02000000 03000000 05000000 06000000 e803 03 ff7f 02";
    assert_eq!(row, Ok(hex(expected)));
}

#[test]
fn finds_columns() {
    let row = encode(&[
        (3, Datum::from("c"), FieldType::string()),
        (1, Datum::from(""), FieldType::string()),
        (2, Datum::Null, FieldType::string()),
    ])
    .unwrap();
    let view = RowView::parse(&row).unwrap();
    assert_eq!(view.find(ColumnId(1)), Some(Some(&b""[..])));
    assert_eq!(view.find(ColumnId(2)), Some(None));
    assert_eq!(view.find(ColumnId(3)), Some(Some(&b"c"[..])));
    assert_eq!(view.find(ColumnId(4)), None);
    assert_eq!(view.find(ColumnId(-1)), None);
    let columns: Vec<_> = view.columns().collect();
    assert_eq!(columns, [(ColumnId(1), Some(&b""[..])), (ColumnId(3), Some(&b"c"[..])), (ColumnId(2), None)]);
}

#[test]
fn long_values_make_a_row_big() {
    let row = encode(&[
        (1, Datum::Bytes(vec![7; 70_000]), FieldType::binary_string()),
        (2, Datum::Int(5), FieldType::int()),
    ])
    .unwrap();
    assert_eq!(row[1], FLAG_BIG);
    let view = RowView::parse(&row).unwrap();
    assert_eq!(view.find(ColumnId(1)).flatten().map(<[u8]>::len), Some(70_000));
    assert_eq!(view.find(ColumnId(2)), Some(Some(&[5][..])));
}

#[test]
fn a_checksum_is_passed_over() {
    let mut row = encode(&[(1, Datum::Int(5), FieldType::int())]).unwrap();
    row[1] |= FLAG_CHECKSUM;
    assert!(RowView::parse(&row).is_err());
    row.extend([0, 1, 2, 3, 4]);
    let view = RowView::parse(&row).unwrap();
    assert_eq!(view.checksum(), Some(0x0403_0201));
    assert_eq!(view.find(ColumnId(1)), Some(Some(&[5][..])));
}

#[test]
fn wrong_rows_are_refused() {
    let twice = encode(&[(1, Datum::Int(5), FieldType::int()), (1, Datum::Int(6), FieldType::int())]);
    assert!(twice.is_err());
    assert!(encode(&[(-1, Datum::Int(5), FieldType::int())]).is_err());
    assert!(matches!(RowView::parse(&[0]), Err(DecodeError::UnexpectedEnd(_))));
    assert!(matches!(RowView::parse(&[1; 10]), Err(DecodeError::UnknownFlag { .. })));
}

#[test]
fn an_encoder_can_be_used_again() {
    let mut encoder = RowEncoder::new();
    let (int, text) = (FieldType::int(), FieldType::string());
    let mut first = Vec::new();
    encoder
        .encode(
            &[(ColumnId(9), &Datum::from("long enough"), &text), (ColumnId(1), &Datum::Null, &int)],
            &mut first,
        )
        .unwrap();
    let mut second = Vec::new();
    encoder.encode(&[(ColumnId(1), &Datum::Int(1), &int)], &mut second).unwrap();
    assert_eq!(second, hex("80 00 0100 0000 01 0100 01"));
}

fn any_column() -> impl Strategy<Value = (Datum, FieldType)> {
    prop_oneof![
        any::<i64>().prop_map(|value| (Datum::Int(value), FieldType::int())),
        (-300i64..300).prop_map(|value| (Datum::Int(value), FieldType::int())),
        any::<u64>().prop_map(|value| (Datum::UInt(value), FieldType::uint())),
        (0u64..70_000).prop_map(|value| (Datum::UInt(value), FieldType::new(TypeCode::Bit))),
        (1901i64..2155).prop_map(|value| (Datum::Int(value), FieldType::new(TypeCode::Year))),
        (-1e300..1e300).prop_map(|value| (Datum::Double(value), FieldType::double())),
        any::<i16>().prop_map(|value| (Datum::Float(f32::from(value) / 4.0), FieldType::float())),
        any::<i64>().prop_map(|value| (
            Datum::Decimal(Decimal::from_i128(value.into(), 6)),
            FieldType::decimal(30, 6)
        )),
        prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(|bytes| (Datum::Bytes(bytes), FieldType::binary_string())),
        (1i64..3_652_424)
            .prop_map(|day| (Datum::Time(Time::from_day_number(day).unwrap()), FieldType::datetime(6))),
        any::<i64>().prop_map(|micros| (
            Datum::Duration(Duration::from_micros_clamped(micros)),
            FieldType::duration(6)
        )),
        any::<i64>().prop_map(|value| (Datum::Json(Json::from_i64(value)), FieldType::json())),
        Just((Datum::Null, FieldType::int())),
    ]
}

proptest! {
    #[test]
    fn rows_round_trip(columns in prop::collection::btree_map(0i64..400, any_column(), 0..20), reverse in any::<bool>()) {
        let mut list: Vec<_> = columns.iter().map(|(id, (value, field_type))| (*id, value.clone(), field_type.clone())).collect();
        if reverse {
            list.reverse();
        }
        let row = encode(&list).unwrap();
        let view = RowView::parse(&row).unwrap();
        for id in 0..400 {
            let found = view.find(ColumnId(id));
            match columns.get(&id) {
                None => prop_assert_eq!(found, None),
                Some((Datum::Null, _)) => prop_assert_eq!(found, Some(None)),
                Some((value, field_type)) => {
                    let bytes = found.flatten().unwrap();
                    prop_assert_eq!(&decode_value(bytes, field_type).unwrap(), value);
                }
            }
        }
        prop_assert_eq!(view.columns().count(), columns.len());
    }

    #[test]
    fn reading_takes_any_bytes(head in prop::collection::vec(0u8..9, 5), body in prop::collection::vec(any::<u8>(), 0..60)) {
        let row = [vec![ROW_VERSION], head, body.clone()].concat();
        if let Ok(view) = RowView::parse(&row) {
            view.columns().for_each(|(id, _)| assert!(view.find(id).is_some() || id.0 >= 0));
        }
        for code in 0..=255 {
            if let Ok(code) = TypeCode::try_from(code) {
                let _ = decode_value(&body, &FieldType::new(code));
            }
        }
    }
}
