//! Rows in, rows out: the only place that touches the operators' interface.

use tidewater_executor::{BoxedOperator, ExecContext, ExecError, Values, collect};
use tidewater_expr::{Expr, build_function};
use tidewater_types::{Datum, FieldType};

pub type Row = Vec<Datum>;

/// Chunks of at most seven rows make every operator cross chunk borders.
pub fn context() -> ExecContext {
    ExecContext { initial_chunk_rows: 2, max_chunk_rows: 7, ..ExecContext::default() }
}

pub fn column(index: usize, field_type: FieldType) -> Expr {
    Expr::column(index, field_type, &format!("c{index}"))
}

pub fn int(index: usize) -> Expr {
    column(index, FieldType::int())
}

pub fn call(ctx: &ExecContext, name: &str, args: Vec<Expr>) -> Expr {
    build_function(name, args, &ctx.eval).expect("the test's expression is well typed")
}

pub fn values(ctx: &ExecContext, schema: &[FieldType], rows: &[Row]) -> BoxedOperator {
    Box::new(Values::from_rows(ctx, schema.to_vec(), rows.to_vec()))
}

pub fn try_run(mut operator: BoxedOperator) -> Result<Vec<Row>, ExecError> {
    let chunks = futures::executor::block_on(collect(operator.as_mut()))?;
    let schema = operator.schema().to_vec();
    let mut rows = Vec::new();
    for chunk in chunks {
        assert!(chunk.num_rows() > 0, "operators never give empty chunks");
        assert_eq!(chunk.columns().len(), schema.len(), "chunks have the schema's columns");
        for row in 0..chunk.num_rows() {
            rows.push(chunk.row(row, &schema));
        }
    }
    Ok(rows)
}

pub fn run(operator: BoxedOperator) -> Vec<Row> {
    try_run(operator).expect("the operator runs")
}

/// For comparing results whose order is free.
pub fn sorted(rows: Vec<Row>) -> Vec<String> {
    let mut texts: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    texts.sort();
    texts
}

pub fn nullable(value: Option<i64>) -> Datum {
    value.map_or(Datum::Null, Datum::Int)
}

pub fn as_int(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Int(value) => Some(*value),
        Datum::Null => None,
        other => panic!("not an integer: {other:?}"),
    }
}
