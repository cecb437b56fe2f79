use proptest::prelude::*;

use super::*;
use crate::{Interval, IntervalUnit};

const RELAXED: SqlMode = SqlMode::empty();

fn time(text: &str) -> Time {
    Time::parse(text, 6, RELAXED).unwrap_or_else(|error| panic!("{text}: {error}")).time
}

#[test]
fn packs_as_the_storage_does() {
    let time = Time::from_parts(2018, 1, 19, 3, 14, 7, 0).unwrap();
    assert_eq!(time.packed(), 0x199e_e633_8700_0000);
    assert_eq!(Time::from_packed(time.packed()), Some(time));
    assert_eq!(Time::from_packed(u64::MAX), None);
    assert_eq!(Time::from_packed(Time::MAX.packed() + 1), None);
    assert_eq!(Time::ZERO.format(0), "0000-00-00 00:00:00");
}

#[test]
fn literal_forms() {
    let cases = [
        ("2020-01-02", "2020-01-02 00:00:00.000000"),
        ("2020-1-2", "2020-01-02 00:00:00.000000"),
        ("20-1-2", "2020-01-02 00:00:00.000000"),
        ("70-1-2", "1970-01-02 00:00:00.000000"),
        ("1-1-1", "0001-01-01 00:00:00.000000"),
        ("2020/01/02 03.04.05", "2020-01-02 03:04:05.000000"),
        ("2020-01-02T03:04:05", "2020-01-02 03:04:05.000000"),
        ("  2020-01-02   03:04  ", "2020-01-02 03:04:00.000000"),
        ("2020-01-02 03", "2020-01-02 03:00:00.000000"),
        ("2020-01-02 03:04:05.1234567", "2020-01-02 03:04:05.123457"),
        ("2020-12-31 23:59:59.9999999", "2021-01-01 00:00:00.000000"),
        ("20200102", "2020-01-02 00:00:00.000000"),
        ("200102", "2020-01-02 00:00:00.000000"),
        ("20200102030405", "2020-01-02 03:04:05.000000"),
        ("20200102030405.5", "2020-01-02 03:04:05.500000"),
        ("200102030405", "2020-01-02 03:04:05.000000"),
        ("20200102T030405", "2020-01-02 03:04:05.000000"),
        ("2020^01^02", "2020-01-02 00:00:00.000000"),
        ("10:11:12", "2010-11-12 00:00:00.000000"),
        ("0000-00-00", "0000-00-00 00:00:00.000000"),
        ("00-00-00", "0000-00-00 00:00:00.000000"),
        ("2020-00-00", "2020-00-00 00:00:00.000000"),
        ("2020-02-00 01:00:00", "2020-02-00 01:00:00.000000"),
    ];
    for (text, expected) in cases {
        let parsed = Time::parse(text, 6, RELAXED).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(parsed.time.format(6), expected, "{text}");
        assert!(!parsed.truncated, "{text}");
    }
    for text in [
        "",
        "x",
        "2020",
        "2020-01",
        "2020-13-01",
        "2020-02-30",
        "2020-01-02 24:00:00",
        "2020-01-32",
        "99999999",
    ] {
        assert_eq!(Time::parse(text, 6, RELAXED), Err(TimeError::Invalid), "{text}");
    }
}

#[test]
fn what_follows_the_value() {
    let parsed = Time::parse("2020-01-02 03:04:05 x", 0, RELAXED).unwrap();
    assert!(parsed.truncated);
    let parsed = Time::parse("2020-01-02 03:04:05.25+08:00", 2, RELAXED).unwrap();
    assert_eq!((parsed.offset_seconds, parsed.fraction_digits, parsed.truncated), (Some(8 * 3600), 2, false));
    assert_eq!(parsed.time.format(2), "2020-01-02 03:04:05.25");
    let parsed = Time::parse("2020-01-02 03:04:05-13:59", 0, RELAXED).unwrap();
    assert_eq!(parsed.offset_seconds, Some(-(13 * 3600 + 59 * 60)));
    assert_eq!(Time::parse("2020-01-02 03:04:05+14:01", 0, RELAXED), Err(TimeError::Invalid));
    assert_eq!(Time::parse("2020-01-02 03:04:05-00:00", 0, RELAXED), Err(TimeError::Invalid));
}

#[test]
fn modes_decide_on_odd_dates() {
    let strict = SqlMode::DEFAULT;
    assert_eq!(Time::parse("0000-00-00", 0, strict), Err(TimeError::Zero));
    assert_eq!(Time::parse("2020-00-01", 0, strict), Err(TimeError::Zero));
    assert_eq!(Time::parse("2020-01-00", 0, SqlMode::NO_ZERO_DATE).map(|parsed| parsed.time.day()), Ok(0));
    assert!(Time::parse("2019-02-31", 0, SqlMode::ALLOW_INVALID_DATES).is_ok());
    assert_eq!(Time::parse("2019-02-32", 0, SqlMode::ALLOW_INVALID_DATES), Err(TimeError::Invalid));
    let cut = Time::parse("2020-01-02 03:04:05.999", 0, SqlMode::TIME_TRUNCATE_FRACTIONAL).unwrap();
    assert_eq!(cut.time.format(0), "2020-01-02 03:04:05");
    assert_eq!(Time::parse("9999-12-31 23:59:59.9", 0, RELAXED), Err(TimeError::OutOfRange));
}

#[test]
fn numbers() {
    let check = |number, expected: Result<&str, TimeError>| {
        assert_eq!(
            Time::from_number(number, RELAXED).map(|time| time.format(0)),
            expected.map(str::to_owned)
        );
    };
    check(0, Ok("0000-00-00 00:00:00"));
    check(101, Ok("2000-01-01 00:00:00"));
    check(200_102, Ok("2020-01-02 00:00:00"));
    check(991_231, Ok("1999-12-31 00:00:00"));
    check(20_200_102, Ok("2020-01-02 00:00:00"));
    check(20_200_102_030_405, Ok("2020-01-02 03:04:05"));
    check(200_102_030_405, Ok("2020-01-02 03:04:05"));
    check(-1, Err(TimeError::Invalid));
    check(100, Err(TimeError::Invalid));
    check(20_201_301, Err(TimeError::Invalid));
    check(i64::MAX, Err(TimeError::Invalid));
    assert_eq!(time("2020-01-02 03:04:05.6").to_number(), 20_200_102_030_405);
    assert_eq!(time("2020-01-02").date_to_number(), 20_200_102);
}

#[test]
fn day_numbers_are_those_of_to_days() {
    for (text, days) in [
        ("0000-01-01", 1),
        ("0000-12-31", 365),
        ("0001-01-01", 366),
        ("1970-01-01", 719_528),
        ("2007-10-07", 733_321),
        ("9999-12-31", 3_652_424),
    ] {
        assert_eq!(time(text).day_number(), days, "{text}");
        assert_eq!(Time::from_day_number(days).unwrap().format_date(), text);
    }
    assert_eq!(Time::from_day_number(0), None);
    assert_eq!(Time::from_day_number(3_652_425), None);
    assert_eq!(time("2007-02-03").weekday(), 5);
    assert_eq!(time("2007-02-03").day_of_year(), 34);
    assert_eq!(time("2020-12-31").day_of_year(), 366);
    assert_eq!(time("2003-02-05").last_day().unwrap().format_date(), "2003-02-28");
    assert_eq!(time("2004-02-05").last_day().unwrap().format_date(), "2004-02-29");
    assert_eq!(Time::ZERO.last_day(), None);
}

#[test]
fn weeks_in_all_modes() {
    let cases = [
        ("2008-02-20", [7, 8, 7, 8, 8, 7, 8, 7]),
        ("2000-01-01", [0, 0, 52, 52, 0, 0, 52, 52]),
        ("2008-12-31", [52, 53, 52, 1, 53, 52, 53, 52]),
        ("2024-01-07", [1, 1, 1, 1, 2, 1, 2, 1]),
    ];
    for (text, weeks) in cases {
        let found: Vec<u32> = (0..8).map(|mode| time(text).week(WeekMode::new(mode)).1).collect();
        assert_eq!(found, weeks, "{text}");
    }
    assert_eq!(time("1987-01-01").week(WeekMode::new(0).with_year()), (1986, 52));
    assert_eq!(time("2021-01-03").week(WeekMode::ISO), (2020, 53));
    assert_eq!(time("2018-12-31").week(WeekMode::ISO), (2019, 1));
}

#[test]
fn intervals() {
    let add = |text: &str, interval: &str, unit| {
        time(text).add_interval(&Interval::parse(interval, unit).unwrap()).map(|time| time.to_string())
    };
    use IntervalUnit as U;
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(add("2024-01-31", "1", U::Month), some("2024-02-29 00:00:00"));
    assert_eq!(add("2024-02-29", "1", U::Year), some("2025-02-28 00:00:00"));
    assert_eq!(add("2024-01-31", "-1", U::Quarter), some("2023-10-31 00:00:00"));
    assert_eq!(add("2018-12-31 23:59:59", "1:1", U::MinuteSecond), some("2019-01-01 00:01:00"));
    assert_eq!(add("2025-01-01 00:00:00", "-1 10", U::DayHour), some("2024-12-30 14:00:00"));
    assert_eq!(add("2005-01-01 00:00:00", "1 1:1:1", U::DaySecond), some("2005-01-02 01:01:01"));
    assert_eq!(
        add("1992-12-31 23:59:59.000002", "1.999999", U::SecondMicrosecond),
        some("1993-01-01 00:00:01.000001")
    );
    assert_eq!(add("9999-12-31", "1", U::Day), None);
    assert_eq!(add("9999-12-31", "999999999999999999", U::Day), None);
    assert_eq!(add("0001-01-01", "-2", U::Year), None);
    assert_eq!(add("2020-00-01", "1", U::Day), None);
}

#[test]
fn differences_in_months() {
    let months = |later: &str, earlier: &str| time(later).months_since(time(earlier));
    assert_eq!(months("2003-05-01", "2003-02-01"), 3);
    assert_eq!(months("2003-02-01", "2003-05-01"), -3);
    assert_eq!(months("2024-02-29", "2024-01-30"), 0);
    assert_eq!(months("2024-03-01 10:00:00", "2024-02-01 10:00:01"), 0);
}

#[test]
fn rounding() {
    assert_eq!(time("2020-01-01 00:00:00.45").round(1).unwrap().format(1), "2020-01-01 00:00:00.5");
    assert_eq!(time("2020-12-31 23:59:59.5").round(0).unwrap().format(0), "2021-01-01 00:00:00");
    assert_eq!(time("9999-12-31 23:59:59.5").round(0), None);
    assert_eq!(time("2020-01-01 00:00:00.459").truncate(2).format(6), "2020-01-01 00:00:00.450000");
}

proptest! {
    #[test]
    fn day_numbers_round_trip(days in 1i64..=3_652_424) {
        let date = Time::from_day_number(days).unwrap();
        prop_assert_eq!(date.day_number(), days);
        prop_assert!(date.is_calendar_date());
        if let Some(next) = Time::from_day_number(days + 1) {
            prop_assert!(next > date);
        }
    }

    #[test]
    fn iso_weeks_begin_on_monday(days in 400i64..3_652_000) {
        let date = Time::from_day_number(days).unwrap();
        let tomorrow = Time::from_day_number(days + 1).unwrap();
        let changes = date.week(WeekMode::ISO) != tomorrow.week(WeekMode::ISO);
        prop_assert_eq!(changes, tomorrow.weekday() == 0);
    }

    #[test]
    fn printed_times_parse(packed in any::<u64>()) {
        if let Some(value) = Time::from_packed(packed) {
            let mode = SqlMode::ALLOW_INVALID_DATES;
            prop_assert_eq!(Time::parse(&value.format(6), 6, mode).map(|parsed| parsed.time), Ok(value));
        }
    }

    #[test]
    fn parsing_takes_any_text(text in "\\PC{0,30}", digits in "[-0-9:. T+]{0,30}") {
        let _ = Time::parse(&text, 6, RELAXED);
        let _ = Time::parse(&digits, 3, RELAXED);
    }

    #[test]
    fn from_number_takes_any_number(number in any::<i64>()) {
        let _ = Time::from_number(number, RELAXED);
    }
}
