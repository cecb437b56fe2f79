//! INSERT, REPLACE, ON DUPLICATE KEY UPDATE, and the rows of LOAD DATA.

use std::sync::Arc;

use tidewater_codec::Handle;
use tidewater_expr::Expr;
use tidewater_planner::{self as planner, InsertSource};
use tidewater_table::{AutoId, AutoIdKind, TableError, TableLayout, write};
use tidewater_types::{Datum, ErrorCode, FieldType, SqlMode, TypeCode};

use crate::context::Statement;
use crate::dml::existing::{Conflict, Existing};
use crate::dml::{Counts, DmlError, RowMaker, same};
use crate::error::{from_table, sql_error};
use crate::processes::Process;
use crate::query::Planned;
use crate::session::Session;
use crate::transaction::OpenTransaction;

/// Rows whose keys are looked up together.
const LOOKUP_ROWS: usize = 1024;

/// Everything that inserting into one table needs for one statement.
pub(crate) struct InsertTarget {
    pub(crate) layout: TableLayout,
    pub(crate) maker: RowMaker,
    auto_increment: Option<Arc<AutoId>>,
    row_ids: Option<Arc<AutoId>>,
    increment: u64,
    offset: u64,
    zero_is_a_value: bool,
    pub(crate) mode: OnDuplicate,
    pub(crate) counts: Counts,
    next_row: u64,
    process: Arc<Process>,
}

/// What happens when a key is there already.
pub(crate) enum OnDuplicate {
    /// Error 1062.
    Fail,
    /// A warning.
    Skip,
    /// REPLACE.
    Replace,
    /// ON DUPLICATE KEY UPDATE.
    Update {
        assignments: Vec<planner::Assignment>,
        /// The types of the old row's columns, the new one's, and the query's.
        types: Vec<FieldType>,
    },
}

impl Session {
    /// Prepares a table for inserts.
    pub(crate) fn insert_target(
        &mut self,
        table: &planner::WriteTable,
        context: &Statement,
        mode: OnDuplicate,
    ) -> Result<InsertTarget, DmlError> {
        let info = Arc::clone(&table.source.info);
        let layout = TableLayout::new(Arc::clone(&info), self.vars.hot.time_zone.clone());
        let maker = RowMaker::new(table, &layout, &context.eval, &self.convert_context(&context.eval));
        let schema = self.schema();
        let database = schema
            .database(&table.source.database)
            .map(|database| database.id)
            .ok_or_else(|| crate::error::unknown_database(&table.source.database))?;
        let ids = self.db.auto_ids();
        let auto_increment =
            maker.auto_increment().map(|_| ids.counter(database, info.id, AutoIdKind::AutoIncrement));
        let row_ids = layout.needs_row_id().then(|| ids.counter(database, info.id, AutoIdKind::RowId));
        if let Some(open) = &mut self.txn {
            open.touch_to_write(&info)?;
        }
        Ok(InsertTarget {
            layout,
            maker,
            auto_increment,
            row_ids,
            increment: self.vars.hot.auto_increment_increment,
            offset: self.vars.hot.auto_increment_offset,
            zero_is_a_value: self.vars.hot.sql_mode.contains(SqlMode::NO_AUTO_VALUE_ON_ZERO),
            mode,
            counts: Counts::default(),
            next_row: 0,
            process: self.process.clone(),
        })
    }

    pub(super) async fn insert(
        &mut self,
        node: &planner::Insert,
        planned: &Planned,
        context: &Statement,
    ) -> Result<Counts, DmlError> {
        let mode = if node.replace {
            OnDuplicate::Replace
        } else if !node.on_duplicate.is_empty() {
            let mut types = crate::dml::column_types(&node.table.source.info);
            types.extend(types.clone());
            if let InsertSource::Query(child) = &node.source {
                types.extend(child.field_types());
            }
            OnDuplicate::Update { assignments: node.on_duplicate.clone(), types }
        } else if node.ignore {
            OnDuplicate::Skip
        } else {
            OnDuplicate::Fail
        };
        let mut target = self.insert_target(&node.table, context, mode)?;
        match &node.source {
            InsertSource::Values(rows) => {
                let forgiving = rows.len() > 1;
                for batch in rows.chunks(LOOKUP_ROWS) {
                    self.process.kill_query.check()?;
                    let mut made = Vec::with_capacity(batch.len());
                    for values in batch {
                        made.push(target.row_of_exprs(&node.columns, values, forgiving)?);
                    }
                    self.insert_rows(&mut target, made).await?;
                }
            }
            InsertSource::Query(child) => {
                let chunks = self.read_rows(child, planned, context).await?;
                let types = child.field_types();
                for chunk in chunks {
                    self.process.kill_query.check()?;
                    let mut made = Vec::with_capacity(chunk.num_rows());
                    for row in 0..chunk.num_rows() {
                        let selected = chunk.row(row, &types);
                        let mut new =
                            target.row_of_values(&node.columns, selected.iter().zip(&types), true)?;
                        if matches!(target.mode, OnDuplicate::Update { .. }) {
                            // Assignments may read them: they ride behind the row's own columns.
                            new.extend(selected);
                        }
                        made.push(new);
                    }
                    self.insert_rows(&mut target, made).await?;
                }
            }
        }
        Ok(target.counts)
    }

    /// Writes rows that are made but for their AUTO_INCREMENT value and handle.
    pub(crate) async fn insert_rows(
        &mut self,
        target: &mut InsertTarget,
        rows: Vec<Vec<Datum>>,
    ) -> Result<(), DmlError> {
        let Some(open) = &mut self.txn else {
            return Err(sql_error(ErrorCode::UnknownError, "no transaction is open").into());
        };
        target.write_all(open, rows).await
    }
}

impl InsertTarget {
    /// The next row, without values, and which of its columns were given one: none.
    fn begin_row(&mut self) -> (Vec<Datum>, Vec<bool>) {
        self.next_row += 1;
        self.maker.set_row(self.next_row);
        let row = self.maker.blank();
        let given = vec![false; row.len()];
        (row, given)
    }

    /// A row of VALUES.
    pub(crate) fn row_of_exprs(
        &mut self,
        columns: &[usize],
        values: &[Option<Expr>],
        forgiving: bool,
    ) -> Result<Vec<Datum>, DmlError> {
        let (mut row, mut given) = self.begin_row();
        // Columns refer to those assigned before them, and to the defaults of all others.
        let refers = values.iter().flatten().any(|value| {
            let mut found = false;
            value.columns(&mut |_| found = true);
            found
        });
        if refers {
            for column in self.maker.table.columns.iter().filter(|column| !column.is_generated()) {
                if !columns.contains(&column.offset) || !column.field_type.is_not_null() {
                    // A missing default is complained of below, if it is still missing then.
                    let _ = self.maker.assign_default(&mut row, column.offset);
                }
            }
        }
        for (&offset, value) in columns.iter().zip(values) {
            match value {
                None => self.maker.assign_default(&mut row, offset)?,
                Some(Expr::Literal { value, field_type }) => {
                    self.maker.assign(&mut row, offset, value, field_type)?;
                }
                Some(value) => {
                    let from = value.field_type_ref();
                    let value = if refers {
                        value.eval_row(&self.maker.eval, &row, &self.maker.types)?
                    } else {
                        value.eval_datum(&self.maker.eval)?
                    };
                    self.maker.assign(&mut row, offset, &value, from)?;
                }
            }
            given[offset] = true;
        }
        self.complete(row, &given, forgiving)
    }

    /// A row of values that are in step with `columns`.
    pub(crate) fn row_of_values<'v>(
        &mut self,
        columns: &[usize],
        values: impl IntoIterator<Item = (impl std::borrow::Borrow<Datum>, &'v FieldType)>,
        forgiving: bool,
    ) -> Result<Vec<Datum>, DmlError> {
        let (mut row, mut given) = self.begin_row();
        for (&offset, (value, from)) in columns.iter().zip(values) {
            self.maker.assign(&mut row, offset, value.borrow(), from)?;
            given[offset] = true;
        }
        self.complete(row, &given, forgiving)
    }

    /// A row of a file's fields; messages speak of its line.
    pub(crate) fn row_of_fields(
        &mut self,
        columns: &[usize],
        values: &[Datum],
        line: u64,
    ) -> Result<Vec<Datum>, DmlError> {
        self.next_row = line - 1;
        let text = FieldType::string();
        self.row_of_values(columns, values.iter().map(|value| (value, &text)), true)
    }

    /// Defaults for what was not given, then the checks.
    pub(crate) fn complete(
        &self,
        mut row: Vec<Datum>,
        given: &[bool],
        forgiving: bool,
    ) -> Result<Vec<Datum>, DmlError> {
        for (offset, given) in given.iter().enumerate() {
            if !given && !self.maker.table.columns[offset].is_generated() {
                self.maker.assign_default(&mut row, offset)?;
            }
        }
        self.maker.check_nulls(&mut row, forgiving)?;
        Ok(row)
    }

    async fn write_all(
        &mut self,
        open: &mut OpenTransaction,
        mut rows: Vec<Vec<Datum>>,
    ) -> Result<(), DmlError> {
        let generated = self.number(&mut rows).await?;
        for row in &mut rows {
            self.maker.generate(row)?;
        }
        let mut handles = Vec::with_capacity(rows.len());
        for row in &rows {
            handles.push(self.layout.handle_of(row)?);
        }
        let mut existing = Existing::new(self.process.clone());
        if !matches!(self.mode, OnDuplicate::Fail) {
            let mut keys = Vec::new();
            for (row, handle) in rows.iter().zip(&handles) {
                keys.extend(
                    write::unique_keys(&self.layout, row, handle.as_ref())?.into_iter().map(|(key, _)| key),
                );
            }
            existing.fetch(open, keys).await?;
        }
        for (number, (row, handle)) in rows.into_iter().zip(handles).enumerate() {
            // As in MySQL, rows that IGNORE leaves out for a constraint are not among those it counts.
            if !self.maker.keeps_checks(&row)? {
                continue;
            }
            self.counts.found += 1;
            let id = self.auto_value(&row);
            if self.write_row(open, &mut existing, row, handle).await? {
                match generated.get(number) {
                    Some(true) => self.counts.generated_id = self.counts.generated_id.or(id),
                    _ => self.counts.explicit_id = id.or(self.counts.explicit_id),
                }
            }
        }
        Ok(())
    }

    /// The positive AUTO_INCREMENT value of a row.
    fn auto_value(&self, row: &[Datum]) -> Option<u64> {
        match &row[self.maker.auto_increment()?] {
            Datum::Int(value) => u64::try_from(*value).ok(),
            Datum::UInt(value) => Some(*value),
            Datum::Double(value) if *value > 0.0 => Some(*value as u64),
            Datum::Float(value) if *value > 0.0 => Some(*value as u64),
            _ => None,
        }
        .filter(|value| *value > 0)
    }

    /// AUTO_INCREMENT: NULL and 0 take the next value, other values move the counter. Gives which rows took one.
    async fn number(&mut self, rows: &mut [Vec<Datum>]) -> Result<Vec<bool>, DmlError> {
        let (Some(offset), Some(counter)) = (self.maker.auto_increment(), self.auto_increment.clone()) else {
            return Ok(Vec::new());
        };
        let mut generated = vec![false; rows.len()];
        let field_type = self.maker.types[offset].clone();
        let max = largest(&field_type);
        let wants_value = |value: &Datum| match value {
            Datum::Null => true,
            Datum::Int(0) | Datum::UInt(0) => !self.zero_is_a_value,
            Datum::Double(value) => *value == 0.0 && !self.zero_is_a_value,
            Datum::Float(value) => *value == 0.0 && !self.zero_is_a_value,
            _ => false,
        };
        let mut position = 0;
        while position < rows.len() {
            if !wants_value(&rows[position][offset]) {
                if let Some(explicit) = self.auto_value(&rows[position]) {
                    counter.rebase(explicit).await?;
                }
                position += 1;
                continue;
            }
            // Neighbours are numbered together: their values are consecutive, as MySQL promises.
            let run = rows[position..].iter().take_while(|row| wants_value(&row[offset])).count();
            let first = counter.next(run as u64, self.increment, self.offset, max).await?;
            generated[position..position + run].fill(true);
            for (step, row) in rows[position..position + run].iter_mut().enumerate() {
                let value = first + step as u64 * self.increment.max(1);
                row[offset] = match field_type.code {
                    TypeCode::Float => Datum::Float(value as f32),
                    TypeCode::Double => Datum::Double(value as f64),
                    _ if field_type.is_unsigned() => Datum::UInt(value),
                    _ => Datum::Int(value as i64),
                };
            }
            position += run;
        }
        Ok(generated)
    }

    async fn row_handle(&self, handle: Option<Handle>) -> Result<Handle, DmlError> {
        match (handle, &self.row_ids) {
            (Some(handle), _) => Ok(handle),
            (None, Some(ids)) => Ok(Handle::Int(ids.next(1, 1, 1, i64::MAX as u64).await? as i64)),
            (None, None) => Err(sql_error(ErrorCode::UnknownError, "the row has no handle").into()),
        }
    }

    /// Gives whether the row was added.
    async fn write_row(
        &mut self,
        open: &mut OpenTransaction,
        existing: &mut Existing,
        row: Vec<Datum>,
        handle: Option<Handle>,
    ) -> Result<bool, DmlError> {
        let uniqueness = match self.mode {
            OnDuplicate::Fail => write::Uniqueness::Presume,
            _ => {
                let conflict = existing.conflict(open, &self.layout, &row, handle.as_ref()).await?;
                if let Some(conflict) = conflict
                    && !self.resolve(open, existing, conflict, &row, handle.as_ref()).await?
                {
                    return Ok(false);
                }
                // An optimistic transaction checks again at commit: what it saw may be outdated.
                if open.is_pessimistic() { write::Uniqueness::Checked } else { write::Uniqueness::Presume }
            }
        };
        let handle = self.row_handle(handle).await?;
        write::insert(&mut open.txn, &mut self.layout, &row, &handle, uniqueness)?;
        self.counts.affected += 1;
        Ok(true)
    }

    /// Deals with a row that is in the way; gives whether the new row is to be inserted.
    async fn resolve(
        &mut self,
        open: &mut OpenTransaction,
        existing: &mut Existing,
        conflict: Conflict,
        row: &[Datum],
        handle: Option<&Handle>,
    ) -> Result<bool, DmlError> {
        self.counts.duplicates += 1;
        match &self.mode {
            OnDuplicate::Fail => Err(self.layout.duplicate(conflict.index.as_ref(), row).into()),
            OnDuplicate::Skip => {
                let error = self.layout.duplicate(conflict.index.as_ref(), row);
                self.maker.warn(ErrorCode::DupEntry, from_table(error).message);
                Ok(false)
            }
            OnDuplicate::Replace => {
                let mut conflict = Some(conflict);
                while let Some(old) = conflict {
                    let mut old_row = old.row;
                    self.maker.generate(&mut old_row)?;
                    if same(&old_row, row) {
                        self.counts.affected += 1;
                        return Ok(false);
                    }
                    write::remove(&mut open.txn, &self.layout, &old_row, &old.handle)?;
                    self.counts.affected += 1;
                    conflict = existing.conflict(open, &self.layout, row, handle).await?;
                }
                Ok(true)
            }
            OnDuplicate::Update { .. } => {
                self.update_conflicting(open, existing, conflict, row).await?;
                Ok(false)
            }
        }
    }

    async fn update_conflicting(
        &mut self,
        open: &mut OpenTransaction,
        existing: &mut Existing,
        conflict: Conflict,
        row: &[Datum],
    ) -> Result<(), DmlError> {
        let OnDuplicate::Update { assignments, types } = &self.mode else { return Ok(()) };
        let mut old_row = conflict.row;
        self.maker.generate(&mut old_row)?;
        // Assignments see the old row as those before them left it, and the new row.
        let mut both = old_row.clone();
        both.extend_from_slice(row);
        let mut assigned = Vec::with_capacity(assignments.len());
        let mut new_row = old_row.clone();
        for assignment in assignments {
            match &assignment.value {
                None => self.maker.assign_default(&mut new_row, assignment.column)?,
                Some(value) => {
                    let from = value.field_type_ref();
                    let value = value.eval_row(&self.maker.eval, &both, types)?;
                    self.maker.assign(&mut new_row, assignment.column, &value, from)?;
                }
            }
            both[assignment.column] = new_row[assignment.column].clone();
            assigned.push(assignment.column);
        }
        self.maker.check_nulls(&mut new_row, false)?;
        if same(&new_row, &old_row) {
            return Ok(());
        }
        self.maker.touch(&mut new_row, &assigned);
        self.maker.generate(&mut new_row)?;
        if !self.maker.keeps_checks(&new_row)? {
            return Ok(());
        }
        let new_handle = self.layout.handle_of(&new_row)?.unwrap_or_else(|| conflict.handle.clone());
        // The new values may meet yet another row.
        let other = existing
            .other_owner(open, &self.layout, (&old_row, &conflict.handle), (&new_row, &new_handle))
            .await?;
        if let (Some(other), true) = (&other, self.maker.eval.ignore_errors) {
            let error = self.layout.duplicate(other.index.as_ref(), &new_row);
            self.maker.warn(ErrorCode::DupEntry, from_table(error).message);
            return Ok(());
        }
        write::update(
            &mut open.txn,
            &mut self.layout,
            (&old_row, &conflict.handle),
            (&new_row, &new_handle),
            write::Uniqueness::Presume,
        )
        .map_err(|error: TableError| DmlError::from(error))?;
        self.counts.affected += 2;
        self.counts.explicit_id = self.auto_value(&new_row).or(self.counts.explicit_id);
        Ok(())
    }
}

/// The largest value an AUTO_INCREMENT column takes.
fn largest(field_type: &FieldType) -> u64 {
    let bits = match field_type.code {
        TypeCode::Tiny => 8,
        TypeCode::Short => 16,
        TypeCode::Int24 => 24,
        TypeCode::Long => 32,
        TypeCode::Float => return 1 << 24,
        TypeCode::Double => return 1 << 53,
        _ => 64,
    };
    let max = u64::MAX >> (64 - bits);
    if field_type.is_unsigned() { max } else { max >> 1 }
}
