//! System variables: the values of all scopes, and what `SET` accepts.
//!
//! Values are kept as the text `SHOW VARIABLES` prints. What statements ask all the time (SQL mode, time zone, ...) is
//! kept parsed in [`Hot`].

mod definitions;
mod hot;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tidewater_types::{Charset, Collation, Datum, ErrorCode, FieldType, SqlError, SqlMode, TimeZone};

use definitions::{ALIASES, DEFINITIONS};
pub(crate) use hot::{Hot, Isolation, ScatterNew};

/// Where a variable may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Global, and per session.
    Both,
    /// Only global.
    Global,
    /// Only per session.
    Session,
    /// Nowhere.
    ReadOnly,
}

/// The type of a variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// `ON` or `OFF`.
    Bool,
    /// An integer within bounds.
    Int(i64, i64),
    /// Any unsigned integer.
    Unsigned,
    /// A number within bounds.
    Float(f64, f64),
    /// Text.
    Text,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// The name of a character set.
    Charset,
    /// The name of a character set, or NULL.
    CharsetOrNull,
    /// The name of a collation.
    Collation,
    /// SQL modes.
    SqlMode,
    /// A time zone.
    TimeZone,
    /// A time span in Go's spelling: `10m0s`.
    Duration,
    /// Computed from the session's state; cannot be set.
    Computed,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
}

/// The number of a variable in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VariableId(usize);

impl VariableId {
    pub(crate) fn definition(self) -> &'static Definition {
        &DEFINITIONS[self.0]
    }
}

/// Finds a variable, following synonyms.
pub(crate) fn find(name: &str) -> Option<VariableId> {
    let lower = name.to_ascii_lowercase();
    let name = ALIASES.iter().find(|(alias, _)| *alias == lower).map_or(lower.as_str(), |(_, name)| name);
    DEFINITIONS.binary_search_by(|definition| definition.name.cmp(name)).ok().map(VariableId)
}

/// 1193.
pub(crate) fn unknown(name: &str) -> SqlError {
    SqlError::new(ErrorCode::UnknownSystemVariable, format!("Unknown system variable '{name}'"))
}

/// The values of one scope.
#[derive(Debug, Clone)]
pub(crate) struct Values(Arc<Vec<Arc<str>>>);

impl Values {
    fn defaults() -> Self {
        Self(Arc::new(DEFINITIONS.iter().map(|definition| Arc::from(definition.default)).collect()))
    }

    pub(crate) fn get(&self, id: VariableId) -> &Arc<str> {
        &self.0[id.0]
    }

    pub(crate) fn by_name(&self, name: &str) -> &str {
        find(name).map_or("", |id| self.get(id))
    }

    fn set(&mut self, id: VariableId, value: &str) {
        let values = Arc::make_mut(&mut self.0);
        values[id.0] = Arc::from(value);
        // Two names, one variable.
        let name = DEFINITIONS[id.0].name;
        for (alias, target) in ALIASES {
            if *target == name
                && let Ok(index) = DEFINITIONS.binary_search_by(|definition| definition.name.cmp(alias))
            {
                values[index] = Arc::from(value);
            }
        }
    }
}

/// The global values.
pub(crate) struct GlobalVariables(ArcSwap<Values>);

impl GlobalVariables {
    pub(crate) fn new(server_version: &str) -> Self {
        let mut values = Values::defaults();
        for (name, value) in [("version", server_version)] {
            if let Some(id) = find(name) {
                values.set(id, value);
            }
        }
        Self(ArcSwap::from_pointee(values))
    }

    pub(crate) fn values(&self) -> Values {
        Values::clone(&self.0.load())
    }

    /// Sets a value that went through [`check`].
    pub(crate) fn set(&self, id: VariableId, value: &str) {
        self.0.rcu(|values| {
            let mut values = Values::clone(values);
            values.set(id, value);
            values
        });
    }
}

/// The values of one session.
#[derive(Debug, Clone)]
pub(crate) struct SessionVariables {
    values: Values,
    /// Parsed forms.
    pub(crate) hot: Hot,
}

impl SessionVariables {
    pub(crate) fn new(global: &GlobalVariables) -> Self {
        let values = global.values();
        let hot = Hot::new(&values);
        Self { values, hot }
    }

    pub(crate) fn get(&self, id: VariableId) -> &Arc<str> {
        self.values.get(id)
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn by_name(&self, name: &str) -> &str {
        self.values.by_name(name)
    }

    /// Sets a value that went through [`check`].
    pub(crate) fn set(&mut self, id: VariableId, value: &str) {
        self.values.set(id, value);
        let name = DEFINITIONS[id.0].name;
        // A character set brings its default collation along, and the reverse.
        let companion = match name {
            "character_set_connection" => Charset::from_name(value)
                .map(|charset| ("collation_connection", charset.default_collation().name())),
            "character_set_database" => Charset::from_name(value)
                .map(|charset| ("collation_database", charset.default_collation().name())),
            "character_set_server" => Charset::from_name(value)
                .map(|charset| ("collation_server", charset.default_collation().name())),
            "collation_connection" => Collation::from_name(value)
                .map(|collation| ("character_set_connection", collation.charset().name())),
            "collation_database" => Collation::from_name(value)
                .map(|collation| ("character_set_database", collation.charset().name())),
            "collation_server" => Collation::from_name(value)
                .map(|collation| ("character_set_server", collation.charset().name())),
            _ => None,
        };
        if let Some((name, value)) = companion
            && let Some(id) = find(name)
        {
            self.values.set(id, value);
        }
        self.hot.refresh(name, &self.values);
    }

    /// Sets by name; for values that are known to be right.
    pub(crate) fn set_known(&mut self, name: &str, value: &str) {
        if let Some(id) = find(name) {
            self.set(id, value);
        }
    }
}

/// All definitions in order of their names.
pub(crate) fn all() -> impl Iterator<Item = (VariableId, &'static Definition)> {
    DEFINITIONS.iter().enumerate().map(|(index, definition)| (VariableId(index), definition))
}

/// The type and value `SELECT @@name` gives.
pub(crate) fn datum(definition: &Definition, value: &str) -> (Datum, FieldType) {
    match definition.kind {
        Kind::Bool => (Datum::Int(i64::from(value.eq_ignore_ascii_case("ON"))), FieldType::int()),
        Kind::Int(..) => (value.parse().map_or(Datum::Null, Datum::Int), FieldType::int()),
        Kind::Unsigned => (value.parse().map_or(Datum::Null, Datum::UInt), FieldType::uint()),
        Kind::Float(..) => (value.parse().map_or(Datum::Null, Datum::Double), FieldType::double()),
        Kind::CharsetOrNull if value.is_empty() => (Datum::Null, FieldType::string()),
        Kind::Computed => match definition.name {
            "external_user" | "proxy_user" | "tidb_last_query_info" | "tidb_last_txn_info" => {
                (Datum::Bytes(value.as_bytes().to_vec()), FieldType::string())
            }
            _ => (value.parse().map_or(Datum::Null, Datum::UInt), FieldType::uint()),
        },
        Kind::Text
        | Kind::Enum(_)
        | Kind::Charset
        | Kind::CharsetOrNull
        | Kind::Collation
        | Kind::SqlMode
        | Kind::TimeZone
        | Kind::Duration => (Datum::Bytes(value.as_bytes().to_vec()), FieldType::string()),
    }
}

/// A value that `SET` may store, or why not. `truncated` is set when MySQL would bring the number into bounds with
/// warning 1292.
pub(crate) struct Checked {
    pub(crate) value: String,
    pub(crate) truncated: Option<String>,
}

/// Checks a value for a variable.
pub(crate) fn check(definition: &Definition, value: &Datum, text: &str) -> Result<Checked, SqlError> {
    let plain = |value: String| Ok(Checked { value, truncated: None });
    let wrong_value = || {
        let shown = if value.is_null() { "NULL" } else { text };
        SqlError::new(
            ErrorCode::WrongValueForVar,
            format!("Variable '{}' can't be set to the value of '{shown}'", definition.name),
        )
    };
    let wrong_type = || {
        SqlError::new(
            ErrorCode::WrongTypeForVar,
            format!("Incorrect argument type to variable '{}'", definition.name),
        )
    };
    if value.is_null() && definition.kind != Kind::CharsetOrNull {
        return Err(match definition.kind {
            Kind::Int(..) | Kind::Unsigned | Kind::Float(..) => wrong_type(),
            _ => wrong_value(),
        });
    }
    match definition.kind {
        Kind::Bool => match text.to_ascii_uppercase().as_str() {
            "ON" | "1" | "TRUE" => plain("ON".to_owned()),
            "OFF" | "0" | "FALSE" => plain("OFF".to_owned()),
            _ => Err(wrong_value()),
        },
        Kind::Int(min, max) => {
            let number: i128 = match value {
                Datum::Int(value) => i128::from(*value),
                Datum::UInt(value) => i128::from(*value),
                // tools send numbers in quotes to TiDB's variables; MySQL refuses, TiDB takes them
                Datum::Bytes(_) if definition.name.starts_with("tidb_") => {
                    text.trim().parse().map_err(|_| wrong_type())?
                }
                _ => return Err(wrong_type()),
            };
            let bounded = number.clamp(i128::from(min), i128::from(max));
            let truncated = (bounded != number).then(|| truncated_text(definition.name, text));
            Ok(Checked { value: bounded.to_string(), truncated })
        }
        Kind::Unsigned => match value {
            Datum::UInt(value) => plain(value.to_string()),
            Datum::Int(value) if *value >= 0 => plain(value.to_string()),
            Datum::Int(_) => {
                Ok(Checked { value: "0".to_owned(), truncated: Some(truncated_text(definition.name, text)) })
            }
            _ => Err(wrong_type()),
        },
        Kind::Float(min, max) => {
            let number: f64 = match value {
                Datum::Bytes(_) => return Err(wrong_type()),
                _ => text.parse().map_err(|_| wrong_type())?,
            };
            let bounded = number.clamp(min, max);
            let truncated = (bounded != number).then(|| truncated_text(definition.name, text));
            Ok(Checked { value: format!("{bounded:.6}"), truncated })
        }
        Kind::Text => plain(text.to_owned()),
        Kind::Enum(words) => {
            if let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                return plain((*word).to_owned());
            }
            // `ON` and `OFF` have their numbers, and so has every other word.
            match text.parse::<usize>().ok().and_then(|index| words.get(index)) {
                Some(word) => plain((*word).to_owned()),
                None => Err(wrong_value()),
            }
        }
        Kind::CharsetOrNull if value.is_null() => plain(String::new()),
        Kind::Charset | Kind::CharsetOrNull => match Charset::from_name(text) {
            Some(charset) => plain(charset.name().to_owned()),
            None => {
                Err(SqlError::new(ErrorCode::UnknownCharacterSet, format!("Unknown character set: '{text}'")))
            }
        },
        Kind::Collation => match Collation::from_name(text) {
            Some(collation) => plain(collation.name().to_owned()),
            None => Err(SqlError::new(ErrorCode::UnknownCollation, format!("Unknown collation: '{text}'"))),
        },
        Kind::SqlMode => {
            let mode = match value {
                Datum::Int(bits) => SqlMode::from_bits(*bits as u64),
                Datum::UInt(bits) => SqlMode::from_bits(*bits),
                _ => text.parse().ok(),
            };
            mode.map(|mode| Checked { value: mode.to_string(), truncated: None }).ok_or_else(wrong_value)
        }
        Kind::TimeZone => match TimeZone::parse(text) {
            Ok(_) => plain(text.to_owned()),
            Err(_) => Err(SqlError::new(
                ErrorCode::UnknownTimeZone,
                format!("Unknown or incorrect time zone: '{text}'"),
            )),
        },
        Kind::Duration => match duration_secs(text) {
            Some(_) => plain(text.to_owned()),
            None => Err(wrong_type()),
        },
        Kind::Computed => Err(SqlError::new(
            ErrorCode::IncorrectGlobalLocalVar,
            format!("Variable '{}' is a read only variable", definition.name),
        )),
    }
}

fn truncated_text(name: &str, value: &str) -> String {
    format!("Truncated incorrect {name} value: '{value}'")
}

/// Reads `10m0s`, `1h`, `90s`.
pub(crate) fn duration_secs(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut number = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    number.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_legal() {
        for pair in DEFINITIONS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} < {}", pair[0].name, pair[1].name);
        }
        for definition in DEFINITIONS {
            if definition.kind == Kind::Computed {
                continue;
            }
            let value = match definition.kind {
                Kind::Int(..) => Datum::Int(definition.default.parse().expect(definition.name)),
                Kind::Unsigned => Datum::UInt(definition.default.parse().expect(definition.name)),
                Kind::Float(..) => Datum::Double(definition.default.parse().expect(definition.name)),
                _ => Datum::Bytes(definition.default.as_bytes().to_vec()),
            };
            let checked = check(definition, &value, definition.default).expect(definition.name);
            assert!(checked.truncated.is_none(), "{}", definition.name);
        }
    }

    #[test]
    fn bounds_and_types_are_mysqls() {
        let packet = find("MAX_ALLOWED_PACKET").expect("known").definition();
        let checked = check(packet, &Datum::Int(1), "1").expect("brought into bounds");
        assert_eq!(checked.value, "1024");
        assert_eq!(checked.truncated.as_deref(), Some("Truncated incorrect max_allowed_packet value: '1'"));
        assert_eq!(
            check(packet, &Datum::Bytes(b"x".to_vec()), "x").err().map(|error| error.code),
            Some(1232)
        );
        let autocommit = find("autocommit").expect("known").definition();
        assert_eq!(check(autocommit, &Datum::Int(2), "2").err().map(|error| error.code), Some(1231));
        assert!(find("no_such_variable").is_none());
    }

    #[test]
    fn time_spans_are_read_as_go_writes_them() {
        assert_eq!(duration_secs("10m0s"), Some(600));
        assert_eq!(duration_secs("1h30m"), Some(5400));
        assert_eq!(duration_secs("10"), None);
    }
}
