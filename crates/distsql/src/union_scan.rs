//! UnionScan: what the current transaction has written, merged into what its readers see of the store.
//!
//! Rows of the snapshot whose handle was written are dropped; buffered rows that fulfil the conditions are added. The
//! writes are looked at once, when the scan opens: a statement does not see the rows it writes itself.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_codec::{Handle, table_key};
use tidewater_executor::{
    BoxedOperator, ExecContext, ExecError, Merge, Operator, Sort, SortKey, SortOrder, Values,
};
use tidewater_expr::{Expr, filter_mask};
use tidewater_planner::UnionScan;
use tidewater_types::FieldType;

use crate::context::ReadContext;
use crate::error::ReadError;
use crate::handles::HandleReader;
use crate::rows::RowReader;

/// See the module documentation.
pub struct UnionScanReader {
    ctx: ReadContext,
    plan: UnionScan,
    schema: Vec<FieldType>,
    child: Option<BoxedOperator>,
    /// The child without overwritten rows, joined with the added ones; made by `open`.
    merged: Option<BoxedOperator>,
}

impl UnionScanReader {
    /// Merges the writes of `ctx.dirty` into `child`.
    pub fn new(ctx: &ReadContext, plan: &UnionScan, child: BoxedOperator) -> UnionScanReader {
        UnionScanReader {
            ctx: ctx.clone(),
            plan: plan.clone(),
            schema: plan.base.field_types(),
            child: Some(child),
            merged: None,
        }
    }

    /// The handles written, and the rows to add.
    fn look_at_writes(&self) -> Result<(BTreeSet<Handle>, Option<Chunk>), ExecError> {
        let table = &self.plan.table.info;
        let writes = match &self.ctx.dirty {
            Some(dirty) => dirty.range(&table_key::row_range(table.id)),
            None => Vec::new(),
        };
        let mut written = BTreeSet::new();
        let mut rows = Vec::new();
        for (key, value) in writes {
            let (_, handle) = table_key::decode_row_key(&key).map_err(ReadError::from)?;
            written.insert(handle.clone());
            if let Some(value) = value {
                rows.push((handle, value));
            }
        }
        if rows.is_empty() {
            return Ok((written, None));
        }
        let rows = RowReader::new(&self.ctx.exec, table, &self.plan.columns).read(&rows)?;
        let mask = filter_mask(&self.plan.conditions, &self.ctx.exec.eval, &rows)?;
        let rows = rows.filter(&mask);
        Ok((written, (rows.num_rows() > 0).then_some(rows)))
    }
}

#[async_trait]
impl Operator for UnionScanReader {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        let Some(child) = self.child.take() else {
            return Ok(());
        };
        let (written, added) = self.look_at_writes()?;
        let exec = &self.ctx.exec;
        let kept: BoxedOperator = if written.is_empty() {
            child
        } else {
            let handles =
                HandleReader::new(&self.plan.table.info, self.plan.handle.clone(), &exec.eval.time_zone);
            Box::new(Unwritten { ctx: exec.clone(), child, handles, written })
        };
        let mut merged = match added {
            None => kept,
            Some(added) => self.merge(kept, added),
        };
        merged.open().await?;
        self.merged = Some(merged);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        match &mut self.merged {
            Some(merged) => merged.next().await,
            None => Ok(None),
        }
    }

    async fn close(&mut self) {
        if let Some(merged) = &mut self.merged {
            merged.close().await;
        }
        self.merged = None;
    }
}

impl UnionScanReader {
    fn merge(&self, kept: BoxedOperator, added: Chunk) -> BoxedOperator {
        let exec = &self.ctx.exec;
        let order = if self.plan.desc { SortOrder::Descending } else { SortOrder::Ascending };
        let keys: Vec<SortKey> = self
            .plan
            .order
            .iter()
            .map(|position| {
                let column = tidewater_expr::ColumnRef {
                    index: *position,
                    ..self.plan.base.schema[*position].clone()
                };
                SortKey { expr: Expr::Column(column), order }
            })
            .collect();
        let added: BoxedOperator = Box::new(Values::new(exec, self.schema.clone(), vec![added]));
        if keys.is_empty() {
            return Box::new(tidewater_executor::UnionAll::new(exec, self.schema.clone(), vec![added, kept]));
        }
        let added: BoxedOperator = Box::new(Sort::new(exec, added, keys.clone()));
        Box::new(Merge::new(exec, self.schema.clone(), vec![kept, added], keys))
    }
}

/// Rows whose handle was not written.
struct Unwritten {
    ctx: ExecContext,
    child: BoxedOperator,
    handles: HandleReader,
    written: BTreeSet<Handle>,
}

#[async_trait]
impl Operator for Unwritten {
    fn schema(&self) -> &[FieldType] {
        self.child.schema()
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.child.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        while let Some(chunk) = self.child.next().await? {
            self.ctx.kill.check()?;
            let mut mask = Vec::with_capacity(chunk.num_rows());
            for row in 0..chunk.num_rows() {
                let handle = self.handles.handle(&chunk, row, self.child.schema())?;
                mask.push(handle.is_none_or(|handle| !self.written.contains(&handle)));
            }
            let kept = chunk.filter(&mask.into());
            if kept.num_rows() > 0 {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    async fn close(&mut self) {
        self.child.close().await;
    }
}
