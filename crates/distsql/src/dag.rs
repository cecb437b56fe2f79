//! Plan fragments in their wire form.

use std::sync::Arc;

use prost::Message;
use tidewater_catalog::{ColumnInfo, HandleKind, IndexInfo, ROW_ID_COLUMN, TableInfo};
use tidewater_codec::datum;
use tidewater_executor::ExecContext;
use tidewater_expr::{Expr, pushdown};
use tidewater_planner::{CopNode, CopOp, IndexScan, PushdownTarget, ScanColumn, SortItem, TableScan};
use tidewater_proto::tipb;
use tidewater_types::{ConvertContext, FieldType, SqlMode, TimeZone, TypeCode, TypeFlags, Warnings};

use crate::context::{AnswerEncoding, ReadContext, StoreProtocol};
use crate::error::ReadError;

const FLAG_IGNORE_TRUNCATE: u64 = 1;
const FLAG_TRUNCATE_AS_WARNING: u64 = 2;
const FLAG_IN_UPDATE_OR_DELETE: u64 = 16;
const FLAG_IN_SELECT: u64 = 32;
const FLAG_IGNORE_ZERO_IN_DATE: u64 = 128;
const FLAG_DIVISION_BY_ZERO_AS_WARNING: u64 = 256;

/// A pipeline under construction: the scan, then what runs above it.
pub struct DagBuilder<'a> {
    ctx: &'a ExecContext,
    protocol: StoreProtocol,
    executors: Vec<tipb::Executor>,
    summaries: Summaries,
    /// Types of the columns that are wanted.
    output: Vec<FieldType>,
    /// The type of the last executor's first column.
    first: FieldType,
    /// There is a TIME in one of the expressions.
    has_duration: bool,
}

/// A request, and how to read its answers.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// The encoded DAG request.
    pub data: bytes::Bytes,
    /// Types of the columns in an answer.
    pub types: Arc<[FieldType]>,
    /// Nobody wants the columns: there is one because the public encodings count rows by their values.
    pub rows_only: bool,
    /// The same request may be made again, and its answers are small for the work they take.
    pub is_worth_keeping: bool,
}

/// Whether stores report what each step did (EXPLAIN ANALYZE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summaries {
    /// Yes.
    Collect,
    /// No.
    Omit,
}

impl<'a> DagBuilder<'a> {
    /// Begins with a scan of rows.
    pub fn table_scan(
        ctx: &'a ReadContext,
        table: &'a TableInfo,
        scan_plan: &TableScan,
    ) -> Result<Self, ReadError> {
        let (protocol, ctx) = (ctx.protocol, &ctx.exec);
        let mut columns = Vec::with_capacity(scan_plan.columns.len());
        for column in scan_plan.columns.iter() {
            columns.push(scan_column(ctx, table, column)?);
        }
        if columns.is_empty() && counts_by_values(protocol) {
            for column in handle_columns(table) {
                columns.push(scan_column(ctx, table, &column)?);
            }
        }
        let first = columns.first().map_or_else(FieldType::int, column_type);
        let primary_column_ids = match table.handle() {
            HandleKind::Common(index) => {
                index.columns.iter().map(|part| table.columns[part.offset].id.0).collect()
            }
            HandleKind::RowId | HandleKind::IntColumn(_) => Vec::new(),
        };
        let scan = tipb::Executor {
            tp: tipb::ExecType::TypeTableScan.into(),
            tbl_scan: Some(tipb::TableScan {
                table_id: table.id.0,
                columns,
                desc: scan_plan.desc,
                primary_column_ids,
                keep_order: scan_plan.keep_order,
                ..tipb::TableScan::default()
            }),
            executor_id: scan_plan.base.id.to_string(),
            ..tipb::Executor::default()
        };
        let output = scan_plan.base.field_types();
        Ok(DagBuilder {
            ctx,
            protocol,
            executors: vec![scan],
            summaries: Summaries::Omit,
            output,
            first,
            has_duration: false,
        })
    }

    /// Begins with a scan of an index.
    ///
    /// The wire form lists all columns of the index in key order, then the handle's; a projection picks those wanted.
    pub fn index_scan(
        ctx: &'a ReadContext,
        table: &'a TableInfo,
        scan: &IndexScan,
    ) -> Result<Self, ReadError> {
        let (protocol, ctx) = (ctx.protocol, &ctx.exec);
        let handle = handle_columns(table);
        let mut listed: Vec<ScanColumn> =
            scan.index.columns.iter().map(|part| ScanColumn::Column(part.offset)).collect();
        let key_columns = listed.len();
        listed.extend(handle.iter().cloned());
        let mut columns = Vec::with_capacity(listed.len());
        for column in &listed {
            columns.push(scan_column(ctx, table, column)?);
        }
        let primary_column_ids = match table.handle() {
            HandleKind::Common(_) => columns[key_columns..].iter().map(|column| column.column_id).collect(),
            HandleKind::RowId | HandleKind::IntColumn(_) => Vec::new(),
        };
        let first = columns.first().map_or_else(FieldType::int, column_type);
        let executor = tipb::Executor {
            tp: tipb::ExecType::TypeIndexScan.into(),
            idx_scan: Some(tipb::IndexScan {
                table_id: table.id.0,
                index_id: scan.index.id.0,
                columns,
                desc: scan.desc,
                unique: Some(scan.index.unique),
                primary_column_ids,
            }),
            executor_id: scan.base.id.to_string(),
            ..tipb::Executor::default()
        };
        let output = scan.base.field_types();
        let executors = vec![executor];
        let mut builder = DagBuilder {
            ctx,
            protocol,
            executors,
            summaries: Summaries::Omit,
            output,
            first,
            has_duration: false,
        };
        builder.pick(scan, &listed, key_columns)?;
        Ok(builder)
    }

    fn pick(&mut self, scan: &IndexScan, listed: &[ScanColumn], key_columns: usize) -> Result<(), ReadError> {
        let mut exprs = Vec::with_capacity(scan.columns.len());
        for (column, reference) in scan.columns.iter().zip(scan.base.schema.iter()) {
            // A column of the key whole in the index serves as well as the handle's; a prefix of it does not.
            let position = listed.iter().enumerate().position(|(position, candidate)| {
                candidate == column && !is_cut(&scan.index, position, key_columns)
            });
            let index =
                position.ok_or_else(|| ReadError::NotPushable { expression: reference.name.to_string() })?;
            exprs.push(Expr::Column(tidewater_expr::ColumnRef { index, ..reference.clone() }));
        }
        let is_identity = exprs.len() == listed.len()
            && exprs
                .iter()
                .enumerate()
                .all(|(at, expr)| matches!(expr, Expr::Column(column) if column.index == at));
        // Without columns nobody looks at those that come.
        if is_identity || (exprs.is_empty() && counts_by_values(self.protocol)) {
            return Ok(());
        }
        // Columns alone go in any dialect, whatever their types.
        let columns = exprs.iter().map(|expr| match self.protocol.target {
            PushdownTarget::Tidewater => self.expr(expr),
            PushdownTarget::Tikv => Ok(pushdown::column_to_tipb(expr).ok_or_else(|| not_pushable(expr))?),
        });
        let exprs = columns.collect::<Result<_, _>>()?;
        self.executors.push(tipb::Executor {
            tp: tipb::ExecType::TypeProjection.into(),
            projection: Some(tipb::Projection { exprs }),
            ..tipb::Executor::default()
        });
        Ok(())
    }

    /// Asks for execution summaries.
    pub fn summaries(mut self, summaries: Summaries) -> Self {
        self.summaries = summaries;
        self
    }

    /// Adds the steps above the scan.
    pub fn steps(mut self, nodes: &[CopNode]) -> Result<Self, ReadError> {
        for node in nodes {
            self.has_duration |= has_duration(&node.op);
            let mut executor = self.step(&node.op)?;
            executor.executor_id = node.base.id.to_string();
            self.executors.push(executor);
            if !matches!(node.op, CopOp::Projection(_) | CopOp::Aggregation { .. }) {
                continue;
            }
            self.output = node.base.field_types();
            if let Some(field_type) = self.output.first() {
                self.first = field_type.clone();
            }
        }
        Ok(self)
    }

    /// Adds a limit.
    pub fn limit(mut self, rows: u64) -> Self {
        self.executors.push(limit(rows));
        self
    }

    fn step(&self, op: &CopOp) -> Result<tipb::Executor, ReadError> {
        Ok(match op {
            CopOp::Selection(conditions) => tipb::Executor {
                tp: tipb::ExecType::TypeSelection.into(),
                selection: Some(tipb::Selection { conditions: self.exprs(conditions)? }),
                ..tipb::Executor::default()
            },
            CopOp::Projection(exprs) => {
                let mut exprs = self.exprs(exprs)?;
                if exprs.is_empty() && counts_by_values(self.protocol) {
                    exprs.push(self.expr(&Expr::int(1))?);
                }
                tipb::Executor {
                    tp: tipb::ExecType::TypeProjection.into(),
                    projection: Some(tipb::Projection { exprs }),
                    ..tipb::Executor::default()
                }
            }
            CopOp::Aggregation { aggregates, group_by, streamed } => {
                let mut agg_func = Vec::with_capacity(aggregates.len());
                for call in aggregates {
                    let mut call = call.clone();
                    call.args =
                        call.args.into_iter().map(|arg| bind(arg, self.ctx)).collect::<Result<_, _>>()?;
                    let functions = pushdown::aggregate_to_tipb_in(&call, self.protocol.target.dialect());
                    agg_func.extend(
                        functions.ok_or_else(|| ReadError::NotPushable { expression: call.to_string() })?,
                    );
                }
                let tp =
                    if *streamed { tipb::ExecType::TypeStreamAgg } else { tipb::ExecType::TypeAggregation };
                tipb::Executor {
                    tp: tp.into(),
                    aggregation: Some(tipb::Aggregation {
                        group_by: self.exprs(group_by)?,
                        agg_func,
                        streamed: *streamed,
                    }),
                    ..tipb::Executor::default()
                }
            }
            CopOp::TopN { by, limit } => tipb::Executor {
                tp: tipb::ExecType::TypeTopN.into(),
                top_n: Some(tipb::TopN { order_by: self.by_items(by)?, limit: *limit }),
                ..tipb::Executor::default()
            },
            CopOp::Limit(rows) => limit(*rows),
        })
    }

    fn by_items(&self, items: &[SortItem]) -> Result<Vec<tipb::ByItem>, ReadError> {
        items
            .iter()
            .map(|item| Ok(tipb::ByItem { expr: Some(self.expr(&item.expr)?), desc: item.desc }))
            .collect()
    }

    fn exprs(&self, exprs: &[Expr]) -> Result<Vec<tipb::Expr>, ReadError> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&self, expr: &Expr) -> Result<tipb::Expr, ReadError> {
        let bound = bind(expr.clone(), self.ctx)?;
        pushdown::to_tipb_in(&bound, self.protocol.target.dialect()).ok_or_else(|| not_pushable(expr))
    }

    /// The request.
    pub fn encode(self) -> Fragment {
        let eval = &self.ctx.eval;
        let dag = tipb::DagRequest {
            flags: self.flags(),
            collect_execution_summaries: self.summaries == Summaries::Collect,
            max_allowed_packet: eval.max_allowed_packet as u64,
            max_warning_count: WARNINGS_MAX,
            div_precision_increment: Some(u32::from(eval.div_precision_increment)),
            ..tipb::DagRequest::default()
        };
        let rows_only = self.output.is_empty() && counts_by_values(self.protocol);
        let types = if rows_only { vec![self.first.clone()] } else { self.output.clone() };
        let dag = match self.protocol.target {
            PushdownTarget::Tidewater => tipb::DagRequest {
                time_zone_name: eval.time_zone.name().to_owned(),
                sql_mode: eval.sql_mode.bits(),
                // Only a TIME that becomes a date asks for today.
                now_micros: if self.has_duration { eval.now_micros } else { 0 },
                own_dialect: true,
                output_offsets: if rows_only { vec![0] } else { Vec::new() },
                ..dag
            },
            PushdownTarget::Tikv => {
                let (time_zone_name, time_zone_offset) = public_zone(&eval.time_zone, eval.now_micros);
                tipb::DagRequest {
                    time_zone_name,
                    time_zone_offset,
                    sql_mode: public_sql_mode(eval.sql_mode),
                    output_offsets: (0..types.len() as u32).collect(),
                    ..dag
                }
            }
        };
        let is_worth_keeping = self.is_worth_keeping();
        let mut dag = tipb::DagRequest { executors: self.executors, ..dag };
        ask_for(self.protocol, &mut dag);
        Fragment { data: dag.encode_to_vec().into(), types: types.into(), rows_only, is_worth_keeping }
    }
}
impl DagBuilder<'_> {
    /// Filters, aggregations and top-Ns reduce what they read; a limit makes that cheap, and a statement's own time makes it unique.
    fn is_worth_keeping(&self) -> bool {
        let is =
            |wanted: &[tipb::ExecType]| self.executors.iter().any(|executor| wanted.contains(&executor.tp()));
        use tipb::ExecType as T;
        self.summaries == Summaries::Omit
            && !(self.has_duration && self.protocol.target == PushdownTarget::Tidewater)
            && is(&[T::TypeSelection, T::TypeAggregation, T::TypeStreamAgg, T::TypeTopN])
            && !is(&[T::TypeLimit])
    }

    fn flags(&self) -> u64 {
        let eval = &self.ctx.eval;
        let mut flags = if eval.in_dml { FLAG_IN_UPDATE_OR_DELETE } else { FLAG_IN_SELECT };
        if eval.ignore_errors {
            flags |= FLAG_IGNORE_TRUNCATE;
        }
        // Ours knows by itself what is an error in which statement.
        let is_lenient = !eval.in_dml || eval.ignore_errors || !eval.sql_mode.is_strict();
        if self.protocol.target == PushdownTarget::Tikv && is_lenient {
            flags |= FLAG_TRUNCATE_AS_WARNING | FLAG_IGNORE_ZERO_IN_DATE | FLAG_DIVISION_BY_ZERO_AS_WARNING;
        }
        flags
    }
}

/// Whether a TIME occurs in the expressions of a step.
fn has_duration(op: &CopOp) -> bool {
    match op {
        CopOp::Selection(exprs) | CopOp::Projection(exprs) => exprs.iter().any(is_of_duration),
        CopOp::Aggregation { aggregates, group_by, .. } => {
            group_by.iter().chain(aggregates.iter().flat_map(|call| call.inputs())).any(is_of_duration)
        }
        CopOp::TopN { by, .. } => by.iter().any(|item| is_of_duration(&item.expr)),
        CopOp::Limit(_) => false,
    }
}

fn is_of_duration(expr: &Expr) -> bool {
    expr.field_type_ref().code == TypeCode::Duration
        || matches!(expr, Expr::Function(call) if call.args.iter().any(is_of_duration))
}

/// Says in which encoding the answers are to come.
fn ask_for(protocol: StoreProtocol, dag: &mut tipb::DagRequest) {
    match (protocol.target, protocol.answers) {
        (PushdownTarget::Tidewater, AnswerEncoding::Arrow) => dag.arrow_ipc = true,
        (_, AnswerEncoding::Datums) => dag.set_encode_type(tipb::EncodeType::TypeDefault),
        (PushdownTarget::Tikv, AnswerEncoding::Arrow) | (_, AnswerEncoding::Chunk) => {
            dag.set_encode_type(tipb::EncodeType::TypeChunk);
            dag.chunk_memory_layout = Some(tipb::ChunkMemoryLayout::default());
        }
    }
}

/// Whether answers may come in an encoding that has no rows without values.
fn counts_by_values(protocol: StoreProtocol) -> bool {
    protocol != StoreProtocol::default()
}

/// A time zone as TiDB tells it: a name of the time zone database, or an offset.
fn public_zone(zone: &TimeZone, now_micros: i64) -> (String, i64) {
    let offset = i64::from(zone.offset_seconds(now_micros));
    let name = zone.name();
    if name == "SYSTEM" || name.starts_with(['+', '-']) {
        return (String::new(), offset);
    }
    (name.to_owned(), offset)
}

/// `sql_mode` as TiDB counts: the modes from STRICT_TRANS_TABLES to ERROR_FOR_DIVISION_BY_ZERO are a bit higher than MySQL's.
fn public_sql_mode(mode: SqlMode) -> u64 {
    let bits = mode.bits();
    let low = SqlMode::STRICT_TRANS_TABLES.bits() - 1;
    let strict = SqlMode::TRADITIONAL.bits() - SqlMode::STRICT_TRANS_TABLES.bits();
    bits & low | (bits & strict) << 1
}

fn not_pushable(expr: &Expr) -> ReadError {
    ReadError::NotPushable { expression: expr.to_string() }
}

/// The type a column's values are answered in.
fn column_type(info: &tipb::ColumnInfo) -> FieldType {
    let code = u8::try_from(info.tp).ok().and_then(|code| TypeCode::try_from(code).ok());
    let mut field_type = FieldType::new(code.unwrap_or(TypeCode::LongLong));
    field_type.flags = TypeFlags::from_bits_truncate(info.flag as u32);
    (field_type.length, field_type.decimals) = (info.column_len, info.decimal);
    field_type.elements = info.elems.clone().into();
    field_type
}

/// Warnings one answer may carry.
const WARNINGS_MAX: u64 = 64;

/// A store knows no parameters and no outer rows: their values go along.
fn bind(expr: Expr, ctx: &ExecContext) -> Result<Expr, ReadError> {
    let mut failed = None;
    let bound = expr.transform(&mut |expr| match &expr {
        Expr::Parameter { field_type, .. } | Expr::Correlated { field_type, .. } => {
            match expr.eval_datum(&ctx.eval) {
                Ok(value) => Expr::Literal { value, field_type: field_type.clone() },
                Err(error) => {
                    failed = Some(ReadError::NotPushable { expression: error.to_string() });
                    expr
                }
            }
        }
        _ => expr,
    });
    failed.map_or(Ok(bound), Err)
}

fn limit(rows: u64) -> tipb::Executor {
    tipb::Executor {
        tp: tipb::ExecType::TypeLimit.into(),
        limit: Some(tipb::Limit { limit: rows }),
        ..tipb::Executor::default()
    }
}

fn is_cut(index: &IndexInfo, position: usize, key_columns: usize) -> bool {
    position < key_columns && index.columns[position].length != tidewater_catalog::FULL_LENGTH
}

/// The columns a row's handle is made of.
pub(crate) fn handle_columns(table: &TableInfo) -> Vec<ScanColumn> {
    match table.handle() {
        HandleKind::RowId => vec![ScanColumn::RowId],
        HandleKind::IntColumn(column) => vec![ScanColumn::Column(column.offset)],
        HandleKind::Common(index) => {
            index.columns.iter().map(|part| ScanColumn::Column(part.offset)).collect()
        }
    }
}

/// A column as the store is told.
fn scan_column(
    ctx: &ExecContext,
    table: &TableInfo,
    column: &ScanColumn,
) -> Result<tipb::ColumnInfo, ReadError> {
    match column {
        ScanColumn::RowId => {
            let mut info = type_info(&FieldType::new(TypeCode::LongLong).not_null());
            info.column_id = ROW_ID_COLUMN.0;
            info.pk_handle = true;
            Ok(info)
        }
        ScanColumn::Column(offset) => {
            let column = &table.columns[*offset];
            let mut info = type_info(&column.field_type);
            info.column_id = column.id.0;
            info.pk_handle =
                matches!(table.handle(), HandleKind::IntColumn(handle) if handle.id == column.id);
            info.default_val = default_value(ctx, column)?;
            Ok(info)
        }
    }
}

/// What rows written before the column existed have in it.
fn default_value(ctx: &ExecContext, column: &ColumnInfo) -> Result<Option<bytes::Bytes>, ReadError> {
    let value = column.origin_default_datum(&lenient(ctx));
    if value.is_null() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    datum::encode_value_datum(&value, &column.field_type, &mut bytes)?;
    Ok(Some(bytes.into()))
}

/// For stored texts: nothing fails, nothing warns.
pub(crate) fn lenient(ctx: &ExecContext) -> ConvertContext {
    ConvertContext {
        sql_mode: SqlMode::empty(),
        strict: false,
        time_zone: ctx.eval.time_zone.clone(),
        now_micros: 0,
        warnings: Warnings::default(),
        ..ConvertContext::default()
    }
}

fn type_info(field_type: &FieldType) -> tipb::ColumnInfo {
    tipb::ColumnInfo {
        tp: i32::from(u8::from(field_type.code)),
        // Negative: ordered by the collation, not by bytes.
        collation: -i32::from(field_type.collation.id()),
        column_len: field_type.length,
        decimal: field_type.decimals,
        flag: field_type.flags.bits() as i32,
        elems: field_type.elements.to_vec(),
        ..tipb::ColumnInfo::default()
    }
}
