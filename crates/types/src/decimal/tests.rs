use std::hash::{DefaultHasher, Hash, Hasher};

use num_bigint::BigInt;
use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn hash(value: Decimal) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn text_survives() {
    let nines = "9".repeat(65);
    for text in
        ["0", "1", "-1", "0.00", "-0.05", "123.456", "99999999999999999999999999999999999999.5", &nines]
    {
        assert_eq!(decimal(text).to_string(), text);
    }
    for (text, printed) in [
        ("+1.50", "1.50"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0", "0"),
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("12e-1", "1.2"),
        ("  7 ", "7"),
        ("1e-31", "0.000000000000000000000000000000"),
        ("5e-31", "0.000000000000000000000000000001"),
        ("1e64", &format!("1{}", "0".repeat(64))),
        ("0.0000000000000000000000000000004e1", "0.000000000000000000000000000004"),
    ] {
        assert_eq!(decimal(text).to_string(), printed, "{text}");
    }
    for text in ["", "-", ".", "e5", "1x", "1e", "--1"] {
        assert_eq!(text.parse::<Decimal>(), Err(DecimalError::Invalid), "{text}");
    }
    assert_eq!("1e65".parse::<Decimal>(), Err(DecimalError::Overflow));
    assert_eq!("1e99999999999999".parse::<Decimal>(), Err(DecimalError::Overflow));
    assert_eq!(decimal("0e99999999999999"), Decimal::ZERO);
    // Sixty-five digits are kept, the fraction gives way.
    assert_eq!(decimal(&format!("{}.123456", "1".repeat(62))).to_string(), format!("{}.123", "1".repeat(62)));
    assert_eq!(decimal(&format!("{}.9999", "9".repeat(62))).to_string(), format!("1{}.00", "0".repeat(62)));
}

#[test]
fn results_have_mysql_scales() {
    let check = |expected: &str, result: Result<Decimal, DecimalError>| {
        assert_eq!(result.map(|value| value.to_string()), Ok(expected.to_owned()));
    };
    check("3.750", decimal("1.25").checked_add(decimal("2.500")));
    check("-1.250", decimal("1.25").checked_sub(decimal("2.500")));
    check("3.12500", decimal("1.25").checked_mul(decimal("2.500")));
    check("0.3333", decimal("1").checked_div(decimal("3"), 4));
    check("0.6667", decimal("2").checked_div(decimal("3"), 4));
    check("-0.666667", decimal("-2.00").checked_div(decimal("3"), 4));
    check("1.5", decimal("7.5").checked_rem(decimal("2")));
    check("-1.5", decimal("-7.5").checked_rem(decimal("2")));
    check("-3", decimal("-7.5").checked_int_div(decimal("2")));
    check("10.00", decimal("9.995").round(2));
    check("-10.00", decimal("-9.995").round(2));
    check("1200", decimal("1234.5").round(-2));
    check("0", decimal("44").round(-2));
    check("100", decimal("55").round(-2));
    check("0", decimal("55").round(-200));
    check("1.5", decimal("1.5").round(4));
    check("2", decimal("1.1").ceil());
    check("-1", decimal("-1.1").ceil());
    check("1", decimal("1.9").floor());
    check("-2", decimal("-1.1").floor());
    check("1.9", Ok(decimal("1.99").truncate(1)));
    check("1900", Ok(decimal("1999").truncate(-2)));
    assert_eq!(decimal("1").checked_div(Decimal::ZERO, 4), Err(DecimalError::DivisionByZero));
    assert_eq!(decimal("1").checked_rem(decimal("0.00")), Err(DecimalError::DivisionByZero));
    let largest = Decimal::max_value(65, 0);
    assert_eq!(largest.checked_add(Decimal::from_i64(1)), Err(DecimalError::Overflow));
    assert_eq!(largest.checked_mul(largest), Err(DecimalError::Overflow));
    assert_eq!(largest.checked_add(decimal("0.4")).map(|sum| sum.to_string()), Ok("9".repeat(65)));
    check(
        "0.000000000000000000000000000001",
        decimal("0.000000000000001").checked_mul(decimal("0.0000000000000006")),
    );
}

#[test]
fn results_are_rounded_once() {
    // Scale 31 with 66 digits: the 31st digit must not be rounded before the 30th is.
    let product = decimal("0.000023000000000000000000037")
        .checked_mul(decimal("4350000000000077777777777777777777777777.7777"));
    let exact: BigInt = "23000000000000000000037".parse::<BigInt>().unwrap()
        * "43500000000000777777777777777777777777777777".parse::<BigInt>().unwrap();
    let product = product.unwrap();
    assert_eq!(product.to_big(), div_round_big(exact, &power_big(31 - u32::from(product.scale()))));
    // A quotient that has no room for its scale loses digits, and is rounded once too.
    let quotient = Decimal::max_value(65, 0).checked_div(decimal("3"), 4).unwrap();
    assert_eq!(quotient.to_string(), "3".repeat(65));
    let quotient = decimal(&"9".repeat(60)).checked_div(decimal("0.7"), 10).unwrap();
    assert_eq!(quotient.precision(), 65);
}

#[test]
fn converts_to_numbers() {
    assert_eq!(decimal("2.5").to_i64(), Some(3));
    assert_eq!(decimal("-2.5").to_i64(), Some(-3));
    assert_eq!(decimal("9223372036854775807.4").to_i64(), Some(i64::MAX));
    assert_eq!(decimal("9223372036854775807.5").to_i64(), None);
    assert_eq!(decimal("18446744073709551615").to_u64(), Some(u64::MAX));
    assert_eq!(decimal("-0.4").to_u64(), Some(0));
    assert_eq!(decimal("-1").to_u64(), None);
    assert_eq!(decimal("0.1").to_f64(), 0.1);
    assert_eq!(decimal("12345678901234567890.123456789").to_f64(), 12_345_678_901_234_567_890.123_456_789);
    assert_eq!(Decimal::from_f64(0.1).map(|value| value.to_string()), Some("0.1".into()));
    assert_eq!(
        Decimal::from_f64(1.5e20).map(|value| value.to_string()),
        Some("150000000000000000000".into())
    );
    assert_eq!(Decimal::from_f64(1e-40).map(|value| value.is_zero()), Some(true));
    assert_eq!(Decimal::from_f64(1e65), None);
    assert_eq!(Decimal::from_f64(f64::NAN), None);
    assert_eq!(Decimal::from_f32(0.1).map(|value| value.to_string()), Some("0.1".into()));
}

#[test]
fn rescale_checks_the_precision() {
    assert_eq!(decimal("99.994").rescale(4, 2).map(|value| value.to_string()), Ok("99.99".into()));
    assert_eq!(decimal("99.995").rescale(4, 2), Err(DecimalError::Overflow));
    assert_eq!(decimal("0").rescale(2, 2).map(|value| value.to_string()), Ok("0.00".into()));
    assert_eq!(Decimal::max_value(65, 0).rescale(65, 30), Err(DecimalError::Overflow));
}

#[test]
fn equal_values_hash_alike() {
    let pairs = [("1", "1.00"), ("0", "0.000"), ("-12.5", "-12.5000")];
    for (a, b) in pairs {
        assert_eq!(decimal(a), decimal(b));
        assert_eq!(hash(decimal(a)), hash(decimal(b)));
    }
    let wide = "1234567890123456789012345678901234567890";
    assert_eq!(hash(decimal(wide)), hash(decimal(&format!("{wide}.000"))));
}

#[test]
fn mysql_binary_form() {
    let check = |text: &str, precision, scale, expected: &[u8]| {
        let bytes = decimal(text).to_mysql_bin(precision, scale).unwrap();
        assert_eq!(bytes, expected, "{text}");
        assert_eq!(bytes.len(), Decimal::mysql_bin_len(precision, scale));
        let (back, len) = Decimal::from_mysql_bin(&bytes, precision, scale).unwrap();
        assert_eq!((back, len), (decimal(text), bytes.len()));
    };
    check("1234567890.1234", 14, 4, &[0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2]);
    check("-1234567890.1234", 14, 4, &[0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d]);
    check("1", 1, 0, &[0x81]);
    assert_eq!(Decimal::from_mysql_bin(&[0xff, 0xff], 4, 0), Err(DecimalError::Invalid));
    assert_eq!(Decimal::from_mysql_bin(&[0x80], 4, 0), Err(DecimalError::Invalid));
    assert_eq!(Decimal::from_mysql_bin(&[0x80], 0, 0), Err(DecimalError::Invalid));
    assert_eq!(decimal("100").to_mysql_bin(2, 0), Err(DecimalError::Overflow));
}

/// A decimal and the same as a plain model: big integer and scale.
fn any_decimal() -> impl Strategy<Value = (Decimal, BigInt, u8)> {
    ("-?[0-9]{1,34}", 0u8..=30, prop::bool::ANY).prop_map(|(digits, scale, wide)| {
        let digits = if wide { format!("{digits}{}", "7".repeat(30)) } else { digits };
        let value: BigInt = digits.parse().unwrap();
        (Decimal::exact(value.clone(), scale).unwrap(), value, scale)
    })
}

/// The model's value at scale 30.
fn at_30(value: &BigInt, scale: u8) -> BigInt {
    value * power_big(u32::from(30 - scale))
}

proptest! {
    #[test]
    fn compares_like_the_model((a, x, s) in any_decimal(), (b, y, t) in any_decimal()) {
        prop_assert_eq!(a.cmp(&b), at_30(&x, s).cmp(&at_30(&y, t)));
    }

    #[test]
    fn adds_like_the_model((a, x, s) in any_decimal(), (b, y, t) in any_decimal()) {
        let exact = at_30(&x, s) + at_30(&y, t);
        if let Ok(sum) = a.checked_add(b) {
            let error = at_30(&sum.to_big(), sum.scale()) - exact;
            // Only digits that found no room may be missing.
            if sum.scale() == s.max(t) {
                prop_assert!(error.is_zero());
            } else {
                prop_assert!(error.magnitude() * 2u8 <= *power_big(u32::from(30 - sum.scale())).magnitude());
            }
        }
    }

    #[test]
    fn multiplies_like_the_model((a, x, s) in any_decimal(), (b, y, t) in any_decimal()) {
        if let Ok(product) = a.checked_mul(b) {
            let exact = (x * y) * power_big(60 - u32::from(s + t));
            let error = product.to_big() * power_big(60 - u32::from(product.scale())) - exact;
            prop_assert!(error.magnitude() * 2u8 <= *power_big(60 - u32::from(product.scale())).magnitude());
        }
    }

    #[test]
    fn division_and_remainder_agree((a, _, _) in any_decimal(), (b, _, _) in any_decimal()) {
        prop_assume!(!b.is_zero());
        if let (Ok(quotient), Ok(remainder)) = (a.checked_int_div(b), a.checked_rem(b)) {
            let (q, r) = (quotient.to_big(), at_30(&remainder.to_big(), remainder.scale()));
            if remainder.scale() == a.scale().max(b.scale()) {
                prop_assert_eq!(q * at_30(&b.to_big(), b.scale()) + r, at_30(&a.to_big(), a.scale()));
            }
            prop_assert!(remainder.abs() <= b.abs());
        }
    }

    #[test]
    fn text_round_trips((a, _, _) in any_decimal()) {
        let back: Decimal = a.to_string().parse().unwrap();
        prop_assert_eq!(back, a);
        prop_assert_eq!(back.scale(), a.scale());
    }

    #[test]
    fn binary_form_orders_like_values(x in -999_999_999_999i64..=999_999_999_999, y in -999_999_999_999i64..=999_999_999_999, scale in 0u8..=12) {
        let (a, b) = (Decimal::from_i128(x.into(), scale), Decimal::from_i128(y.into(), scale));
        let (bin_a, bin_b) = (a.to_mysql_bin(20, scale).unwrap(), b.to_mysql_bin(20, scale).unwrap());
        prop_assert_eq!(bin_a.cmp(&bin_b), a.cmp(&b));
        prop_assert_eq!(Decimal::from_mysql_bin(&bin_a, 20, scale).unwrap().0, a);
    }

    #[test]
    fn binary_form_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40), precision in any::<u8>(), scale in any::<u8>()) {
        let _ = Decimal::from_mysql_bin(&bytes, precision, scale);
    }

    #[test]
    fn parsing_takes_any_text(text in "[-+.e0-9 ]{0,90}") {
        let _ = text.parse::<Decimal>();
    }
}
