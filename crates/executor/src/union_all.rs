//! UnionAll: its children's rows, one child after the other.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_types::FieldType;

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::operator::{BoxedOperator, Operator};

/// `UNION ALL`; the planner has cast all children to one schema.
pub struct UnionAll {
    ctx: ExecContext,
    children: Vec<BoxedOperator>,
    schema: Vec<FieldType>,
    current: usize,
    opened: bool,
}

impl UnionAll {
    /// The rows of all children in order.
    pub fn new(ctx: &ExecContext, schema: Vec<FieldType>, children: Vec<BoxedOperator>) -> UnionAll {
        UnionAll { ctx: ctx.clone(), children, schema, current: 0, opened: false }
    }
}

#[async_trait]
impl Operator for UnionAll {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        // Children open when their turn comes: a LIMIT above may never need the later ones.
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        while let Some(child) = self.children.get_mut(self.current) {
            self.ctx.kill.check()?;
            if !self.opened {
                child.open().await?;
                self.opened = true;
            }
            if let Some(chunk) = child.next().await? {
                return Ok(Some(chunk));
            }
            child.close().await;
            self.current += 1;
            self.opened = false;
        }
        Ok(None)
    }

    async fn close(&mut self) {
        if let (true, Some(child)) = (self.opened, self.children.get_mut(self.current)) {
            child.close().await;
        }
        self.current = self.children.len();
    }
}
