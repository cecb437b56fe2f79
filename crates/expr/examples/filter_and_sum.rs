//! `SELECT sum(price * quantity) FROM t WHERE name LIKE 'a%'` over one chunk, without SQL around it.

use tidewater_chunk::ChunkBuilder;
use tidewater_expr::{
    AggregateCall, AggregateFunction, EvalContext, Expr, ExprError, build_function, filter_mask,
};
use tidewater_types::{Datum, Decimal, FieldType};

fn main() -> Result<(), ExprError> {
    let types = [FieldType::varchar(10), FieldType::decimal(10, 2), FieldType::int()];
    let mut builder = ChunkBuilder::new(&types, 3);
    for (name, cents, quantity) in [("apple", 120, 3), ("pear", 90, 5), ("apricot", 250, 2)] {
        builder.push_row(&[
            Datum::Bytes(name.into()),
            Datum::Decimal(Decimal::from_i128(cents, 2)),
            Datum::Int(quantity),
        ]);
    }
    let chunk = builder.finish();

    let ctx = EvalContext::default();
    let column = |index: usize, name: &str| Expr::column(index, types[index].clone(), name);
    let condition = build_function("like", vec![column(0, "t.name"), Expr::string("a%")], &ctx)?;
    let total = build_function("mul", vec![column(1, "t.price"), column(2, "t.quantity")], &ctx)?;
    let sum = AggregateCall::new(AggregateFunction::Sum, vec![total], false, &ctx)?;

    let kept = chunk.filter(&filter_mask(std::slice::from_ref(&condition), &ctx, &chunk)?);
    let mut states = sum.aggregator(&ctx)?;
    let args = sum.inputs().map(|arg| arg.eval(&ctx, &kept)).collect::<Result<Vec<_>, _>>()?;
    states.update_all(&args, kept.num_rows())?;
    let result = states.finish()?;
    let value = tidewater_chunk::datum_at(result.as_ref(), 0, &sum.field_type);
    println!(
        "{condition} keeps {} rows; {sum} = {}",
        kept.num_rows(),
        tidewater_expr::datum_text(&value, &sum.field_type)
    );
    Ok(())
}
