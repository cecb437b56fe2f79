//! Queries.

use std::fmt::{self, Display, Formatter, Write};

use super::expr::{write_order_by, write_rows};
use super::{CharsetName, List, Quoted, write_if, write_list, write_name, write_some};
use crate::ast::{
    CommonTable, Expr, FieldsFormat, Hint, HintArg, IndexHint, IndexHintKind, IndexHintScope, Join,
    JoinConstraint, JoinKind, Limit, LinesFormat, LockStrength, LockWait, Locking, Query, QueryBody, Select,
    SelectInto, SelectItem, SetOperator, TableRef, With,
};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { with, body, order_by, limit, locks, into } = self;
        if let Some(with) = with {
            write!(f, "{with} ")?;
        }
        body.fmt(f)?;
        write_order_by(f, order_by)?;
        write_some(f, " ", limit.as_ref())?;
        for lock in locks {
            write!(f, " {lock}")?;
        }
        write_some(f, " ", into.as_ref())
    }
}

impl Display for With {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let recursive = if self.recursive { "RECURSIVE " } else { "" };
        write!(f, "WITH {recursive}{}", List(&self.tables))
    }
}

impl Display for CommonTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        if !self.columns.is_empty() {
            write!(f, " ({})", List(&self.columns))?;
        }
        write!(f, " AS ({})", self.query)
    }
}

impl Display for QueryBody {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Select(select) => select.fmt(f),
            Self::Values(rows) => {
                f.write_str("VALUES ")?;
                write_rows(f, "ROW", rows)
            }
            Self::Table(name) => write!(f, "TABLE {name}"),
            Self::SetOperation(operation) => {
                operation.first.fmt(f)?;
                for operand in &operation.rest {
                    let operator = match operand.operator {
                        SetOperator::Union => "UNION",
                        SetOperator::Except => "EXCEPT",
                        SetOperator::Intersect => "INTERSECT",
                    };
                    let all = if operand.all { " ALL" } else { "" };
                    write!(f, " {operator}{all} {}", operand.body)?;
                }
                Ok(())
            }
            Self::Query(query) => write!(f, "({query})"),
        }
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { hints, distinct, modifiers, items, from, selection, group_by, rollup, having, windows } =
            self;
        f.write_str("SELECT ")?;
        write_hints(f, hints)?;
        write_if(f, modifiers.sql_cache, "SQL_CACHE ")?;
        write_if(f, *distinct, "DISTINCT ")?;
        write_if(f, modifiers.high_priority, "HIGH_PRIORITY ")?;
        write_if(f, modifiers.straight_join, "STRAIGHT_JOIN ")?;
        write_if(f, modifiers.sql_small_result, "SQL_SMALL_RESULT ")?;
        write_if(f, modifiers.sql_big_result, "SQL_BIG_RESULT ")?;
        write_if(f, modifiers.sql_buffer_result, "SQL_BUFFER_RESULT ")?;
        write_if(f, modifiers.sql_no_cache, "SQL_NO_CACHE ")?;
        write_if(f, modifiers.sql_calc_found_rows, "SQL_CALC_FOUND_ROWS ")?;
        List(items).fmt(f)?;
        match from.as_slice() {
            [] => write_if(f, selection.is_some(), " FROM DUAL")?,
            tables => write!(f, " FROM {}", List(tables))?,
        }
        write_some(f, " WHERE ", selection.as_ref())?;
        if !group_by.is_empty() {
            write!(f, " GROUP BY {}", List(group_by))?;
            write_if(f, *rollup, " WITH ROLLUP")?;
        }
        write_some(f, " HAVING ", having.as_ref())?;
        if !windows.is_empty() {
            f.write_str(" WINDOW ")?;
            write_list(f, windows, |f, window| write!(f, "{} AS ({})", window.name, window.spec))?;
        }
        Ok(())
    }
}

impl Display for SelectItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wildcard => f.write_char('*'),
            Self::QualifiedWildcard(name) => write!(f, "{name}.*"),
            Self::Expr { expr, alias, text: _ } => {
                expr.fmt(f)?;
                write_some(f, " AS ", alias.as_ref())
            }
        }
    }
}

impl Display for TableRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => {
                table.name.fmt(f)?;
                if !table.partitions.is_empty() {
                    write!(f, " PARTITION ({})", List(&table.partitions))?;
                }
                write_some(f, " AS OF TIMESTAMP ", table.as_of.as_ref())?;
                write_some(f, " AS ", table.alias.as_ref())?;
                for hint in &table.index_hints {
                    write!(f, " {hint}")?;
                }
                Ok(())
            }
            Self::Derived(derived) => {
                write_if(f, derived.lateral, "LATERAL ")?;
                write!(f, "({}) AS {}", derived.query, derived.alias)?;
                if derived.columns.is_empty() {
                    return Ok(());
                }
                write!(f, " ({})", List(&derived.columns))
            }
            Self::Join(join) => join.fmt(f),
        }
    }
}

impl Display for Join {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { left, right, kind, natural, constraint } = self;
        // `a STRAIGHT_JOIN b JOIN c ON ..` would join b and c first.
        match left {
            TableRef::Join(inner) if inner.constraint.is_none() && inner.kind == JoinKind::Straight => {
                write!(f, "({left})")?
            }
            TableRef::Table(_) | TableRef::Derived(_) | TableRef::Join(_) => left.fmt(f)?,
        }
        f.write_str(match (natural, kind) {
            (true, JoinKind::Inner | JoinKind::Straight) => " NATURAL JOIN ",
            (true, JoinKind::Left) => " NATURAL LEFT JOIN ",
            (true, JoinKind::Right) => " NATURAL RIGHT JOIN ",
            (false, JoinKind::Inner) if constraint.is_none() => " CROSS JOIN ",
            (false, JoinKind::Inner) => " JOIN ",
            (false, JoinKind::Left) => " LEFT JOIN ",
            (false, JoinKind::Right) => " RIGHT JOIN ",
            (false, JoinKind::Straight) => " STRAIGHT_JOIN ",
        })?;
        // A join without a condition would take the next one's: keep every nested join together.
        match right {
            TableRef::Join(_) => write!(f, "({right})")?,
            TableRef::Table(_) | TableRef::Derived(_) => right.fmt(f)?,
        }
        match constraint {
            Some(JoinConstraint::On(condition)) => write!(f, " ON {condition}"),
            Some(JoinConstraint::Using(columns)) => write!(f, " USING ({})", List(columns)),
            None => Ok(()),
        }
    }
}

impl Display for IndexHint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            IndexHintKind::Use => "USE INDEX",
            IndexHintKind::Force => "FORCE INDEX",
            IndexHintKind::Ignore => "IGNORE INDEX",
        })?;
        f.write_str(match self.scope {
            IndexHintScope::All => "",
            IndexHintScope::Join => " FOR JOIN",
            IndexHintScope::OrderBy => " FOR ORDER BY",
            IndexHintScope::GroupBy => " FOR GROUP BY",
        })?;
        write!(f, " ({})", List(&self.indexes))
    }
}

pub(super) fn write_hints(f: &mut Formatter<'_>, hints: &[Hint]) -> fmt::Result {
    if hints.is_empty() {
        return Ok(());
    }
    f.write_str("/*+ ")?;
    write_list(f, hints, |f, hint| hint.fmt(f))?;
    f.write_str(" */ ")
}

impl Display for Hint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name.to_uppercase())?;
        if let Some(block) = &self.query_block {
            f.write_char('@')?;
            write_name(f, block)?;
            f.write_char(' ')?;
        }
        write!(f, "{})", List(&self.args))
    }
}

impl Display for HintArg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { schema, name, query_block } => {
                if let Some(schema) = schema {
                    write!(f, "{schema}.")?;
                }
                name.fmt(f)?;
                if let Some(block) = query_block {
                    f.write_char('@')?;
                    write_name(f, block)?;
                }
                Ok(())
            }
            Self::Number { value, unit } => {
                value.fmt(f)?;
                write_some(f, " ", unit.as_ref())
            }
            Self::Text(text) => Quoted(text).fmt(f),
            Self::Assignment { name, value } => {
                write_name(f, name)?;
                write!(f, " = {}", Quoted(value))
            }
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Parameters are numbered by their place in the text.
        if let (Expr::Parameter(count), Some(Expr::Parameter(offset))) = (&self.count, &self.offset)
            && offset < count
        {
            return f.write_str("LIMIT ?, ?");
        }
        write!(f, "LIMIT {}", self.count)?;
        write_some(f, " OFFSET ", self.offset.as_ref())
    }
}

impl Display for Locking {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.strength {
            LockStrength::Update => "FOR UPDATE",
            LockStrength::Share => "FOR SHARE",
        })?;
        if !self.tables.is_empty() {
            write!(f, " OF {}", List(&self.tables))?;
        }
        match self.wait {
            LockWait::Wait => Ok(()),
            LockWait::NoWait => f.write_str(" NOWAIT"),
            LockWait::SkipLocked => f.write_str(" SKIP LOCKED"),
            LockWait::Seconds(seconds) => write!(f, " WAIT {seconds}"),
        }
    }
}

impl Display for SelectInto {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outfile { path, charset, fields, lines } => {
                write!(f, "INTO OUTFILE {}", Quoted(path))?;
                write_some(f, " CHARACTER SET ", charset.as_deref().map(CharsetName).as_ref())?;
                write!(f, "{fields}{lines}")
            }
            Self::Dumpfile(path) => write!(f, "INTO DUMPFILE {}", Quoted(path)),
            Self::Variables(names) => {
                f.write_str("INTO ")?;
                write_list(f, names, |f, name| {
                    f.write_char('@')?;
                    write_name(f, name)
                })
            }
        }
    }
}

impl Display for FieldsFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { terminated, enclosed, optionally, escaped } = self;
        if *self == Self::default() {
            return Ok(());
        }
        f.write_str(" FIELDS")?;
        write_some(f, " TERMINATED BY ", terminated.as_deref().map(Quoted).as_ref())?;
        write_if(f, *optionally, " OPTIONALLY")?;
        write_some(f, " ENCLOSED BY ", enclosed.as_deref().map(Quoted).as_ref())?;
        write_some(f, " ESCAPED BY ", escaped.as_deref().map(Quoted).as_ref())
    }
}

impl Display for LinesFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { starting, terminated } = self;
        if *self == Self::default() {
            return Ok(());
        }
        f.write_str(" LINES")?;
        write_some(f, " STARTING BY ", starting.as_deref().map(Quoted).as_ref())?;
        write_some(f, " TERMINATED BY ", terminated.as_deref().map(Quoted).as_ref())
    }
}
