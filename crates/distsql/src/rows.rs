//! Stored rows into chunks on the SQL node: for point reads and buffered writes.

use bytes::Bytes;
use tidewater_catalog::{HandleKind, TableInfo};
use tidewater_chunk::{Chunk, ColumnBuilder, ColumnToDecode, RowDecoder};
use tidewater_codec::Handle;
use tidewater_executor::ExecContext;
use tidewater_planner::ScanColumn;
use tidewater_types::{ConvertContext, FieldType};

use crate::dag::lenient;
use crate::error::ReadError;

/// Decodes rows of one table into some of its columns.
pub struct RowReader {
    decoder: RowDecoder,
}

impl RowReader {
    /// For these columns.
    pub fn new(ctx: &ExecContext, table: &TableInfo, columns: &[ScanColumn]) -> RowReader {
        let convert = lenient(ctx);
        let columns = columns.iter().map(|column| column_to_decode(&convert, table, column)).collect();
        RowReader { decoder: RowDecoder::new(columns, ctx.eval.time_zone.clone()) }
    }

    /// The rows as one chunk.
    pub fn read(&mut self, rows: &[(Handle, Bytes)]) -> Result<Chunk, ReadError> {
        let mut builders = self.decoder.builders(rows.len());
        for (handle, value) in rows {
            self.decoder.decode_row(handle, value, &mut builders)?;
        }
        Ok(Chunk::new(builders.into_iter().map(ColumnBuilder::finish).collect(), rows.len()))
    }
}

fn column_to_decode(convert: &ConvertContext, table: &TableInfo, column: &ScanColumn) -> ColumnToDecode {
    match column {
        ScanColumn::RowId => ColumnToDecode::handle(FieldType::int()),
        ScanColumn::Column(offset) => {
            let column = &table.columns[*offset];
            let decode = ColumnToDecode::new(column.id, column.field_type.clone())
                .with_default(column.origin_default_datum(convert));
            match table.handle() {
                HandleKind::IntColumn(handle) if handle.id == column.id => {
                    ColumnToDecode { is_handle: true, ..decode }
                }
                HandleKind::Common(index) => {
                    match index.columns.iter().position(|part| part.offset == *offset) {
                        Some(position) => decode.with_handle_part(position),
                        None => decode,
                    }
                }
                HandleKind::RowId | HandleKind::IntColumn(_) => decode,
            }
        }
    }
}
