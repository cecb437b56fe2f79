//! ORDER BY items, and row positions in their order.

use arrow::array::{Array, ArrayRef};
use tidewater_chunk::Chunk;
use tidewater_expr::Expr;
use tidewater_types::{Collation, EvalType};

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::keys::{EncodedRows, json_ranks};

/// ASC or DESC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    /// NULL first.
    Ascending,
    /// NULL last.
    Descending,
}

/// One ORDER BY item.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// What to sort by, over the child's columns.
    pub expr: Expr,
    /// In which direction.
    pub order: SortOrder,
}

impl SortKey {
    /// Ascending by `expr`.
    pub fn ascending(expr: Expr) -> SortKey {
        SortKey { expr, order: SortOrder::Ascending }
    }

    /// Descending by `expr`.
    pub fn descending(expr: Expr) -> SortKey {
        SortKey { expr, order: SortOrder::Descending }
    }
}

/// The compiled ORDER BY list.
pub(crate) struct SortKeys {
    keys: Vec<SortKey>,
    collations: Vec<Collation>,
    descending: Vec<bool>,
    has_json: bool,
}

impl SortKeys {
    pub(crate) fn new(keys: Vec<SortKey>) -> SortKeys {
        let collations = keys.iter().map(|key| key.expr.field_type_ref().collation).collect();
        let descending = keys.iter().map(|key| key.order == SortOrder::Descending).collect();
        let has_json = keys.iter().any(|key| key.expr.field_type_ref().eval_type() == EvalType::Json);
        SortKeys { keys, collations, descending, has_json }
    }

    /// True when encoded keys of different batches can be compared (ranks of JSON documents cannot).
    pub(crate) fn comparable_across_batches(&self) -> bool {
        !self.has_json
    }

    /// The ordered keys of a batch.
    pub(crate) fn encode(&self, ctx: &ExecContext, chunk: &Chunk) -> Result<EncodedRows, ExecError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let column = key.expr.eval(&ctx.eval, chunk)?;
            let is_json = key.expr.field_type_ref().eval_type() == EvalType::Json;
            columns.push(if is_json && column.as_any().is::<arrow::array::BinaryArray>() {
                json_ranks(&column)
            } else {
                column
            });
        }
        Ok(EncodedRows::ordered(&self.collations, &self.descending, &columns, chunk.num_rows()))
    }
}

/// Positions of the `count` smallest rows, in order; equal keys keep their input order.
pub(crate) fn smallest(rows: &EncodedRows, count: usize) -> Vec<u32> {
    // The first 16 bytes decide almost all comparisons without touching the arena.
    let mut entries: Vec<(u128, u32)> =
        (0..rows.len()).map(|row| (prefix(rows.row(row)), row as u32)).collect();
    let all_in_prefix = (0..rows.len()).all(|row| rows.row(row).len() <= PREFIX_BYTES);
    let compare = |left: &(u128, u32), right: &(u128, u32)| {
        let order = left.0.cmp(&right.0);
        if all_in_prefix || order.is_ne() {
            return order.then(left.1.cmp(&right.1));
        }
        rows.row(left.1 as usize).cmp(rows.row(right.1 as usize)).then(left.1.cmp(&right.1))
    };
    if count == 0 {
        return Vec::new();
    }
    if count < entries.len() {
        entries.select_nth_unstable_by(count - 1, compare);
        entries.truncate(count);
    }
    entries.sort_unstable_by(compare);
    entries.into_iter().map(|(_, row)| row).collect()
}

const PREFIX_BYTES: usize = size_of::<u128>();

/// Zero padding cannot make unequal keys equal: every encoded column ends its keys unambiguously, so no key is a proper
/// prefix of another one of the same columns.
fn prefix(key: &[u8]) -> u128 {
    let mut bytes = [0; PREFIX_BYTES];
    let length = key.len().min(PREFIX_BYTES);
    bytes[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(bytes)
}
