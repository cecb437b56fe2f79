//! The families of functions, one file and one table each.

mod arithmetic;
mod bit;
mod compare;
mod control;
mod convert;
mod digest;
mod in_list;
mod info;
mod json;
mod like;
mod locks;
mod logic;
mod math;
mod misc;
mod rewrite;
mod string;
mod string_search;
mod time;
mod time_arithmetic;
mod time_format;

use crate::registry::FunctionDef;

pub(crate) use logic::is_harmless;
pub(crate) use rewrite::rewrite;

/// The tables of all families.
pub(crate) const FAMILIES: &[&[FunctionDef]] = &[
    arithmetic::FUNCTIONS,
    bit::FUNCTIONS,
    compare::FUNCTIONS,
    control::FUNCTIONS,
    convert::FUNCTIONS,
    in_list::FUNCTIONS,
    like::FUNCTIONS,
    logic::FUNCTIONS,
    digest::FUNCTIONS,
    math::FUNCTIONS,
    string_search::FUNCTIONS,
    string::FUNCTIONS,
    time::FUNCTIONS,
    time_arithmetic::FUNCTIONS,
    time_format::FUNCTIONS,
    info::FUNCTIONS,
    json::FUNCTIONS,
    locks::FUNCTIONS,
    misc::FUNCTIONS,
];

/// Other names of the same functions.
pub(crate) fn canonical_name(name: &str) -> &str {
    match name {
        "substr" | "mid" => "substring",
        "lcase" => "lower",
        "ucase" => "upper",
        "character_length" => "char_length",
        "octet_length" => "length",
        "pow" => "power",
        "ceiling" => "ceil",
        "sha" => "sha1",
        "rlike" | "regexp_like" => "regexp",
        "now" | "current_timestamp" | "localtime" | "localtimestamp" => "now",
        "current_date" => "curdate",
        "current_time" => "curtime",
        "day" => "dayofmonth",
        "adddate" => "date_add",
        "subdate" => "date_sub",
        "schema" => "database",
        "session_user" | "system_user" => "user",
        "json_merge" => "json_merge_preserve",
        "json_append" => "json_array_append",
        "position" => "locate",
        "isnotnull" => "is_not_null",
        "is_null" => "isnull",
        "is_true" => "istrue",
        "is_false" => "isfalse",
        other => other,
    }
}
