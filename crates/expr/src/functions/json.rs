//! JSON. A document argument is a JSON value or text that is parsed; a value argument becomes JSON as it is, so text is a
//! JSON string.

use tidewater_types::{
    Datum, EvalType, FieldType, Json, JsonPath, JsonRef, JsonType, JsonValue, ModifyMode, PathLeg,
};

use super::like::like_text;
use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::{boolean_type, to_json};
use crate::registry::{CallContext, FunctionDef, Inference, Kernel, VARIADIC};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("json_extract", 2, VARIADIC, infer_paths, Kernel::Strict(extract)),
    FunctionDef::new("json_unquote", 1, 1, infer_unquote, Kernel::Strict(unquote)),
    FunctionDef::new("json_object", 0, VARIADIC, infer_object, Kernel::Row(object)),
    FunctionDef::new("json_array", 0, VARIADIC, infer_array, Kernel::Row(array)),
    // document, then pairs of path and value
    FunctionDef::new("json_set", 3, VARIADIC, infer_pairs, Kernel::Row(|c, a| modify(c, a, ModifyMode::Set))),
    FunctionDef::new(
        "json_insert",
        3,
        VARIADIC,
        infer_pairs,
        Kernel::Row(|c, a| modify(c, a, ModifyMode::Insert)),
    ),
    FunctionDef::new(
        "json_replace",
        3,
        VARIADIC,
        infer_pairs,
        Kernel::Row(|c, a| modify(c, a, ModifyMode::Replace)),
    ),
    FunctionDef::new(
        "json_array_append",
        3,
        VARIADIC,
        infer_pairs,
        Kernel::Row(|c, a| edit(c, a, JsonValue::array_append)),
    ),
    FunctionDef::new(
        "json_array_insert",
        3,
        VARIADIC,
        infer_pairs,
        Kernel::Row(|c, a| edit(c, a, JsonValue::array_insert)),
    ),
    FunctionDef::new("json_remove", 2, VARIADIC, infer_paths, Kernel::Strict(remove)),
    FunctionDef::new("json_contains", 2, 3, infer_contains, Kernel::Strict(contains)),
    FunctionDef::new("json_contains_path", 3, VARIADIC, infer_contains_path, Kernel::Strict(contains_path)),
    FunctionDef::new("json_overlaps", 2, 2, infer_test, Kernel::Strict(overlaps)),
    // value, array
    FunctionDef::new("json_memberof", 2, 2, infer_memberof, Kernel::Strict(member_of)),
    FunctionDef::new("json_keys", 1, 2, infer_paths, Kernel::Strict(keys)),
    FunctionDef::new("json_length", 1, 2, infer_int, Kernel::Strict(length)),
    FunctionDef::new("json_depth", 1, 1, infer_int, Kernel::Strict(depth)),
    FunctionDef::new("json_type", 1, 1, infer_text, Kernel::Strict(type_name)),
    FunctionDef::new("json_valid", 1, 1, infer_test, Kernel::Strict(valid)),
    FunctionDef::new("json_quote", 1, 1, infer_quote, Kernel::Strict(quote)),
    FunctionDef::new("json_pretty", 1, 1, infer_text, Kernel::Strict(pretty)),
    FunctionDef::new("json_storage_size", 1, 1, infer_int, Kernel::Strict(storage_size)),
    FunctionDef::new(
        "json_merge_preserve",
        2,
        VARIADIC,
        infer_documents,
        Kernel::Strict(|c, a| merge(c, a, JsonValue::merge_preserve)),
    ),
    FunctionDef::new("json_merge_patch", 2, VARIADIC, infer_documents, Kernel::Row(merge_patch)),
    // document, 'one' or 'all', text [, escape [, paths]]
    FunctionDef::new("json_search", 3, VARIADIC, infer_search, Kernel::Row(search)),
];

// ---- typing

fn infer_documents(_: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(FieldType::json())
}

fn infer_paths(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    (1..i.args.len()).for_each(|index| i.cast(index, EvalType::String));
    Ok(FieldType::json())
}

fn infer_int(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(1, EvalType::String);
    Ok(FieldType::int())
}

fn infer_test(_: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(boolean_type(false))
}

fn infer_text(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.collation = tidewater_types::Collation::Utf8mb4Bin;
    Ok(i.text(-1))
}

fn infer_unquote(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    if i.arg(0).eval_type() != EvalType::Json {
        i.cast(0, EvalType::String);
    }
    infer_text(i)
}

fn infer_quote(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::String);
    infer_text(i)
}

fn value_argument(i: &mut Inference<'_>, index: usize) {
    let expr = std::mem::replace(&mut i.args[index], Expr::null());
    i.args[index] = to_json(expr);
}

fn wrong_count(i: &Inference<'_>) -> ExprError {
    ExprError::WrongArgumentCount { name: i.name.to_owned() }
}

fn infer_array(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    (0..i.args.len()).for_each(|index| value_argument(i, index));
    Ok(FieldType::json())
}

fn infer_object(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    if i.args.len() % 2 == 1 {
        return Err(wrong_count(i));
    }
    for index in 0..i.args.len() {
        if index % 2 == 0 { i.cast(index, EvalType::String) } else { value_argument(i, index) }
    }
    Ok(FieldType::json())
}

fn infer_pairs(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    if i.args.len().is_multiple_of(2) {
        return Err(wrong_count(i));
    }
    for index in 1..i.args.len() {
        if index % 2 == 1 { i.cast(index, EvalType::String) } else { value_argument(i, index) }
    }
    Ok(FieldType::json())
}

fn infer_contains(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(2, EvalType::String);
    Ok(boolean_type(false))
}

fn infer_contains_path(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    (1..i.args.len()).for_each(|index| i.cast(index, EvalType::String));
    Ok(boolean_type(false))
}

fn infer_memberof(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    value_argument(i, 0);
    Ok(boolean_type(false))
}

fn infer_search(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    (1..i.args.len()).for_each(|index| i.cast(index, EvalType::String));
    Ok(FieldType::json())
}

// ---- arguments

/// A document argument; NULL is the kernels' business.
fn document(call: &CallContext<'_>, args: &[Datum], index: usize) -> Result<Json, ExprError> {
    match &args[index] {
        Datum::Json(json) => Ok(json.clone()),
        Datum::Bytes(text) => Ok(Json::parse(&String::from_utf8_lossy(text))?),
        _ => Err(ExprError::JsonType { position: index + 1, function: call.call.function.name }),
    }
}

/// A value argument: `convert_json` made it JSON, and NULL is JSON's null here.
fn value(datum: &Datum) -> Json {
    match datum {
        Datum::Json(json) => json.clone(),
        _ => Json::null(),
    }
}

fn text(datum: &Datum) -> String {
    match datum {
        Datum::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

fn path(datum: &Datum) -> Result<JsonPath, ExprError> {
    Ok(JsonPath::parse(&text(datum))?)
}

fn paths(args: &[Datum]) -> Result<Vec<JsonPath>, ExprError> {
    args.iter().map(path).collect()
}

/// A path that leads to one place.
fn single_path(datum: &Datum) -> Result<JsonPath, ExprError> {
    let path = path(datum)?;
    if path.is_wildcard() { Err(ExprError::JsonWildcard) } else { Ok(path) }
}

fn truth(holds: bool) -> Result<Datum, ExprError> {
    Ok(Datum::Int(i64::from(holds)))
}

// ---- kernels

fn extract(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let json = document(call, args, 0)?;
    Ok(json.as_ref().extract(&paths(&args[1..])?).map_or(Datum::Null, Datum::Json))
}

fn unquote(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let unquoted = match &args[0] {
        Datum::Json(json) => json.as_ref().unquote(),
        other => {
            let text = text(other);
            let quoted = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
            if quoted { Json::parse(&text)?.as_ref().unquote() } else { text }
        }
    };
    Ok(Datum::Bytes(unquoted.into_bytes()))
}

fn object(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let mut members = Vec::with_capacity(args.len() / 2);
    for pair in args.chunks_exact(2) {
        if pair[0].is_null() {
            return Err(ExprError::JsonNullKey);
        }
        members.push((text(&pair[0]), value(&pair[1])));
    }
    let members: Vec<(&str, JsonRef<'_>)> = members.iter().map(|(k, v)| (k.as_str(), v.as_ref())).collect();
    Ok(Datum::Json(Json::object(&members)))
}

fn array(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let elements: Vec<Json> = args.iter().map(value).collect();
    let elements: Vec<JsonRef<'_>> = elements.iter().map(Json::as_ref).collect();
    Ok(Datum::Json(Json::array(&elements)))
}

fn modify(call: &CallContext<'_>, args: &[Datum], mode: ModifyMode) -> Result<Datum, ExprError> {
    edit(call, args, |document, path, value| document.modify(path, value, mode))
}

fn edit(
    call: &CallContext<'_>,
    args: &[Datum],
    change: impl Fn(&mut JsonValue, &JsonPath, JsonValue) -> Result<(), tidewater_types::JsonError>,
) -> Result<Datum, ExprError> {
    // A NULL document or path gives NULL; a NULL value is JSON's null.
    if args[0].is_null() || args[1..].iter().step_by(2).any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let mut tree = document(call, args, 0)?.as_ref().to_value();
    for pair in args[1..].chunks_exact(2) {
        change(&mut tree, &single_path(&pair[0])?, value(&pair[1]).as_ref().to_value())?;
    }
    Ok(Datum::Json(tree.to_json()))
}

fn remove(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let mut tree = document(call, args, 0)?.as_ref().to_value();
    for datum in &args[1..] {
        tree.remove(&single_path(datum)?)?;
    }
    Ok(Datum::Json(tree.to_json()))
}

fn contains(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (json, candidate) = (document(call, args, 0)?, document(call, args, 1)?);
    let target = match args.get(2) {
        None => Some(json.as_ref()),
        Some(datum) => json.as_ref().find(&single_path(datum)?),
    };
    match target {
        Some(target) => truth(target.contains(candidate.as_ref())),
        None => Ok(Datum::Null),
    }
}

/// Whether 'all' was said (and not 'one').
fn wants_all(call: &CallContext<'_>, datum: &Datum) -> Result<bool, ExprError> {
    match text(datum).to_ascii_lowercase().as_str() {
        "one" => Ok(false),
        "all" => Ok(true),
        _ => Err(ExprError::JsonOneOrAll { function: call.call.function.name }),
    }
}

fn contains_path(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let json = document(call, args, 0)?;
    let all = wants_all(call, &args[1])?;
    let paths = paths(&args[2..])?;
    let mut found = paths.iter().map(|path| json.as_ref().find(path).is_some());
    truth(if all { found.all(|f| f) } else { found.any(|f| f) })
}

fn overlaps(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    truth(document(call, args, 0)?.as_ref().overlaps(document(call, args, 1)?.as_ref()))
}

fn member_of(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (wanted, json) = (value(&args[0]), document(call, args, 1)?);
    let json = json.as_ref();
    truth(if json.json_type() == JsonType::Array {
        json.elements().any(|element| element.compare(wanted.as_ref()).is_eq())
    } else {
        json.compare(wanted.as_ref()).is_eq()
    })
}

/// The document, or what the optional path finds in it.
fn part<R>(
    call: &CallContext<'_>,
    args: &[Datum],
    of: impl Fn(JsonRef<'_>) -> Option<R>,
) -> Result<Option<R>, ExprError> {
    let json = document(call, args, 0)?;
    let target = match args.get(1) {
        None => Some(json.as_ref()),
        Some(datum) => json.as_ref().find(&single_path(datum)?),
    };
    Ok(target.and_then(of))
}

fn keys(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let keys = part(call, args, |json| {
        if json.json_type() != JsonType::Object {
            return None;
        }
        let keys: Vec<Json> = json.members().map(|(key, _)| Json::from_string(key)).collect();
        let keys: Vec<JsonRef<'_>> = keys.iter().map(Json::as_ref).collect();
        Some(Json::array(&keys))
    })?;
    Ok(keys.map_or(Datum::Null, Datum::Json))
}

fn length(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let length = part(call, args, |json| Some(if json.is_container() { json.length() } else { 1 }))?;
    Ok(length.map_or(Datum::Null, |length| Datum::Int(length as i64)))
}

fn depth(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(document(call, args, 0)?.as_ref().depth() as i64))
}

fn type_name(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Bytes(document(call, args, 0)?.as_ref().json_type().name().as_bytes().to_vec()))
}

fn valid(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    truth(match &args[0] {
        Datum::Json(_) => true,
        Datum::Bytes(text) => std::str::from_utf8(text).is_ok_and(|text| Json::parse(text).is_ok()),
        _ => false,
    })
}

fn printed(json: JsonRef<'_>) -> Datum {
    let mut out = Vec::new();
    json.write_to(&mut out);
    Datum::Bytes(out)
}

fn quote(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(printed(Json::from_string(&text(&args[0])).as_ref()))
}

fn pretty(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let mut out = Vec::new();
    document(call, args, 0)?.as_ref().write_pretty(&mut out);
    Ok(Datum::Bytes(out))
}

fn storage_size(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(document(call, args, 0)?.as_bytes().len() as i64))
}

fn merge(
    call: &CallContext<'_>,
    args: &[Datum],
    join: impl Fn(JsonValue, JsonValue) -> JsonValue,
) -> Result<Datum, ExprError> {
    let mut merged = document(call, args, 0)?.as_ref().to_value();
    for index in 1..args.len() {
        merged = join(merged, document(call, args, index)?.as_ref().to_value());
    }
    Ok(Datum::Json(merged.to_json()))
}

/// A NULL hides everything before the last document that replaces it (RFC 7396 on an unknown target).
fn merge_patch(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let mut merged: Option<JsonValue> = None;
    for index in 0..args.len() {
        if args[index].is_null() {
            merged = None;
            continue;
        }
        let patch = document(call, args, index)?.as_ref().to_value();
        merged = match (merged, patch) {
            (_, patch) if !matches!(patch, JsonValue::Object(_)) => Some(patch),
            (Some(target), patch) => Some(target.merge_patch(patch)),
            (None, patch) if index == 0 => Some(patch),
            (None, _) => None,
        };
    }
    Ok(merged.map_or(Datum::Null, |tree| Datum::Json(tree.to_json())))
}

fn search(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    if args[..3].iter().any(Datum::is_null) || args.iter().skip(4).any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let json = document(call, args, 0)?;
    let all = wants_all(call, &args[1])?;
    let pattern = text(&args[2]);
    let escape = args.get(3).filter(|e| !e.is_null()).map_or_else(|| "\\".to_owned(), text);
    let starts = if args.len() > 4 { paths(&args[4..])? } else { vec![JsonPath::from_legs(Vec::new())] };
    let mut found: Vec<String> = Vec::new();
    for start in &starts {
        if start.is_wildcard() {
            return Err(ExprError::JsonWildcard);
        }
        if let Some(json) = json.as_ref().find(start) {
            let mut legs = start.legs().to_vec();
            walk(json, &mut legs, &mut |text, legs| {
                if like_text(text.as_bytes(), pattern.as_bytes(), escape.as_bytes()) {
                    let path = JsonPath::from_legs(legs.to_vec()).to_string();
                    if !found.contains(&path) {
                        found.push(path);
                    }
                }
            });
        }
    }
    Ok(match (&found[..], all) {
        ([], _) => Datum::Null,
        ([first, ..], false) | ([first], true) => Datum::Json(Json::from_string(first)),
        (many, true) => {
            let many: Vec<Json> = many.iter().map(|path| Json::from_string(path)).collect();
            let many: Vec<JsonRef<'_>> = many.iter().map(Json::as_ref).collect();
            Datum::Json(Json::array(&many))
        }
    })
}

/// Visits every string of a document with its path.
fn walk(json: JsonRef<'_>, legs: &mut Vec<PathLeg>, visit: &mut dyn FnMut(&str, &[PathLeg])) {
    match json.json_type() {
        JsonType::String => {
            if let Some(text) = json.as_str() {
                visit(text, legs);
            }
        }
        JsonType::Array => {
            for (position, element) in json.elements().enumerate() {
                legs.push(PathLeg::Index(tidewater_types::ArrayIndex::FromStart(position)));
                walk(element, legs, visit);
                legs.pop();
            }
        }
        JsonType::Object => {
            for (key, member) in json.members() {
                legs.push(PathLeg::Key(key.to_owned()));
                walk(member, legs, visit);
                legs.pop();
            }
        }
        _ => {}
    }
}
