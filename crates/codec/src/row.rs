//! Row values (format v2).
use tidewater_types::{Datum, FieldType};
use crate::{ColumnId, DecodeError};
/// Encodes rows, reusing its buffers.
#[derive(Debug, Default)]
pub struct RowEncoder {}
impl RowEncoder {
    /// A new encoder.
    pub fn new() -> Self { Self::default() }
    /// Appends the row's value; columns may come in any order.
    pub fn encode(&mut self, _columns: &[(ColumnId, &Datum, &FieldType)], _out: &mut Vec<u8>) -> Result<(), DecodeError> { todo!() }
}
/// A row value, looked at in place.
#[derive(Debug, Clone, Copy)]
pub struct RowView<'a> { _data: &'a [u8] }
impl<'a> RowView<'a> {
    /// Checks the header.
    pub fn parse(_value: &'a [u8]) -> Result<Self, DecodeError> { todo!() }
    /// None: the row does not know the column; Some(None): NULL; Some(Some(bytes)): its value.
    pub fn find(&self, _column: ColumnId) -> Option<Option<&'a [u8]>> { todo!() }
}
/// One column's bytes as a datum.
pub fn decode_value(_bytes: &[u8], _field_type: &FieldType) -> Result<Datum, DecodeError> { todo!() }
/// A signed integer column's bytes.
pub fn decode_i64(_bytes: &[u8]) -> Result<i64, DecodeError> { todo!() }
/// An unsigned integer column's bytes.
pub fn decode_u64(_bytes: &[u8]) -> Result<u64, DecodeError> { todo!() }
