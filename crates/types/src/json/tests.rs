use proptest::prelude::*;

use super::*;

fn json(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn prints_as_mysql_does() {
    for (text, printed) in [
        ("null", "null"),
        (" [ ] ", "[]"),
        ("{}", "{}"),
        (
            "[1,2.0,-3e2,18446744073709551615,18446744073709551616]",
            "[1, 2.0, -300.0, 18446744073709551615, 1.8446744073709552e19]",
        ),
        (r#"{"bb":1,"a":true,"c":[null,false]}"#, r#"{"a": true, "c": [null, false], "bb": 1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#),
        (r#""\u00e4\ud83d\ude00\n\"\\\/\u0001""#, r#""ä😀\n\"\\/\u0001""#),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
    ] {
        assert_eq!(json(text).to_string(), printed, "{text}");
        assert_eq!(json(printed).to_string(), printed);
    }
    let mut pretty = Vec::new();
    json(r#"{"a": [1, {}], "b": []}"#).as_ref().write_pretty(&mut pretty);
    assert_eq!(String::from_utf8(pretty).unwrap(), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

#[test]
fn complains_as_mysql_does() {
    for (text, reason, position) in [
        ("", "The document is empty.", 0),
        ("x", "Invalid value.", 0),
        ("[1", "Missing a comma or ] after an array element.", 2),
        ("[1,]", "Invalid value.", 3),
        ("{1:2}", "Missing a name for object member.", 1),
        ("{\"a\" 2}", "Missing a colon after a name of object member.", 5),
        ("{\"a\":2", "Missing a comma or } after an object member.", 6),
        ("\"a", "Missing a closing quotation mark in string.", 2),
        ("\"\\x\"", "Invalid escape character in string.", 1),
        ("\"\\ud800\"", "The surrogate pair in string is invalid.", 1),
        ("1 2", "The document root must not be followed by other values.", 2),
        ("01", "Invalid value.", 2),
        ("1.", "Miss fraction part in number.", 2),
        ("1e400", "Number too big to be stored in double.", 0),
    ] {
        assert_eq!(Json::parse(text), Err(JsonError::InvalidText { reason, position }), "{text}");
    }
    assert!(Json::parse(&format!("{}{}", "[".repeat(100), "]".repeat(100))).is_ok());
    assert_eq!(Json::parse(&"[".repeat(101)), Err(JsonError::TooDeep));
}

#[test]
fn layout_is_tidbs() {
    assert_eq!(json("true").as_bytes(), [4, 1]);
    assert_eq!(json("1").as_bytes(), [9, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(json("\"ab\"").as_bytes(), [0x0c, 2, b'a', b'b']);
    assert_eq!(
        json("[null, \"a\"]").as_bytes(),
        [3, 2, 0, 0, 0, 20, 0, 0, 0, 4, 0, 0, 0, 0, 0x0c, 18, 0, 0, 0, 1, b'a']
    );
    assert_eq!(
        json("{\"k\": true}").as_bytes(),
        [1, 1, 0, 0, 0, 20, 0, 0, 0, 19, 0, 0, 0, 1, 0, 4, 1, 0, 0, 0, b'k']
    );
}

#[test]
fn follows_paths() {
    let document = json(r#"{"a": [1, [2, 3], {"b": 4}], "b": 5, "c d": {"b": 6}}"#);
    let extract = |paths: &[&str]| {
        let paths: Vec<JsonPath> = paths.iter().map(|text| path(text)).collect();
        document.as_ref().extract(&paths).map(|found| found.to_string())
    };
    for (text, found) in [
        ("$", Some(r#"{"a": [1, [2, 3], {"b": 4}], "b": 5, "c d": {"b": 6}}"#)),
        ("$.b", Some("5")),
        ("$.\"c d\".b", Some("6")),
        ("$.a[1][0]", Some("2")),
        ("$.a[last].b", Some("4")),
        ("$.a[last-1]", Some("[2, 3]")),
        ("$.a[3]", None),
        ("$.b[0]", Some("5")),
        ("$.b[last]", Some("5")),
        ("$.b[1]", None),
        ("$.a[0 to 1]", Some("[1, [2, 3]]")),
        ("$.a[1 to last]", Some("[[2, 3], {\"b\": 4}]")),
        ("$.a[*]", Some("[1, [2, 3], {\"b\": 4}]")),
        ("$**.b", Some("[5, 4, 6]")),
        ("$.*.b", Some("[6]")),
        ("$.x", None),
        ("$.a.b", None),
    ] {
        assert_eq!(extract(&[text]).as_deref(), found, "{text}");
    }
    assert_eq!(extract(&["$.b", "$.x"]).as_deref(), Some("[5]"));
    assert_eq!(extract(&["$.x", "$.y"]), None);
}

#[test]
fn paths_parse_and_print() {
    for text in [
        "$",
        "$.a",
        "$[0]",
        "$[last]",
        "$[last-2]",
        "$[1 to last-1]",
        "$.*",
        "$[*]",
        "$**.a",
        "$.\"a b\"",
        "$.\"1\"",
    ] {
        assert_eq!(path(text).to_string(), text);
    }
    assert_eq!(path(" $ . a [ 1 ] ").to_string(), "$.a[1]");
    for text in ["", "a", "$.", "$[", "$[a]", "$[-1]", "$**", "$.1a", "$ x", "$[99999999999]"] {
        assert!(matches!(JsonPath::parse(text), Err(JsonError::InvalidPath(_))), "{text}");
    }
    assert!(path("$.*").is_wildcard() && path("$[0 to 1]").is_wildcard() && !path("$.a[last]").is_wildcard());
}

#[test]
fn changes_documents() {
    let modify = |document: &str, at: &str, mode| {
        let mut value = json(document).as_ref().to_value();
        value.modify(&path(at), JsonValue::Int(9), mode).map(|()| value.to_json().to_string())
    };
    use ModifyMode::{Insert, Replace, Set};
    let cases = [
        ("{\"a\": 1}", "$.a", Set, "{\"a\": 9}"),
        ("{\"a\": 1}", "$.b", Set, "{\"a\": 1, \"b\": 9}"),
        ("{\"a\": 1}", "$.a", Insert, "{\"a\": 1}"),
        ("{\"a\": 1}", "$.b", Replace, "{\"a\": 1}"),
        ("{\"a\": 1}", "$.b.c", Set, "{\"a\": 1}"),
        ("[1]", "$[5]", Set, "[1, 9]"),
        ("[1]", "$[last-5]", Set, "[9, 1]"),
        ("1", "$[0]", Set, "9"),
        ("1", "$[1]", Insert, "[1, 9]"),
        ("1", "$", Replace, "9"),
        ("1", "$", Insert, "1"),
    ];
    for (document, at, mode, changed) in cases {
        assert_eq!(modify(document, at, mode).as_deref(), Ok(changed), "{document} {at} {mode:?}");
    }
    assert_eq!(modify("[1]", "$[*]", Set), Err(JsonError::WildcardPath));

    let mut value = json("{\"a\": [1, 2, 3]}").as_ref().to_value();
    value.remove(&path("$.a[1]")).unwrap();
    value.remove(&path("$.zzz")).unwrap();
    assert_eq!(value.remove(&path("$")), Err(JsonError::RootPath));
    value.array_append(&path("$.a"), JsonValue::Int(4)).unwrap();
    value.array_append(&path("$.a[0]"), JsonValue::Null).unwrap();
    value.array_insert(&path("$.a[1]"), JsonValue::Bool(true)).unwrap();
    assert_eq!(value.array_insert(&path("$.a"), JsonValue::Null), Err(JsonError::NotArrayCell));
    assert_eq!(value.to_json().to_string(), "{\"a\": [[1, null], true, 3, 4]}");
}

#[test]
fn merges() {
    let merge = |a: &str, b: &str, function: fn(JsonValue, JsonValue) -> JsonValue| {
        function(json(a).as_ref().to_value(), json(b).as_ref().to_value()).to_json().to_string()
    };
    assert_eq!(merge("[1, 2]", "{\"a\": 3}", JsonValue::merge_preserve), "[1, 2, {\"a\": 3}]");
    assert_eq!(
        merge("{\"a\": 1}", "{\"a\": 2, \"b\": 3}", JsonValue::merge_preserve),
        "{\"a\": [1, 2], \"b\": 3}"
    );
    assert_eq!(merge("1", "true", JsonValue::merge_preserve), "[1, true]");
    assert_eq!(
        merge(
            "{\"a\": 1, \"b\": 2}",
            "{\"a\": null, \"b\": {\"c\": null, \"d\": 3}}",
            JsonValue::merge_patch
        ),
        "{\"b\": {\"d\": 3}}"
    );
    assert_eq!(merge("{\"a\": 1}", "[1]", JsonValue::merge_patch), "[1]");
}

#[test]
fn order_of_values() {
    let ordered = [
        "null",
        "-1.5",
        "0",
        "1",
        "18446744073709551615",
        "\"a\"",
        "\"b\"",
        "{}",
        "{\"a\": 1}",
        "{\"a\": 2}",
        "[]",
        "[1]",
        "[1, 2]",
        "[2]",
        "false",
        "true",
    ];
    for (i, a) in ordered.iter().enumerate() {
        for (j, b) in ordered.iter().enumerate() {
            assert_eq!(json(a).as_ref().compare(json(b).as_ref()), i.cmp(&j), "{a} {b}");
        }
    }
    assert_eq!(json("1"), json("1.0"));
    let decimal = Json::from_datum(&Datum::Decimal("1.00".parse().unwrap()), &FieldType::decimal(5, 2));
    assert_eq!((decimal.to_string().as_str(), decimal.as_ref().json_type()), ("1.00", JsonType::Decimal));
    assert_eq!(decimal, json("1"));
}

#[test]
fn containment() {
    let contains = |target: &str, candidate: &str| json(target).as_ref().contains(json(candidate).as_ref());
    assert!(contains("{\"a\": 1, \"b\": {\"c\": 2}}", "{\"b\": {\"c\": 2}}"));
    assert!(!contains("{\"a\": 1}", "{\"a\": 2}"));
    assert!(contains("[1, [2, 3], 4]", "[2, 4]"));
    assert!(contains("[1, [2, 3]]", "3"));
    assert!(!contains("1", "[1]"));
    let overlaps = |a: &str, b: &str| json(a).as_ref().overlaps(json(b).as_ref());
    assert!(
        overlaps("[1, 3]", "[3, 4]")
            && overlaps("[1]", "1")
            && overlaps("{\"a\": 1}", "{\"a\": 1, \"b\": 2}")
    );
    assert!(!overlaps("[1]", "[2]") && !overlaps("{\"a\": 1}", "{\"a\": 2}"));
}

#[test]
fn sql_values() {
    let time = Time::from_date(2020, 1, 2).unwrap();
    for (datum, field_type, printed, type_name) in [
        (Datum::Time(time), FieldType::date(), "\"2020-01-02\"", "DATE"),
        (Datum::Time(time), FieldType::datetime(0), "\"2020-01-02 00:00:00.000000\"", "DATETIME"),
        (Datum::Time(time), FieldType::timestamp(0), "\"2020-01-02 00:00:00.000000\"", "TIMESTAMP"),
        (Datum::Duration(Duration::MAX), FieldType::duration(0), "\"838:59:59.000000\"", "TIME"),
        (Datum::Bytes(b"ab".to_vec()), FieldType::binary_string(), "\"base64:type253:YWI=\"", "OPAQUE"),
        (Datum::from("ab"), FieldType::string(), "\"ab\"", "STRING"),
        (Datum::UInt(1), FieldType::uint(), "1", "UNSIGNED INTEGER"),
        (Datum::Null, FieldType::null(), "null", "NULL"),
    ] {
        let json = Json::from_datum(&datum, &field_type);
        assert_eq!((json.to_string().as_str(), json.as_ref().json_type().name()), (printed, type_name));
        assert_eq!(Json::from_binary(json.as_bytes()), Ok(json.clone()));
        assert_eq!(json.as_ref().to_value().to_json().as_bytes(), json.as_bytes());
    }
    assert_eq!(json("\"a\\\"b\"").as_ref().unquote(), "a\"b");
    assert_eq!(json("[1]").as_ref().unquote(), "[1]");
    assert_eq!((json("[1, [2]]").as_ref().depth(), json("{}").as_ref().depth()), (3, 1));
}

fn any_value() -> impl Strategy<Value = JsonValue> {
    let leaf = prop_oneof![
        Just(JsonValue::Null),
        any::<bool>().prop_map(JsonValue::Bool),
        any::<i64>().prop_map(JsonValue::Int),
        (i64::MAX as u64 + 1..).prop_map(JsonValue::UInt),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(JsonValue::Double),
        "\\PC{0,8}".prop_map(JsonValue::String),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(JsonValue::Array),
            prop::collection::btree_map("[a-c]{0,3}", inner, 0..5).prop_map(JsonValue::Object),
        ]
    })
}

proptest! {
    #[test]
    fn text_and_binary_round_trip(value in any_value()) {
        let document = value.to_json();
        let again = document.as_ref().to_value().to_json();
        prop_assert_eq!(again.as_bytes(), document.as_bytes());
        prop_assert!(document.as_ref().validate().is_ok());
        let printed = document.to_string();
        prop_assert_eq!(Json::parse(&printed).map(|again| again.to_string()), Ok(printed));
    }

    #[test]
    fn order_is_an_order(a in any_value(), b in any_value()) {
        let (a, b) = (a.to_json(), b.to_json());
        prop_assert_eq!(a.as_ref().compare(b.as_ref()), b.as_ref().compare(a.as_ref()).reverse());
        prop_assert!(a.as_ref().compare(a.as_ref()).is_eq());
    }

    #[test]
    fn reading_takes_any_bytes(code in 0u8..0x13, bytes in prop::collection::vec(0u8..24, 0..80)) {
        let mut binary = vec![code];
        binary.extend(bytes);
        let _ = Json::from_binary(&binary);
        if let Ok(json) = JsonRef::from_binary(&binary) {
            let _ = (json.to_string(), json.depth(), json.compare(json), json.contains(json), json.to_value());
            let _ = json.extract(&[path("$**.a"), path("$[*]")]);
        }
    }

    #[test]
    fn parsing_takes_any_text(text in "\\PC{0,40}", near in "[\\[\\]{}\",:0-9eE.tru\\\\-]{0,30}") {
        let _ = Json::parse(&text);
        let _ = Json::parse(&near);
        let _ = JsonPath::parse(&text);
        let _ = JsonPath::parse(&format!("${near}"));
    }
}
