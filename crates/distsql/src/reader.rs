//! TableReader and IndexReader: what a coprocessor pipeline gives, as an operator.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_executor::{ExecError, Operator};
use tidewater_planner::{CopNode, CopOp, IndexReader, TableReader};
use tidewater_types::FieldType;

use crate::context::ReadContext;
use crate::dag::{DagBuilder, Summaries};
use crate::fetch::{Fetch, FetchOrder, FetchPlan};
use crate::key_ranges::{KeyRanges, index_ranges, row_ranges};

/// Reads rows or index entries through the stores' pipelines.
pub struct CopReader {
    schema: Vec<FieldType>,
    fetch: Fetch,
}

impl CopReader {
    /// A table reader. `ranges` override those of the plan (an index join gives its own).
    pub fn table(
        ctx: &ReadContext,
        plan: &TableReader,
        ranges: Option<KeyRanges>,
    ) -> Result<CopReader, ExecError> {
        let ranges = match ranges {
            Some(ranges) => ranges,
            None => {
                let values = resolve(&plan.scan.ranges, ctx)?;
                row_ranges(&plan.table.info, &values, &ctx.exec.eval.time_zone)?
            }
        };
        let dag = DagBuilder::table_scan(ctx, &plan.table.info, &plan.scan)?
            .steps(&plan.cop)?
            .summaries(summaries(ctx))
            .encode();
        let order = order(plan.scan.keep_order, plan.scan.desc);
        let rows_wanted = rows_wanted(&plan.cop);
        Ok(CopReader {
            schema: plan.base.field_types(),
            fetch: Fetch::new(ctx, FetchPlan { dag, ranges, order, rows_wanted }),
        })
    }

    /// An index reader.
    pub fn index(
        ctx: &ReadContext,
        plan: &IndexReader,
        ranges: Option<KeyRanges>,
    ) -> Result<CopReader, ExecError> {
        let ranges = match ranges {
            Some(ranges) => ranges,
            None => {
                let values = resolve(&plan.scan.ranges, ctx)?;
                index_ranges(&plan.table.info, &plan.scan.index, &values, &ctx.exec.eval.time_zone)?
            }
        };
        let dag = DagBuilder::index_scan(ctx, &plan.table.info, &plan.scan)?
            .steps(&plan.cop)?
            .summaries(summaries(ctx))
            .encode();
        let order = order(plan.scan.keep_order, plan.scan.desc);
        let rows_wanted = rows_wanted(&plan.cop);
        Ok(CopReader {
            schema: plan.base.field_types(),
            fetch: Fetch::new(ctx, FetchPlan { dag, ranges, order, rows_wanted }),
        })
    }

    /// A reader of a given request.
    pub fn new(ctx: &ReadContext, schema: Vec<FieldType>, plan: FetchPlan) -> CopReader {
        CopReader { schema, fetch: Fetch::new(ctx, plan) }
    }
}

#[async_trait]
impl Operator for CopReader {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.fetch.start().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        self.fetch.next().await
    }

    async fn close(&mut self) {
        self.fetch.stop();
    }
}

/// The plan's ranges for the bound parameters and outer row.
pub(crate) fn resolve<'a>(
    ranges: &'a tidewater_planner::Ranges,
    ctx: &ReadContext,
) -> Result<std::borrow::Cow<'a, [tidewater_planner::KeyRange]>, ExecError> {
    ranges.resolve(&ctx.exec.eval).map_err(ExecError::storage)
}

pub(crate) fn summaries(ctx: &ReadContext) -> Summaries {
    if ctx.cop_stats.is_some() { Summaries::Collect } else { Summaries::Omit }
}

pub(crate) fn order(keep_order: bool, desc: bool) -> FetchOrder {
    match (keep_order, desc) {
        // A page's rest depends on the direction of the scan, wanted or not.
        (_, true) => FetchOrder::Descending,
        (true, false) => FetchOrder::Ascending,
        (false, false) => FetchOrder::Any,
    }
}

/// The rows a pipeline gives at most, where a limit says so.
pub(crate) fn rows_wanted(nodes: &[CopNode]) -> Option<u64> {
    nodes
        .iter()
        .filter_map(|node| match node.op {
            CopOp::Limit(rows) => Some(rows),
            CopOp::Selection(_) | CopOp::Projection(_) | CopOp::Aggregation { .. } | CopOp::TopN { .. } => {
                None
            }
        })
        .min()
}
