//! Key ranges from conditions.
//!
//! `derive` turns conditions with known constants into [`KeyRange`]s. Where a constant is a parameter or a column of an
//! outer row, `shape` tells at planning which conditions will restrict the key, and [`Ranges::resolve`] derives the ranges
//! when the scan opens.

mod condition;
mod derive;
mod interval;
mod shape;

use std::borrow::Cow;
use std::sync::Arc;

use tidewater_expr::{EvalContext, Expr};
use tidewater_stats::KeyRange;
use tidewater_types::FieldType;

use crate::PlanError;

pub(crate) use derive::derive;
pub(crate) use shape::shape;

/// The ranges of a scan.
#[derive(Clone, Debug)]
pub enum Ranges {
    /// Known: sorted, disjoint. None at all means that nothing can match.
    Static(Arc<[KeyRange]>),
    /// They depend on parameters or on an outer row: [`Ranges::resolve`] when the scan opens.
    Dynamic(Arc<DynamicRanges>),
    /// The scan is the inner side of an [`IndexJoin`](crate::IndexJoin), which gives the ranges batch by batch: each is a
    /// prefix of so many columns.
    Lookup {
        /// How many columns the key has.
        columns: usize,
    },
}

/// Ranges that are computed when the scan opens.
#[derive(Clone, Debug)]
pub struct DynamicRanges {
    /// The columns of the key.
    pub columns: Vec<RangeColumn>,
    /// Conditions on them, with parameters or correlated columns.
    pub conditions: Vec<Expr>,
}

/// A column of a key.
#[derive(Clone, Debug)]
pub struct RangeColumn {
    /// What the conditions call it.
    pub unique_id: u64,
    /// Its type.
    pub field_type: FieldType,
    /// How many characters (bytes) of it are in the key; -1: all.
    pub length: i32,
}

impl Ranges {
    /// Everything.
    pub fn full() -> Self {
        Ranges::Static(Arc::from([KeyRange::full()]))
    }

    /// Nothing.
    pub fn none() -> Self {
        Ranges::Static(Arc::from([]))
    }

    /// The ranges, for the parameters and the outer row that `ctx` holds.
    pub fn resolve(&self, ctx: &EvalContext) -> Result<Cow<'_, [KeyRange]>, PlanError> {
        match self {
            Ranges::Static(ranges) => Ok(Cow::Borrowed(ranges)),
            Ranges::Dynamic(dynamic) => resolve(dynamic, ctx).map(Cow::Owned),
            Ranges::Lookup { .. } => Ok(Cow::Borrowed(&[])),
        }
    }
}

/// The ranges for the parameters and the outer row that `ctx` holds.
pub fn resolve(dynamic: &DynamicRanges, ctx: &EvalContext) -> Result<Vec<KeyRange>, PlanError> {
    Ok(derive(&dynamic.columns, &dynamic.conditions, ctx).ranges)
}
