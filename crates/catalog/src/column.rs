//! Columns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidewater_codec::ColumnId;
use tidewater_types::{ConvertContext, Datum, FieldType, SqlMode, TypeCode, TypeFlags, convert};

use crate::{CiName, SchemaState, stored};

/// The id of the implicit row-id column (`_tidb_rowid`) of tables without a clustered key.
pub const ROW_ID_COLUMN: ColumnId = ColumnId(-1);
/// The name of that column.
pub const ROW_ID_NAME: &str = "_tidb_rowid";

/// A column as stored in its table's JSON.
///
/// Default values are kept as text, the way TiDB keeps them; [`ColumnInfo::default`] reads them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnInfo {
    /// Its id, unique in the table for ever; row values are tagged with it.
    pub id: ColumnId,
    /// Its name.
    pub name: CiName,
    /// Its position in [`TableInfo::columns`](crate::TableInfo::columns).
    pub offset: usize,
    /// What a row that was written before the column existed holds.
    #[serde(rename = "origin_default", default)]
    pub origin_default: Option<String>,
    /// The same for values that are not text (BIT and binary strings).
    #[serde(rename = "origin_default_bit", default, with = "stored::bytes")]
    pub origin_default_bytes: Option<Vec<u8>>,
    /// The DEFAULT clause: a literal's text, `CURRENT_TIMESTAMP[(n)]`, or an expression.
    #[serde(rename = "default", default)]
    pub default_value: Option<String>,
    /// The same for values that are not text.
    #[serde(rename = "default_bit", default, with = "stored::bytes")]
    pub default_bytes: Option<Vec<u8>>,
    /// Whether `default_value` is an expression in parentheses.
    #[serde(default)]
    pub default_is_expr: bool,
    /// The expression of a generated column, empty for others.
    #[serde(rename = "generated_expr_string", default)]
    pub generated_expr: String,
    /// Whether a generated column is STORED (else VIRTUAL).
    #[serde(default)]
    pub generated_stored: bool,
    /// Names of the columns a generated column is computed from.
    #[serde(rename = "dependences", default)]
    pub dependencies: Option<BTreeMap<String, serde_json::Value>>,
    /// Its SQL type, flags and collation.
    #[serde(rename = "type", with = "stored::field_type")]
    pub field_type: FieldType,
    /// State of an online change.
    pub state: SchemaState,
    /// Its comment.
    #[serde(default)]
    pub comment: String,
    /// Whether only indexes see it (expression indexes).
    #[serde(default)]
    pub hidden: bool,
    /// Of a hidden column that takes the place of another at the end of a change: how its values are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Box<ColumnChange>>,
    /// Layout version; 2 means that TIMESTAMP defaults are kept in UTC.
    #[serde(default)]
    pub version: u64,
}

/// How values of a column's new type are made from those of the old one. All who do it, backfill and the writers of
/// any session, must come to the same: the rules are those of the session that asked for the change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnChange {
    /// Its `sql_mode`.
    pub sql_mode: SqlMode,
    /// Its `time_zone`.
    pub time_zone: String,
    /// When the statement began, in microseconds since the epoch.
    pub now_micros: i64,
}

/// What a column holds when a statement gives no value.
#[derive(Clone, Debug, PartialEq)]
pub enum DefaultValue<'a> {
    /// NOT NULL and no DEFAULT clause: error 1364 in strict mode, else the type's implicit default.
    Missing,
    /// NULL.
    Null,
    /// A literal, to be converted to the column's type.
    Literal(&'a [u8]),
    /// The statement's time, rounded to the column's fractional digits.
    CurrentTimestamp,
    /// An expression in SQL text.
    Expression(&'a str),
    /// The next AUTO_INCREMENT value.
    AutoIncrement,
}

impl ColumnInfo {
    /// A public nullable column without default.
    pub fn new(id: ColumnId, name: impl Into<CiName>, offset: usize, field_type: FieldType) -> Self {
        ColumnInfo {
            id,
            name: name.into(),
            offset,
            origin_default: None,
            origin_default_bytes: None,
            default_value: None,
            default_bytes: None,
            default_is_expr: false,
            generated_expr: String::new(),
            generated_stored: false,
            dependencies: None,
            field_type,
            state: SchemaState::Public,
            comment: String::new(),
            hidden: false,
            change: None,
            version: 2,
        }
    }

    /// Whether the column is computed from others.
    pub fn is_generated(&self) -> bool {
        !self.generated_expr.is_empty()
    }

    /// Whether the column is computed from others and not stored.
    pub fn is_virtual_generated(&self) -> bool {
        self.is_generated() && !self.generated_stored
    }

    /// Whether the column numbers its rows.
    pub fn is_auto_increment(&self) -> bool {
        self.field_type.flags.contains(TypeFlags::AUTO_INCREMENT)
    }

    /// Whether `ON UPDATE CURRENT_TIMESTAMP` holds.
    pub fn is_on_update_now(&self) -> bool {
        self.field_type.flags.contains(TypeFlags::ON_UPDATE_NOW)
    }

    /// What the column holds when a statement gives no value.
    pub fn default(&self) -> DefaultValue<'_> {
        if self.is_auto_increment() {
            return DefaultValue::AutoIncrement;
        }
        if let Some(bytes) = &self.default_bytes {
            return DefaultValue::Literal(bytes);
        }
        match &self.default_value {
            Some(text) if self.default_is_expr => DefaultValue::Expression(text),
            Some(text) if self.is_time() && is_current_timestamp(text) => DefaultValue::CurrentTimestamp,
            Some(text) => DefaultValue::Literal(text.as_bytes()),
            None if self.field_type.flags.contains(TypeFlags::NOT_NULL) => DefaultValue::Missing,
            None => DefaultValue::Null,
        }
    }

    /// What a row that was written before this column existed holds. `context` gives the rules of conversion; a
    /// default that no longer converts reads as NULL.
    pub fn origin_default_datum(&self, context: &ConvertContext) -> Datum {
        let text = match (&self.origin_default_bytes, &self.origin_default) {
            (Some(bytes), _) => bytes.clone(),
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => return Datum::Null,
        };
        self.literal_datum(text, context).unwrap_or(Datum::Null)
    }

    /// Converts the text of a stored literal to this column's type.
    pub fn literal_datum(&self, text: Vec<u8>, context: &ConvertContext) -> Option<Datum> {
        if self.field_type.code == TypeCode::Bit {
            let bits = text
                .iter()
                .try_fold(0u64, |bits, byte| (bits >> 56 == 0).then_some(bits << 8 | u64::from(*byte)))?;
            return Some(Datum::UInt(bits));
        }
        convert(&Datum::Bytes(text), &self.field_type, context).ok()
    }

    fn is_time(&self) -> bool {
        matches!(self.field_type.code, TypeCode::Timestamp | TypeCode::DateTime | TypeCode::Date)
    }
}

/// Whether a stored default is `CURRENT_TIMESTAMP`, with or without fractional digits.
pub(crate) fn is_current_timestamp(text: &str) -> bool {
    text.get(.."CURRENT_TIMESTAMP".len()).is_some_and(|head| head.eq_ignore_ascii_case("CURRENT_TIMESTAMP"))
}
