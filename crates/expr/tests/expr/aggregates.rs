//! Aggregates: complete, and split into a partial and a final part.

use arrow::array::ArrayRef;
use tidewater_chunk::{Chunk, ChunkBuilder, datum_at};
use tidewater_expr::{AggregateCall, AggregateFunction, EvalContext, Expr, SortItem, datum_text};
use tidewater_types::{Datum, Decimal, FieldType};

fn chunk(field_type: &FieldType, values: &[Datum]) -> Chunk {
    let mut builder = ChunkBuilder::new(std::slice::from_ref(field_type), values.len());
    values.iter().for_each(|v| builder.push_row(std::slice::from_ref(v)));
    builder.finish()
}

fn inputs(call: &AggregateCall, chunk: &Chunk, ctx: &EvalContext) -> Vec<ArrayRef> {
    call.inputs().map(|expr| expr.eval(ctx, chunk).expect("an argument")).collect()
}

/// Rows alternate between two groups; a third group has no rows.
fn results(call: &AggregateCall, chunk: &Chunk, ctx: &EvalContext) -> Vec<String> {
    let groups: Vec<u32> = (0..chunk.num_rows() as u32).map(|row| row % 2).collect();
    let mut complete = call.aggregator(ctx).expect("an aggregator");
    complete.update(&inputs(call, chunk, ctx), &groups, 2).expect("an update");
    complete.resize(3);
    let array = complete.finish().expect("results");
    let text = |array: &ArrayRef| -> Vec<String> {
        (0..3).map(|g| datum_text(&datum_at(array.as_ref(), g, &call.field_type), &call.field_type)).collect()
    };
    let expected = text(&array);
    if call.can_split() {
        // Two stores see half of the rows each.
        let (partial, last) = call.split(0);
        let mut merged = last.aggregator(ctx).expect("an aggregator");
        let half = chunk.num_rows() / 2;
        for (start, end) in [(0, half), (half, chunk.num_rows())] {
            let part = chunk.slice(start, end - start);
            let groups: Vec<u32> = (start..end).map(|row| (row % 2) as u32).collect();
            let mut states = partial.aggregator(ctx).expect("an aggregator");
            states.update(&inputs(&partial, &part, ctx), &groups, 2).expect("an update");
            let columns = states.finish_partial().expect("partial results");
            assert_eq!(columns.len(), call.partial_types().len());
            merged.update(&columns, &[0, 1], 2).expect("a merge");
        }
        merged.resize(3);
        assert_eq!(text(&merged.finish().expect("results")), expected, "{call} in two parts");
    }
    expected
}

fn check(
    function: AggregateFunction,
    distinct: bool,
    field_type: &FieldType,
    values: &[Datum],
    expected: [&str; 3],
) {
    let ctx = EvalContext::default();
    let column = Expr::column(0, field_type.clone(), "test.t.a");
    let call = AggregateCall::new(function, vec![column], distinct, &ctx).expect("an aggregate");
    assert_eq!(results(&call, &chunk(field_type, values), &ctx), expected, "{call}");
}

fn ints(values: &[Option<i64>]) -> Vec<Datum> {
    values.iter().map(|v| v.map_or(Datum::Null, Datum::Int)).collect()
}

fn texts(values: &[&str]) -> Vec<Datum> {
    values.iter().map(|v| Datum::Bytes(v.as_bytes().to_vec())).collect()
}

#[test]
fn integers() {
    use AggregateFunction as F;
    let ft = FieldType::int();
    // Group 0: 1, 3, NULL, 1; group 1: 2, NULL, 6, 2.
    let v = ints(&[Some(1), Some(2), Some(3), None, None, Some(6), Some(1), Some(2)]);
    check(F::Count, false, &ft, &v, ["3", "3", "0"]);
    check(F::Count, true, &ft, &v, ["2", "2", "0"]);
    check(F::Sum, false, &ft, &v, ["5", "10", "NULL"]);
    check(F::Sum, true, &ft, &v, ["4", "8", "NULL"]);
    check(F::Avg, false, &ft, &v, ["1.6667", "3.3333", "NULL"]);
    check(F::Avg, true, &ft, &v, ["2.0000", "4.0000", "NULL"]);
    check(F::Min, false, &ft, &v, ["1", "2", "NULL"]);
    check(F::Max, false, &ft, &v, ["3", "6", "NULL"]);
    check(F::BitAnd, false, &ft, &v, ["1", "2", "18446744073709551615"]);
    check(F::BitOr, false, &ft, &v, ["3", "6", "0"]);
    check(F::BitXor, false, &ft, &v, ["3", "6", "0"]);
    check(F::VarPop, false, &ft, &ints(&[Some(1), Some(2), Some(3), Some(4)]), ["1", "1", "NULL"]);
    check(F::VarSamp, false, &ft, &ints(&[Some(1), Some(2), Some(3), Some(4)]), ["2", "2", "NULL"]);
    check(F::StddevPop, false, &ft, &ints(&[Some(1), Some(2), Some(3), Some(4)]), ["1", "1", "NULL"]);
    check(F::StddevSamp, false, &ft, &ints(&[Some(1), Some(2)]), ["NULL", "NULL", "NULL"]);
    check(F::FirstRow, false, &ft, &ints(&[None, Some(2), Some(3), Some(4)]), ["NULL", "2", "NULL"]);
    check(F::GroupConcat, false, &ft, &v, ["1,3,1", "2,6,2", "NULL"]);
    check(F::ApproxCountDistinct, false, &ft, &v, ["2", "2", "0"]);
}

#[test]
fn decimals_beyond_38_digits() {
    use AggregateFunction as F;
    let ft = FieldType::decimal(38, 0);
    let big = Datum::Decimal(Decimal::from_i128(10i128.pow(38) - 1, 0));
    let v = vec![big; 8];
    check(
        F::Sum,
        false,
        &ft,
        &v,
        ["399999999999999999999999999999999999996", "399999999999999999999999999999999999996", "NULL"],
    );
    check(
        F::Avg,
        false,
        &ft,
        &v,
        [
            "99999999999999999999999999999999999999.0000",
            "99999999999999999999999999999999999999.0000",
            "NULL",
        ],
    );
    check(
        F::Max,
        false,
        &ft,
        &v,
        ["99999999999999999999999999999999999999", "99999999999999999999999999999999999999", "NULL"],
    );
}

#[test]
fn money() {
    use AggregateFunction as F;
    let ft = FieldType::decimal(15, 2);
    let v: Vec<Datum> =
        [150, 250, 325, 475].iter().map(|v| Datum::Decimal(Decimal::from_i128(*v, 2))).collect();
    check(F::Sum, false, &ft, &v, ["4.75", "7.25", "NULL"]);
    check(F::Avg, false, &ft, &v, ["2.375000", "3.625000", "NULL"]);
    check(F::Min, false, &ft, &v, ["1.50", "2.50", "NULL"]);
}

#[test]
fn text() {
    use AggregateFunction as F;
    let ft = FieldType::varchar(10);
    let v = texts(&["b", "x", "a", "z", "c", "y", "a", "x"]);
    check(F::Min, false, &ft, &v, ["a", "x", "NULL"]);
    check(F::Max, false, &ft, &v, ["c", "z", "NULL"]);
    check(F::Count, true, &ft, &v, ["3", "3", "0"]);
    check(F::GroupConcat, true, &ft, &v, ["b,a,c", "x,z,y", "NULL"]);
    let ctx = EvalContext::default();
    let column = Expr::column(0, ft.clone(), "test.t.a");
    let mut call =
        AggregateCall::new(F::GroupConcat, vec![column.clone()], false, &ctx).expect("an aggregate");
    call.order_by.push(SortItem { expr: column, descending: true });
    call.separator = "-".to_owned();
    assert_eq!(results(&call, &chunk(&ft, &v), &ctx), ["c-b-a-a", "z-y-x-x", "NULL"]);
    assert_eq!(call.to_string(), "group_concat(test.t.a order by test.t.a desc separator \"-\")");
}

#[test]
fn group_concat_is_cut_at_its_limit() {
    let ctx = EvalContext { group_concat_max_len: 4, ..EvalContext::default() };
    let ft = FieldType::varchar(10);
    let column = Expr::column(0, ft.clone(), "test.t.a");
    let call =
        AggregateCall::new(AggregateFunction::GroupConcat, vec![column], false, &ctx).expect("an aggregate");
    let mut states = call.aggregator(&ctx).expect("an aggregator");
    states.update_all(&inputs(&call, &chunk(&ft, &texts(&["äb", "cd"])), &ctx), 2).expect("an update");
    let array = states.finish().expect("a result");
    assert_eq!(datum_at(array.as_ref(), 0, &call.field_type), Datum::Bytes("äb,".as_bytes().to_vec()));
    assert_eq!(ctx.warnings.take().len(), 1);
}

#[test]
fn one_group_is_summed_the_short_way() {
    let ctx = EvalContext::default();
    let ft = FieldType::decimal(15, 2);
    let v: Vec<Datum> = (0..100).map(|v| Datum::Decimal(Decimal::from_i128(v, 2))).collect();
    for function in
        [AggregateFunction::Sum, AggregateFunction::Avg, AggregateFunction::Count, AggregateFunction::Max]
    {
        let column = Expr::column(0, ft.clone(), "test.t.a");
        let call = AggregateCall::new(function, vec![column], false, &ctx).expect("an aggregate");
        let arrays = inputs(&call, &chunk(&ft, &v), &ctx);
        let mut short = call.aggregator(&ctx).expect("an aggregator");
        short.update_all(&arrays, 100).expect("an update");
        let mut long = call.aggregator(&ctx).expect("an aggregator");
        long.update(&arrays, &[0; 100], 1).expect("an update");
        assert_eq!(
            short.finish().expect("a result").as_ref(),
            long.finish().expect("a result").as_ref(),
            "{call}"
        );
    }
}
