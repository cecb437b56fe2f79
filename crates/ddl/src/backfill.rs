//! Long work of schema changes: every row of a table, in batches of one transaction each.
//!
//! A batch reads the rows at its own start and writes what is missing. Writers keep the new object themselves, because its
//! state was made public to them before the first batch began: whoever changes a row after the batch has read it writes to
//! the same index entry (removing it, if nothing else) or to the row, and so is in conflict with the batch, which runs
//! again. The rows need no locks of their own, which would leave a record on each.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::BoxFuture;
use tidewater_catalog::{Job, TableInfo};
use tidewater_codec::{IndexId, Key, index_value, table_key};
use tidewater_table::{TableError, TableLayout};
use tidewater_txn::TxnError;
use tidewater_types::{ErrorCode, TimeZone};

use crate::error::{DdlError, reject};
use crate::meta::Meta;
use crate::worker::{Ddl, begin_unless, may_retry};

/// Rows of one batch.
const BATCH_ROWS: usize = 2048;
/// Rows of a batch where others write a lot.
const BATCH_ROWS_MIN: usize = 8;
/// Tries of one batch.
const TRIES_MAX: usize = 64;

/// Fills an index.
pub(crate) async fn index(ddl: &Ddl, job: &mut Job, id: IndexId) -> Result<(), DdlError> {
    batches(ddl, job, move |batch| Box::pin(batch.fill_index(id))).await
}

/// Rewrites every row.
pub(crate) async fn rows(ddl: &Ddl, job: &mut Job) -> Result<(), DdlError> {
    batches(ddl, job, |batch| Box::pin(batch.rewrite())).await
}

struct Batch<'b> {
    txn: &'b mut tidewater_txn::Transaction,
    layout: &'b mut TableLayout,
    rows: Vec<(Key, bytes::Bytes)>,
    /// Rows of the table before this batch's, for messages.
    rows_before: u64,
}

async fn batches(
    ddl: &Ddl,
    job: &mut Job,
    work: impl for<'a, 'b> Fn(&'a mut Batch<'b>) -> BoxFuture<'a, Result<(), DdlError>> + Send + Sync,
) -> Result<(), DdlError> {
    let schema = ddl.schema();
    let Some(info) = schema.table_by_id(job.table_id) else {
        return Err(DdlError::Corrupt { what: format!("the table {} of a schema change", job.table_id) });
    };
    let info: Arc<TableInfo> = Arc::clone(info);
    let mut layout = TableLayout::new(Arc::clone(&info), TimeZone::utc());
    let range = table_key::row_range(info.id);
    let mut start = match &job.backfill_position {
        Some(position) => Key::new(position.clone()),
        None => range.start.clone(),
    };
    let cancelled = ddl.cancellation(job.id);
    let mut tries = 0;
    let mut batch_rows = BATCH_ROWS;
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(DdlError::Cancelled);
        }
        let mut txn = begin_unless(&ddl.client, &cancelled).await?;
        // Writers of rows do not check index entries: they must find themselves above this.
        txn.commit_in_two_phases();
        if let Err(error) = ddl.check_work(&mut Meta::new(&mut txn), job.id).await {
            txn.rollback().await?;
            return Err(error);
        }
        let rows = txn.scan(start.clone()..range.end.clone()).collect(batch_rows).await?;
        let Some((last, _)) = rows.last() else {
            txn.rollback().await?;
            if job.snapshot_ver == 0 {
                job.snapshot_ver = txn.start_ts().into_inner();
            }
            job.backfill_done = true;
            return Ok(());
        };
        let next = last.next();
        let count = rows.len();
        let mut batch = Batch { txn: &mut txn, layout: &mut layout, rows, rows_before: job.row_count };
        if let Err(error) = work(&mut batch).await {
            txn.rollback().await?;
            return Err(error);
        }
        let mut moved = job.clone();
        moved.row_count += count as u64;
        moved.snapshot_ver = txn.start_ts().into_inner();
        moved.backfill_position = Some(next.clone().into_bytes());
        Meta::new(&mut txn).put_job(&moved)?;
        match txn.commit().await {
            Ok(_) => {
                *job = moved;
                start = next;
                tries = 0;
                batch_rows = (batch_rows * 2).min(BATCH_ROWS);
            }
            // Somebody changed one of the rows, or took a key: look again, at fewer rows.
            Err(error)
                if (may_retry(&error) || matches!(error, TxnError::KeyExists { .. }))
                    && tries < TRIES_MAX =>
            {
                tries += 1;
                batch_rows = (batch_rows / 4).max(BATCH_ROWS_MIN);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Batch<'_> {
    async fn fill_index(&mut self, id: IndexId) -> Result<(), DdlError> {
        let info = Arc::clone(&self.layout.info);
        let Some(index) = info.index_by_id(id) else {
            return Err(DdlError::Corrupt { what: format!("the index {id} of a schema change") });
        };
        let mut entries = Vec::with_capacity(self.rows.len());
        for (key, value) in &self.rows {
            let (_, handle) = table_key::decode_row_key(key.as_bytes())
                .map_err(|error| DdlError::Corrupt { what: error.to_string() })?;
            let row = self.layout.decode_row(&handle, value)?;
            check_nulls(&info, index.primary, &index.columns, &row)?;
            let entry = self.layout.index_entry(index, &row, &handle)?;
            entries.push((entry, handle, row));
        }
        let unique: Vec<&Key> =
            entries.iter().filter(|(entry, ..)| entry.distinct).map(|(entry, ..)| &entry.key).collect();
        let present = if unique.is_empty() { Default::default() } else { self.txn.batch_get(unique).await? };
        for (entry, handle, row) in entries {
            if !entry.distinct {
                self.txn.put(entry.key, entry.value)?;
                continue;
            }
            let other =
                match self.txn.buffer().get(entry.key.as_bytes()).and_then(|write| write.value.clone()) {
                    Some(value) => Some(value),
                    None => present.get(&entry.key).cloned(),
                };
            match other {
                None => self.txn.insert(entry.key, entry.value)?,
                Some(value) => {
                    let owner = index_value::decode(&value)
                        .map_err(|error| DdlError::Corrupt { what: error.to_string() })?
                        .handle;
                    // A writer has been here before us.
                    if owner != Some(handle) {
                        return Err(self.layout.duplicate(Some(index), &row).into());
                    }
                }
            }
        }
        Ok(())
    }

    async fn rewrite(&mut self) -> Result<(), DdlError> {
        let info = Arc::clone(&self.layout.info);
        let hidden: Vec<_> =
            info.indices.iter().filter(|index| crate::reorg::is_copy(index)).map(|index| index.id).collect();
        for (number, (key, value)) in (self.rows_before + 1..).zip(&mut self.rows) {
            let (_, handle) = table_key::decode_row_key(key.as_bytes())
                .map_err(|error| DdlError::Corrupt { what: error.to_string() })?;
            let row = self.layout.decode_row(&handle, value)?;
            let completed = self.layout.complete(&row).map_err(|error| refused(error, number))?;
            let completed = completed.0.into_owned();
            let rewritten = self.layout.row_value(&completed)?;
            self.txn.put(key.clone(), rewritten.clone())?;
            *value = rewritten.into();
        }
        for id in hidden {
            self.fill_index(id).await?;
        }
        Ok(())
    }
}

/// A value that the new type does not take, as an INSERT of it would say.
fn refused(error: TableError, row: u64) -> DdlError {
    match error {
        TableError::Conversion { column, source } => DdlError::Rejected(source.to_sql_error(&column, row)),
        TableError::NullNotAllowed { .. } => reject(ErrorCode::InvalidUseOfNull, "Invalid use of NULL value"),
        error => error.into(),
    }
}

fn check_nulls(
    info: &TableInfo,
    primary: bool,
    columns: &[tidewater_catalog::IndexColumn],
    row: &[tidewater_types::Datum],
) -> Result<(), DdlError> {
    if !primary {
        return Ok(());
    }
    match columns.iter().find(|part| row[part.offset].is_null()) {
        Some(part) => {
            Err(TableError::NullNotAllowed { column: info.columns[part.offset].name.to_string() }.into())
        }
        None => Ok(()),
    }
}
