use proptest::prelude::*;

use super::*;
use crate::{Collation, Decimal, Duration, Time, TypeFlags};

fn lenient() -> ConvertContext {
    ConvertContext { column: Arc::from("c"), ..ConvertContext::new(SqlMode::empty()) }
}

fn strict() -> ConvertContext {
    ConvertContext { column: Arc::from("c"), ..ConvertContext::default() }
}

/// What strict mode says, and what lenient mode stores.
#[track_caller]
fn check(value: impl Into<Datum>, to: &FieldType, strict_says: &str, lenient_stores: &str) {
    let value = value.into();
    let show = |stored: &Datum| match stored {
        Datum::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => {
            let mut out = Vec::new();
            to.write_text(other, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
    };
    let found = match convert(&value, to, &strict()) {
        Ok(stored) => show(&stored),
        Err(error) => error.to_sql_error("c", 1).to_string(),
    };
    assert_eq!(found, strict_says, "strict {value:?}");
    let ctx = lenient();
    let stored = convert(&value, to, &ctx).expect("lenient mode stores anything");
    assert_eq!(show(&stored), lenient_stores, "lenient {value:?}");
    let has_warning = ctx.warnings.take().iter().any(|warning| warning.level == WarningLevel::Warning);
    assert_eq!(has_warning, strict_says != lenient_stores, "{value:?}");
}

fn decimal(text: &str) -> Datum {
    Datum::Decimal(text.parse().unwrap())
}

fn time(text: &str) -> Datum {
    Datum::Time(Time::parse(text, 6, SqlMode::empty()).unwrap().time)
}

const OUT_OF_RANGE: &str = "Out of range value for column 'c' at row 1";
const TRUNCATED: &str = "Data truncated for column 'c' at row 1";
const TOO_LONG: &str = "Data too long for column 'c' at row 1";

#[test]
fn integers() {
    let tiny = FieldType::new(TypeCode::Tiny);
    check(127, &tiny, "127", "127");
    check(128, &tiny, OUT_OF_RANGE, "127");
    check(-129, &tiny, OUT_OF_RANGE, "-128");
    check(u64::MAX, &tiny, OUT_OF_RANGE, "127");
    check(2.5, &tiny, "2", "2");
    check(1e300, &tiny, OUT_OF_RANGE, "127");
    check(f64::NAN, &tiny, "0", "0");
    check(decimal("2.5"), &tiny, "3", "3");
    check(decimal("-1e40"), &tiny, OUT_OF_RANGE, "-128");
    check(" 12 ", &tiny, "12", "12");
    check("1.5", &tiny, "2", "2");
    check("12abc", &tiny, TRUNCATED, "12");
    check("abc", &tiny, "Incorrect integer value: 'abc' for column 'c' at row 1", "0");
    check("", &tiny, "Incorrect integer value: '' for column 'c' at row 1", "0");
    check("1e3", &tiny, OUT_OF_RANGE, "127");
    let unsigned = FieldType::uint();
    check(-1, &unsigned, OUT_OF_RANGE, "0");
    check("18446744073709551615", &unsigned, "18446744073709551615", "18446744073709551615");
    check("18446744073709551616", &unsigned, OUT_OF_RANGE, "18446744073709551615");
    check(time("2020-01-02 03:04:05.6"), &FieldType::int(), "20200102030406", "20200102030406");
    check(Duration::from_micros(-3_661_000_000).unwrap(), &FieldType::int(), "-10101", "-10101");
    check(Json::parse("12.6").unwrap(), &tiny, "13", "13");
    check(Json::parse("\"12\"").unwrap(), &tiny, "12", "12");
    check(Json::parse("true").unwrap(), &tiny, "1", "1");
    assert_eq!(convert(&Datum::Null, &tiny, &strict()), Ok(Datum::Null));
    let date = convert_from(&time("2020-01-02"), Some(&FieldType::date()), &FieldType::int(), &strict());
    assert_eq!(date, Ok(Datum::Int(20_200_102)));
}

#[test]
fn floats() {
    let double = FieldType::double();
    check("1.5", &double, "1.5", "1.5");
    check("1.5x", &double, TRUNCATED, "1.5");
    check("x", &double, TRUNCATED, "0");
    check("1e400", &double, OUT_OF_RANGE, "1.7976931348623157e308");
    check(1e300, &FieldType::float(), OUT_OF_RANGE, "3.40282e38");
    check(-1.5, &FieldType::double().with_flags(TypeFlags::UNSIGNED), OUT_OF_RANGE, "0");
    let fixed = FieldType { length: 5, decimals: 2, ..FieldType::double() };
    check(1.236, &fixed, "1.24", "1.24");
    check(12345.0, &fixed, OUT_OF_RANGE, "999.99");
}

#[test]
fn decimals() {
    let price = FieldType::decimal(5, 2);
    check("12.3", &price, "12.30", "12.30");
    check(7, &price, "7.00", "7.00");
    check("12.345", &price, "12.35", "12.35");
    check("1000", &price, OUT_OF_RANGE, "999.99");
    check("-1000", &price, OUT_OF_RANGE, "-999.99");
    check("12x", &price, TRUNCATED, "12.00");
    check("x", &price, "Incorrect decimal value: 'x' for column 'c' at row 1", "0.00");
    check(0.125, &price, "0.13", "0.13");
    check(f64::INFINITY, &price, OUT_OF_RANGE, "999.99");
    check(-1, &price.clone().with_flags(TypeFlags::UNSIGNED), OUT_OF_RANGE, "0.00");
    let ctx = strict();
    assert_eq!(convert(&Datum::from("1.005"), &price, &ctx), Ok(decimal("1.01")));
    assert_eq!(ctx.warnings.take()[0].level, WarningLevel::Note);
}

#[test]
fn strings() {
    let three = FieldType::varchar(3);
    check("abc", &three, "abc", "abc");
    check("äöü", &three, "äöü", "äöü");
    check("äöüß", &three, TOO_LONG, "äöü");
    check("abc  ", &three, "abc", "abc");
    check(1234, &three, TOO_LONG, "123");
    check(
        Datum::Bytes(b"a\xff".to_vec()),
        &three,
        "Incorrect string value: '\\xFF' for column 'c' at row 1",
        "a",
    );
    let char = FieldType { length: 3, ..FieldType::new(TypeCode::String) };
    check("a  ", &char, "a", "a");
    check("abcd", &char, TOO_LONG, "abc");
    let binary = char.clone().with_collation(Collation::Binary);
    check("a", &binary, "a\0\0", "a\0\0");
    check("abc ", &binary, TOO_LONG, "abc");
    check(
        "😀",
        &FieldType::varchar(3).with_collation(Collation::Utf8Bin),
        "Incorrect string value: '\\xF0\\x9F\\x98\\x80' for column 'c' at row 1",
        "",
    );
    let tiny = FieldType::new(TypeCode::TinyBlob);
    check("ä".repeat(128), &tiny, TOO_LONG, &"ä".repeat(127));
    check(time("2020-01-02"), &FieldType::varchar(30), "2020-01-02 00:00:00", "2020-01-02 00:00:00");
    let date =
        convert_from(&time("2020-01-02"), Some(&FieldType::date()), &FieldType::varchar(30), &strict());
    assert_eq!(date, Ok(Datum::from("2020-01-02")));
}

#[test]
fn members() {
    let elements: Arc<[String]> = Arc::from(["a".to_owned(), "b".to_owned(), "7".to_owned()]);
    let enumeration = FieldType { elements: elements.clone(), ..FieldType::new(TypeCode::Enum) };
    check("b", &enumeration, "b", "b");
    check(3, &enumeration, "7", "7");
    check("7", &enumeration, "7", "7");
    check("2", &enumeration, "b", "b");
    check("x", &enumeration, TRUNCATED, "");
    check(4, &enumeration, TRUNCATED, "");
    check(-1, &enumeration, TRUNCATED, "");
    check("B", &enumeration.clone().with_collation(Collation::Utf8mb4GeneralCi), "b", "b");
    let set = FieldType { elements, ..FieldType::new(TypeCode::Set) };
    check("b,a", &set, "a,b", "a,b");
    check("", &set, "", "");
    check("a,x", &set, TRUNCATED, "a");
    check(5, &set, "a,7", "a,7");
    check("3", &set, "a,b", "a,b");
    check(9, &set, TRUNCATED, "a");
    let bit = FieldType { length: 9, ..FieldType::new(TypeCode::Bit) };
    assert_eq!(convert(&Datum::Int(257), &bit, &strict()), Ok(Datum::UInt(257)));
    assert_eq!(convert(&Datum::Bytes(vec![0, 0, 1, 2]), &bit, &strict()), Ok(Datum::UInt(258)));
    assert_eq!(convert(&Datum::Int(512), &bit, &strict()), Err(ConvertError::DataTooLong));
    assert_eq!(convert(&Datum::Int(-1), &bit, &lenient()), Ok(Datum::UInt(511)));
    // The member of another ENUM goes by its name.
    let moved = convert_from(&Datum::UInt(3), Some(&enumeration), &FieldType::varchar(5), &strict());
    assert_eq!(moved, Ok(Datum::from("7")));
}

#[test]
fn years() {
    let year = FieldType::new(TypeCode::Year);
    check(2024, &year, "2024", "2024");
    check(24, &year, "2024", "2024");
    check(70, &year, "1970", "1970");
    check(0, &year, "0000", "0000");
    check("0", &year, "2000", "2000");
    check("0000", &year, "0000", "0000");
    check(1900, &year, OUT_OF_RANGE, "0000");
    check(2156, &year, OUT_OF_RANGE, "0000");
    check("x", &year, "Incorrect integer value: 'x' for column 'c' at row 1", "0000");
    check(time("2020-01-02"), &year, "2020", "2020");
}

#[test]
fn times() {
    let datetime = FieldType::datetime(0);
    check("2020-01-02 03:04:05.5", &datetime, "2020-01-02 03:04:06", "2020-01-02 03:04:06");
    check("x", &datetime, "Incorrect datetime value: 'x' for column 'c' at row 1", "0000-00-00 00:00:00");
    check("2020-01-02 x", &datetime, TRUNCATED, "2020-01-02 00:00:00");
    check(20_200_102, &datetime, "2020-01-02 00:00:00", "2020-01-02 00:00:00");
    check(
        decimal("20200102030405.25"),
        &FieldType::datetime(2),
        "2020-01-02 03:04:05.25",
        "2020-01-02 03:04:05.25",
    );
    check(99, &datetime, "Incorrect datetime value: '99' for column 'c' at row 1", "0000-00-00 00:00:00");
    check("2020-01-02 03:04:05+01:00", &datetime, "2020-01-02 02:04:05", "2020-01-02 02:04:05");
    check(Duration::from_micros(1_000_000).unwrap(), &datetime, "1970-01-01 00:00:01", "1970-01-01 00:00:01");
    let date = FieldType::date();
    check("2020-01-02 23:59:59.9", &date, "2020-01-02", "2020-01-02");
}

/// Zero dates are a matter of sql_mode alone when it is not strict.
#[test]
fn zero_dates_follow_the_mode() {
    let partial = Datum::from("2020-00-10");
    let date = FieldType::date();
    assert!(convert(&partial, &date, &strict()).is_err());
    let zero = convert(&Datum::from("0000-00-00"), &date, &strict()).unwrap_err();
    let message = "Incorrect date value: '0000-00-00' for column 'c' at row 1";
    assert_eq!(zero.to_sql_error("c", 1), SqlError::new(ErrorCode::TruncatedWrongValue, message));
    assert_eq!(convert(&partial, &date, &lenient()).map(|stored| stored == time("2020-00-10")), Ok(true));
    let no_zero = ConvertContext { column: Arc::from("c"), ..ConvertContext::new(SqlMode::NO_ZERO_IN_DATE) };
    assert_eq!(convert(&partial, &date, &no_zero), Ok(Datum::Time(Time::ZERO)));
    assert_eq!(no_zero.warnings.count(), 1);
}

#[test]
fn timestamps() {
    let timestamp = FieldType::timestamp(0);
    check("1970-01-01 00:00:01", &timestamp, "1970-01-01 00:00:01", "1970-01-01 00:00:01");
    let wrong = |text: &str| format!("Incorrect datetime value: '{text}' for column 'c' at row 1");
    check("1970-01-01 00:00:00", &timestamp, &wrong("1970-01-01 00:00:00"), "0000-00-00 00:00:00");
    check("2038-01-19 03:14:08", &timestamp, &wrong("2038-01-19 03:14:08"), "0000-00-00 00:00:00");
    check("2020-02-31 00:00:00", &timestamp, &wrong("2020-02-31 00:00:00"), "0000-00-00 00:00:00");
    let berlin = ConvertContext { time_zone: TimeZone::parse("Europe/Berlin").unwrap(), ..lenient() };
    let stored = convert(&Datum::from("2024-03-31 02:30:00"), &timestamp, &berlin);
    assert_eq!(stored, Ok(time("2024-03-31 03:00:00")));
    assert_eq!(berlin.warnings.count(), 1);
}

#[test]
fn durations() {
    let clock = FieldType::duration(0);
    check("10:11:12.6", &clock, "10:11:13", "10:11:13");
    check("900:00:00", &clock, OUT_OF_RANGE, "838:59:59");
    check("x", &clock, "Incorrect time value: 'x' for column 'c' at row 1", "00:00:00");
    check("10:11:12x", &clock, TRUNCATED, "10:11:12");
    check(101_112, &clock, "10:11:12", "10:11:12");
    check(-9_000_000, &clock, OUT_OF_RANGE, "-838:59:59");
    check(99, &clock, "Incorrect time value: '99' for column 'c' at row 1", "00:00:00");
    check(time("2020-01-02 03:04:05"), &clock, "03:04:05", "03:04:05");
}

#[test]
fn json() {
    let json = FieldType::json();
    let stored = |value: Datum| convert(&value, &json, &lenient()).map(|stored| stored.to_string());
    assert_eq!(stored(Datum::from("{\"a\": [1, 2]}")), Ok("{\"a\": [1, 2]}".into()));
    assert_eq!(stored(Datum::Int(5)), Ok("5".into()));
    assert_eq!(stored(decimal("1.50")), Ok("1.50".into()));
    let error = convert(&Datum::from("{"), &json, &lenient()).unwrap_err();
    assert_eq!(error.to_sql_error("c", 1).code, 3140);
    let binary = convert_from(&Datum::from("{}"), Some(&FieldType::binary_string()), &json, &strict());
    assert_eq!(binary, Err(ConvertError::BinaryJson));
}

fn any_datum() -> impl Strategy<Value = Datum> {
    prop_oneof![
        any::<i64>().prop_map(Datum::Int),
        any::<u64>().prop_map(Datum::UInt),
        any::<f32>().prop_map(Datum::Float),
        any::<f64>().prop_map(Datum::Double),
        (any::<i128>(), 0u8..30).prop_map(|(value, scale)| Datum::Decimal(Decimal::from_i128(value, scale))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Datum::Bytes),
        "[-0-9:. eE+]{0,20}".prop_map(Datum::from),
        any::<u64>().prop_map(|packed| Datum::Time(Time::from_packed(packed).unwrap_or(Time::ZERO))),
        any::<i64>().prop_map(|micros| Datum::Duration(Duration::from_micros_clamped(micros))),
    ]
}

proptest! {
    /// Whatever lenient mode stores, strict mode takes as it is.
    #[test]
    fn stored_values_are_valid(value in any_datum(), code in 0u8..=255) {
        let Ok(code) = TypeCode::try_from(code) else { return Ok(()) };
        let to = FieldType::new(code);
        let Ok(stored) = convert(&value, &to, &lenient()) else { return Ok(()) };
        let ctx = ConvertContext { sql_mode: SqlMode::STRICT_ALL_TABLES, strict: true, ..lenient() };
        if !matches!(to.code, TypeCode::Enum | TypeCode::Json) {
            prop_assert_eq!(convert_from(&stored, Some(&to), &to, &ctx), Ok(stored));
        }
    }
}
