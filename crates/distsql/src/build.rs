//! From plan nodes to readers.

use tidewater_codec::Key;
use tidewater_executor::{BoxedOperator, ExecError};
use tidewater_planner::{KeyRange, PhysicalPlan};
use tidewater_types::Datum;

use crate::context::ReadContext;
use crate::key_ranges::{KeyRanges, index_ranges, row_ranges};
use crate::lookup::IndexLookUpReader;
use crate::point::PointReader;
use crate::reader::CopReader;

/// The reader of a leaf: a point read, a table or index reader, or an index lookup; `None` for any other node.
pub fn build_reader(ctx: &ReadContext, plan: &PhysicalPlan) -> Result<Option<BoxedOperator>, ExecError> {
    Ok(Some(match plan {
        PhysicalPlan::PointGet(node) => Box::new(PointReader::get(ctx, node)),
        PhysicalPlan::BatchPointGet(node) => Box::new(PointReader::batch(ctx, node)),
        PhysicalPlan::TableReader(node) => Box::new(CopReader::table(ctx, node, None)?),
        PhysicalPlan::IndexReader(node) => Box::new(CopReader::index(ctx, node, None)?),
        PhysicalPlan::IndexLookUp(node) => Box::new(IndexLookUpReader::new(ctx, node, None)?),
        _ => return Ok(None),
    }))
}

/// The reader of a leaf below an index join, restricted to rows whose key begins with one of `keys`.
pub fn build_lookup_reader(
    ctx: &ReadContext,
    plan: &PhysicalPlan,
    keys: &[Vec<Datum>],
) -> Result<Option<BoxedOperator>, ExecError> {
    let values: Vec<KeyRange> = keys.iter().cloned().map(KeyRange::point).collect();
    let time_zone = &ctx.exec.eval.time_zone;
    Ok(Some(match plan {
        PhysicalPlan::TableReader(node) => {
            let ranges = sorted(row_ranges(&node.table.info, &values, time_zone)?);
            Box::new(CopReader::table(ctx, node, Some(ranges))?)
        }
        PhysicalPlan::IndexReader(node) => {
            let ranges = sorted(index_ranges(&node.table.info, &node.scan.index, &values, time_zone)?);
            Box::new(CopReader::index(ctx, node, Some(ranges))?)
        }
        PhysicalPlan::IndexLookUp(node) => {
            let ranges = sorted(index_ranges(&node.table.info, &node.index_scan.index, &values, time_zone)?);
            Box::new(IndexLookUpReader::new(ctx, node, Some(ranges))?)
        }
        _ => return Ok(None),
    }))
}

/// Keys of a batch come in the order of the outer rows, and keys that differ may have equal sort keys.
fn sorted(mut ranges: KeyRanges) -> KeyRanges {
    ranges.sort_unstable_by(|left, right| left.start.cmp(&right.start));
    let mut last_end = Key::default();
    ranges.retain(|range| {
        let is_new = range.start >= last_end;
        if is_new {
            last_end = range.end.clone();
        }
        is_new
    });
    ranges
}
