//! From a DAG request to operators.

use std::sync::Arc;

use tidewater_chunk::arrow_type;
use tidewater_codec::TimeStamp;
use tidewater_executor::{
    BoxedOperator, ExecContext, HashAggregate, KillFlag, Limit, MemoryTracker, Projection, RuntimeStats,
    Selection, SortKey, SortOrder, StreamAggregate, TopN, instrument,
};
use tidewater_expr::{AggregateCall, EvalContext, Expr, pushdown};
use tidewater_proto::tipb;
use tidewater_types::{FieldType, SqlMode, TimeZone};

use super::CoprocessorError;
use super::columns::ScanColumn;
use super::index_entry::IndexDecoder;
use super::scan::{EntryDecoder, Scan, SharedSource};
use crate::mvcc::Direction;

/// `DagRequest.flags`.
const FLAG_IGNORE_TRUNCATE: u64 = 1;
const FLAG_TRUNCATE_AS_WARNING: u64 = 2;
const FLAG_IN_INSERT: u64 = 8;
const FLAG_IN_UPDATE_OR_DELETE: u64 = 16;

/// The operators of a request.
pub(super) struct Pipeline {
    pub(super) root: BoxedOperator,
    pub(super) ctx: ExecContext,
    /// Types of the columns that are answered.
    pub(super) schema: Vec<FieldType>,
    /// Which columns of the root these are; `None`: all, in order.
    pub(super) output: Option<Vec<usize>>,
    /// Each input row is done with when it was passed on: the pipeline may stop anywhere.
    pub(super) is_streaming: bool,
    pub(super) limit: Option<u64>,
    /// Per executor, when execution summaries are wanted.
    pub(super) stats: Vec<(String, Arc<RuntimeStats>)>,
}

/// What the request's scan looks like, before anything is read.
pub(super) struct Layout {
    pub(super) direction: Direction,
    pub(super) int_handles: bool,
    leaf: Leaf,
}

enum Leaf {
    Table(tipb::TableScan),
    Index(tipb::IndexScan),
}

/// The statement's surroundings, as far as the request tells them.
pub(super) fn context(
    dag: &tipb::DagRequest,
    read_ts: TimeStamp,
    memory: MemoryTracker,
) -> Result<ExecContext, CoprocessorError> {
    let time_zone = if dag.time_zone_name.is_empty() {
        let seconds =
            i32::try_from(dag.time_zone_offset).map_err(|_| CoprocessorError::invalid("time zone offset"))?;
        TimeZone::fixed(seconds)
    } else {
        TimeZone::parse(&dag.time_zone_name).map_err(|error| CoprocessorError::invalid(error.to_string()))?
    };
    // Others do not tell what NOW() is; their transaction began a little before.
    let now_micros = if dag.now_micros != 0 { dag.now_micros } else { begun_micros(read_ts) };
    let mut eval = EvalContext::new(now_micros);
    eval.time_zone = time_zone;
    eval.sql_mode = sql_mode(dag);
    eval.in_dml = dag.flags & (FLAG_IN_INSERT | FLAG_IN_UPDATE_OR_DELETE) != 0;
    eval.ignore_errors = dag.flags & (FLAG_IGNORE_TRUNCATE | FLAG_TRUNCATE_AS_WARNING) != 0;
    if let Some(increment) = dag.div_precision_increment {
        eval.div_precision_increment = u8::try_from(increment).unwrap_or(u8::MAX);
    }
    if dag.max_allowed_packet > 0 {
        eval.max_allowed_packet = usize::try_from(dag.max_allowed_packet).unwrap_or(usize::MAX);
    }
    Ok(ExecContext::new(eval, memory, KillFlag::new()))
}

/// The time in a timestamp. The greatest of all stands for whatever is there.
fn begun_micros(read_ts: TimeStamp) -> i64 {
    i64::try_from(read_ts.physical_ms()).unwrap_or(0).saturating_mul(1000)
}

/// TiDB counts the modes from STRICT_TRANS_TABLES to ERROR_FOR_DIVISION_BY_ZERO a bit higher than MySQL.
fn sql_mode(dag: &tipb::DagRequest) -> SqlMode {
    if dag.own_dialect {
        return SqlMode::from_bits_truncate(dag.sql_mode);
    }
    let low = SqlMode::STRICT_TRANS_TABLES.bits() - 1;
    let strict = SqlMode::TRADITIONAL.bits() - SqlMode::STRICT_TRANS_TABLES.bits();
    SqlMode::from_bits_truncate(dag.sql_mode & low | dag.sql_mode >> 1 & strict)
}

impl Layout {
    pub(super) fn parse(dag: &tipb::DagRequest) -> Result<Layout, CoprocessorError> {
        let first = dag.executors.first().ok_or_else(|| CoprocessorError::invalid("no executors"))?;
        let direction = |desc| if desc { Direction::Backward } else { Direction::Forward };
        match (known_type(first), &first.tbl_scan, &first.idx_scan) {
            (Some(tipb::ExecType::TypeTableScan), Some(scan), _) => Ok(Layout {
                direction: direction(scan.desc),
                int_handles: scan.primary_column_ids.is_empty(),
                leaf: Leaf::Table(scan.clone()),
            }),
            (Some(tipb::ExecType::TypeIndexScan), _, Some(scan)) => Ok(Layout {
                direction: direction(scan.desc),
                int_handles: false,
                leaf: Leaf::Index(scan.clone()),
            }),
            _ => Err(CoprocessorError::invalid(format!("a pipeline cannot begin with {}", kind(first)))),
        }
    }

    pub(super) fn build(
        self,
        ctx: &ExecContext,
        dag: &tipb::DagRequest,
        source: SharedSource,
    ) -> Result<Pipeline, CoprocessorError> {
        let mut skip = 1;
        let (decoder, schema) = match &self.leaf {
            Leaf::Table(scan) => {
                let columns = ScanColumn::parse_all(&scan.columns)?;
                let schema: Vec<FieldType> = columns.iter().map(|column| column.field_type.clone()).collect();
                (EntryDecoder::rows(&columns, &scan.primary_column_ids, ctx), schema)
            }
            Leaf::Index(scan) => {
                let columns = ScanColumn::parse_all(&scan.columns)?;
                // A projection that only picks columns is done by decoding only these.
                let picked = dag.executors.get(1).map(picked_columns).transpose()?.flatten();
                let picked = match picked {
                    Some(picked) if picked.iter().all(|column| *column < columns.len()) => {
                        skip = 2;
                        picked
                    }
                    _ => (0..columns.len()).collect(),
                };
                let schema: Vec<FieldType> =
                    picked.iter().map(|column| columns[*column].field_type.clone()).collect();
                let mut wanted = vec![Vec::new(); columns.len()];
                for (output, column) in picked.iter().enumerate() {
                    wanted[*column].push(output);
                }
                let time_zone = ctx.eval.time_zone.clone();
                (
                    EntryDecoder::Index(IndexDecoder::new(
                        columns,
                        &scan.primary_column_ids,
                        &wanted,
                        time_zone,
                    )),
                    schema,
                )
            }
        };
        let scan: BoxedOperator = Box::new(Scan::new(ctx, source, decoder, schema));
        let mut pipeline = Pipeline {
            root: scan,
            ctx: ctx.clone(),
            schema: Vec::new(),
            output: None,
            is_streaming: true,
            limit: None,
            stats: Vec::new(),
        };
        for (index, executor) in dag.executors.iter().enumerate() {
            if index >= skip {
                pipeline.push(executor)?;
            }
            if dag.collect_execution_summaries {
                pipeline.instrument(executor);
            }
        }
        pipeline.choose_output(&dag.output_offsets)?;
        Ok(pipeline)
    }
}

/// The executor's type, if it is one we have heard of.
fn known_type(executor: &tipb::Executor) -> Option<tipb::ExecType> {
    tipb::ExecType::try_from(executor.tp).ok()
}

/// The executor's type for messages.
fn kind(executor: &tipb::Executor) -> String {
    match known_type(executor) {
        Some(tp) => format!("{} ({tp:?})", executor.tp),
        None => executor.tp.to_string(),
    }
}

/// The columns of a projection of nothing but columns.
fn picked_columns(executor: &tipb::Executor) -> Result<Option<Vec<usize>>, CoprocessorError> {
    let (tipb::ExecType::TypeProjection, Some(projection)) = (executor.tp(), &executor.projection) else {
        return Ok(None);
    };
    let exprs = parse_exprs(&projection.exprs)?;
    Ok(exprs
        .iter()
        .map(|expr| if let Expr::Column(column) = expr { Some(column.index) } else { None })
        .collect())
}

impl Pipeline {
    fn push(&mut self, executor: &tipb::Executor) -> Result<(), CoprocessorError> {
        let missing = || CoprocessorError::invalid(format!("{} without its description", kind(executor)));
        let tp = known_type(executor)
            .ok_or_else(|| CoprocessorError::invalid(format!("unsupported executor {}", kind(executor))))?;
        // A column must hold what the expression takes it for.
        let input = Input(self.root.schema().to_vec());
        let child =
            std::mem::replace(&mut self.root, Box::new(tidewater_executor::Values::dual(&self.ctx, 0)));
        let ctx = &self.ctx;
        self.root = match tp {
            tipb::ExecType::TypeSelection => {
                let selection = executor.selection.as_ref().ok_or_else(missing)?;
                Box::new(Selection::new(ctx, child, input.exprs(&selection.conditions)?))
            }
            tipb::ExecType::TypeProjection => {
                let projection = executor.projection.as_ref().ok_or_else(missing)?;
                Box::new(Projection::new(ctx, child, input.exprs(&projection.exprs)?))
            }
            tipb::ExecType::TypeLimit => {
                let limit = executor.limit.as_ref().ok_or_else(missing)?.limit;
                self.limit = Some(self.limit.map_or(limit, |other| other.min(limit)));
                Box::new(Limit::new(ctx, child, 0, limit))
            }
            tipb::ExecType::TypeTopN => {
                let top_n = executor.top_n.as_ref().ok_or_else(missing)?;
                self.is_streaming = false;
                let mut keys = Vec::with_capacity(top_n.order_by.len());
                for item in &top_n.order_by {
                    let expr = item.expr.as_ref().ok_or_else(missing)?;
                    let order = if item.desc { SortOrder::Descending } else { SortOrder::Ascending };
                    keys.push(SortKey { expr: input.expr(expr)?, order });
                }
                Box::new(TopN::new(ctx, child, keys, 0, top_n.limit))
            }
            tp @ (tipb::ExecType::TypeAggregation | tipb::ExecType::TypeStreamAgg) => {
                let aggregation = executor.aggregation.as_ref().ok_or_else(missing)?;
                self.is_streaming = false;
                let group_by = input.exprs(&aggregation.group_by)?;
                let mut aggregates = Vec::with_capacity(aggregation.agg_func.len());
                for function in &aggregation.agg_func {
                    aggregates.push(input.aggregate(function)?);
                }
                if tp == tipb::ExecType::TypeStreamAgg || aggregation.streamed {
                    Box::new(StreamAggregate::new(ctx, child, group_by, aggregates)?)
                } else {
                    Box::new(HashAggregate::new(ctx, child, group_by, aggregates)?)
                }
            }
            _ => return Err(CoprocessorError::invalid(format!("unsupported executor {}", kind(executor)))),
        };
        Ok(())
    }

    fn instrument(&mut self, executor: &tipb::Executor) {
        let stats = Arc::new(RuntimeStats::default());
        let child =
            std::mem::replace(&mut self.root, Box::new(tidewater_executor::Values::dual(&self.ctx, 0)));
        self.root = instrument(child, Arc::clone(&stats));
        self.stats.push((executor.executor_id.clone(), stats));
    }

    fn choose_output(&mut self, offsets: &[u32]) -> Result<(), CoprocessorError> {
        let all = self.root.schema();
        if offsets.is_empty() {
            self.schema = all.to_vec();
            return Ok(());
        }
        let offsets: Vec<usize> = offsets.iter().map(|offset| *offset as usize).collect();
        self.schema =
            offsets.iter().map(|offset| all.get(*offset).cloned()).collect::<Option<_>>().ok_or_else(
                || CoprocessorError::invalid("output offset beyond the last executor's columns"),
            )?;
        self.output = Some(offsets);
        Ok(())
    }
}

/// The columns expressions are over.
struct Input(Vec<FieldType>);

impl Input {
    fn exprs(&self, exprs: &[tipb::Expr]) -> Result<Vec<Expr>, CoprocessorError> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&self, message: &tipb::Expr) -> Result<Expr, CoprocessorError> {
        let expr = parse_expr(message)?;
        self.check(&expr)?;
        Ok(expr)
    }

    fn aggregate(&self, message: &tipb::Expr) -> Result<AggregateCall, CoprocessorError> {
        let call = pushdown::aggregate_from_tipb(message)
            .map_err(|error| CoprocessorError::invalid(error.to_string()))?;
        call.inputs().try_for_each(|expr| self.check(expr))?;
        Ok(call)
    }

    /// Columns must hold what the expression takes them for: kernels look no second time.
    fn check(&self, expr: &Expr) -> Result<(), CoprocessorError> {
        let mut wrong = None;
        expr.columns(&mut |column| {
            let fits = |own: &FieldType| arrow_type(own) == arrow_type(&column.field_type);
            if !self.0.get(column.index).is_some_and(fits) {
                wrong = Some(column.index);
            }
        });
        match wrong {
            Some(index) => {
                Err(CoprocessorError::invalid(format!("column {index} is missing or of another type")))
            }
            None => Ok(()),
        }
    }
}

fn parse_exprs(exprs: &[tipb::Expr]) -> Result<Vec<Expr>, CoprocessorError> {
    exprs.iter().map(parse_expr).collect()
}

fn parse_expr(expr: &tipb::Expr) -> Result<Expr, CoprocessorError> {
    pushdown::from_tipb(expr).map_err(|error| CoprocessorError::invalid(error.to_string()))
}
