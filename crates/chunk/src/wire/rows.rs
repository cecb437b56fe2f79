//! TypeDefault: rows one after another, each value a datum in value form.
//!
//! TIMESTAMPs go in UTC here and in the session's zone everywhere else in a chunk: that is how TiKV and TiDB agree.

use tidewater_codec::datum;
use tidewater_types::{Datum, FieldType, TimeZone, TypeCode};

use super::WireError;
use crate::batch::Chunk;
use crate::builder::ChunkBuilder;

/// Appends one row of a chunk.
pub fn encode_row(
    chunk: &Chunk,
    row: usize,
    types: &[FieldType],
    time_zone: &TimeZone,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    for (column, field_type) in types.iter().enumerate() {
        let value = match chunk.datum(row, column, field_type) {
            // A local time that does not exist cannot come out of a stored one.
            Datum::Time(local) if field_type.code == TypeCode::Timestamp => {
                Datum::Time(time_zone.local_to_timestamp(local).unwrap_or(local))
            }
            value => value,
        };
        if let Datum::Decimal(_) = value {
            // With digits of its own: a partial sum may have more than its column declares.
            datum::encode_value_datum(&value, &FieldType::null(), out)?;
        } else {
            datum::encode_value_datum(&value, field_type, out)?;
        }
    }
    Ok(())
}

/// Reads rows of these types out of some pieces. No piece ends inside of a row.
pub fn decode_rows<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    types: &[FieldType],
    time_zone: &TimeZone,
) -> Result<Chunk, WireError> {
    let mut builder = ChunkBuilder::new(types, 0);
    let mut row = Vec::with_capacity(types.len());
    for mut input in pieces {
        // Without columns nothing would ever be taken from the input.
        if types.is_empty() && !input.is_empty() {
            return Err(WireError::Malformed("row without columns"));
        }
        while !input.is_empty() {
            row.clear();
            for field_type in types {
                row.push(match datum::decode_value_datum(&mut input, field_type)? {
                    Datum::Time(utc) if field_type.code == TypeCode::Timestamp => {
                        Datum::Time(time_zone.timestamp_to_local(utc))
                    }
                    value => value,
                });
            }
            builder.push_row(&row);
        }
    }
    Ok(builder.finish())
}
