//! Rows as a writer's child gives them: the table's row and its handle out of a joined row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewater_chunk::Chunk;
use tidewater_codec::Handle;
use tidewater_distsql::HandleReader;
use tidewater_planner::{RowPositions, WriteTable};
use tidewater_table::TableLayout;
use tidewater_types::{Datum, FieldType};

use crate::context::Statement;
use crate::dml::{DmlError, RowMaker};
use crate::session::Session;

/// One table that a statement changes.
pub(super) struct Target {
    pub(super) layout: TableLayout,
    pub(super) maker: RowMaker,
    positions: RowPositions,
    handles: HandleReader,
    /// The rows that were met.
    met: BTreeSet<Handle>,
    /// Some column or index is under change: its values are not among the child's columns.
    incomplete: bool,
}

/// A row of the table.
pub(super) struct OldRow {
    pub(super) handle: Handle,
    pub(super) row: Vec<Datum>,
}

/// The rows of a chunk that are to be changed.
pub(super) struct Fresh {
    /// Where they stand in the chunk, and their handles.
    pub(super) handles: Vec<(usize, Handle)>,
    /// The full rows, where the chunk does not have all that writers must keep.
    pub(super) full: Option<BTreeMap<Handle, Vec<Datum>>>,
}

impl Session {
    pub(super) fn change_target(
        &mut self,
        table: &WriteTable,
        positions: &RowPositions,
        context: &Statement,
    ) -> Result<Target, DmlError> {
        let info = Arc::clone(&table.source.info);
        let layout = TableLayout::new(Arc::clone(&info), self.vars.hot.time_zone.clone());
        let maker = RowMaker::new(table, &layout, &context.eval, &self.convert_context(&context.eval));
        if let Some(open) = &mut self.txn {
            open.touch_to_write(&info)?;
        }
        let incomplete = info.columns.iter().any(|column| !column.state.is_public())
            || info.indices.iter().any(|index| !index.state.is_public());
        Ok(Target {
            handles: HandleReader::new(&info, positions.handle.clone(), &context.eval.time_zone),
            layout,
            maker,
            positions: positions.clone(),
            met: BTreeSet::new(),
            incomplete,
        })
    }

    /// The rows of a chunk that the statement has not met: a row that joins with several others is changed once.
    pub(super) async fn fresh_rows(
        &self,
        target: &mut Target,
        chunk: &Chunk,
        types: &[FieldType],
    ) -> Result<Fresh, DmlError> {
        let mut handles = target.handles(chunk, types)?;
        handles.retain(|(_, handle)| target.met.insert(handle.clone()));
        let full = self.full_rows(target, &handles).await?;
        Ok(Fresh { handles, full })
    }

    async fn full_rows(
        &self,
        target: &Target,
        handles: &[(usize, Handle)],
    ) -> Result<Option<BTreeMap<Handle, Vec<Datum>>>, DmlError> {
        let Some(open) = &self.txn else { return Ok(None) };
        if !target.incomplete {
            return Ok(None);
        }
        let keys: Vec<_> =
            handles.iter().map(|(_, handle)| (handle, target.layout.row_key(handle))).collect();
        let snapshot = open.writer_snapshot();
        let stored = snapshot.batch_get(keys.iter().map(|(_, key)| key)).await?;
        let mut rows = BTreeMap::new();
        for (handle, key) in &keys {
            let value = match open.txn.buffer().get(key.as_bytes()) {
                Some(write) => write.value.clone(),
                None => stored.get(key).cloned(),
            };
            if let Some(value) = value {
                rows.insert((*handle).clone(), target.layout.decode_row(handle, &value)?);
            }
        }
        Ok(Some(rows))
    }
}

impl Target {
    /// The handles of a chunk's rows, without those where an outer join found no row.
    fn handles(&self, chunk: &Chunk, types: &[FieldType]) -> Result<Vec<(usize, Handle)>, DmlError> {
        let mut handles = Vec::with_capacity(chunk.num_rows());
        for row in 0..chunk.num_rows() {
            let handle = self
                .handles
                .handle(chunk, row, types)
                .map_err(|error| DmlError::from(tidewater_executor::ExecError::from(error)))?;
            handles.extend(handle.map(|handle| (row, handle)));
        }
        Ok(handles)
    }

    /// The table's row out of a row of the child.
    pub(super) fn old_row(
        &self,
        handle: &Handle,
        child_row: &[Datum],
        full: Option<&BTreeMap<Handle, Vec<Datum>>>,
    ) -> Result<OldRow, DmlError> {
        let mut row = match full.and_then(|rows| rows.get(handle)) {
            Some(row) => row.clone(),
            None => self.maker.blank(),
        };
        let mut computed = false;
        for column in &self.maker.table.columns {
            match self.positions.columns.get(column.offset).copied().flatten() {
                Some(position) => row[column.offset] = child_row[position].clone(),
                None => computed |= column.is_virtual_generated(),
            }
        }
        if computed {
            self.maker.generate(&mut row)?;
        }
        Ok(OldRow { handle: handle.clone(), row })
    }

    /// Where a column of the table stands among the child's.
    pub(super) fn position(&self, column: usize) -> Option<usize> {
        self.positions.columns.get(column).copied().flatten()
    }
}
