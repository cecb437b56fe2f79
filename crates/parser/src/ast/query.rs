//! Queries: SELECT, VALUES, TABLE and their combinations.

use super::{ColumnName, Expr, Ident, ObjectName, SourceText, WindowSpec};

/// A whole query expression: `[WITH ..] body [ORDER BY ..] [LIMIT ..] [FOR ..]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Common table expressions.
    pub with: Option<With>,
    /// The rows' source.
    pub body: QueryBody,
    /// ORDER BY of the whole.
    pub order_by: Vec<OrderItem>,
    /// LIMIT of the whole.
    pub limit: Option<Limit>,
    /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE.
    pub locks: Vec<Locking>,
    /// INTO OUTFILE, INTO DUMPFILE, INTO @variables.
    pub into: Option<SelectInto>,
}

impl Query {
    /// A query that is only its body.
    pub fn of(body: QueryBody) -> Self {
        Self { with: None, body, order_by: Vec::new(), limit: None, locks: Vec::new(), into: None }
    }

    /// The body, when this query is one plain SELECT.
    pub fn as_select(&self) -> Option<&Select> {
        match &self.body {
            QueryBody::Select(select) => Some(select),
            _ => None,
        }
    }
}

/// `WITH [RECURSIVE] ..`.
#[derive(Clone, Debug, PartialEq)]
pub struct With {
    /// RECURSIVE was written.
    pub recursive: bool,
    /// The tables, in order; a later one may use the earlier ones.
    pub tables: Vec<CommonTable>,
}

/// One common table expression.
#[derive(Clone, Debug, PartialEq)]
pub struct CommonTable {
    /// Its name.
    pub name: Ident,
    /// Names for its columns; empty when not given.
    pub columns: Vec<Ident>,
    /// What it is.
    pub query: Query,
}

/// The source of a query's rows.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryBody {
    /// SELECT.
    Select(Box<Select>),
    /// `VALUES ROW(..), ROW(..)`.
    Values(Vec<Vec<Expr>>),
    /// `TABLE name`.
    Table(ObjectName),
    /// UNION, EXCEPT, INTERSECT.
    SetOperation(Box<SetOperation>),
    /// A parenthesised query with clauses of its own.
    Query(Box<Query>),
}

/// A chain of set operations, applied from left to right. INTERSECT binds tighter, and is then an operand of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct SetOperation {
    /// The leftmost operand.
    pub first: QueryBody,
    /// The others, at least one.
    pub rest: Vec<SetOperand>,
}

/// One further operand of a set operation.
#[derive(Clone, Debug, PartialEq)]
pub struct SetOperand {
    /// UNION, EXCEPT or INTERSECT.
    pub operator: SetOperator,
    /// ALL (DISTINCT is the default).
    pub all: bool,
    /// The operand.
    pub body: QueryBody,
}

/// The set operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum SetOperator {
    Union,
    /// EXCEPT and MINUS.
    Except,
    Intersect,
}

/// One SELECT.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Select {
    /// Optimizer hints of `/*+ .. */`.
    pub hints: Vec<Hint>,
    /// DISTINCT or DISTINCTROW.
    pub distinct: bool,
    /// STRAIGHT_JOIN, SQL_CALC_FOUND_ROWS ..
    pub modifiers: SelectModifiers,
    /// The select list, not empty.
    pub items: Vec<SelectItem>,
    /// FROM; several members are a cross join of them. Empty without FROM and for `FROM DUAL`.
    pub from: Vec<TableRef>,
    /// WHERE.
    pub selection: Option<Expr>,
    /// GROUP BY.
    pub group_by: Vec<Expr>,
    /// WITH ROLLUP.
    pub rollup: bool,
    /// HAVING.
    pub having: Option<Expr>,
    /// WINDOW name AS (..).
    pub windows: Vec<NamedWindow>,
}

/// The words between SELECT and the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the fields are MySQL's words")]
pub struct SelectModifiers {
    pub high_priority: bool,
    pub straight_join: bool,
    pub sql_small_result: bool,
    pub sql_big_result: bool,
    pub sql_buffer_result: bool,
    pub sql_no_cache: bool,
    pub sql_cache: bool,
    pub sql_calc_found_rows: bool,
}

/// A member of the select list.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `*`.
    Wildcard,
    /// `[schema.]table.*`.
    QualifiedWildcard(ObjectName),
    /// An expression.
    Expr {
        /// The expression.
        expr: Expr,
        /// Its alias.
        alias: Option<Ident>,
        /// Its text, which MySQL shows as the column's name when there is no alias.
        text: SourceText,
    },
}

impl SelectItem {
    /// The name MySQL gives to the result column: the alias, the column's own name, a string's contents, or the text as
    /// it was written. `None` for the wildcards.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Wildcard | Self::QualifiedWildcard(_) => None,
            Self::Expr { alias: Some(alias), .. } => Some(alias.0.clone()),
            Self::Expr { expr: Expr::Column(column), .. } => Some(column.name.0.clone()),
            Self::Expr { text, .. } => Some(text.0.clone()),
        }
    }
}

/// A table or what stands for one in FROM.
#[derive(Clone, Debug, PartialEq)]
pub enum TableRef {
    /// A table, view or common table expression.
    Table(Box<TableFactor>),
    /// A subquery.
    Derived(Box<DerivedTable>),
    /// A join of two.
    Join(Box<Join>),
}

/// A named table in FROM.
#[derive(Clone, Debug, PartialEq)]
pub struct TableFactor {
    /// Its name.
    pub name: ObjectName,
    /// `PARTITION (p0, ..)`.
    pub partitions: Vec<Ident>,
    /// `AS OF TIMESTAMP expr` (a read in the past).
    pub as_of: Option<Expr>,
    /// Its alias.
    pub alias: Option<Ident>,
    /// USE, FORCE, IGNORE INDEX.
    pub index_hints: Vec<IndexHint>,
}

impl TableFactor {
    /// A table without anything else.
    pub fn new(name: ObjectName) -> Self {
        Self { name, partitions: Vec::new(), as_of: None, alias: None, index_hints: Vec::new() }
    }
}

/// A subquery in FROM.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedTable {
    /// LATERAL: it may use the tables before it.
    pub lateral: bool,
    /// The query.
    pub query: Query,
    /// Its name.
    pub alias: Ident,
    /// Names for its columns; empty when not given.
    pub columns: Vec<Ident>,
}

/// A join.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The left side.
    pub left: TableRef,
    /// The right side.
    pub right: TableRef,
    /// Which kind.
    pub kind: JoinKind,
    /// NATURAL: on all columns of equal name.
    pub natural: bool,
    /// ON or USING.
    pub constraint: Option<JoinConstraint>,
}

/// The kinds of join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum JoinKind {
    /// JOIN, INNER JOIN, CROSS JOIN: MySQL makes no difference.
    Inner,
    Left,
    Right,
    /// STRAIGHT_JOIN: an inner join with the left table read first.
    Straight,
}

/// What joins.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinConstraint {
    /// `ON condition`.
    On(Expr),
    /// `USING (columns)`.
    Using(Vec<Ident>),
}

/// `USE | FORCE | IGNORE INDEX [FOR ..] (names)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexHint {
    /// Which of the three.
    pub kind: IndexHintKind,
    /// For which purpose.
    pub scope: IndexHintScope,
    /// The indexes; `USE INDEX ()` has none. The primary key is `PRIMARY`.
    pub indexes: Vec<Ident>,
}

/// USE, FORCE or IGNORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum IndexHintKind {
    Use,
    Force,
    Ignore,
}

/// The purpose an index hint speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum IndexHintScope {
    #[default]
    All,
    Join,
    OrderBy,
    GroupBy,
}

/// An optimizer hint, `NAME([@query_block] arguments)`. What the arguments mean depends on the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The name in lower case: `use_index`, `hash_join`, `max_execution_time` ..
    pub name: String,
    /// `@qb` right after the parenthesis, without the sign.
    pub query_block: Option<String>,
    /// The arguments.
    pub args: Vec<HintArg>,
}

/// One argument of a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HintArg {
    /// `[schema.]table[@query_block]`; also an index name, or any other word.
    Table {
        /// The database.
        schema: Option<Ident>,
        /// The table (or other name).
        name: Ident,
        /// Its query block.
        query_block: Option<String>,
    },
    /// A number, with its unit if it has one: `1024 MB`.
    Number {
        /// The number.
        value: u64,
        /// `MB`, `GB`.
        unit: Option<String>,
    },
    /// A quoted string.
    Text(String),
    /// `name = value` (SET_VAR).
    Assignment {
        /// The variable.
        name: String,
        /// Its value as text.
        value: String,
    },
}

/// `name AS (spec)` of the WINDOW clause.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedWindow {
    /// Its name.
    pub name: Ident,
    /// What it is.
    pub spec: WindowSpec,
}

/// A member of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    /// By what; an integer literal is a position in the select list.
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
}

/// `LIMIT count [OFFSET offset]`; literals or parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// At most so many rows.
    pub count: Expr,
    /// After skipping so many.
    pub offset: Option<Expr>,
}

/// `FOR UPDATE | SHARE [OF tables] [NOWAIT | SKIP LOCKED | WAIT n]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locking {
    /// UPDATE or SHARE.
    pub strength: LockStrength,
    /// OF; empty means all tables.
    pub tables: Vec<ObjectName>,
    /// What to do with rows another transaction holds.
    pub wait: LockWait,
}

/// UPDATE or SHARE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum LockStrength {
    Update,
    /// FOR SHARE and LOCK IN SHARE MODE.
    Share,
}

/// What to do with rows that are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum LockWait {
    #[default]
    Wait,
    NoWait,
    SkipLocked,
    /// `WAIT n`, in seconds.
    Seconds(u64),
}

/// `INTO ..` of a SELECT.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectInto {
    /// INTO OUTFILE.
    Outfile {
        /// The file's name.
        path: String,
        /// CHARACTER SET.
        charset: Option<String>,
        /// FIELDS.
        fields: super::FieldsFormat,
        /// LINES.
        lines: super::LinesFormat,
    },
    /// INTO DUMPFILE.
    Dumpfile(String),
    /// INTO @a, @b.
    Variables(Vec<String>),
}

/// The columns a clause names, where only names are allowed.
pub type ColumnList = Vec<ColumnName>;
