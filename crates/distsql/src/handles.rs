//! Handles out of columns.

use std::sync::Arc;

use tidewater_catalog::{HandleKind, TableInfo};
use tidewater_chunk::Chunk;
use tidewater_codec::{Handle, datum};
use tidewater_planner::HandlePositions;
use tidewater_types::{Datum, FieldType, TimeZone};

use crate::error::ReadError;
use crate::key_ranges::{index_types, stored};

/// Reads the handle of each row of a chunk.
#[derive(Clone)]
pub struct HandleReader {
    positions: HandlePositions,
    /// The types of a clustered key's columns, as stored.
    types: Vec<FieldType>,
    time_zone: TimeZone,
}

impl HandleReader {
    /// For chunks in which the table's handle stands at `positions`.
    pub fn new(table: &Arc<TableInfo>, positions: HandlePositions, time_zone: &TimeZone) -> HandleReader {
        let types = match table.handle() {
            HandleKind::Common(index) => index_types(table, index),
            HandleKind::RowId | HandleKind::IntColumn(_) => Vec::new(),
        };
        HandleReader { positions, types, time_zone: time_zone.clone() }
    }

    /// The handle of one row; `schema` are the chunk's types. `None` if it is NULL (a padded row of an outer join).
    pub fn handle(
        &self,
        chunk: &Chunk,
        row: usize,
        schema: &[FieldType],
    ) -> Result<Option<Handle>, ReadError> {
        match &self.positions {
            HandlePositions::Int(position) => Ok(match chunk.datum(row, *position, &schema[*position]) {
                Datum::Int(value) => Some(Handle::Int(value)),
                Datum::UInt(value) => Some(Handle::Int(value as i64)),
                _ => None,
            }),
            HandlePositions::Common(positions) => {
                let mut bytes = Vec::new();
                for (position, field_type) in positions.iter().zip(&self.types) {
                    let value = chunk.datum(row, *position, &schema[*position]);
                    if value.is_null() {
                        return Ok(None);
                    }
                    let value = stored(&value, field_type, &self.time_zone);
                    datum::encode_key_datum(&value, field_type, &mut bytes)?;
                }
                Ok(Some(Handle::Common(bytes.into())))
            }
        }
    }

    /// The handles of all rows, NULL ones left out.
    pub fn handles(&self, chunk: &Chunk, schema: &[FieldType]) -> Result<Vec<Handle>, ReadError> {
        let mut handles = Vec::with_capacity(chunk.num_rows());
        for row in 0..chunk.num_rows() {
            handles.extend(self.handle(chunk, row, schema)?);
        }
        Ok(handles)
    }
}
