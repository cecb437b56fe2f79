//! Expressions to messages and back.

use bytes::Bytes;
use proptest::prelude::*;
use tidewater_expr::{
    AggregateCall, AggregateFunction, AggregateMode, EvalContext, Expr, build_function, pushdown,
};
use tidewater_proto::tipb;
use tidewater_types::FieldType;

use crate::notation;

fn round_trip(text: &str) {
    let ctx = EvalContext::default();
    let expr = notation::parse(text, &ctx).expect("an expression");
    let message = pushdown::to_tipb(&expr).expect("an expression that may be pushed down");
    let back = pushdown::from_tipb(&message).expect("a message of our own");
    assert_eq!(back.to_string(), expr.to_string());
    assert_eq!(back.field_type(), expr.field_type());
    assert_eq!(back.eval_datum(&ctx), expr.eval_datum(&ctx), "{text}");
}

#[test]
fn expressions_survive_the_way_to_the_store() {
    for text in [
        "plus(1, 2)",
        "mul(1.25, 2.5)",
        "and(gt(5, 3), like('abc', 'a%'))",
        "in('a', 'b', 'a')",
        "case(eq(1, 2), 'x', 'y')",
        "cast('12' as decimal(10, 2))",
        "year(date'2020-05-06')",
        "extract('YEAR', '2019-07-02')",
        "date_add(date'2018-05-01', 1, 'DAY')",
        "eq(collate('a', 'utf8mb4_general_ci'), 'A')",
        "isnull(NULL)",
        "plus(1e0, 2)",
        "eq(time'10:11:12', '10:11:12')",
        "cast('[1, 2]' as json)",
        "bitneg(5)",
    ] {
        round_trip(text);
    }
}

#[test]
fn columns_keep_position_and_type() {
    let ctx = EvalContext::default();
    let column = Expr::column(3, FieldType::decimal(15, 2), "test.t.price");
    let expr = build_function("gt", vec![column, Expr::int(5)], &ctx).expect("a comparison");
    let back = pushdown::from_tipb(&pushdown::to_tipb(&expr).expect("a message")).expect("an expression");
    let mut seen = Vec::new();
    back.columns(&mut |column| seen.push((column.index, column.field_type.clone())));
    assert_eq!(seen, [(3, FieldType::decimal(15, 2))]);
}

#[test]
fn what_depends_on_the_session_stays() {
    let ctx = EvalContext::default();
    for name in ["now", "rand", "uuid", "connection_id", "last_insert_id"] {
        let expr = build_function(name, Vec::new(), &ctx).expect("a function");
        assert!(!pushdown::can_push_down(&expr), "{name}");
        assert!(pushdown::to_tipb(&expr).is_none(), "{name}");
    }
}

#[test]
fn aggregates_survive_the_way_to_the_store() {
    let ctx = EvalContext::default();
    for function in
        [AggregateFunction::Count, AggregateFunction::Sum, AggregateFunction::Avg, AggregateFunction::Max]
    {
        let column = Expr::column(0, FieldType::decimal(15, 2), "test.t.price");
        let call = AggregateCall::new(function, vec![column], false, &ctx).expect("an aggregate");
        assert!(pushdown::can_push_down_aggregate(&call));
        let (partial, _) = call.split(0);
        let message = pushdown::aggregate_to_tipb(&partial).expect("a message");
        let back = pushdown::aggregate_from_tipb(&message).expect("an aggregate");
        assert_eq!((back.function, back.mode), (function, AggregateMode::Partial));
        assert_eq!(back.field_type, call.field_type);
        assert_eq!(back.partial_types(), partial.partial_types());
    }
}

#[test]
fn a_deep_message_is_refused() {
    let mut message = tipb::Expr { tp: tipb::ExprType::Null.into(), ..Default::default() };
    for _ in 0..1000 {
        message = tipb::Expr {
            tp: tipb::ExprType::ScalarFunc.into(),
            func_name: "not".to_owned(),
            func_collation: 46,
            field_type: Some(pushdown::field_type_to_tipb(&FieldType::int())),
            children: vec![message],
            ..Default::default()
        };
    }
    assert!(pushdown::from_tipb(&message).is_err());
}

proptest! {
    /// Whatever a stranger sends: an error or an expression that evaluates to something, never a panic.
    #[test]
    fn any_message_is_answered(
        tp in prop_oneof![Just(10_000), Just(201), Just(102), Just(107), Just(108), 0..110],
        val in proptest::collection::vec(any::<u8>(), 0..20),
        name in prop_oneof![Just("plus"), Just("eq"), Just("like"), Just("in"), Just("year"), Just("cast"), Just("case"),
            Just("extract"), Just("date_add"), Just("coalesce"), Just("substring"), Just("json_extract"), Just("greatest")],
        type_codes in proptest::collection::vec(prop_oneof![Just(3), Just(8), Just(5), Just(10), Just(12), Just(253), Just(246), Just(245)], 4),
        children in 0usize..4,
    ) {
        let field_type = |code: i32| tipb::FieldType { tp: code, flen: 10, decimal: 2, collate: 46, ..Default::default() };
        let leaf = |code: i32| tipb::Expr {
            tp, val: Bytes::from(val.clone()), field_type: Some(field_type(code)), func_name: "not".to_owned(), ..Default::default()
        };
        let message = tipb::Expr {
            tp: 10_000,
            func_name: name.to_owned(),
            func_collation: 46,
            field_type: Some(field_type(type_codes[0])),
            children: type_codes[1..].iter().take(children).map(|c| leaf(*c)).collect(),
            ..Default::default()
        };
        if let Ok(expr) = pushdown::from_tipb(&message) {
            let _ = expr.eval(&EvalContext::default(), &tidewater_chunk::Chunk::rows_only(2));
        }
    }
}
