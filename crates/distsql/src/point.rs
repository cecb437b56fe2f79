//! PointGet and BatchPointGet: rows by handle or unique key, without a coprocessor.
//!
//! HOT: a point select is one round trip (two through a unique index) and one decoded row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidewater_catalog::{HandleKind, IndexInfo, TableInfo};
use tidewater_chunk::Chunk;
use tidewater_codec::{Handle, Key, datum, index_value, table_key};
use tidewater_executor::{ExecError, Operator};
use tidewater_expr::Expr;
use tidewater_planner::{BatchPointGet, LockWait, PointAccess, PointGet, ScanColumn};
use tidewater_txn::Snapshot;
use tidewater_types::{Datum, FieldType};

use crate::context::ReadContext;
use crate::error::ReadError;
use crate::key_ranges::{index_types, stored};
use crate::rows::RowReader;

/// Rows by their keys.
pub struct PointReader {
    ctx: ReadContext,
    table: Arc<TableInfo>,
    access: PointAccess,
    keys: Vec<Vec<Expr>>,
    columns: Arc<[ScanColumn]>,
    schema: Vec<FieldType>,
    lock: Option<LockWait>,
    /// Sort by key, descending or not.
    sort: Option<Sorting>,
    output: Option<Vec<Chunk>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sorting {
    Ascending,
    Descending,
}

impl PointReader {
    /// One row at most.
    pub fn get(ctx: &ReadContext, plan: &PointGet) -> PointReader {
        PointReader {
            ctx: ctx.clone(),
            table: Arc::clone(&plan.table.info),
            access: plan.access.clone(),
            keys: vec![plan.key.clone()],
            columns: Arc::clone(&plan.columns),
            schema: plan.base.field_types(),
            lock: plan.lock.or(ctx.lock_points),
            sort: None,
            output: None,
        }
    }

    /// A row per key at most.
    pub fn batch(ctx: &ReadContext, plan: &BatchPointGet) -> PointReader {
        let sorting = if plan.desc { Sorting::Descending } else { Sorting::Ascending };
        PointReader {
            ctx: ctx.clone(),
            table: Arc::clone(&plan.table.info),
            access: plan.access.clone(),
            keys: plan.keys.clone(),
            columns: Arc::clone(&plan.columns),
            schema: plan.base.field_types(),
            lock: plan.lock.or(ctx.lock_points),
            sort: plan.keep_order.then_some(sorting),
            output: None,
        }
    }

    async fn read(&self) -> Result<Vec<Chunk>, ExecError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let mut values = Vec::with_capacity(key.len());
            for expr in key {
                values.push(expr.eval_datum(&self.ctx.exec.eval)?);
            }
            // NULL equals nothing.
            if !values.iter().any(Datum::is_null) {
                keys.push(values);
            }
        }
        let handles = match &self.access {
            PointAccess::Handle => {
                let mut handles: Vec<Handle> = keys.iter().filter_map(|key| int_handle(key)).collect();
                self.order(&mut handles, |handle| self.handle_order(handle));
                handles
            }
            PointAccess::CommonHandle(index) => {
                let mut handles = Vec::with_capacity(keys.len());
                for key in &keys {
                    handles.push(Handle::Common(self.encode(index, key)?.into()));
                }
                self.order(&mut handles, Handle::clone);
                handles
            }
            PointAccess::Index(index) => self.handles_by_index(index, &keys).await?,
        };
        let row_keys: Vec<Key> =
            handles.iter().map(|handle| table_key::row_key(self.table.id, handle)).collect();
        self.lock(&row_keys).await?;
        let values = self.values(&row_keys).await?;
        let mut rows = Vec::with_capacity(handles.len());
        for (handle, key) in handles.into_iter().zip(&row_keys) {
            match values.get(key) {
                Some(value) => rows.push((handle, value.clone())),
                // Two reads of the latest versions need not see one state; any other snapshot does.
                None if matches!(self.access, PointAccess::Index(_))
                    && self.ctx.snapshot.ts() != Snapshot::LATEST =>
                {
                    return Err(self.dangling().into());
                }
                None => {}
            }
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let chunk = RowReader::new(&self.ctx.exec, &self.table, &self.columns).read(&rows)?;
        let max_rows = self.ctx.exec.max_chunk_rows.max(1);
        let mut chunks: Vec<Chunk> = (0..chunk.num_rows())
            .step_by(max_rows)
            .map(|start| chunk.slice(start, max_rows.min(chunk.num_rows() - start)))
            .collect();
        // The operator pops.
        chunks.reverse();
        Ok(chunks)
    }

    async fn handles_by_index(
        &self,
        index: &IndexInfo,
        keys: &[Vec<Datum>],
    ) -> Result<Vec<Handle>, ExecError> {
        let mut index_keys = Vec::with_capacity(keys.len());
        for key in keys {
            let mut bytes = table_key::index_prefix(self.table.id, index.id).into_bytes();
            bytes.extend_from_slice(&self.encode(index, key)?);
            index_keys.push(Key::new(bytes));
        }
        self.order(&mut index_keys, Key::clone);
        self.lock(&index_keys).await?;
        let values = self.values(&index_keys).await?;
        let mut handles = Vec::with_capacity(index_keys.len());
        for key in &index_keys {
            if let Some(value) = values.get(key) {
                let value = index_value::decode(value).map_err(ReadError::from)?;
                handles.push(value.handle.ok_or_else(|| self.dangling())?);
            }
        }
        Ok(handles)
    }

    /// Drops repetitions, and sorts if that is asked for.
    fn order<T, K: Ord>(&self, items: &mut Vec<T>, key: impl Fn(&T) -> K) {
        let mut seen = BTreeSet::new();
        items.retain(|item| seen.insert(key(item)));
        match self.sort {
            None => {}
            Some(Sorting::Ascending) => items.sort_by_key(|item| key(item)),
            Some(Sorting::Descending) => items.sort_by_key(|item| std::cmp::Reverse(key(item))),
        }
    }

    /// The bits of an unsigned handle order as unsigned.
    fn handle_order(&self, handle: &Handle) -> i128 {
        let is_unsigned =
            matches!(self.table.handle(), HandleKind::IntColumn(column) if column.field_type.is_unsigned());
        match handle {
            Handle::Int(value) if is_unsigned => i128::from(*value as u64),
            Handle::Int(value) => i128::from(*value),
            Handle::Common(_) => 0,
        }
    }

    fn encode(&self, index: &IndexInfo, key: &[Datum]) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        for (value, field_type) in key.iter().zip(index_types(&self.table, index)) {
            let value = stored(value, &field_type, &self.ctx.exec.eval.time_zone);
            datum::encode_key_datum(&value, &field_type, &mut bytes)?;
        }
        Ok(bytes)
    }

    async fn lock(&self, keys: &[Key]) -> Result<(), ExecError> {
        match (self.lock, &self.ctx.locker) {
            (Some(wait), Some(locker)) if !keys.is_empty() => {
                Ok(locker.lock(keys.to_vec(), wait).await.map_err(ReadError::from)?)
            }
            _ => Ok(()),
        }
    }

    /// The transaction's own writes first, then the snapshot.
    async fn values(&self, keys: &[Key]) -> Result<BTreeMap<Key, Bytes>, ExecError> {
        let mut found = BTreeMap::new();
        let mut wanted = Vec::with_capacity(keys.len());
        for key in keys {
            match self.ctx.dirty.as_ref().and_then(|dirty| dirty.get(key.as_bytes())) {
                Some(Some(value)) => drop(found.insert(key.clone(), value)),
                Some(None) => {}
                None => wanted.push(key),
            }
        }
        match wanted.as_slice() {
            [] => {}
            [key] => {
                if let Some(value) = self.ctx.snapshot.get(key).await.map_err(ReadError::from)? {
                    found.insert((*key).clone(), value);
                }
            }
            _ => found.extend(self.ctx.snapshot.batch_get(wanted).await.map_err(ReadError::from)?),
        }
        Ok(found)
    }

    fn dangling(&self) -> ReadError {
        let index =
            if let PointAccess::Index(index) = &self.access { index.name.to_string() } else { String::new() };
        ReadError::DanglingEntry { table: self.table.name.to_string(), index }
    }
}

fn int_handle(key: &[Datum]) -> Option<Handle> {
    match key.first()? {
        Datum::Int(value) => Some(Handle::Int(*value)),
        Datum::UInt(value) => Some(Handle::Int(*value as i64)),
        _ => None,
    }
}

#[async_trait]
impl Operator for PointReader {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        self.ctx.exec.kill.check()?;
        if self.output.is_none() {
            self.output = Some(self.read().await?);
        }
        Ok(self.output.as_mut().and_then(Vec::pop))
    }

    async fn close(&mut self) {
        self.output = Some(Vec::new());
    }
}
