//! Projection: computes expressions over each row.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_expr::Expr;
use tidewater_types::FieldType;

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::operator::{BoxedOperator, Operator};

/// The SELECT list and other computed columns.
pub struct Projection {
    ctx: ExecContext,
    child: BoxedOperator,
    expressions: Vec<Expr>,
    schema: Vec<FieldType>,
    /// Row by row and not column by column: the expressions set user variables.
    by_row: bool,
}

impl Projection {
    /// One output column per expression.
    pub fn new(ctx: &ExecContext, child: BoxedOperator, expressions: Vec<Expr>) -> Projection {
        let schema = expressions.iter().map(|expression| expression.field_type()).collect();
        let by_row = expressions.iter().any(Expr::sets_variable);
        Projection { ctx: ctx.clone(), child, expressions, schema, by_row }
    }

    fn project(&self, chunk: &Chunk) -> Result<Chunk, ExecError> {
        let mut columns = Vec::with_capacity(self.expressions.len());
        for expression in &self.expressions {
            columns.push(expression.eval(&self.ctx.eval, chunk)?);
        }
        Ok(Chunk::new(columns, chunk.num_rows()))
    }
}

#[async_trait]
impl Operator for Projection {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.child.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        let Some(chunk) = self.child.next().await? else {
            return Ok(None);
        };
        self.ctx.kill.check()?;
        if !self.by_row || chunk.num_rows() <= 1 {
            return self.project(&chunk).map(Some);
        }
        let rows: Result<Vec<Chunk>, ExecError> =
            (0..chunk.num_rows()).map(|row| self.project(&chunk.slice(row, 1))).collect();
        Ok(Some(Chunk::concat(&rows?)))
    }

    async fn close(&mut self) {
        self.child.close().await;
    }
}
