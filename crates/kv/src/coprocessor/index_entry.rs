//! Index entries into columns: values from the key, what the key cannot give back from the value.

use tidewater_chunk::ColumnBuilder;
use tidewater_codec::index_value::IndexValue;
use tidewater_codec::row::RowView;
use tidewater_codec::{DecodeError, Handle, datum, index_value, row, table_key};
use tidewater_types::{Collation, Datum, FieldType, TimeZone, TypeCode};

use super::columns::ScanColumn;
use super::scan::ScanError;

/// No column is longer.
const TRAILING_SPACES_MAX: usize = 1 << 26;

/// Decodes the entries of one index.
pub(super) struct IndexDecoder {
    /// For each column of the index, in key order: what it is, and which output columns show it.
    key_columns: Vec<KeyColumn>,
    /// Outputs of the integer handle.
    handle_outputs: Vec<usize>,
    /// Clustered primary key columns, in order.
    primary: Vec<KeyColumn>,
    wants_handle: bool,
    time_zone: TimeZone,
    spaces: Vec<u8>,
}

struct KeyColumn {
    column: ScanColumn,
    /// The outputs that show it.
    outputs: Vec<usize>,
    text: Text,
}

/// What a string's key says of the string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    /// It is the string (or the column is none).
    Exact,
    /// It lacks trailing spaces, whose number the value has.
    Trimmed,
    /// It is made of weights; the value has the string.
    Weights,
}

impl Text {
    fn of(field_type: &FieldType) -> Text {
        match field_type.collation {
            _ if !field_type.is_string() => Text::Exact,
            Collation::Binary | Collation::Utf8mb4_0900Bin => Text::Exact,
            collation if collation.is_bin() => Text::Trimmed,
            _ => Text::Weights,
        }
    }
}

impl IndexDecoder {
    /// `columns` are the index's columns in key order, then the handle's: the integer handle, or those of the clustered
    /// primary key in its order. `primary` are the ids of the latter. `wanted` maps columns to outputs.
    pub(super) fn new(
        columns: Vec<ScanColumn>,
        primary: &[i64],
        wanted: &[Vec<usize>],
        time_zone: TimeZone,
    ) -> IndexDecoder {
        let handle_columns = match columns.last() {
            _ if !primary.is_empty() => primary.len().min(columns.len()),
            Some(last) if last.is_int_handle => 1,
            _ => 0,
        };
        let key_count = columns.len() - handle_columns;
        let mut key_columns = Vec::new();
        let mut handle_outputs = Vec::new();
        let mut primary_columns = Vec::new();
        for (position, column) in columns.into_iter().enumerate() {
            let outputs = wanted.get(position).cloned().unwrap_or_default();
            let text = Text::of(&column.field_type);
            if position < key_count {
                key_columns.push(KeyColumn { column, outputs, text });
            } else if primary.is_empty() {
                handle_outputs.extend(outputs);
            } else {
                primary_columns.push(KeyColumn { column, outputs, text });
            }
        }
        let wants_handle =
            !handle_outputs.is_empty() || primary_columns.iter().any(|column| !column.outputs.is_empty());
        IndexDecoder {
            key_columns,
            handle_outputs,
            primary: primary_columns,
            wants_handle,
            time_zone,
            spaces: Vec::new(),
        }
    }

    pub(super) fn decode(
        &mut self,
        key: &[u8],
        value: &[u8],
        builders: &mut [ColumnBuilder],
    ) -> Result<(), ScanError> {
        let (_, _, mut rest) = table_key::decode_index_key(key)?;
        let value = index_value::decode(value)?;
        let restored = value.restored.map(RowView::parse).transpose()?;
        for column in &self.key_columns {
            column.append(&mut rest, restored.as_ref(), &self.time_zone, &mut self.spaces, builders)?;
        }
        if self.wants_handle {
            let handle = handle_of(&value, rest)?;
            match &handle {
                Handle::Int(handle) => {
                    for output in &self.handle_outputs {
                        builders[*output].append_i64(*handle);
                    }
                    if !self.primary.is_empty() {
                        return Err(DecodeError::Invalid("clustered handle").into());
                    }
                }
                Handle::Common(bytes) => {
                    let mut input: &[u8] = bytes;
                    for column in &self.primary {
                        column.append(
                            &mut input,
                            restored.as_ref(),
                            &self.time_zone,
                            &mut self.spaces,
                            builders,
                        )?;
                    }
                    if !self.handle_outputs.is_empty() {
                        return Err(DecodeError::Invalid("integer handle").into());
                    }
                }
            }
        }
        Ok(())
    }
}

fn handle_of(value: &IndexValue<'_>, rest_of_key: &[u8]) -> Result<Handle, DecodeError> {
    match &value.handle {
        Some(handle) => Ok(handle.clone()),
        None => table_key::decode_index_handle(rest_of_key),
    }
}

impl KeyColumn {
    /// Reads the next datum of a key, repairs it from the restored data, and appends it where it is shown.
    fn append(
        &self,
        input: &mut &[u8],
        restored: Option<&RowView<'_>>,
        time_zone: &TimeZone,
        scratch: &mut Vec<u8>,
        builders: &mut [ColumnBuilder],
    ) -> Result<(), ScanError> {
        let Some((first, others)) = self.outputs.split_first() else {
            datum::skip_key_datum(input)?;
            return Ok(());
        };
        let start = *input;
        self.append_to(input, restored, time_zone, scratch, &mut builders[*first])?;
        for output in others {
            self.append_to(&mut { start }, restored, time_zone, scratch, &mut builders[*output])?;
        }
        Ok(())
    }

    fn append_to(
        &self,
        input: &mut &[u8],
        restored: Option<&RowView<'_>>,
        time_zone: &TimeZone,
        scratch: &mut Vec<u8>,
        builder: &mut ColumnBuilder,
    ) -> Result<(), ScanError> {
        let field_type = &self.column.field_type;
        let kept = match self.text {
            Text::Exact => None,
            Text::Trimmed | Text::Weights => restored.and_then(|row| row.find(self.column.id)).flatten(),
        };
        if let (Text::Weights, Some(text)) = (self.text, kept) {
            datum::skip_key_datum(input)?;
            builder.append_bytes(text);
            return Ok(());
        }
        let value = datum::decode_key_datum(input, field_type)?;
        match (value, kept) {
            (Datum::Bytes(text), Some(count)) => {
                let count = usize::try_from(row::decode_u64(count)?).ok();
                let count = count.filter(|count| *count <= TRAILING_SPACES_MAX);
                let count = count.ok_or(DecodeError::Invalid("restored data"))?;
                scratch.clear();
                scratch.extend_from_slice(&text);
                scratch.resize(text.len() + count, b' ');
                builder.append_bytes(scratch);
            }
            (Datum::Time(time), _) if field_type.code == TypeCode::Timestamp => {
                builder.append_time(time_zone.timestamp_to_local(time));
            }
            (value, _) => builder.append(&value),
        }
        Ok(())
    }
}
