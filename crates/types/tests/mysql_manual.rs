//! Examples that MySQL's reference manual gives for the types, run against ours.

use tidewater_types::{
    ConvertContext, Datum, Decimal, Duration, FieldType, Interval, IntervalUnit, Json, JsonPath, SqlMode,
    Time, TypeCode, WeekMode, convert,
};

fn time(text: &str) -> Time {
    Time::parse(text, 6, SqlMode::empty()).unwrap_or_else(|error| panic!("{text}: {error}")).time
}

/// DATE_ADD() and DATE_SUB().
#[test]
fn date_arithmetic() {
    let cases = [
        ("2018-05-01", "1", IntervalUnit::Day, "2018-05-02 00:00:00"),
        ("2018-05-01", "-1", IntervalUnit::Year, "2017-05-01 00:00:00"),
        ("2020-12-31 23:59:59", "1", IntervalUnit::Second, "2021-01-01 00:00:00"),
        ("2018-12-31 23:59:59", "1", IntervalUnit::Day, "2019-01-01 23:59:59"),
        ("2100-12-31 23:59:59", "1:1", IntervalUnit::MinuteSecond, "2101-01-01 00:01:00"),
        ("2025-01-01 00:00:00", "-1 1:1:1", IntervalUnit::DaySecond, "2024-12-30 22:58:59"),
        ("1900-01-01 00:00:00", "-1 10", IntervalUnit::DayHour, "1899-12-30 14:00:00"),
        ("1998-01-02", "-31", IntervalUnit::Day, "1997-12-02 00:00:00"),
        ("2024-03-30", "1", IntervalUnit::Month, "2024-04-30 00:00:00"),
        ("2024-03-31", "1", IntervalUnit::Month, "2024-04-30 00:00:00"),
    ];
    for (start, interval, unit, expected) in cases {
        let interval = Interval::parse(interval, unit).expect("an interval");
        let sum = time(start).add_interval(&interval).map(|sum| sum.format(0));
        assert_eq!(sum.as_deref(), Some(expected), "{start} + {interval:?}");
    }
}

/// TO_DAYS(), DAYOFYEAR(), WEEKDAY(), WEEK(), YEARWEEK(), LAST_DAY().
#[test]
fn calendar() {
    assert_eq!(time("950501").day_number(), 728_779);
    assert_eq!(time("2007-10-07").day_number(), 733_321);
    assert_eq!(Time::from_day_number(730_669).map(Time::format_date).as_deref(), Some("2000-07-03"));
    assert_eq!(time("2008-02-03 22:23:00").weekday(), 6);
    assert_eq!(time("2007-11-06").weekday(), 1);
    assert_eq!([0, 1].map(|mode| time("2008-02-20").week(WeekMode::new(mode)).1), [7, 8]);
    assert_eq!(time("2008-12-31").week(WeekMode::new(1)).1, 53);
    assert_eq!(time("2000-01-01").week(WeekMode::new(0)), (2000, 0));
    assert_eq!(time("1987-01-01").week(WeekMode::new(0).with_year()), (1986, 52));
    assert_eq!(time("2003-02-05").last_day().map(Time::format_date).as_deref(), Some("2003-02-28"));
}

/// Fixed-point arithmetic and rounding.
#[test]
fn precision_math() {
    let decimal = |text: &str| text.parse::<Decimal>().expect("a decimal");
    let rounded = |text: &str, scale| decimal(text).round(scale).expect("no overflow").to_string();
    assert_eq!(rounded("2.5", 0), "3");
    assert_eq!(rounded("-1.58", 0), "-2");
    assert_eq!(rounded("1.298", 1), "1.3");
    assert_eq!(rounded("23.298", -1), "20");
    assert_eq!(decimal("-1.999").truncate(1).to_string(), "-1.9");
    assert_eq!(decimal("122").truncate(-2).to_string(), "100");
    let tenth = decimal(".0001");
    let sum = (0..10_000).try_fold(Decimal::ZERO, |sum, _| sum.checked_add(tenth));
    assert_eq!(sum.map(|sum| sum.to_string()).as_deref(), Ok("1.0000"));
    assert_eq!(
        decimal("0.14").checked_div(decimal("0.1"), 4).map(|value| value.to_string()).as_deref(),
        Ok("1.400000")
    );
}

/// Out-of-range and overflow handling in strict and in non-strict mode.
#[test]
fn ranges() {
    let lenient = ConvertContext::new(SqlMode::empty());
    let strict = ConvertContext::new(SqlMode::TRADITIONAL | SqlMode::STRICT_ALL_TABLES);
    let tiny = FieldType::new(TypeCode::Tiny);
    assert_eq!(convert(&Datum::Int(256), &tiny, &lenient), Ok(Datum::Int(127)));
    let error = convert(&Datum::Int(256), &tiny, &strict).expect_err("out of range");
    assert_eq!(error.to_sql_error("i1", 1).to_string(), "Out of range value for column 'i1' at row 1");
    assert_eq!(error.to_sql_error("i1", 1).sqlstate(), "22003");
}

/// TIME literals.
#[test]
fn times_of_day() {
    let parse = |text: &str| Duration::parse(text, 0).map(|parsed| parsed.duration.format(0));
    assert_eq!(parse("11:12").as_deref(), Ok("11:12:00"));
    assert_eq!(parse("1112").as_deref(), Ok("00:11:12"));
    assert_eq!(parse("12").as_deref(), Ok("00:00:12"));
    assert_eq!(parse("-850:00:00").as_deref(), Ok("-838:59:59"));
}

/// JSON_EXTRACT() and the paths of the manual's chapter on JSON.
#[test]
fn json_paths() {
    let extract = |document: &str, path: &str| {
        let document = Json::parse(document).expect("a document");
        document.as_ref().extract(&[JsonPath::parse(path).expect("a path")]).map(|found| found.to_string())
    };
    assert_eq!(extract("[10, 20, [30, 40]]", "$[1]").as_deref(), Some("20"));
    assert_eq!(extract("[10, 20, [30, 40]]", "$[2][*]").as_deref(), Some("[30, 40]"));
    assert_eq!(extract(r#"{"a": 1, "b": 2, "c": [3, 4, 5]}"#, "$.*").as_deref(), Some("[1, 2, [3, 4, 5]]"));
    assert_eq!(extract(r#"{"a": 1, "b": 2, "c": [3, 4, 5]}"#, "$.c[*]").as_deref(), Some("[3, 4, 5]"));
    assert_eq!(extract(r#"{"a": {"b": 1}, "c": {"b": 2}}"#, "$**.b").as_deref(), Some("[1, 2]"));
    assert_eq!(extract("[1, 2, 3, 4, 5]", "$[1 to 3]").as_deref(), Some("[2, 3, 4]"));
    assert_eq!(extract("[1, 2, 3, 4, 5]", "$[last-3 to last-1]").as_deref(), Some("[2, 3, 4]"));
}
