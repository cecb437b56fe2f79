//! Merge: several ordered inputs as one ordered output.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_types::FieldType;

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::keys::EncodedRows;
use crate::operator::{BoxedOperator, Operator};
use crate::sort_key::{SortKey, SortKeys};

/// Gives the rows of all children in order, each child being in order itself; of equal rows those of earlier children
/// come first.
pub struct Merge {
    ctx: ExecContext,
    children: Vec<BoxedOperator>,
    schema: Vec<FieldType>,
    keys: SortKeys,
    heads: Vec<Head>,
}

enum Head {
    Unknown,
    Rows { chunk: Chunk, keys: EncodedRows, position: usize },
    Finished,
}

/// A head's key, and the child it belongs to: of equal keys the earlier child's is smaller.
type HeadKey<'a> = (&'a [u8], usize);

impl Merge {
    /// Merges `children` by `keys`.
    ///
    /// # Panics
    /// When a key is a JSON document (the order of two batches of these is not known beforehand).
    pub fn new(
        ctx: &ExecContext,
        schema: Vec<FieldType>,
        children: Vec<BoxedOperator>,
        keys: Vec<SortKey>,
    ) -> Merge {
        let keys = SortKeys::new(keys);
        assert!(keys.comparable_across_batches(), "JSON documents are not merged by");
        let heads = children.iter().map(|_| Head::Unknown).collect();
        Merge { ctx: ctx.clone(), children, schema, keys, heads }
    }

    /// Makes every child's head known.
    async fn fill(&mut self) -> Result<(), ExecError> {
        for (child, head) in self.children.iter_mut().zip(&mut self.heads) {
            let is_used_up = match head {
                Head::Unknown => true,
                Head::Rows { chunk, position, .. } => *position == chunk.num_rows(),
                Head::Finished => false,
            };
            if is_used_up {
                *head = match child.next().await? {
                    Some(chunk) => {
                        let keys = self.keys.encode(&self.ctx, &chunk)?;
                        Head::Rows { chunk, keys, position: 0 }
                    }
                    None => Head::Finished,
                };
            }
        }
        Ok(())
    }

    /// The child with the smallest head, and the smallest head of the others.
    fn smallest(&self) -> Option<(usize, Option<HeadKey<'_>>)> {
        let mut first: Option<HeadKey<'_>> = None;
        let mut second: Option<HeadKey<'_>> = None;
        for (child, head) in self.heads.iter().enumerate() {
            if let Head::Rows { keys, position, .. } = head {
                let candidate = (keys.row(*position), child);
                if first.is_none_or(|first| candidate < first) {
                    second = first;
                    first = Some(candidate);
                } else if second.is_none_or(|second| candidate < second) {
                    second = Some(candidate);
                }
            }
        }
        first.map(|(_, child)| (child, second))
    }

    /// How many rows of `child` come before the head of every other.
    fn run_length(&self, child: usize, other: Option<HeadKey<'_>>) -> usize {
        let Head::Rows { chunk, keys, position } = &self.heads[child] else {
            return 0;
        };
        match other {
            None => chunk.num_rows() - position,
            Some(other) => {
                (*position..chunk.num_rows()).take_while(|row| (keys.row(*row), child) < other).count()
            }
        }
    }
}

#[async_trait]
impl Operator for Merge {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        for child in &mut self.children {
            child.open().await?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        let (mut pieces, mut rows) = (Vec::new(), 0);
        while rows < self.ctx.max_chunk_rows.max(1) {
            self.ctx.kill.check()?;
            self.fill().await?;
            let Some((child, other)) = self.smallest() else {
                break;
            };
            let length = self.run_length(child, other);
            if let Head::Rows { chunk, position, .. } = &mut self.heads[child] {
                pieces.push(chunk.slice(*position, length));
                *position += length;
                rows += length;
            }
        }
        Ok((rows > 0).then(|| Chunk::concat(&pieces)))
    }

    async fn close(&mut self) {
        for child in &mut self.children {
            child.close().await;
        }
        self.heads.iter_mut().for_each(|head| *head = Head::Finished);
    }
}
