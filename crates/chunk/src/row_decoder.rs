//! Stored rows straight into columns: the hottest loop of a scan.
//!
//! A row in format v2 begins with its *head*: format byte, flags, two counts, and the sorted column ids; then come end
//! offsets and values. The rows of one table nearly all have the same head (they differ only in which columns are
//! NULL), so the decoder remembers, for the last few heads it saw, where each wanted column stands. A row then costs
//! one comparison of its head and one append per wanted column.
//!
//! Hot path: nothing here may allocate per row, build a `Datum`, or search for a column whose head is known.

use tidewater_codec::{ColumnId, HandleRef, datum};
use tidewater_types::{Datum, FieldType, TimeZone, TypeCode};

use crate::builder::ColumnBuilder;

/// A column a [`RowDecoder`] is to produce.
#[derive(Debug, Clone)]
pub struct ColumnToDecode {
    /// The column's id, as in the stored row.
    pub id: ColumnId,
    /// Its type.
    pub field_type: FieldType,
    /// The value of rows that were written before the column existed.
    pub default: Datum,
    /// The column is the table's integer handle: its value is in the key.
    pub is_handle: bool,
    /// The column's position among the primary key's columns, when the table is clustered by them: its value is in
    /// the key unless the row has it too.
    pub handle_part: Option<usize>,
}

impl ColumnToDecode {
    /// A column stored in the row, NULL where it is missing.
    pub fn new(id: ColumnId, field_type: FieldType) -> Self {
        Self { id, field_type, default: Datum::Null, is_handle: false, handle_part: None }
    }

    /// The integer handle.
    pub fn handle(field_type: FieldType) -> Self {
        Self { is_handle: true, ..Self::new(ColumnId(-1), field_type) }
    }

    /// The same with a value for rows without the column.
    pub fn with_default(self, default: Datum) -> Self {
        Self { default, ..self }
    }

    /// The same as part of a clustered primary key.
    pub fn with_handle_part(self, position: usize) -> Self {
        Self { handle_part: Some(position), ..self }
    }
}

/// Why a stored row cannot be read. All of these mean corrupt data or a wrong schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowDecodeError {
    /// The first byte is not that of row format v2.
    #[error("a row of unknown format {0}")]
    UnknownFormat(u8),
    /// The row ends early, or an offset points outside.
    #[error("a row ends in the middle")]
    Truncated,
    /// A value is not of its column's form.
    #[error("a malformed {0} in a row")]
    Malformed(&'static str),
    /// The key's handle is not of the table's kind.
    #[error("a row's handle does not fit its table")]
    WrongHandle,
    /// A column of one chunk would pass 2 GiB.
    #[error("a column of a chunk would pass 2 GiB")]
    TooLong,
}

/// Decodes rows of one table into builders, one for each wanted column.
#[derive(Debug)]
pub struct RowDecoder {
    columns: Vec<ColumnToDecode>,
    time_zone: TimeZone,
    layouts: Vec<Layout>,
    recent: usize,
}

/// Where the wanted columns stand in rows with one head.
#[derive(Debug)]
struct Layout {
    head: Box<[u8]>,
    offset_width: usize,
    values_start: usize,
    slots: Box<[Slot]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// The n-th value of the row.
    Value(u32),
    Null,
    Handle,
    HandlePart(u32),
    Default,
}

const FORMAT_V2: u8 = 128;
const FLAG_BIG: u8 = 1;
/// Heads remembered. A table has one for each combination of NULLs that occurs.
const LAYOUTS_MAX: usize = 16;

impl RowDecoder {
    /// A decoder of these columns. TIMESTAMPs are turned into `time_zone`.
    pub fn new(columns: Vec<ColumnToDecode>, time_zone: TimeZone) -> Self {
        Self { columns, time_zone, layouts: Vec::new(), recent: 0 }
    }

    /// The columns, in the order of the builders.
    pub fn columns(&self) -> &[ColumnToDecode] {
        &self.columns
    }

    /// Whether some column's value may be in the key. If not, any handle will do.
    pub fn needs_handle(&self) -> bool {
        self.columns.iter().any(|column| column.is_handle || column.handle_part.is_some())
    }

    /// Builders for this decoder's columns.
    pub fn builders(&self, capacity: usize) -> Vec<ColumnBuilder> {
        self.columns.iter().map(|c| ColumnBuilder::new(&c.field_type, capacity)).collect()
    }

    /// Appends one row to the builders. After an error the builders may differ in length: drop them.
    pub fn decode_row<'a>(
        &mut self,
        handle: impl Into<HandleRef<'a>>,
        value: &[u8],
        builders: &mut [ColumnBuilder],
    ) -> Result<(), RowDecodeError> {
        let handle = handle.into();
        let layout = match self.layouts.get(self.recent) {
            Some(layout) if value.starts_with(&layout.head) => layout,
            _ => {
                self.recent = self.find_layout(value)?;
                &self.layouts[self.recent]
            }
        };
        let offsets = value.get(layout.head.len()..layout.values_start).ok_or(RowDecodeError::Truncated)?;
        let values = &value[layout.values_start..];
        for ((slot, column), builder) in layout.slots.iter().zip(&self.columns).zip(builders) {
            match *slot {
                Slot::Value(index) => {
                    let (start, end) = bounds(offsets, layout.offset_width, index as usize);
                    let bytes = values.get(start..end).ok_or(RowDecodeError::Truncated)?;
                    builder.append_encoded(bytes, &column.field_type, &self.time_zone)?;
                }
                Slot::Null => builder.append_null(),
                Slot::Handle => match handle {
                    HandleRef::Int(handle) => builder.append_i64(handle),
                    HandleRef::Common(_) => return Err(RowDecodeError::WrongHandle),
                },
                Slot::HandlePart(position) => {
                    append_handle_part(
                        handle,
                        position as usize,
                        &column.field_type,
                        &self.time_zone,
                        builder,
                    )?;
                }
                Slot::Default => builder.append(&column.default),
            }
        }
        Ok(())
    }

    fn find_layout(&mut self, value: &[u8]) -> Result<usize, RowDecodeError> {
        if let Some(found) = self.layouts.iter().position(|l| value.starts_with(&l.head)) {
            return Ok(found);
        }
        let layout = Layout::of(value, &self.columns)?;
        if self.layouts.len() < LAYOUTS_MAX {
            self.layouts.push(layout);
            return Ok(self.layouts.len() - 1);
        }
        let oldest = (self.recent + 1) % LAYOUTS_MAX;
        self.layouts[oldest] = layout;
        Ok(oldest)
    }
}

impl Layout {
    fn of(value: &[u8], columns: &[ColumnToDecode]) -> Result<Self, RowDecodeError> {
        let [format, flags, a, b, c, d, ..] = *value else { return Err(RowDecodeError::Truncated) };
        if format != FORMAT_V2 {
            return Err(RowDecodeError::UnknownFormat(format));
        }
        let present = usize::from(u16::from_le_bytes([a, b]));
        let nulls = usize::from(u16::from_le_bytes([c, d]));
        let (id_width, offset_width) = if flags & FLAG_BIG != 0 { (4, 4) } else { (1, 2) };
        let head_len = 6 + id_width * (present + nulls);
        let head = value.get(..head_len).ok_or(RowDecodeError::Truncated)?;
        let ids: Vec<i64> = head[6..]
            .chunks_exact(id_width)
            .map(|id| {
                if let [a, b, c, d] = *id {
                    i64::from(u32::from_le_bytes([a, b, c, d]))
                } else {
                    i64::from(id[0])
                }
            })
            .collect();
        let (present_ids, null_ids) = ids.split_at(present);
        let slot = |column: &ColumnToDecode| {
            if column.is_handle {
                Slot::Handle
            } else if let Ok(index) = present_ids.binary_search(&column.id.0) {
                Slot::Value(index as u32)
            } else if let Some(position) = column.handle_part {
                Slot::HandlePart(position as u32)
            } else if null_ids.binary_search(&column.id.0).is_ok() {
                Slot::Null
            } else {
                Slot::Default
            }
        };
        Ok(Self {
            head: head.into(),
            offset_width,
            values_start: head_len + offset_width * present,
            slots: columns.iter().map(slot).collect(),
        })
    }
}

/// Start and end of the n-th value. The offsets' length was checked against the layout.
#[inline]
fn bounds(offsets: &[u8], width: usize, index: usize) -> (usize, usize) {
    let end_of = |index: usize| -> usize {
        let at = &offsets[index * width..];
        if width == 2 {
            usize::from(u16::from_le_bytes([at[0], at[1]]))
        } else {
            u32::from_le_bytes([at[0], at[1], at[2], at[3]]) as usize
        }
    };
    (if index == 0 { 0 } else { end_of(index - 1) }, end_of(index))
}

/// A clustered primary key's column out of the key.
fn append_handle_part(
    handle: HandleRef<'_>,
    position: usize,
    field_type: &FieldType,
    time_zone: &TimeZone,
    builder: &mut ColumnBuilder,
) -> Result<(), RowDecodeError> {
    let HandleRef::Common(mut rest) = handle else { return Err(RowDecodeError::WrongHandle) };
    for _ in 0..position {
        datum::skip_key_datum(&mut rest).map_err(|_| RowDecodeError::WrongHandle)?;
    }
    let value = datum::decode_key_datum(&mut rest, field_type).map_err(|_| RowDecodeError::WrongHandle)?;
    match value {
        Datum::Int(value) if !field_type.is_unsigned() && field_type.is_integer() => {
            builder.append_i64(value)
        }
        Datum::Time(stored) if field_type.code == TypeCode::Timestamp && !stored.is_zero() => {
            builder.append(&Datum::Time(time_zone.timestamp_to_local(stored)));
        }
        other => builder.append(&other),
    }
    Ok(())
}
