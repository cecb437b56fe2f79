//! MaxOneRow: a scalar subquery's rows: exactly one, or an error.

use std::sync::Arc;

use arrow::array::new_null_array;
use async_trait::async_trait;
use tidewater_chunk::{Chunk, arrow_type};
use tidewater_types::FieldType;

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::operator::{BoxedOperator, Operator};

/// Gives one row: the child's, or all NULL when it has none; error 1242 when it has more.
pub struct MaxOneRow {
    ctx: ExecContext,
    child: BoxedOperator,
    done: bool,
}

impl MaxOneRow {
    /// Guards `child`.
    pub fn new(ctx: &ExecContext, child: BoxedOperator) -> MaxOneRow {
        MaxOneRow { ctx: ctx.clone(), child, done: false }
    }
}

/// One row of NULLs.
pub(crate) fn null_row(schema: &[FieldType]) -> Chunk {
    let columns =
        schema.iter().map(|field_type| Arc::clone(&new_null_array(&arrow_type(field_type), 1))).collect();
    Chunk::new(columns, 1)
}

#[async_trait]
impl Operator for MaxOneRow {
    fn schema(&self) -> &[FieldType] {
        self.child.schema()
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.child.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        self.ctx.kill.check()?;
        let Some(chunk) = self.child.next().await? else {
            return Ok(Some(null_row(self.child.schema())));
        };
        if chunk.num_rows() > 1 || self.child.next().await?.is_some() {
            return Err(ExecError::MoreThanOneRow);
        }
        Ok(Some(chunk))
    }

    async fn close(&mut self) {
        self.child.close().await;
    }
}
