use std::cmp::Ordering;

use proptest::prelude::*;
use tidewater_types::{Collation, TypeFlags};

use super::*;
use crate::testing::hex;

fn key(value: &Datum, field_type: &FieldType) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key_datum(value, field_type, &mut out).unwrap();
    out
}

fn value(datum: &Datum, field_type: &FieldType) -> Vec<u8> {
    let mut out = Vec::new();
    encode_value_datum(datum, field_type, &mut out).unwrap();
    out
}

#[test]
fn vectors() {
    assert_eq!(value(&Datum::Int(5), &FieldType::int()), hex("080a"));
    assert_eq!(value(&Datum::from("abc"), &FieldType::string()), hex("0206616263"));
    assert_eq!(key(&Datum::from("abc"), &FieldType::string()), hex("01 6162630000000000fa"));
    assert_eq!(key(&Datum::Int(1), &FieldType::int()), hex("03 8000000000000001"));
    assert_eq!(key(&Datum::Double(5.5), &FieldType::double()), hex("05 c016000000000000"));
    assert_eq!(key(&Datum::Null, &FieldType::int()), hex("00"));
    let time = Datum::Time(Time::from_parts(2018, 1, 19, 3, 14, 7, 0).unwrap());
    assert_eq!(key(&time, &FieldType::datetime(0)), hex("04 199ee63387000000"));
    let decimal = Datum::Decimal("1234567890.1234".parse().unwrap());
    assert_eq!(key(&decimal, &FieldType::decimal(14, 4)), hex("06 0e04 810dfb38d204d2"));
    let general = FieldType::string().with_collation(Collation::Utf8mb4GeneralCi);
    assert_eq!(key(&Datum::from("aé  "), &general), hex("01 0041004500000000 fb"));
}

#[test]
fn a_decimal_in_a_key_has_its_columns_scale() {
    let field_type = FieldType::decimal(10, 2);
    let small = key(&Datum::Decimal("9".parse().unwrap()), &field_type);
    let large = key(&Datum::Decimal("10.5".parse().unwrap()), &field_type);
    assert!(small < large);
    let mut out = Vec::new();
    let too_large = Datum::Decimal("123456789.5".parse().unwrap());
    assert!(encode_key_datum(&too_large, &field_type, &mut out).is_err());
    assert!(encode_key_datum(&Datum::Json(Json::null()), &FieldType::json(), &mut out).is_err());
}

#[test]
fn integers_take_the_sign_of_their_column() {
    let unsigned = FieldType::uint();
    assert_eq!(key(&Datum::Int(1), &unsigned), key(&Datum::UInt(1), &unsigned));
    assert_eq!(key(&Datum::UInt(1), &FieldType::int()), key(&Datum::Int(1), &FieldType::int()));
    assert_eq!(
        key(&Datum::Double(-0.0), &FieldType::double()),
        key(&Datum::Double(0.0), &FieldType::double())
    );
}

/// A type and two of its values with their order.
fn pairs() -> impl Strategy<Value = (FieldType, Datum, Datum, Ordering)> {
    let collations = prop::sample::select(Collation::ALL.to_vec());
    let text = "[aAbBéÉ ß_0-9]{0,12}";
    prop_oneof![
        (any::<i64>(), any::<i64>()).prop_map(|(a, b)| (
            FieldType::int(),
            Datum::Int(a),
            Datum::Int(b),
            a.cmp(&b)
        )),
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| (
            FieldType::uint(),
            Datum::UInt(a),
            Datum::UInt(b),
            a.cmp(&b)
        )),
        (any::<f64>(), any::<f64>()).prop_filter_map("no NaN", |(a, b)| {
            Some((FieldType::double(), Datum::Double(a), Datum::Double(b), a.partial_cmp(&b)?))
        }),
        (any::<i32>(), any::<i32>(), 0u8..=9).prop_map(|(a, b, scale)| {
            let (a, b) = (Decimal::from_i128(a.into(), scale), Decimal::from_i128(b.into(), scale));
            (FieldType::decimal(20, 9), Datum::Decimal(a), Datum::Decimal(b), a.cmp(&b))
        }),
        (collations, text, text).prop_map(|(collation, a, b)| {
            let order = collation.compare(a.as_bytes(), b.as_bytes());
            (FieldType::string().with_collation(collation), Datum::from(a), Datum::from(b), order)
        }),
        (1i64..3_652_424, 1i64..3_652_424).prop_map(|(a, b)| {
            let (a, b) = (Time::from_day_number(a).unwrap(), Time::from_day_number(b).unwrap());
            (FieldType::date(), Datum::Time(a), Datum::Time(b), a.cmp(&b))
        }),
        (any::<i64>(), any::<i64>()).prop_map(|(a, b)| {
            let (a, b) = (Duration::from_micros_clamped(a), Duration::from_micros_clamped(b));
            (FieldType::duration(6), Datum::Duration(a), Datum::Duration(b), a.cmp(&b))
        }),
    ]
}

proptest! {
    #[test]
    fn keys_order_like_values((field_type, a, b, order) in pairs()) {
        prop_assert_eq!(key(&a, &field_type).cmp(&key(&b, &field_type)), order);
        prop_assert!(key(&Datum::Null, &field_type) < key(&a, &field_type));
    }

    #[test]
    fn keys_of_several_columns_order_like_rows((t, a, b, order) in pairs(), (u, c, d, then) in pairs()) {
        let row = |x: &Datum, y: &Datum| [key(x, &t), key(y, &u)].concat();
        prop_assert_eq!(row(&a, &c).cmp(&row(&b, &d)), order.then(then));
    }

    #[test]
    fn keys_decode_and_skip((field_type, a, _, _) in pairs()) {
        let encoded = [key(&a, &field_type), vec![0xaa]].concat();
        let mut input = encoded.as_slice();
        let decoded = decode_key_datum(&mut input, &field_type).unwrap();
        prop_assert_eq!(input, &[0xaa]);
        if key_keeps_value(&field_type) {
            prop_assert_eq!(decoded, a);
        }
        let mut input = encoded.as_slice();
        prop_assert_eq!(skip_key_datum(&mut input).unwrap(), &encoded[..encoded.len() - 1]);
        prop_assert_eq!(input, &[0xaa]);
    }

    #[test]
    fn values_round_trip((field_type, a, _, _) in pairs()) {
        let encoded = value(&a, &field_type);
        let mut input = encoded.as_slice();
        prop_assert_eq!(decode_value_datum(&mut input, &field_type).unwrap(), a);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn decoding_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40), flag in 0u8..12) {
        for field_type in [FieldType::int(), FieldType::datetime(3), FieldType::json(), FieldType::uint().with_flags(TypeFlags::NOT_NULL)] {
            let _ = decode_value_datum(&mut bytes.as_slice(), &field_type);
            let flagged = [vec![flag], bytes.clone()].concat();
            let _ = decode_value_datum(&mut flagged.as_slice(), &field_type);
            let _ = skip_key_datum(&mut flagged.as_slice());
        }
    }
}

#[test]
fn json_round_trips_among_other_datums() {
    let json = Datum::Json(Json::parse("{\"a\": [1, 2]}").unwrap());
    let mut out = Vec::new();
    encode_value_datum(&json, &FieldType::json(), &mut out).unwrap();
    encode_value_datum(&Datum::Int(7), &FieldType::int(), &mut out).unwrap();
    let mut input = out.as_slice();
    assert_eq!(decode_value_datum(&mut input, &FieldType::json()), Ok(json));
    assert_eq!(decode_value_datum(&mut input, &FieldType::int()), Ok(Datum::Int(7)));
}
