//! Selection: keeps the rows for which all conditions are true.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_expr::{Expr, filter_mask};
use tidewater_types::FieldType;

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::operator::{BoxedOperator, Operator};

/// WHERE and HAVING.
pub struct Selection {
    ctx: ExecContext,
    child: BoxedOperator,
    conditions: Vec<Expr>,
}

impl Selection {
    /// Rows of `child` for which every condition is true (NULL is not).
    pub fn new(ctx: &ExecContext, child: BoxedOperator, conditions: Vec<Expr>) -> Selection {
        Selection { ctx: ctx.clone(), child, conditions }
    }
}

#[async_trait]
impl Operator for Selection {
    fn schema(&self) -> &[FieldType] {
        self.child.schema()
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.child.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        while let Some(chunk) = self.child.next().await? {
            self.ctx.kill.check()?;
            let mask = filter_mask(&self.conditions, &self.ctx.eval, &chunk)?;
            let kept = chunk.filter(&mask);
            if kept.num_rows() > 0 {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    async fn close(&mut self) {
        self.child.close().await;
    }
}
