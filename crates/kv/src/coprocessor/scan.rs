//! The leaves of a pipeline: stored rows and index entries into columns.
//!
//! HOT: row bytes go straight into column builders; nothing is allocated per row.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidewater_chunk::{Chunk, ColumnBuilder, RowDecodeError, RowDecoder};
use tidewater_codec::{DecodeError, HandleRef, table_key};
use tidewater_executor::{ChunkSizer, ExecContext, ExecError, Operator};
use tidewater_types::FieldType;

use super::columns::ScanColumn;
use super::index_entry::IndexDecoder;
use super::source::RangeSource;
use crate::error::CommandError;

/// Chunks after which a scan lets other tasks run.
const CHUNKS_PER_TURN: u32 = 16;
/// The first turn may run among the tasks that serve the network: it is shorter.
const CHUNKS_OF_FIRST_TURN: u32 = 4;

/// Why a scan stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    /// A lock in the way, or the engine failed.
    #[error(transparent)]
    Read(#[from] CommandError),
    #[error(transparent)]
    Row(#[from] RowDecodeError),
    #[error(transparent)]
    Key(#[from] DecodeError),
}

/// How entries become columns.
pub(super) enum EntryDecoder {
    Row(RowDecoder),
    Index(IndexDecoder),
}

impl EntryDecoder {
    /// Rows of a table; `primary` are the columns of its clustered primary key, if it has one.
    pub(super) fn rows(columns: &[ScanColumn], primary: &[i64], ctx: &ExecContext) -> EntryDecoder {
        let decode = columns.iter().map(|column| column.to_decode(primary)).collect();
        EntryDecoder::Row(RowDecoder::new(decode, ctx.eval.time_zone.clone()))
    }

    /// Whether values come out of the entries' keys.
    fn needs_keys(&self) -> bool {
        match self {
            EntryDecoder::Row(decoder) => decoder.needs_handle(),
            EntryDecoder::Index(_) => true,
        }
    }

    /// Takes an entry apart; `key` may be empty if it is not needed.
    fn decode(&mut self, key: &[u8], value: &[u8], builders: &mut [ColumnBuilder]) -> Result<(), ScanError> {
        match self {
            EntryDecoder::Row(decoder) => {
                let handle = match key {
                    [] => HandleRef::Int(0),
                    key => table_key::decode_row_key_ref(key)?.1,
                };
                Ok(decoder.decode_row(handle, value, builders)?)
            }
            EntryDecoder::Index(decoder) => decoder.decode(key, value, builders),
        }
    }
}

/// How far a scan came; shared with the request's driver.
pub(super) type SharedSource = Arc<Mutex<RangeSource>>;

/// TableScan and IndexScan.
pub(super) struct Scan {
    ctx: ExecContext,
    source: SharedSource,
    decoder: EntryDecoder,
    schema: Vec<FieldType>,
    sizer: ChunkSizer,
    chunks: u32,
}

impl Scan {
    pub(super) fn new(
        ctx: &ExecContext,
        source: SharedSource,
        decoder: EntryDecoder,
        schema: Vec<FieldType>,
    ) -> Scan {
        if !decoder.needs_keys() {
            source.lock().leave_keys_out();
        }
        Scan { ctx: ctx.clone(), source, decoder, schema, sizer: ctx.chunk_sizer(), chunks: 0 }
    }

    fn read(&mut self, rows: usize) -> Result<Option<Chunk>, ScanError> {
        let mut builders: Vec<ColumnBuilder> =
            self.schema.iter().map(|field_type| ColumnBuilder::new(field_type, rows)).collect();
        let decoder = &mut self.decoder;
        let count = self.source.lock().read(rows, |key, value| -> Result<(), ScanError> {
            decoder.decode(key, value, &mut builders)
        })?;
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Chunk::new(builders.into_iter().map(ColumnBuilder::finish).collect(), count)))
    }
}

#[async_trait]
impl Operator for Scan {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        self.ctx.kill.check()?;
        self.chunks += 1;
        if self.chunks == CHUNKS_OF_FIRST_TURN + 1 || self.chunks.is_multiple_of(CHUNKS_PER_TURN) {
            tokio::task::yield_now().await;
        }
        let rows = self.sizer.advance();
        self.read(rows).map_err(ExecError::storage)
    }

    async fn close(&mut self) {}
}
