//! Plan to operators: leaves are `distsql`'s readers, the rest are the executor's.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tidewater_catalog::TableInfo;
use tidewater_chunk::{Chunk, ChunkBuilder};
use tidewater_codec::{Handle, Key, table_key};
use tidewater_distsql::{
    HandleReader, KeyLocker, ReadContext, UnionScanReader, build_lookup_reader, build_reader,
};
use tidewater_executor::{
    ApplySpec, BoxedOperator, BuildSide, Correlation, ExecContext, ExecError, HashAggregate, HashJoin,
    HashJoinSpec, IndexJoin, IndexJoinSpec, JoinKey, JoinKind, KeyNulls, Limit, MaxOneRow, NestedLoopApply,
    Operator, Projection, RuntimeStats, Selection, Sort, SortKey, SortOrder, StreamAggregate, TopN, UnionAll,
    Values, instrument,
};
use tidewater_planner::{self as planner, LockWait, PhysicalPlan, ScanColumn};
use tidewater_txn::TxnError;
use tidewater_types::{Datum, FieldType, SqlError};

use crate::infoschema::Row;

/// Computes the rows of virtual tables, for which others may have to be asked.
pub(crate) type VirtualRows = Arc<dyn Fn(&Arc<TableInfo>) -> AskedRows + Send + Sync>;

/// Rows that are on their way.
type AskedRows = BoxFuture<'static, Result<Vec<Row>, SqlError>>;

/// Run-time statistics by plan node.
pub(crate) type NodeStats = Arc<Mutex<BTreeMap<u32, Arc<RuntimeStats>>>>;

/// Builds the operators of one statement. Cheap to clone: applies keep one for their inner side.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) read: ReadContext,
    pub(crate) virtual_rows: Option<VirtualRows>,
    /// Keys that locking reads have seen; locked when the statement has run.
    pub(crate) locks: Arc<LockList>,
    /// For EXPLAIN ANALYZE.
    pub(crate) stats: Option<NodeStats>,
}

/// Keys to be locked once the statement's rows are known.
#[derive(Default)]
pub(crate) struct LockList(Mutex<Vec<(Key, LockWait)>>);

impl LockList {
    pub(crate) fn take(&self) -> Vec<(Key, LockWait)> {
        std::mem::take(&mut self.0.lock())
    }

    fn push(&self, key: Key, wait: LockWait) {
        self.0.lock().push((key, wait));
    }
}

#[async_trait]
impl KeyLocker for LockList {
    async fn lock(&self, keys: Vec<Key>, wait: LockWait) -> Result<(), TxnError> {
        for key in keys {
            self.push(key, wait);
        }
        Ok(())
    }
}

/// Gives the rows of a virtual table; they are asked for when it is opened.
struct VirtualScan {
    ctx: ExecContext,
    columns: Arc<[ScanColumn]>,
    /// Until it is opened.
    asked: Option<AskedRows>,
    values: Values,
}

#[async_trait]
impl Operator for VirtualScan {
    fn schema(&self) -> &[FieldType] {
        self.values.schema()
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        let Some(asked) = self.asked.take() else { return Ok(()) };
        let cell = |row: &Row, column: &ScanColumn| match column {
            ScanColumn::Column(offset) => row.get(*offset).cloned().unwrap_or(Datum::Null),
            ScanColumn::RowId => Datum::Null,
        };
        let rows = asked.await.map_err(ExecError::Sql)?;
        let rows = rows.iter().map(|row| self.columns.iter().map(|column| cell(row, column)).collect());
        let rows = rows.collect();
        self.values = Values::from_rows(&self.ctx, self.values.schema().to_vec(), rows);
        self.values.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        self.values.next().await
    }

    async fn close(&mut self) {
        self.values.close().await;
    }
}

impl Builder {
    /// The operators of a plan.
    pub(crate) fn build(&self, plan: &PhysicalPlan) -> Result<BoxedOperator, ExecError> {
        let operator = self.node(plan)?;
        let Some(stats) = &self.stats else { return Ok(operator) };
        let node = stats.lock().entry(plan.base().id).or_default().clone();
        Ok(instrument(operator, node))
    }

    fn ctx(&self) -> &ExecContext {
        &self.read.exec
    }

    fn node(&self, plan: &PhysicalPlan) -> Result<BoxedOperator, ExecError> {
        if let Some(reader) = build_reader(&self.read, plan)? {
            return Ok(reader);
        }
        let ctx = self.ctx();
        Ok(match plan {
            PhysicalPlan::UnionScan(node) => {
                let child = self.build(&node.child)?;
                Box::new(UnionScanReader::new(&self.read, node, child))
            }
            PhysicalPlan::VirtualTableScan(node) => self.virtual_scan(node),
            PhysicalPlan::Selection(node) => {
                Box::new(Selection::new(ctx, self.build(&node.child)?, node.conditions.clone()))
            }
            PhysicalPlan::Projection(node) => {
                Box::new(Projection::new(ctx, self.build(&node.child)?, node.exprs.clone()))
            }
            PhysicalPlan::HashAgg(node) => Box::new(HashAggregate::new(
                ctx,
                self.build(&node.child)?,
                node.group_by.clone(),
                node.aggregates.clone(),
            )?),
            PhysicalPlan::StreamAgg(node) => Box::new(StreamAggregate::new(
                ctx,
                self.build(&node.child)?,
                node.group_by.clone(),
                node.aggregates.clone(),
            )?),
            PhysicalPlan::Sort(node) => {
                Box::new(Sort::new(ctx, self.build(&node.child)?, sort_keys(&node.by)))
            }
            PhysicalPlan::TopN(node) => Box::new(TopN::new(
                ctx,
                self.build(&node.child)?,
                sort_keys(&node.by),
                node.offset,
                node.count,
            )),
            PhysicalPlan::Limit(node) => {
                Box::new(Limit::new(ctx, self.build(&node.child)?, node.offset, node.count))
            }
            PhysicalPlan::HashJoin(node) => {
                let (left, right) = (self.build(&node.left)?, self.build(&node.right)?);
                Box::new(HashJoin::new(ctx, left, right, hash_join_spec(node))?)
            }
            PhysicalPlan::IndexJoin(node) => self.index_join(node)?,
            PhysicalPlan::Apply(node) => self.apply(node)?,
            PhysicalPlan::UnionAll(node) => {
                let children =
                    node.children.iter().map(|child| self.build(child)).collect::<Result<_, _>>()?;
                Box::new(UnionAll::new(ctx, node.base.field_types(), children))
            }
            PhysicalPlan::TableDual(node) => dual(ctx, node),
            PhysicalPlan::MaxOneRow(node) => Box::new(MaxOneRow::new(ctx, self.build(&node.child)?)),
            PhysicalPlan::SelectLock(node) => self.select_lock(node)?,
            PhysicalPlan::PointGet(_)
            | PhysicalPlan::BatchPointGet(_)
            | PhysicalPlan::TableReader(_)
            | PhysicalPlan::IndexReader(_)
            | PhysicalPlan::IndexLookUp(_) => unreachable!("readers were built above"),
            PhysicalPlan::Insert(_) | PhysicalPlan::Update(_) | PhysicalPlan::Delete(_) => {
                return Err(ExecError::Sql(crate::error::unsupported(
                    "statements that write inside of queries",
                )));
            }
        })
    }

    fn virtual_scan(&self, node: &planner::VirtualTableScan) -> BoxedOperator {
        let schema = node.base.field_types();
        Box::new(VirtualScan {
            ctx: self.ctx().clone(),
            columns: node.columns.clone(),
            asked: self.virtual_rows.as_ref().map(|provider| provider(&node.table.info)),
            values: Values::empty(self.ctx(), schema),
        })
    }

    fn apply(&self, node: &planner::Apply) -> Result<BoxedOperator, ExecError> {
        let outer = self.build(&node.outer)?;
        let spec = ApplySpec {
            kind: join_kind(node.kind),
            inner_schema: node.inner.field_types(),
            correlated: node
                .correlated
                .iter()
                .map(|column| Correlation { slot: column.slot, column: column.column.index })
                .collect(),
            null_aware_keys: join_keys(&node.null_aware_keys),
            conditions: node.conditions.clone(),
        };
        let (builder, inner) = (self.clone(), Arc::clone(&node.inner));
        let factory = Box::new(move |ctx: &ExecContext| builder.with_exec(ctx).build(&inner));
        Ok(Box::new(NestedLoopApply::new(self.ctx(), outer, factory, spec)?))
    }

    fn with_exec(&self, exec: &ExecContext) -> Self {
        Self { read: self.read.with_exec(exec.clone()), ..self.clone() }
    }

    fn index_join(&self, node: &planner::IndexJoin) -> Result<BoxedOperator, ExecError> {
        let outer = self.build(&node.outer)?;
        let spec = IndexJoinSpec {
            inner_schema: node.inner.field_types(),
            lookup_keys: node.lookup_keys.clone(),
            join: HashJoinSpec {
                kind: join_kind(node.kind),
                build: if node.outer_is_left { BuildSide::Right } else { BuildSide::Left },
                keys: join_keys(&node.keys),
                null_aware_keys: Vec::new(),
                other_conditions: node.other_conditions.clone(),
            },
        };
        let (builder, inner) = (self.clone(), Arc::clone(&node.inner));
        let factory = Box::new(move |ctx: &ExecContext, keys: Vec<Vec<Datum>>| {
            builder.with_exec(ctx).lookup_side(&inner, &keys)
        });
        Ok(Box::new(IndexJoin::new(self.ctx(), outer, factory, spec)))
    }

    /// The inner side of an index join: a reader restricted to the batch's keys, perhaps under selections,
    /// projections and a union scan.
    fn lookup_side(&self, plan: &PhysicalPlan, keys: &[Vec<Datum>]) -> Result<BoxedOperator, ExecError> {
        if let Some(reader) = build_lookup_reader(&self.read, plan, keys)? {
            return Ok(reader);
        }
        let ctx = self.ctx();
        Ok(match plan {
            PhysicalPlan::Selection(node) => {
                Box::new(Selection::new(ctx, self.lookup_side(&node.child, keys)?, node.conditions.clone()))
            }
            PhysicalPlan::Projection(node) => {
                Box::new(Projection::new(ctx, self.lookup_side(&node.child, keys)?, node.exprs.clone()))
            }
            PhysicalPlan::UnionScan(node) => {
                Box::new(UnionScanReader::new(&self.read, node, self.lookup_side(&node.child, keys)?))
            }
            other => self.build(other)?,
        })
    }

    fn select_lock(&self, node: &planner::SelectLock) -> Result<BoxedOperator, ExecError> {
        let targets = node
            .targets
            .iter()
            .map(|target| {
                let time_zone = &self.ctx().eval.time_zone;
                (
                    target.table.info.id,
                    HandleReader::new(&target.table.info, target.handle.clone(), time_zone),
                )
            })
            .collect();
        Ok(Box::new(LockRows {
            child: self.build(&node.child)?,
            schema: node.base.field_types(),
            targets,
            wait: node.wait,
            locks: Arc::clone(&self.locks),
        }))
    }
}

/// Notes the keys of the rows that pass.
struct LockRows {
    child: BoxedOperator,
    schema: Vec<FieldType>,
    targets: Vec<(tidewater_codec::TableId, HandleReader)>,
    wait: LockWait,
    locks: Arc<LockList>,
}

#[async_trait]
impl Operator for LockRows {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.child.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        let Some(chunk) = self.child.next().await? else { return Ok(None) };
        for (table, reader) in &self.targets {
            let handles: Vec<Handle> =
                reader.handles(&chunk, self.child.schema()).map_err(ExecError::from)?;
            for handle in handles {
                self.locks.push(table_key::row_key(*table, &handle), self.wait);
            }
        }
        Ok(Some(chunk))
    }

    async fn close(&mut self) {
        self.child.close().await;
    }
}

fn dual(ctx: &ExecContext, node: &planner::TableDual) -> BoxedOperator {
    let types = node.base.field_types();
    let rows = usize::try_from(node.count).unwrap_or(usize::MAX);
    if types.is_empty() {
        return Box::new(Values::dual(ctx, rows));
    }
    if rows == 0 {
        return Box::new(Values::empty(ctx, types));
    }
    let mut builder = ChunkBuilder::new(&types, rows);
    let nulls = vec![Datum::Null; types.len()];
    for _ in 0..rows {
        builder.push_row(&nulls);
    }
    Box::new(Values::new(ctx, types, vec![builder.finish()]))
}

fn sort_keys(by: &[planner::SortItem]) -> Vec<SortKey> {
    by.iter()
        .map(|item| SortKey {
            expr: item.expr.clone(),
            order: if item.desc { SortOrder::Descending } else { SortOrder::Ascending },
        })
        .collect()
}

fn hash_join_spec(node: &planner::HashJoin) -> HashJoinSpec {
    HashJoinSpec {
        kind: join_kind(node.kind),
        build: match node.build {
            planner::BuildSide::Left => BuildSide::Left,
            planner::BuildSide::Right => BuildSide::Right,
        },
        keys: join_keys(&node.keys),
        null_aware_keys: join_keys(&node.null_aware_keys),
        other_conditions: node.other_conditions.clone(),
    }
}

fn join_keys(keys: &[planner::JoinKey]) -> Vec<JoinKey> {
    keys.iter()
        .map(|key| JoinKey {
            left: key.left.clone(),
            right: key.right.clone(),
            collation: key.collation,
            nulls: if key.null_safe { KeyNulls::Equal } else { KeyNulls::Reject },
        })
        .collect()
}

fn join_kind(kind: planner::JoinKind) -> JoinKind {
    match kind {
        planner::JoinKind::Inner => JoinKind::Inner,
        planner::JoinKind::LeftOuter => JoinKind::LeftOuter,
        planner::JoinKind::RightOuter => JoinKind::RightOuter,
        planner::JoinKind::Semi => JoinKind::Semi,
        planner::JoinKind::AntiSemi => JoinKind::AntiSemi,
        planner::JoinKind::LeftOuterSemi => JoinKind::LeftOuterSemi,
        planner::JoinKind::AntiLeftOuterSemi => JoinKind::AntiLeftOuterSemi,
    }
}
