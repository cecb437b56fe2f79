//! The query planner: a parsed statement, a catalog snapshot and statistics in; an immutable physical plan out.
//!
//! Sits above `expr`, `catalog` and `stats`, below `session`. One way in: [`plan`]; and a short cut, [`point_plan`], for
//! statements that read one row by a unique key. [`explain`] prints what came out.
//!
//! # Invariants
//! * **The planner never does I/O**, never waits, reads no clock: equal inputs give equal plans.
//! * **A rule changes cost, never results.**
//! * **Plans are values**: nothing touches a plan after `plan` returned it, so a plan cache may share it.
//! * **Expressions in a plan are resolved**: a column's `index` is its position in the input of the node that holds it.
//!
//! # Tour
//! `binder` turns names into columns and the syntax tree into a logical plan; `rules` rewrite that, one file each, in the
//! order of one list; `optimizer` chooses access paths, join algorithms and what the store computes, and gives columns
//! their positions. [`ranges`] turns conditions into key ranges, at planning or (for parameters) at run time.
//!
//! # Not here
//! Window functions, recursive common table expressions, LATERAL, WITH ROLLUP, EXCEPT ALL and INTERSECT ALL are refused
//! with error 1235. Optimizer hints in comments are not looked at; USE, FORCE and IGNORE INDEX and STRAIGHT_JOIN are.
//!
//! # Example
//! ```
//! use tidewater_catalog::{DbInfo, InfoSchemaBuilder, TableInfo};
//! use tidewater_codec::{DbId, TableId};
//! use tidewater_parser::{ParserOptions, parse_one};
//! use tidewater_planner::{PlanContext, PlannerVars, explain, plan};
//!
//! let mut table = TableInfo::new(TableId(1), "t");
//! table.add_column("a", tidewater_types::FieldType::int());
//! let mut schema = InfoSchemaBuilder::new();
//! schema.put_database(DbInfo::new(DbId(1), "test")).put_table(DbId(1), table);
//! let context = PlanContext {
//!     info_schema: &schema.build(1),
//!     stats: &tidewater_stats::PseudoStats,
//!     current_db: Some("test"),
//!     eval: &tidewater_expr::EvalContext::default(),
//!     param_types: &[],
//!     vars: PlannerVars::default(),
//!     dirty_tables: &|_| false,
//!     system_variable: &|_, _| None,
//! };
//! let statement = parse_one("SELECT a FROM t WHERE a > 1", &ParserOptions::default())?.statement;
//! let rows = explain(&plan(&statement, &context)?.root);
//! assert_eq!(rows.last().unwrap().id, "  └─TableFullScan_1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod binder;
mod context;
mod error;
mod estimate;
mod explain;
mod expr_tools;
mod logical;
mod optimizer;
mod physical;
mod plan;
mod point_plan;
pub mod ranges;
mod rules;

use std::sync::Arc;

use tidewater_codec::TableId;
use tidewater_types::FieldType;

pub use context::{PlanContext, PlannerVars, PushdownTarget, SystemVariables, VariableScope};
pub use error::PlanError;
pub use explain::{ExplainRow, explain};
pub use physical::*;
pub use plan::plan;
pub use point_plan::point_plan;
pub use ranges::{DynamicRanges, RangeColumn, Ranges};
pub use tidewater_stats::KeyRange;

/// A planned statement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The tree.
    pub root: Arc<PhysicalPlan>,
    /// The columns a client gets, in step with the root's schema; empty for statements that write.
    pub output: Vec<OutputColumn>,
    /// Whether the plan stays right for other parameter values (of the same types) and later transactions with the same
    /// schema version.
    pub cacheable: bool,
    /// What is read and written, for privileges and caches: (database, table), without duplicates, views included.
    pub tables: Vec<AccessedTable>,
}

impl Plan {
    /// The tables that scans read. A plan made while a transaction had not written to them must not be used where it
    /// has: scans see the transaction's own writes only through a [`UnionScan`]. (Point reads always see them.)
    pub fn scanned_tables(&self) -> Vec<TableId> {
        let mut tables = Vec::new();
        collect_scanned(&self.root, &mut tables);
        tables
    }
}

fn collect_scanned(plan: &PhysicalPlan, tables: &mut Vec<TableId>) {
    match plan {
        PhysicalPlan::TableReader(reader) => tables.push(reader.table.info.id),
        PhysicalPlan::IndexReader(reader) => tables.push(reader.table.info.id),
        PhysicalPlan::IndexLookUp(reader) => tables.push(reader.table.info.id),
        _ => {}
    }
    for child in plan.children() {
        collect_scanned(child, tables);
    }
}

/// A table a statement touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessedTable {
    /// Its database.
    pub database: Arc<str>,
    /// Its name.
    pub table: Arc<str>,
    /// How it is touched.
    pub access: TableAccess,
}

/// How a table is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the variants are MySQL's privileges")]
pub enum TableAccess {
    Select,
    Insert,
    Update,
    Delete,
}

/// A column as MySQL describes it to clients.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputColumn {
    /// The name shown: the alias, or the text.
    pub name: Arc<str>,
    /// The column's own name; empty for expressions.
    pub org_name: Arc<str>,
    /// The table's alias; empty for expressions.
    pub table: Arc<str>,
    /// The table's own name; empty for expressions.
    pub org_table: Arc<str>,
    /// The database; empty for expressions.
    pub db: Arc<str>,
    /// The type, with the column's flags.
    pub field_type: FieldType,
}
