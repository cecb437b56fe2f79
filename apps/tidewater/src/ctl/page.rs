//! Reading pages: fields of JSON as text for a table.

use serde_json::Value;

/// A field, found by its path such as `/status/region_count`; empty if it is not there.
pub(super) fn field(page: &Value, path: &str) -> String {
    page.pointer(path).map(text).unwrap_or_default()
}

/// The items of a list; none if it is none.
pub(super) fn items<'a>(page: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    page.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

/// A value without the quotes of JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Texts between commas.
pub(super) fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}
