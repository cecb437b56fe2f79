//! The one interface of all operators, and small helpers to drive them.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_types::FieldType;

use crate::error::ExecError;

/// A node of a running plan: gives chunks until there are no more.
///
/// `open` and `next` are async only because leaves wait for the network. A chunk is never empty.
/// After an error or `None` only `close` may be called; dropping an operator at any point frees what it holds.
#[async_trait]
pub trait Operator: Send {
    /// Types of the produced columns.
    fn schema(&self) -> &[FieldType];
    /// Prepares the operator and its children; called once before the first `next`.
    async fn open(&mut self) -> Result<(), ExecError>;
    /// The next chunk, or `None` at the end.
    async fn next(&mut self) -> Result<Option<Chunk>, ExecError>;
    /// Frees resources early.
    async fn close(&mut self);
}

/// An owned operator.
pub type BoxedOperator = Box<dyn Operator>;

/// Opens, drains and closes an operator.
pub async fn collect(operator: &mut dyn Operator) -> Result<Vec<Chunk>, ExecError> {
    let mut chunks = Vec::new();
    operator.open().await?;
    while let Some(chunk) = operator.next().await? {
        chunks.push(chunk);
    }
    operator.close().await;
    Ok(chunks)
}
