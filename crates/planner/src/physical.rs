//! Physical plans: what the session builds operators from.
//!
//! A plan is an immutable tree of [`PhysicalPlan`] nodes behind `Arc`, so that the plan cache may share it. Every
//! expression in it has its column indexes resolved: [`ColumnRef::index`] is the position in the *input chunk* of the
//! expression's owner (for joins: the left child's columns followed by the right child's).
//!
//! Work that the store's coprocessor does is not in the tree itself: a reader ([`TableReader`], [`IndexReader`],
//! [`IndexLookUp`]) holds its scan and a pipeline of [`CopNode`]s that run above the scan, in order, on each region.

mod dml;
mod operators;
mod readers;

use std::sync::Arc;

use tidewater_expr::ColumnRef;
use tidewater_types::FieldType;

pub use dml::*;
pub use operators::*;
pub use readers::*;

/// The columns a node gives, in order.
pub type Schema = Arc<[ColumnRef]>;

/// What every node has.
#[derive(Clone, Debug)]
pub struct PlanBase {
    /// The node's number in the plan, as EXPLAIN shows it behind the operator's name.
    pub id: u32,
    /// How many rows the planner expects it to give.
    pub rows: f64,
    /// The columns it gives.
    pub schema: Schema,
}

impl PlanBase {
    /// The types of the node's columns.
    pub fn field_types(&self) -> Vec<FieldType> {
        self.schema.iter().map(|column| column.field_type.clone()).collect()
    }
}

/// One node of a plan.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each variant wraps the documented struct of its name")]
pub enum PhysicalPlan {
    PointGet(PointGet),
    BatchPointGet(BatchPointGet),
    TableReader(TableReader),
    IndexReader(IndexReader),
    IndexLookUp(IndexLookUp),
    UnionScan(UnionScan),
    VirtualTableScan(VirtualTableScan),
    Selection(Selection),
    Projection(Projection),
    HashAgg(Aggregation),
    StreamAgg(Aggregation),
    Sort(Sort),
    TopN(TopN),
    Limit(Limit),
    HashJoin(HashJoin),
    IndexJoin(IndexJoin),
    Apply(Apply),
    UnionAll(UnionAll),
    TableDual(TableDual),
    MaxOneRow(MaxOneRow),
    SelectLock(SelectLock),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
}

impl PhysicalPlan {
    /// What every node has.
    pub fn base(&self) -> &PlanBase {
        match self {
            Self::PointGet(node) => &node.base,
            Self::BatchPointGet(node) => &node.base,
            Self::TableReader(node) => &node.base,
            Self::IndexReader(node) => &node.base,
            Self::IndexLookUp(node) => &node.base,
            Self::UnionScan(node) => &node.base,
            Self::VirtualTableScan(node) => &node.base,
            Self::Selection(node) => &node.base,
            Self::Projection(node) => &node.base,
            Self::HashAgg(node) | Self::StreamAgg(node) => &node.base,
            Self::Sort(node) => &node.base,
            Self::TopN(node) => &node.base,
            Self::Limit(node) => &node.base,
            Self::HashJoin(node) => &node.base,
            Self::IndexJoin(node) => &node.base,
            Self::Apply(node) => &node.base,
            Self::UnionAll(node) => &node.base,
            Self::TableDual(node) => &node.base,
            Self::MaxOneRow(node) => &node.base,
            Self::SelectLock(node) => &node.base,
            Self::Insert(node) => &node.base,
            Self::Update(node) => &node.base,
            Self::Delete(node) => &node.base,
        }
    }

    /// The columns the node gives.
    pub fn schema(&self) -> &Schema {
        &self.base().schema
    }

    /// The types of the node's columns.
    pub fn field_types(&self) -> Vec<FieldType> {
        self.base().field_types()
    }

    /// The expected number of rows.
    pub fn rows(&self) -> f64 {
        self.base().rows
    }

    /// The nodes below, left to right.
    pub fn children(&self) -> Vec<&Arc<PhysicalPlan>> {
        match self {
            Self::PointGet(_)
            | Self::BatchPointGet(_)
            | Self::TableReader(_)
            | Self::IndexReader(_)
            | Self::IndexLookUp(_)
            | Self::VirtualTableScan(_)
            | Self::TableDual(_) => Vec::new(),
            Self::UnionScan(node) => vec![&node.child],
            Self::Selection(node) => vec![&node.child],
            Self::Projection(node) => vec![&node.child],
            Self::HashAgg(node) | Self::StreamAgg(node) => vec![&node.child],
            Self::Sort(node) => vec![&node.child],
            Self::TopN(node) => vec![&node.child],
            Self::Limit(node) => vec![&node.child],
            Self::HashJoin(node) => vec![&node.left, &node.right],
            Self::IndexJoin(node) => vec![&node.outer, &node.inner],
            Self::Apply(node) => vec![&node.outer, &node.inner],
            Self::UnionAll(node) => node.children.iter().collect(),
            Self::MaxOneRow(node) => vec![&node.child],
            Self::SelectLock(node) => vec![&node.child],
            Self::Insert(node) => match &node.source {
                InsertSource::Values(_) => Vec::new(),
                InsertSource::Query(child) => vec![child],
            },
            Self::Update(node) => vec![&node.child],
            Self::Delete(node) => vec![&node.child],
        }
    }

    /// The operator's name as EXPLAIN prints it (without its number).
    pub fn name(&self) -> &'static str {
        match self {
            Self::PointGet(_) => "Point_Get",
            Self::BatchPointGet(_) => "Batch_Point_Get",
            Self::TableReader(_) => "TableReader",
            Self::IndexReader(_) => "IndexReader",
            Self::IndexLookUp(_) => "IndexLookUp",
            Self::UnionScan(_) => "UnionScan",
            Self::VirtualTableScan(_) => "MemTableScan",
            Self::Selection(_) => "Selection",
            Self::Projection(_) => "Projection",
            Self::HashAgg(_) => "HashAgg",
            Self::StreamAgg(_) => "StreamAgg",
            Self::Sort(_) => "Sort",
            Self::TopN(_) => "TopN",
            Self::Limit(_) => "Limit",
            Self::HashJoin(_) => "HashJoin",
            Self::IndexJoin(_) => "IndexJoin",
            Self::Apply(_) => "Apply",
            Self::UnionAll(_) => "Union",
            Self::TableDual(_) => "TableDual",
            Self::MaxOneRow(_) => "MaxOneRow",
            Self::SelectLock(_) => "SelectLock",
            Self::Insert(_) => "Insert",
            Self::Update(_) => "Update",
            Self::Delete(_) => "Delete",
        }
    }
}
