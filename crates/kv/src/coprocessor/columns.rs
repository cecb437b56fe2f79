//! Columns of plan fragments: from their wire form to ours.

use tidewater_chunk::ColumnToDecode;
use tidewater_codec::{ColumnId, datum};
use tidewater_proto::tipb;
use tidewater_types::{Collation, Datum, FieldType, TypeCode, TypeFlags};

use super::CoprocessorError;

/// The pseudo column that holds the row's handle.
pub(super) const HANDLE_COLUMN: ColumnId = ColumnId(-1);

/// A column a scan gives.
#[derive(Clone, Debug)]
pub(super) struct ScanColumn {
    pub(super) id: ColumnId,
    pub(super) field_type: FieldType,
    /// For rows written before the column existed.
    pub(super) default: Datum,
    /// The column's value is the integer handle.
    pub(super) is_int_handle: bool,
}

impl ScanColumn {
    pub(super) fn parse(info: &tipb::ColumnInfo) -> Result<ScanColumn, CoprocessorError> {
        let code = u8::try_from(info.tp).ok().and_then(|code| TypeCode::try_from(code).ok());
        let code =
            code.ok_or_else(|| CoprocessorError::invalid(format!("unknown column type {}", info.tp)))?;
        // A negative id says that the collation's order is in force, which it always is here.
        let collation = u16::try_from(info.collation.unsigned_abs()).ok().and_then(Collation::from_id);
        let mut field_type = FieldType::new(code);
        field_type.flags = TypeFlags::from_bits_truncate(info.flag as u32);
        field_type.length = info.column_len;
        field_type.decimals = info.decimal;
        if let Some(collation) = collation {
            field_type.collation = collation;
        }
        field_type.elements = info.elems.clone().into();
        let default = match &info.default_val {
            None => Datum::Null,
            Some(bytes) => datum::decode_value_datum(&mut bytes.as_ref(), &field_type).map_err(|error| {
                CoprocessorError::invalid(format!("default of column {}: {error}", info.column_id))
            })?,
        };
        let id = ColumnId(info.column_id);
        let is_int_handle = info.pk_handle || id == HANDLE_COLUMN;
        Ok(ScanColumn { id, field_type, default, is_int_handle })
    }

    pub(super) fn parse_all(infos: &[tipb::ColumnInfo]) -> Result<Vec<ScanColumn>, CoprocessorError> {
        infos.iter().map(ScanColumn::parse).collect()
    }

    /// How a row decoder sees the column; `primary` are the clustered primary key's columns in order.
    pub(super) fn to_decode(&self, primary: &[i64]) -> ColumnToDecode {
        ColumnToDecode {
            id: self.id,
            field_type: self.field_type.clone(),
            default: self.default.clone(),
            is_handle: self.is_int_handle,
            handle_part: primary.iter().position(|id| *id == self.id.0),
        }
    }
}
