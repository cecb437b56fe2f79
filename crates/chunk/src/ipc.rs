//! Chunks as an Arrow IPC stream: how they travel between nodes and into spill files.
//!
//! The chunk's row count rides along as the record batch's, so chunks without columns survive too. Columns are nameless
//! (`c0`, `c1`, ...): both ends know the schema.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use tidewater_types::FieldType;

use crate::batch::{Chunk, concat_arrays};
use crate::value::arrow_type;

/// Why an IPC stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// Arrow refuses the stream.
    #[error("an Arrow IPC stream cannot be read: {0}")]
    Arrow(#[from] ArrowError),
    /// The stream ends in the middle of a message.
    #[error("an Arrow IPC stream ends early")]
    Truncated,
}

/// The chunks as one stream. A `DECIMAL` column that is wide in one of the chunks is wide in all of the stream.
pub fn to_ipc(chunks: &[Chunk], types: &[FieldType]) -> Vec<u8> {
    let data_type = |index: usize| {
        let wide = chunks
            .iter()
            .map(|c| c.column(index).data_type())
            .find(|t| matches!(t, DataType::Decimal256(..)));
        wide.cloned().unwrap_or_else(|| {
            chunks.first().map_or_else(|| arrow_type(&types[index]), |c| c.column(index).data_type().clone())
        })
    };
    let fields: Vec<Field> =
        (0..types.len()).map(|i| Field::new(format!("c{i}"), data_type(i), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut out = Vec::new();
    let mut writer = StreamWriter::try_new(&mut out, &schema).expect("writing to memory does not fail");
    for chunk in chunks {
        let columns: Vec<ArrayRef> = chunk
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| match field.data_type() {
                DataType::Decimal256(precision, scale) if column.data_type() != field.data_type() => {
                    let none = arrow::array::Decimal256Array::new_null(0);
                    let none =
                        none.with_precision_and_scale(*precision, *scale).expect("a column's own scale");
                    concat_arrays(&[column.as_ref(), &none])
                }
                _ => column.clone(),
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.num_rows()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)
            .expect("the columns have the types the schema was made of");
        writer.write(&batch).expect("writing to memory does not fail");
    }
    writer.finish().expect("writing to memory does not fail");
    drop(writer);
    out
}

/// The chunks of a stream made by [`to_ipc`]. The columns share the stream's buffer.
pub fn from_ipc(stream: Bytes) -> Result<Vec<Chunk>, IpcError> {
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from(stream);
    let mut chunks = Vec::new();
    while let Some(batch) = decoder.decode(&mut buffer)? {
        let rows = batch.num_rows();
        chunks.push(Chunk::new(batch.columns().to_vec(), rows));
    }
    decoder.finish().map_err(|_| IpcError::Truncated)?;
    Ok(chunks)
}
