//! Plan fragments in their wire form.

use prost::Message;
use tidewater_catalog::{ColumnInfo, HandleKind, IndexInfo, ROW_ID_COLUMN, TableInfo};
use tidewater_codec::datum;
use tidewater_executor::ExecContext;
use tidewater_expr::{Expr, pushdown};
use tidewater_planner::{CopNode, CopOp, IndexScan, ScanColumn, SortItem, TableScan};
use tidewater_proto::tipb;
use tidewater_types::{ConvertContext, FieldType, SqlMode, TypeCode, Warnings};

use crate::error::ReadError;

const FLAG_IGNORE_TRUNCATE: u64 = 1;
const FLAG_IN_UPDATE_OR_DELETE: u64 = 16;
const FLAG_IN_SELECT: u64 = 32;

/// A pipeline under construction: the scan, then what runs above it.
pub struct DagBuilder<'a> {
    ctx: &'a ExecContext,
    table: &'a TableInfo,
    executors: Vec<tipb::Executor>,
    summaries: Summaries,
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
        ctx: &'a ExecContext,
        table: &'a TableInfo,
        scan: &TableScan,
    ) -> Result<Self, ReadError> {
        let mut columns = Vec::with_capacity(scan.columns.len());
        for column in scan.columns.iter() {
            columns.push(scan_column(ctx, table, column)?);
        }
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
                desc: scan.desc,
                primary_column_ids,
                keep_order: scan.keep_order,
                ..tipb::TableScan::default()
            }),
            executor_id: scan.base.id.to_string(),
            ..tipb::Executor::default()
        };
        Ok(DagBuilder { ctx, table, executors: vec![scan], summaries: Summaries::Omit })
    }

    /// Begins with a scan of an index.
    ///
    /// The wire form lists all columns of the index in key order, then the handle's; a projection picks those wanted.
    pub fn index_scan(
        ctx: &'a ExecContext,
        table: &'a TableInfo,
        scan: &IndexScan,
    ) -> Result<Self, ReadError> {
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
        let mut builder = DagBuilder { ctx, table, executors: vec![executor], summaries: Summaries::Omit };
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
        if is_identity {
            return Ok(());
        }
        let exprs = self.exprs(&exprs)?;
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
            let mut executor = self.step(&node.op)?;
            executor.executor_id = node.base.id.to_string();
            self.executors.push(executor);
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
            CopOp::Projection(exprs) => tipb::Executor {
                tp: tipb::ExecType::TypeProjection.into(),
                projection: Some(tipb::Projection { exprs: self.exprs(exprs)? }),
                ..tipb::Executor::default()
            },
            CopOp::Aggregation { aggregates, group_by, streamed } => {
                let mut agg_func = Vec::with_capacity(aggregates.len());
                for call in aggregates {
                    let mut call = call.clone();
                    call.args =
                        call.args.into_iter().map(|arg| bind(arg, self.ctx)).collect::<Result<_, _>>()?;
                    let function = pushdown::aggregate_to_tipb(&call);
                    agg_func.push(
                        function.ok_or_else(|| ReadError::NotPushable { expression: call.to_string() })?,
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
        pushdown::to_tipb(&bound).ok_or_else(|| ReadError::NotPushable { expression: expr.to_string() })
    }

    /// The request's bytes.
    pub fn encode(self) -> bytes::Bytes {
        let eval = &self.ctx.eval;
        let _ = self.table;
        let mut flags = if eval.in_dml { FLAG_IN_UPDATE_OR_DELETE } else { FLAG_IN_SELECT };
        if eval.ignore_errors {
            flags |= FLAG_IGNORE_TRUNCATE;
        }
        let dag = tipb::DagRequest {
            executors: self.executors,
            time_zone_name: eval.time_zone.name().to_owned(),
            flags,
            sql_mode: eval.sql_mode.bits(),
            collect_execution_summaries: self.summaries == Summaries::Collect,
            max_allowed_packet: eval.max_allowed_packet as u64,
            max_warning_count: WARNINGS_MAX,
            div_precision_increment: Some(u32::from(eval.div_precision_increment)),
            arrow_ipc: true,
            now_micros: eval.now_micros,
            ..tipb::DagRequest::default()
        };
        dag.encode_to_vec().into()
    }
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
