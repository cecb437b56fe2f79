//! Tasks, and readers whose pipeline on the store is still open.

use std::sync::Arc;

use tidewater_expr::{ColumnRef, Expr};

use super::{base, bind_all, bind_items};
use crate::physical::*;

/// A planned subtree and its cost.
pub(crate) struct Task {
    pub(crate) node: Node,
    pub(crate) cost: f64,
}

/// What a task is so far.
pub(crate) enum Node {
    /// Operators of the SQL node.
    Root(Box<PhysicalPlan>),
    /// A reader that takes further steps.
    Reader(Box<OpenReader>),
}

/// A reader under construction.
pub(crate) struct OpenReader {
    pub(crate) table: TableSource,
    pub(crate) kind: ReaderKind,
    /// The steps above the (row) scan.
    pub(crate) cop: Vec<CopNode>,
    /// The columns given so far.
    pub(crate) schema: Vec<ColumnRef>,
    pub(crate) rows: f64,
    /// Average bytes of a row.
    pub(crate) width: f64,
    /// Nothing but a closing final part may follow.
    pub(crate) is_aggregated: bool,
    /// Rows come in the scan's order.
    pub(crate) keep_order: bool,
}

pub(crate) enum ReaderKind {
    Table(TableScan),
    Index(IndexScan),
    LookUp { index_scan: IndexScan, index_cop: Vec<CopNode>, handle: HandlePositions, table_scan: TableScan },
}

impl Task {
    pub(crate) fn root(plan: PhysicalPlan, cost: f64) -> Self {
        Task { node: Node::Root(Box::new(plan)), cost }
    }

    pub(crate) fn rows(&self) -> f64 {
        match &self.node {
            Node::Root(plan) => plan.rows(),
            Node::Reader(reader) => reader.rows,
        }
    }

    pub(crate) fn schema(&self) -> Vec<ColumnRef> {
        match &self.node {
            Node::Root(plan) => plan.schema().to_vec(),
            Node::Reader(reader) => reader.schema.clone(),
        }
    }

    /// The finished plan.
    pub(crate) fn close(self) -> PhysicalPlan {
        match self.node {
            Node::Root(plan) => *plan,
            Node::Reader(reader) => reader.close(),
        }
    }

    /// The cost with the rows brought to the SQL node.
    pub(crate) fn cost_at_root(&self) -> f64 {
        match &self.node {
            Node::Root(_) => self.cost,
            Node::Reader(reader) => self.cost + super::cost::network(reader.rows, reader.width),
        }
    }
}

impl OpenReader {
    /// Whether the pipeline still carries rows of the table.
    pub(crate) fn takes_filters(&self) -> bool {
        !self.is_aggregated
            && !self.cop.iter().any(|step| matches!(step.op, CopOp::Limit(_) | CopOp::TopN { .. }))
    }

    fn push(&mut self, op: CopOp, rows: f64, schema: Vec<ColumnRef>) {
        self.cop.push(CopNode { base: base(rows, schema.clone()), op });
        self.schema = schema;
        self.rows = rows;
    }

    pub(crate) fn push_selection(&mut self, conditions: Vec<Expr>, rows: f64) {
        let conditions = bind_all(conditions, &self.schema);
        // One step for neighbouring selections.
        if let Some(CopNode { base, op: CopOp::Selection(own) }) = self.cop.last_mut() {
            own.extend(conditions);
            base.rows = rows;
            self.rows = rows;
            return;
        }
        self.push(CopOp::Selection(conditions), rows, self.schema.clone());
    }

    pub(crate) fn push_top_n(&mut self, by: Vec<SortItem>, limit: u64) {
        let by = bind_items(by, &self.schema);
        let rows = self.rows.min(limit as f64);
        self.push(CopOp::TopN { by, limit }, rows, self.schema.clone());
    }

    pub(crate) fn push_limit(&mut self, limit: u64) {
        let rows = self.rows.min(limit as f64);
        // Without filters on the row side every entry of the index gives a row: stop there already.
        if let (ReaderKind::LookUp { index_cop, index_scan, .. }, true) =
            (&mut self.kind, self.cop.is_empty())
        {
            let schema = index_cop.last().map_or(&index_scan.base.schema, |step| &step.base.schema).to_vec();
            index_cop.push(CopNode { base: base(rows, schema), op: CopOp::Limit(limit) });
            self.rows = rows;
            return;
        }
        // The row side reads in the order of handles: its first rows are not the first in the index's order.
        if matches!(self.kind, ReaderKind::LookUp { .. }) && self.keep_order {
            return;
        }
        self.push(CopOp::Limit(limit), rows, self.schema.clone());
    }

    pub(crate) fn push_aggregation(
        &mut self,
        aggregates: Vec<tidewater_expr::AggregateCall>,
        group_by: Vec<Expr>,
        rows: f64,
        schema: Vec<ColumnRef>,
    ) {
        self.push(CopOp::Aggregation { aggregates, group_by, streamed: false }, rows, schema);
        self.is_aggregated = true;
    }

    fn close(self) -> PhysicalPlan {
        let base = base(self.rows, self.schema);
        match self.kind {
            ReaderKind::Table(scan) => {
                PhysicalPlan::TableReader(TableReader { base, table: self.table, scan, cop: self.cop })
            }
            ReaderKind::Index(scan) => {
                PhysicalPlan::IndexReader(IndexReader { base, table: self.table, scan, cop: self.cop })
            }
            ReaderKind::LookUp { index_scan, index_cop, handle, table_scan } => {
                PhysicalPlan::IndexLookUp(IndexLookUp {
                    base,
                    table: self.table,
                    index_scan,
                    index_cop,
                    handle,
                    table_scan,
                    table_cop: self.cop,
                    keep_order: self.keep_order,
                    limit: None,
                })
            }
        }
    }
}

/// The columns of a scan, for the plan.
pub(crate) fn scan_columns(columns: &[(ScanColumn, ColumnRef)]) -> (Arc<[ScanColumn]>, Vec<ColumnRef>) {
    (
        columns.iter().map(|(scan, _)| scan.clone()).collect(),
        columns.iter().map(|(_, column)| column.clone()).collect(),
    )
}
