//! INSERT, REPLACE, UPDATE, DELETE, LOAD DATA.

use std::fmt::{self, Display, Formatter, Write};

use super::expr::{write_order_by, write_rows};
use super::query::write_hints;
use super::{CharsetName, List, Quoted, write_if, write_name, write_some};
use crate::ast::{
    Assignment, ColumnName, Delete, Insert, InsertSource, LoadConflict, LoadData, LoadTarget, ObjectName,
    Priority, Update,
};

impl Display for Assignment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.column, self.value)
    }
}

impl Display for Insert {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            hints,
            replace,
            priority,
            ignore,
            table,
            partitions,
            columns,
            source,
            row_alias,
            on_duplicate,
        } = self;
        f.write_str(if *replace { "REPLACE " } else { "INSERT " })?;
        write_hints(f, hints)?;
        f.write_str(match priority {
            Some(Priority::Low) => "LOW_PRIORITY ",
            Some(Priority::High) => "HIGH_PRIORITY ",
            Some(Priority::Delayed) => "DELAYED ",
            None => "",
        })?;
        write_if(f, *ignore, "IGNORE ")?;
        write!(f, "INTO {table}")?;
        if !partitions.is_empty() {
            write!(f, " PARTITION ({})", List(partitions))?;
        }
        if let Some(columns) = columns {
            write!(f, " ({})", List::<ColumnName>(columns))?;
        }
        match source {
            InsertSource::Values(rows) => {
                f.write_str(" VALUES ")?;
                write_rows(f, "", rows)?;
            }
            InsertSource::Query(query) => write!(f, " {query}")?,
        }
        if let Some(alias) = row_alias {
            write!(f, " AS {}", alias.name)?;
            if !alias.columns.is_empty() {
                write!(f, " ({})", List(&alias.columns))?;
            }
        }
        if on_duplicate.is_empty() {
            return Ok(());
        }
        write!(f, " ON DUPLICATE KEY UPDATE {}", List(on_duplicate))
    }
}

impl Display for Update {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { with, hints, low_priority, ignore, tables, assignments, selection, order_by, limit } =
            self;
        if let Some(with) = with {
            write!(f, "{with} ")?;
        }
        f.write_str("UPDATE ")?;
        write_hints(f, hints)?;
        write_if(f, *low_priority, "LOW_PRIORITY ")?;
        write_if(f, *ignore, "IGNORE ")?;
        write!(f, "{} SET {}", List(tables), List(assignments))?;
        write_some(f, " WHERE ", selection.as_ref())?;
        write_order_by(f, order_by)?;
        write_some(f, " LIMIT ", limit.as_ref())
    }
}

impl Display for Delete {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { with, hints, low_priority, quick, ignore, targets, from, selection, order_by, limit } =
            self;
        if let Some(with) = with {
            write!(f, "{with} ")?;
        }
        f.write_str("DELETE ")?;
        write_hints(f, hints)?;
        write_if(f, *low_priority, "LOW_PRIORITY ")?;
        write_if(f, *quick, "QUICK ")?;
        write_if(f, *ignore, "IGNORE ")?;
        if !targets.is_empty() {
            write!(f, "{} ", List::<ObjectName>(targets))?;
        }
        write!(f, "FROM {}", List(from))?;
        write_some(f, " WHERE ", selection.as_ref())?;
        write_order_by(f, order_by)?;
        write_some(f, " LIMIT ", limit.as_ref())
    }
}

impl Display for LoadTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(column) => column.fmt(f),
            Self::Variable(name) => {
                f.write_char('@')?;
                write_name(f, name)
            }
        }
    }
}

impl Display for LoadData {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            low_priority,
            local,
            path,
            on_duplicate,
            table,
            partitions,
            charset,
            fields,
            lines,
            skip_lines,
            columns,
            assignments,
        } = self;
        f.write_str("LOAD DATA ")?;
        write_if(f, *low_priority, "LOW_PRIORITY ")?;
        write_if(f, *local, "LOCAL ")?;
        write!(f, "INFILE {}", Quoted(path))?;
        f.write_str(match on_duplicate {
            LoadConflict::Error => "",
            LoadConflict::Ignore => " IGNORE",
            LoadConflict::Replace => " REPLACE",
        })?;
        write!(f, " INTO TABLE {table}")?;
        if !partitions.is_empty() {
            write!(f, " PARTITION ({})", List(partitions))?;
        }
        write_some(f, " CHARACTER SET ", charset.as_deref().map(CharsetName).as_ref())?;
        write!(f, "{fields}{lines}")?;
        if *skip_lines > 0 {
            write!(f, " IGNORE {skip_lines} LINES")?;
        }
        if !columns.is_empty() {
            write!(f, " ({})", List(columns))?;
        }
        if assignments.is_empty() {
            return Ok(());
        }
        write!(f, " SET {}", List(assignments))
    }
}
