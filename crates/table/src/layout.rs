//! How a table's rows and index entries look in the store. Hot path: nothing here is looked up by name, and buffers
//! are the caller's.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;
use tidewater_catalog::{
    ColumnChange, DefaultValue, FULL_LENGTH, HandleKind, IndexColumn, IndexInfo, TableInfo,
};
use tidewater_codec::{ColumnId, DecodeError, Handle, Key, datum, index_value, row, table_key};
use tidewater_types::{
    Collation, ConvertContext, Datum, FieldType, SqlMode, TimeZone, TypeCode, convert_from,
};

use crate::error::TableError;

/// Largest row in bytes: TiDB's largest `txn-entry-size-limit`, above what `max_allowed_packet` lets in by default.
pub const ROW_BYTES_MAX: usize = 120 << 20;

/// Names of hidden columns and indexes that take the place of others at the end of a change begin so.
pub const CHANGING_PREFIX: &str = "_changing$";

/// A table with all that writing its rows needs, ready for use.
///
/// A *row* here is a slice of datums, one per column of [`TableInfo::columns`] in order (columns of all states), with
/// TIMESTAMPs in the session's time zone.
pub struct TableLayout {
    /// The description.
    pub info: Arc<TableInfo>,
    time_zone: TimeZone,
    handle: HandleColumns,
    /// Offsets of the columns that stand in the row value.
    stored: Vec<usize>,
    timestamps: Vec<usize>,
    /// The columns that are being changed over, whose values or index entries may be stored.
    changing: Vec<Changing>,
    encoder: row::RowEncoder,
}

/// Offsets of columns in [`TableInfo::columns`].
pub type Offsets = SmallVec<[usize; 2]>;

/// A column that takes the new form of another's values.
struct Changing {
    offset: usize,
    source: usize,
    /// Whether new rows have a value in it, or only old ones may.
    is_writable: bool,
    /// The rules of the session that asked for the change.
    context: ConvertContext,
}

enum HandleColumns {
    RowId,
    Int(usize),
    /// Offsets of the primary key's columns, in key order.
    Common(Vec<usize>),
}

/// An index entry of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Vec<u8>,
    /// Whether no other row may have this key.
    pub distinct: bool,
}

impl TableLayout {
    /// Prepares a table.
    pub fn new(info: Arc<TableInfo>, time_zone: TimeZone) -> Self {
        let handle = match info.handle() {
            HandleKind::RowId => HandleColumns::RowId,
            HandleKind::IntColumn(column) => HandleColumns::Int(column.offset),
            HandleKind::Common(index) => {
                HandleColumns::Common(index.columns.iter().map(|part| part.offset).collect())
            }
        };
        let in_key = |offset: usize| match &handle {
            HandleColumns::RowId => false,
            HandleColumns::Int(handle) => *handle == offset,
            // A key that can be turned back needs no second copy in the value.
            HandleColumns::Common(offsets) => {
                offsets.contains(&offset) && !is_lossy(&info.columns[offset].field_type)
            }
        };
        let stored = info
            .writable_columns()
            .filter(|column| !column.is_virtual_generated() && !in_key(column.offset))
            .map(|column| column.offset)
            .collect();
        let timestamps = info
            .columns
            .iter()
            .filter(|column| column.field_type.code == TypeCode::Timestamp)
            .map(|column| column.offset)
            .collect();
        let changing = info
            .columns
            .iter()
            .filter(|column| column.hidden && column.state.is_deletable() && !column.state.is_public())
            .filter_map(|column| {
                let source = info.column(column.dependencies.as_ref()?.keys().next()?)?;
                let mut context = column.change.as_deref().map_or_else(lenient_context, change_context);
                context.strict = true;
                context.column = Arc::from(source.name.as_str());
                let is_writable = column.state.is_writable();
                Some(Changing { offset: column.offset, source: source.offset, is_writable, context })
            })
            .collect();
        Self { info, time_zone, handle, stored, timestamps, changing, encoder: row::RowEncoder::new() }
    }

    /// A row to be stored, with the values of columns that are being changed over computed from the old ones; and the
    /// offsets of such columns that have no value for this row and need none yet.
    ///
    /// # Errors
    /// The new type does not take the value.
    pub fn complete<'r>(&self, row: &'r [Datum]) -> Result<(Cow<'r, [Datum]>, Offsets), TableError> {
        self.complete_unless(row, |changing| changing.is_writable)
    }

    /// A row that is stored already, completed likewise. Where the new type does not take its value, which will be told
    /// to those who change the column, the row has no entries in the indexes on that.
    pub fn complete_stored<'r>(&self, row: &'r [Datum]) -> (Cow<'r, [Datum]>, Offsets) {
        // Nothing is an error here.
        self.complete_unless(row, |_| false).unwrap_or_else(|_| (Cow::Borrowed(row), Offsets::new()))
    }

    fn complete_unless<'r>(
        &self,
        row: &'r [Datum],
        is_error: impl Fn(&Changing) -> bool,
    ) -> Result<(Cow<'r, [Datum]>, Offsets), TableError> {
        let mut completed = Cow::Borrowed(row);
        let mut refused = Offsets::new();
        for changing in &self.changing {
            match self.changed_over(changing, row) {
                Ok(value) => completed.to_mut()[changing.offset] = value,
                Err(error) if is_error(changing) => return Err(error),
                Err(_) => refused.push(changing.offset),
            }
        }
        Ok((completed, refused))
    }

    fn changed_over(&self, changing: &Changing, row: &[Datum]) -> Result<Datum, TableError> {
        let Changing { offset, source, context, .. } = changing;
        let column = &self.info.columns[*offset];
        let old = &self.info.columns[*source];
        // What a TIMESTAMP means depends on where one stands: rows come in our zone, the change has its own.
        let value = moved(&row[*source], &old.field_type, &self.time_zone, &context.time_zone);
        if value.is_null() && column.field_type.is_not_null() {
            return Err(TableError::NullNotAllowed { column: old.name.to_string() });
        }
        let value = convert_from(&value, Some(&old.field_type), &column.field_type, context)
            .map_err(|source| TableError::Conversion { column: old.name.to_string(), source })?;
        Ok(moved(&value, &column.field_type, &context.time_zone, &self.time_zone))
    }

    /// Whether rows are found by a hidden row id, which the caller has to give.
    pub fn needs_row_id(&self) -> bool {
        matches!(self.handle, HandleColumns::RowId)
    }

    /// The handle of a row; `None` for tables with hidden row ids.
    pub fn handle_of(&self, row: &[Datum]) -> Result<Option<Handle>, TableError> {
        match &self.handle {
            HandleColumns::RowId => Ok(None),
            HandleColumns::Int(offset) => Ok(Some(Handle::Int(integer(&row[*offset])))),
            HandleColumns::Common(offsets) => {
                let mut key = Vec::with_capacity(16 * offsets.len());
                for &offset in offsets {
                    let column = &self.info.columns[offset];
                    let utc = self.to_utc(offset, &row[offset])?;
                    datum::encode_key_datum(
                        utc.as_ref().unwrap_or(&row[offset]),
                        &column.field_type,
                        &mut key,
                    )
                    .map_err(|source| self.corrupt(source))?;
                }
                Ok(Some(Handle::Common(key.into())))
            }
        }
    }

    /// The key of a row.
    pub fn row_key(&self, handle: &Handle) -> Key {
        table_key::row_key(self.info.id, handle)
    }

    /// The value of a row.
    pub fn row_value(&mut self, row: &[Datum]) -> Result<Vec<u8>, TableError> {
        let converted = self.utc_timestamps(row)?;
        let info = Arc::clone(&self.info);
        let columns: SmallVec<[(ColumnId, &Datum, &FieldType); 16]> = self
            .stored
            .iter()
            .map(|&offset| {
                let column = &info.columns[offset];
                let value =
                    converted.iter().find(|(at, _)| *at == offset).map_or(&row[offset], |(_, value)| value);
                (column.id, value, &column.field_type)
            })
            .collect();
        let mut value = Vec::with_capacity(16 + 16 * columns.len());
        self.encoder
            .encode(&columns, &mut value)
            .map_err(|source| TableError::Corrupt { table: info.name.to_string(), source })?;
        if value.len() > ROW_BYTES_MAX {
            return Err(TableError::EntryTooLarge { size: value.len(), max: ROW_BYTES_MAX });
        }
        Ok(value)
    }

    /// The entry of a row in an index. The clustered primary key has none: see [`TableLayout::has_entries`].
    pub fn index_entry(
        &self,
        index: &IndexInfo,
        row: &[Datum],
        handle: &Handle,
    ) -> Result<IndexEntry, TableError> {
        let mut key = Vec::with_capacity(32 + 16 * index.columns.len());
        table_key::write_index_prefix(self.info.id, index.id, &mut key);
        let mut has_null = false;
        let mut restored: Vec<(ColumnId, Datum, FieldType)> = Vec::new();
        for part in &index.columns {
            let column = &self.info.columns[part.offset];
            let value = &row[part.offset];
            has_null |= value.is_null();
            let value = self.write_index_part(part, value, &mut key)?;
            if let Some(kept) = restored_value(&value, &column.field_type) {
                restored.push((column.id, kept.0, kept.1));
            }
        }
        let distinct = index.unique && !has_null;
        if !distinct {
            table_key::write_index_handle(handle, &mut key);
        }
        let restored_bytes = if restored.is_empty() {
            None
        } else {
            let columns: Vec<_> =
                restored.iter().map(|(id, value, field_type)| (*id, value, field_type)).collect();
            let mut bytes = Vec::new();
            row::RowEncoder::new().encode(&columns, &mut bytes).map_err(|source| self.corrupt(source))?;
            Some(bytes)
        };
        let layout = match handle {
            Handle::Int(_) => index_value::IndexLayout::IntHandle,
            Handle::Common(_) => index_value::IndexLayout::CommonHandle,
        };
        let mut value = Vec::with_capacity(16);
        index_value::encode(
            &index_value::IndexValue {
                handle: distinct.then(|| handle.clone()),
                partition: None,
                restored: restored_bytes.as_deref(),
            },
            layout,
            &mut value,
        );
        Ok(IndexEntry { key: Key::new(key), value, distinct })
    }

    /// Appends one value of an entry to its key; gives what was written, which may be cut or of another time zone.
    fn write_index_part<'v>(
        &self,
        part: &IndexColumn,
        value: &'v Datum,
        key: &mut Vec<u8>,
    ) -> Result<Cow<'v, Datum>, TableError> {
        let field_type = &self.info.columns[part.offset].field_type;
        let prefix = (part.length != FULL_LENGTH).then(|| cut(value, field_type, part.length)).flatten();
        let written = match prefix {
            Some(prefix) => Some(prefix),
            None => self.to_utc(part.offset, value)?,
        };
        let value = written.map_or(Cow::Borrowed(value), Cow::Owned);
        datum::encode_key_datum(&value, field_type, key).map_err(|source| self.corrupt(source))?;
        Ok(value)
    }

    /// The key below all entries of an index whose first values are these, or greater.
    pub fn index_bound(&self, index: &IndexInfo, values: &[Datum]) -> Result<Key, TableError> {
        let mut key = Vec::with_capacity(32 + 16 * values.len());
        table_key::write_index_prefix(self.info.id, index.id, &mut key);
        for (part, value) in index.columns.iter().zip(values) {
            self.write_index_part(part, value, &mut key)?;
        }
        Ok(Key::new(key))
    }

    /// Whether an index has entries of its own: the clustered primary key is the rows themselves.
    pub fn has_entries(&self, index: &IndexInfo) -> bool {
        !(index.primary && self.info.is_common_handle)
    }

    /// Reads a row value back into datums of all columns (NULL for those that are not public or virtual), with
    /// TIMESTAMPs in the session's time zone.
    pub fn decode_row(&self, handle: &Handle, value: &[u8]) -> Result<Vec<Datum>, TableError> {
        let view = row::RowView::parse(value).map_err(|source| self.corrupt(source))?;
        let mut datums = Vec::with_capacity(self.info.columns.len());
        for column in &self.info.columns {
            let datum = match view.find(column.id) {
                Some(Some(bytes)) => {
                    let datum = row::decode_value(bytes, &column.field_type)
                        .map_err(|source| self.corrupt(source))?;
                    self.to_local(column.offset, datum)
                }
                Some(None) => Datum::Null,
                None => self.absent(column.offset, handle)?,
            };
            datums.push(datum);
        }
        Ok(datums)
    }

    /// The value of a column that is not in the row value: part of the key, or added later.
    fn absent(&self, offset: usize, handle: &Handle) -> Result<Datum, TableError> {
        let column = &self.info.columns[offset];
        match (&self.handle, handle) {
            (HandleColumns::Int(at), Handle::Int(value)) if *at == offset => {
                Ok(if column.field_type.is_unsigned() {
                    Datum::UInt(*value as u64)
                } else {
                    Datum::Int(*value)
                })
            }
            (HandleColumns::Common(offsets), Handle::Common(bytes)) if offsets.contains(&offset) => {
                let mut input: &[u8] = bytes;
                for &at in offsets {
                    if at == offset {
                        let datum = datum::decode_key_datum(&mut input, &column.field_type)
                            .map_err(|source| self.corrupt(source))?;
                        return Ok(self.to_local(offset, datum));
                    }
                    datum::skip_key_datum(&mut input).map_err(|source| self.corrupt(source))?;
                }
                Ok(Datum::Null)
            }
            _ => Ok(column.origin_default_datum(&self.convert_context())),
        }
    }

    /// The context in which stored default texts are read: nothing fails, nothing warns.
    pub fn convert_context(&self) -> ConvertContext {
        ConvertContext { time_zone: self.time_zone.clone(), ..lenient_context() }
    }

    /// A row for a duplicate's message or a check: the text of an index's columns joined by `-`.
    pub fn entry_text(&self, index: Option<&IndexInfo>, row: &[Datum]) -> String {
        let offsets: Vec<usize> = match (index, &self.handle) {
            (Some(index), _) => index.columns.iter().map(|part| part.offset).collect(),
            (None, HandleColumns::Int(offset)) => vec![*offset],
            (None, HandleColumns::Common(offsets)) => offsets.clone(),
            (None, HandleColumns::RowId) => Vec::new(),
        };
        let mut text = String::new();
        for (position, &offset) in offsets.iter().enumerate() {
            if position > 0 {
                text.push('-');
            }
            text.push_str(&crate::text::datum_text(&row[offset], &self.info.columns[offset].field_type));
        }
        text
    }

    /// The error for a second row with the same key.
    pub fn duplicate(&self, index: Option<&IndexInfo>, row: &[Datum]) -> TableError {
        let key = index.map_or("PRIMARY", |index| index.name.as_str());
        TableError::Duplicate { entry: self.entry_text(index, row), key: format!("{}.{key}", self.info.name) }
    }

    fn corrupt(&self, source: DecodeError) -> TableError {
        TableError::Corrupt { table: self.info.name.to_string(), source }
    }

    fn utc_timestamps(&self, row: &[Datum]) -> Result<SmallVec<[(usize, Datum); 2]>, TableError> {
        let mut converted = SmallVec::new();
        for &offset in &self.timestamps {
            if let Some(utc) = self.to_utc(offset, &row[offset])? {
                converted.push((offset, utc));
            }
        }
        Ok(converted)
    }

    fn to_utc(&self, offset: usize, value: &Datum) -> Result<Option<Datum>, TableError> {
        let column = &self.info.columns[offset];
        match value {
            Datum::Time(time) if column.field_type.code == TypeCode::Timestamp => {
                self.time_zone.local_to_timestamp(*time).map(|utc| Some(Datum::Time(utc))).map_err(|_| {
                    TableError::InvalidLocalTime {
                        value: time.format(column.field_type.fsp()),
                        column: column.name.to_string(),
                    }
                })
            }
            _ => Ok(None),
        }
    }

    fn to_local(&self, offset: usize, value: Datum) -> Datum {
        match value {
            Datum::Time(time) if self.info.columns[offset].field_type.code == TypeCode::Timestamp => {
                Datum::Time(self.time_zone.timestamp_to_local(time))
            }
            value => value,
        }
    }

    /// What the DEFAULT clause of a column gives, if it is a plain value; `None` when it has to be computed or is
    /// missing.
    pub fn literal_default(&self, offset: usize) -> Option<Datum> {
        let column = &self.info.columns[offset];
        match column.default() {
            DefaultValue::Null => Some(Datum::Null),
            DefaultValue::Literal(text) => {
                Some(column.literal_datum(text.to_vec(), &self.convert_context()).unwrap_or(Datum::Null))
            }
            DefaultValue::Missing
            | DefaultValue::CurrentTimestamp
            | DefaultValue::Expression(_)
            | DefaultValue::AutoIncrement => None,
        }
    }
}

/// The bits of an integer handle.
fn integer(value: &Datum) -> i64 {
    match value {
        Datum::Int(value) => *value,
        Datum::UInt(value) => *value as i64,
        _ => 0,
    }
}

/// Whether a value of this type cannot be read back from a key: its sort key is not the value.
pub(crate) fn is_lossy(field_type: &FieldType) -> bool {
    field_type.is_string() && !matches!(field_type.collation, Collation::Binary | Collation::Utf8mb4_0900Bin)
}

/// What an index value keeps beside the key, so that the column can be read from the index alone: for `_bin`
/// collations, which only lose trailing spaces, the number of these; the value itself for all others.
fn restored_value(value: &Datum, field_type: &FieldType) -> Option<(Datum, FieldType)> {
    let Datum::Bytes(bytes) = value else { return None };
    if !is_lossy(field_type) {
        return None;
    }
    if field_type.collation.is_bin() {
        let spaces = bytes.iter().rev().take_while(|byte| **byte == b' ').count() as u64;
        return (spaces > 0).then(|| (Datum::UInt(spaces), FieldType::uint()));
    }
    Some((value.clone(), field_type.clone()))
}

/// The first `length` characters (bytes of binary strings) of a value; `None` when it is not longer.
fn cut(value: &Datum, field_type: &FieldType, length: i32) -> Option<Datum> {
    let Datum::Bytes(bytes) = value else { return None };
    let length = usize::try_from(length).ok()?;
    if field_type.is_binary_string() {
        return (bytes.len() > length).then(|| Datum::Bytes(bytes[..length].to_vec()));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let (end, _) = text.char_indices().nth(length)?;
    Some(Datum::Bytes(bytes[..end].to_vec()))
}

fn lenient_context() -> ConvertContext {
    ConvertContext::new(SqlMode::empty())
}

/// The context of a change of type.
fn change_context(change: &ColumnChange) -> ConvertContext {
    ConvertContext {
        // A name that was a zone's when the statement began still is; should it not be, UTC is as good as any other.
        time_zone: TimeZone::parse(&change.time_zone).unwrap_or_else(|_| TimeZone::utc()),
        now_micros: change.now_micros,
        ..ConvertContext::new(change.sql_mode)
    }
}

/// The value as it reads in another time zone.
fn moved(value: &Datum, field_type: &FieldType, from: &TimeZone, to: &TimeZone) -> Datum {
    match value {
        Datum::Time(time) if field_type.code == TypeCode::Timestamp => {
            // A time that does not exist where it was written is left to the encoder, which says so.
            Datum::Time(from.local_to_timestamp(*time).map_or(*time, |utc| to.timestamp_to_local(utc)))
        }
        other => other.clone(),
    }
}
