//! Datums in keys and values.
use tidewater_types::{Datum, FieldType};
use crate::DecodeError;
/// Flag of a signed integer in a key.
pub const INT_FLAG: u8 = 3;
/// Appends a datum so that keys order as values do. Strings become their collation's sort key.
pub fn encode_key_datum(_value: &Datum, _field_type: &FieldType, _out: &mut Vec<u8>) -> Result<(), DecodeError> { todo!() }
/// Reads a key datum (a string comes back as its sort key).
pub fn decode_key_datum(_input: &mut &[u8], _field_type: &FieldType) -> Result<Datum, DecodeError> { todo!() }
/// Skips one key datum and returns its bytes.
pub fn skip_key_datum<'a>(_input: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> { todo!() }
/// Appends a datum in value form.
pub fn encode_value_datum(_value: &Datum, _field_type: &FieldType, _out: &mut Vec<u8>) -> Result<(), DecodeError> { todo!() }
/// Reads a value datum.
pub fn decode_value_datum(_input: &mut &[u8], _field_type: &FieldType) -> Result<Datum, DecodeError> { todo!() }
