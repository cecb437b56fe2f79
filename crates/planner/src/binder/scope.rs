//! Which names mean which columns.

use std::sync::Arc;

use tidewater_expr::ColumnRef;
use tidewater_parser::ast;
use tidewater_types::TypeFlags;

use crate::{OutputColumn, PlanError};

/// The columns in sight, in the order `*` gives them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) columns: Vec<ScopeColumn>,
}

/// A column in sight.
#[derive(Clone, Debug)]
pub(crate) struct ScopeColumn {
    pub(crate) column: ColumnRef,
    /// What the statement calls it.
    pub(crate) name: Arc<str>,
    /// The table's alias; empty for what is no column of a table.
    pub(crate) table: Arc<str>,
    /// The database; empty for derived tables.
    pub(crate) db: Arc<str>,
    /// What the table calls it.
    pub(crate) org_name: Arc<str>,
    /// The table's own name.
    pub(crate) org_table: Arc<str>,
    /// Seen only when qualified: USING and NATURAL show the other side's.
    pub(crate) coalesced: bool,
    /// Not part of `*`.
    pub(crate) hidden: bool,
}

impl ScopeColumn {
    /// A computed output column.
    pub(crate) fn computed(column: ColumnRef, name: impl Into<Arc<str>>) -> Self {
        ScopeColumn {
            column,
            name: name.into(),
            table: Arc::from(""),
            db: Arc::from(""),
            org_name: Arc::from(""),
            org_table: Arc::from(""),
            coalesced: false,
            hidden: false,
        }
    }

    /// As clients see it.
    pub(crate) fn output(&self) -> OutputColumn {
        OutputColumn {
            name: Arc::clone(&self.name),
            org_name: Arc::clone(&self.org_name),
            table: Arc::clone(&self.table),
            org_table: Arc::clone(&self.org_table),
            db: Arc::clone(&self.db),
            field_type: self.column.field_type.clone(),
        }
    }

    fn has_qualifier(&self, schema: Option<&ast::Ident>, table: Option<&ast::Ident>) -> bool {
        table.is_none_or(|table| table.eq_ignore_case(&self.table))
            && schema.is_none_or(|schema| self.db.is_empty() || schema.eq_ignore_case(&self.db))
    }
}

impl Scope {
    /// The column a name means; an unqualified name must not mean two.
    pub(crate) fn resolve(
        &self,
        name: &ast::ColumnName,
        clause: &'static str,
    ) -> Result<Option<&ScopeColumn>, PlanError> {
        let mut found: Option<&ScopeColumn> = None;
        for column in &self.columns {
            if !name.name.eq_ignore_case(&column.name)
                || !column.has_qualifier(name.schema.as_ref(), name.table.as_ref())
                || (column.coalesced && name.table.is_none())
            {
                continue;
            }
            match found {
                Some(first) if first.column.unique_id != column.column.unique_id => {
                    return Err(PlanError::AmbiguousColumn { column: column_text(name), clause });
                }
                _ => found = Some(column),
            }
        }
        Ok(found)
    }

    /// The scope with some of its columns only.
    pub(crate) fn only(&self, shown: impl Fn(&ColumnRef) -> bool) -> Scope {
        Scope { columns: self.columns.iter().filter(|column| shown(&column.column)).cloned().collect() }
    }

    /// The columns of `table.*`, in the table's order.
    pub(crate) fn of_table(&self, name: &ast::ObjectName) -> Vec<&ScopeColumn> {
        let mut columns: Vec<_> = self
            .columns
            .iter()
            .filter(|column| !column.hidden && !column.table.is_empty())
            .filter(|column| column.has_qualifier(name.schema.as_ref(), Some(&name.name)))
            .collect();
        columns.sort_by_key(|column| column.column.unique_id);
        columns
    }

    /// The columns of `*`.
    pub(crate) fn star(&self) -> impl Iterator<Item = &ScopeColumn> {
        self.columns.iter().filter(|column| !column.coalesced && !column.hidden)
    }

    /// All columns may be NULL now: the scope is the inner side of an outer join.
    pub(crate) fn make_nullable(&mut self) {
        for column in &mut self.columns {
            column.column.field_type.flags.remove(TypeFlags::NOT_NULL);
        }
    }
}

/// A column's name as it was written.
pub(crate) fn column_text(name: &ast::ColumnName) -> String {
    let mut text = String::new();
    for qualifier in [&name.schema, &name.table].into_iter().flatten() {
        text.push_str(qualifier);
        text.push('.');
    }
    text.push_str(&name.name);
    text
}
