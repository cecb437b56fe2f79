//! From values to a row: defaults, conversion, generated columns, NOT NULL, CHECK.

use std::sync::Arc;

use tidewater_catalog::{DefaultValue, TableInfo};
use tidewater_expr::{EvalContext, Expr};
use tidewater_planner::{Assignment, WriteTable};
use tidewater_table::{TableLayout, implicit_default};
use tidewater_types::{
    ConvertContext, Datum, ErrorCode, FieldType, SqlError, TypeCode, Warning, WarningLevel, convert_from,
};

use crate::dml::{DmlError, column_types};
use crate::error::sql_error;

/// Makes rows of one table for one statement.
pub(crate) struct RowMaker {
    pub(crate) table: Arc<TableInfo>,
    pub(crate) types: Vec<FieldType>,
    pub(crate) eval: EvalContext,
    /// One per column, so that messages name it.
    contexts: Vec<ConvertContext>,
    defaults: Vec<Default>,
    generated: Vec<Assignment>,
    checks: Vec<(Arc<str>, Expr)>,
    auto_increment: Option<usize>,
}

/// What a column gets when no value is given.
enum Default {
    Value(Datum),
    Expression(Expr),
    /// 1364 in strict mode.
    Missing,
    /// AUTO_INCREMENT.
    Generate,
}

impl RowMaker {
    pub(crate) fn new(
        table: &WriteTable,
        layout: &TableLayout,
        eval: &EvalContext,
        convert: &ConvertContext,
    ) -> Self {
        let info = Arc::clone(&table.source.info);
        let contexts = info
            .columns
            .iter()
            .map(|column| ConvertContext { column: Arc::from(column.name.as_str()), ..convert.clone() })
            .collect();
        let defaults = info
            .columns
            .iter()
            .map(|column| {
                let expression = table
                    .default_exprs
                    .iter()
                    .find(|assignment| assignment.column == column.offset)
                    .and_then(|assignment| assignment.value.clone());
                if let Some(expression) = expression {
                    return Default::Expression(expression);
                }
                if !column.state.is_public() {
                    return Default::Value(column.origin_default_datum(&layout.convert_context()));
                }
                match column.default() {
                    DefaultValue::AutoIncrement => Default::Generate,
                    DefaultValue::CurrentTimestamp => Default::Value(now(eval, &column.field_type)),
                    DefaultValue::Missing if column.field_type.code == TypeCode::Enum => {
                        Default::Value(implicit_default(&column.field_type))
                    }
                    DefaultValue::Missing | DefaultValue::Expression(_) => Default::Missing,
                    DefaultValue::Null | DefaultValue::Literal(_) => {
                        layout.literal_default(column.offset).map_or(Default::Missing, Default::Value)
                    }
                }
            })
            .collect();
        let auto_increment = info.auto_increment_column().map(|column| column.offset);
        Self {
            types: column_types(&info),
            eval: eval.clone(),
            contexts,
            defaults,
            generated: table.generated.clone(),
            checks: table.checks.clone(),
            auto_increment,
            table: info,
        }
    }

    /// The AUTO_INCREMENT column.
    pub(crate) fn auto_increment(&self) -> Option<usize> {
        self.auto_increment
    }

    /// Messages speak of this row from now on.
    pub(crate) fn set_row(&mut self, row: u64) {
        for context in &mut self.contexts {
            context.row = row;
        }
    }

    /// A row of NULLs to be filled.
    pub(crate) fn blank(&self) -> Vec<Datum> {
        vec![Datum::Null; self.table.columns.len()]
    }

    /// Converts a value to a column's type. Its own type tells a DATE from a DATETIME, and the member of an ENUM from its
    /// number.
    pub(crate) fn assign(
        &self,
        row: &mut [Datum],
        offset: usize,
        value: &Datum,
        from: &FieldType,
    ) -> Result<(), DmlError> {
        if value.is_null() {
            row[offset] = Datum::Null;
            return Ok(());
        }
        let context = &self.contexts[offset];
        // Strings of any charset are texts here, for JSON too.
        let from = Some(from).filter(|from| !from.is_string());
        row[offset] = convert_from(value, from, &self.types[offset], context)
            .map_err(|error| error.to_sql_error(&context.column, context.row))?;
        Ok(())
    }

    /// Gives a column its default.
    pub(crate) fn assign_default(&self, row: &mut [Datum], offset: usize) -> Result<(), DmlError> {
        match &self.defaults[offset] {
            Default::Value(value) => row[offset] = value.clone(),
            Default::Expression(expression) => {
                let value = expression.eval_datum(&self.eval)?;
                self.assign(row, offset, &value, expression.field_type_ref())?;
            }
            Default::Generate => row[offset] = Datum::Null,
            Default::Missing => {
                let column = &self.table.columns[offset];
                let message = format!("Field '{}' doesn't have a default value", column.name);
                if self.contexts[offset].strict {
                    return Err(sql_error(ErrorCode::NoDefaultForField, message).into());
                }
                self.warn(ErrorCode::NoDefaultForField, message);
                row[offset] = implicit_default(&column.field_type);
            }
        }
        Ok(())
    }

    /// NULL in a NOT NULL column: an error, or without strict mode (and with `forgiving`) the implicit default.
    pub(crate) fn check_nulls(&self, row: &mut [Datum], forgiving: bool) -> Result<(), DmlError> {
        for column in self.table.columns.iter().filter(|column| column.state.is_public()) {
            let offset = column.offset;
            if !row[offset].is_null()
                || !column.field_type.is_not_null()
                || Some(offset) == self.auto_increment
                || column.is_virtual_generated()
            {
                continue;
            }
            let message = format!("Column '{}' cannot be null", column.name);
            if self.eval.ignore_errors || (forgiving && !self.contexts[offset].strict) {
                self.warn(ErrorCode::BadNullError, message);
                row[offset] = implicit_default(&column.field_type);
            } else {
                return Err(sql_error(ErrorCode::BadNullError, message).into());
            }
        }
        Ok(())
    }

    /// Computes the generated columns from the others.
    pub(crate) fn generate(&self, row: &mut [Datum]) -> Result<(), DmlError> {
        for assignment in &self.generated {
            let Some(expression) = &assignment.value else { continue };
            let value = expression.eval_row(&self.eval, row, &self.types)?;
            self.assign(row, assignment.column, &value, expression.field_type_ref())?;
        }
        Ok(())
    }

    /// Whether a finished row keeps the table's CHECK constraints: a condition that is NULL is kept. With IGNORE the row
    /// is to be left out, with a warning.
    pub(crate) fn keeps_checks(&self, row: &[Datum]) -> Result<bool, DmlError> {
        for (name, condition) in &self.checks {
            let value = condition.eval_row(&self.eval, row, &self.types)?;
            if value.is_null() || is_true(&value) {
                continue;
            }
            let error = SqlError::with(ErrorCode::CheckConstraintViolated, &[name]);
            if !self.eval.ignore_errors {
                return Err(error.into());
            }
            self.warn(ErrorCode::CheckConstraintViolated, error.message);
            return Ok(false);
        }
        Ok(true)
    }

    /// Sets ON UPDATE CURRENT_TIMESTAMP columns that the statement did not set.
    pub(crate) fn touch(&self, row: &mut [Datum], assigned: &[usize]) {
        for column in self.table.columns.iter().filter(|column| column.is_on_update_now()) {
            if !assigned.contains(&column.offset) {
                row[column.offset] = now(&self.eval, &column.field_type);
            }
        }
    }

    pub(crate) fn warn(&self, code: ErrorCode, message: String) {
        self.eval.warnings.push(Warning { level: WarningLevel::Warning, code: code.number(), message });
    }
}

/// The truth of a condition's number.
fn is_true(value: &Datum) -> bool {
    !matches!(value, Datum::Int(0) | Datum::UInt(0))
}

/// CURRENT_TIMESTAMP with a column's digits.
fn now(eval: &EvalContext, field_type: &FieldType) -> Datum {
    Datum::Time(eval.time_zone.local_time(eval.now_micros).truncate(field_type.fsp()))
}
