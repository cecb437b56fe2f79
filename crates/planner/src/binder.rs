//! From the syntax tree to a logical plan: names become columns, and every query block becomes a chain of operators.
//!
//! The binder walks the statement in the order SQL gives meaning to it: FROM, WHERE, GROUP BY, the select list, HAVING,
//! DISTINCT, ORDER BY, LIMIT. A subquery inside an expression becomes a join (or an apply, when it refers to outer columns)
//! above the plan built so far; the expression then reads the join's columns.
//!
//! After grouping, *all* columns of the input stay visible, as "first row" aggregates under their own ids; pruning removes
//! those nobody asked for. So expressions mean the same before and after grouping, and ONLY_FULL_GROUP_BY is a separate
//! check.

mod aggregate;
mod dml;
mod expr;
mod from;
mod function;
mod grouping;
mod literal;
mod query;
mod scope;
mod select;
mod set_operation;
mod subquery;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tidewater_expr::{ColumnRef, Expr};
use tidewater_parser::ast;
use tidewater_types::FieldType;

use crate::logical::Logical;
use crate::{AccessedTable, PlanContext, PlanError, TableAccess};

pub(crate) use dml::{BoundDml, BoundSource, DmlKind, WriteTarget};
pub(crate) use literal::type_of_datum;
pub(crate) use query::Bound;
pub(crate) use scope::{Scope, ScopeColumn};

/// Subqueries and views may nest this deep.
const DEPTH_MAX: usize = 64;

/// Binds one statement.
pub(crate) struct Binder<'a> {
    pub(crate) cx: &'a PlanContext<'a>,
    next_id: u64,
    /// Slots of outer columns that inner plans read, by column id.
    slots: BTreeMap<u64, usize>,
    /// Scopes of the query blocks around the current one, innermost last.
    outer: Vec<Rc<Scope>>,
    /// Common table expressions in sight, innermost last.
    common_tables: Vec<CommonTable>,
    /// What the statement touches.
    pub(crate) tables: Vec<AccessedTable>,
    /// Whether the plan may be used again.
    pub(crate) cacheable: bool,
    depth: usize,
    /// Tables that are to be written get all their columns, and no views.
    writing: bool,
    /// Stored tables of such a statement.
    sources: Vec<dml::SourceNote>,
}

#[derive(Clone)]
struct CommonTable {
    name: String,
    definition: Rc<ast::CommonTable>,
    recursive: bool,
    /// How many common tables its own query sees.
    visible: usize,
}

/// Where an expression stands while it is bound.
pub(crate) struct Env<'s> {
    pub(crate) scope: Rc<Scope>,
    /// What subqueries see of the block, where that is more than `scope`.
    pub(crate) scope_of_subqueries: Option<Rc<Scope>>,
    /// The plan so far; subqueries join themselves to it.
    pub(crate) plan: Logical,
    /// The clause, as error 1054 calls it.
    pub(crate) clause: &'static str,
    /// The block's aggregates, where they are allowed.
    pub(crate) aggregates: Option<&'s [BoundAggregate]>,
    /// The select list's aliases, where they are in sight.
    pub(crate) aliases: &'s [(Arc<str>, Expr)],
    /// Aliases hide columns (ORDER BY), or the other way round.
    pub(crate) alias_first: bool,
    /// The rows to be inserted, for VALUES(column).
    pub(crate) new_row: Option<&'s Scope>,
}

/// An aggregate call of the current block and the column that holds its result.
pub(crate) struct BoundAggregate {
    pub(crate) ast: ast::AggregateCall,
    pub(crate) column: ColumnRef,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(cx: &'a PlanContext<'a>) -> Self {
        Binder {
            cx,
            next_id: 1,
            slots: BTreeMap::new(),
            outer: Vec::new(),
            common_tables: Vec::new(),
            tables: Vec::new(),
            cacheable: true,
            depth: 0,
            writing: false,
            sources: Vec::new(),
        }
    }

    /// The next free column id.
    pub(crate) fn next_column_id(&self) -> u64 {
        self.next_id
    }

    /// Column ids below are taken.
    pub(crate) fn set_next_column_id(&mut self, next: u64) {
        self.next_id = next;
    }

    /// A column nobody has yet.
    fn new_column(&mut self, name: impl Into<Arc<str>>, field_type: FieldType) -> ColumnRef {
        let unique_id = self.next_id;
        self.next_id += 1;
        ColumnRef { unique_id, index: 0, field_type, name: name.into() }
    }

    /// A column for a computed value.
    fn computed_column(&mut self, field_type: FieldType) -> ColumnRef {
        let name = format!("Column#{}", self.next_id);
        self.new_column(name, field_type)
    }

    fn call(&self, name: &str, args: Vec<Expr>) -> Result<Expr, PlanError> {
        crate::expr_tools::call(name, args, self.cx.eval)
    }

    fn note_table(&mut self, database: &str, table: &str, access: TableAccess) {
        let entry = AccessedTable { database: database.into(), table: table.into(), access };
        if !self.tables.contains(&entry) {
            self.tables.push(entry);
        }
    }

    /// Runs `bind` one level deeper.
    fn deeper<T>(&mut self, bind: impl FnOnce(&mut Self) -> Result<T, PlanError>) -> Result<T, PlanError> {
        if self.depth >= DEPTH_MAX {
            return Err(PlanError::TooDeep);
        }
        self.depth += 1;
        let result = bind(self);
        self.depth -= 1;
        result
    }
}
