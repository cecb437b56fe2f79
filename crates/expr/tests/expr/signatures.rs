//! Functions by signature: the same results as by name.

use proptest::prelude::*;
use tidewater_chunk::{Chunk, ChunkBuilder};
use tidewater_expr::pushdown::{self, Dialect};
use tidewater_expr::{AggregateCall, AggregateFunction, EvalContext, Expr, build_function};
use tidewater_proto::tipb;
use tidewater_types::{Collation, Datum, EvalType, FieldType, TypeCode};

use crate::notation;

/// Texts of values of a type, plain and odd ones.
fn texts(eval_type: EvalType) -> [&'static str; 5] {
    match eval_type {
        EvalType::Int => ["0", "1", "7", "-3", "1234567"],
        EvalType::Real => ["0", "1.5", "-0.25", "3", "1e10"],
        EvalType::Decimal => ["0", "1.5", "-2.7500", "1234567.8901", "3"],
        EvalType::String => ["", "abc", "A b%c", "äöü", "2020-02-29"],
        EvalType::DateTime => {
            ["2020-02-29 12:34:56", "1999-12-31", "2000-01-01 00:00:01", "2024-06-15 23:59:59", "2021-03-04"]
        }
        EvalType::Duration => ["00:00:00", "12:34:56", "-01:02:03", "100:00:00", "23:59:59"],
        EvalType::Json => ["1", "\"text\"", "[1, 2, 3]", "{\"a\": 1}", "null"],
    }
}

fn values(field_type: &FieldType, shift: usize) -> Vec<Datum> {
    let ctx = EvalContext::default();
    let texts = texts(field_type.eval_type());
    let unsigned = field_type.is_unsigned();
    let mut values: Vec<Datum> = (0..texts.len())
        .map(|at| {
            let text = texts[(at + shift) % texts.len()].trim_start_matches(if unsigned { "-" } else { "" });
            let datum = Datum::Bytes(text.as_bytes().to_vec());
            tidewater_expr::cast_datum(&datum, &FieldType::string(), field_type, &ctx).expect("a value")
        })
        .collect();
    values.push(Datum::Null);
    values
}

fn chunk(types: &[FieldType]) -> Chunk {
    let columns: Vec<Vec<Datum>> = types.iter().enumerate().map(|(at, ft)| values(ft, at)).collect();
    let mut builder = ChunkBuilder::new(types, 6);
    for row in 0..columns.first().map_or(1, Vec::len) {
        let row: Vec<Datum> = columns.iter().map(|column| column[row].clone()).collect();
        builder.push_row(&row);
    }
    builder.finish()
}

fn column_types(expr: &Expr) -> Vec<FieldType> {
    let mut types = Vec::new();
    expr.columns(&mut |column| types.push(column.field_type.clone()));
    types
}

fn show(expr: &Expr, chunk: &Chunk) -> Vec<String> {
    let ctx = EvalContext::default();
    let field_type = expr.field_type();
    match expr.eval(&ctx, chunk) {
        Ok(array) => (0..chunk.num_rows())
            .map(|row| format!("{:?}", tidewater_chunk::datum_at(array.as_ref(), row, &field_type)))
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// No function goes by name.
fn is_by_number(message: &tipb::Expr) -> bool {
    message.func_name.is_empty()
        && message.func_collation == 0
        && (message.tp != i32::from(tipb::ExprType::ScalarFunc) || message.sig != 0)
        && message.children.iter().all(is_by_number)
}

fn check(expr: &Expr) -> tipb::Expr {
    assert!(pushdown::is_public(expr), "{expr}");
    let message = pushdown::to_tipb_in(expr, Dialect::Public).unwrap_or_else(|| panic!("{expr}"));
    assert!(is_by_number(&message), "{message:?}");
    let back = pushdown::from_tipb(&message).unwrap_or_else(|error| panic!("{expr}: {error}"));
    assert_eq!(back.field_type().eval_type(), expr.field_type().eval_type(), "{expr}");
    let chunk = chunk(&column_types(expr));
    assert_eq!(show(&back, &chunk), show(expr, &chunk), "{expr}");
    message
}

#[test]
fn every_signature_evaluates_as_its_name_does() {
    let examples = pushdown::signature_examples();
    assert!(examples.len() > 250, "{}", examples.len());
    for (sig, expr) in examples {
        let message = check(&expr);
        // By name the number goes along.
        assert_eq!(pushdown::to_tipb(&expr).expect("a message").sig, message.sig, "{expr}");
        // Another row may stand before this one for arguments of these types; strangers choose for themselves.
        let back = pushdown::from_tipb(&tipb::Expr { sig, ..message });
        let back = back.unwrap_or_else(|error| panic!("{sig}: {error}"));
        let chunk = chunk(&column_types(&expr));
        assert_eq!(show(&back, &chunk), show(&expr, &chunk), "{sig} {expr}");
    }
}

#[test]
fn built_expressions_go_by_number() {
    let ctx = EvalContext::default();
    for text in [
        "plus(1, 2)",
        "and(gt(5, 3), like('abc', 'a%'))",
        "like('a%', 'a|%', '|')",
        "in('a', 'b', 'a', NULL)",
        "case(eq(1, 2), 'x', 'y')",
        "cast('12' as decimal(10, 2))",
        "year(date'2020-05-06')",
        "isnull(NULL)",
        "is_not_null(NULL)",
        "is_not_null('a')",
        "ifnull(NULL, 1.5)",
        "coalesce(NULL, NULL, 'a')",
        "eq(time'10:11:12', '10:11:12')",
        "bitneg(5)",
        "not(eq(1, NULL))",
        "concat('a', 1, 'b')",
    ] {
        check(&notation::parse(text, &ctx).expect("an expression"));
    }
}

#[test]
fn the_collation_of_a_comparison_shows_in_its_type() {
    let ctx = EvalContext::default();
    let column = Expr::column(0, FieldType::varchar(9).with_collation(Collation::Utf8mb4GeneralCi), "c");
    let expr = build_function("eq", vec![column, Expr::string("ABC")], &ctx).expect("a comparison");
    let message = check(&expr);
    assert_eq!((message.sig, message.field_type.expect("a type").collate), (143, -45));
}

#[test]
fn what_has_no_number_stays() {
    let ctx = EvalContext::default();
    let of = |code| Expr::column(0, FieldType::new(code), "c");
    for expr in [
        notation::parse("regexp('a', 'b')", &ctx).expect("an expression"),
        notation::parse("date_add(date'2018-05-01', 1, 'DAY')", &ctx).expect("an expression"),
        build_function("like", vec![Expr::string("a"), of(TypeCode::VarChar), of(TypeCode::VarChar)], &ctx)
            .expect("a call"),
        of(TypeCode::Enum),
        of(TypeCode::Bit),
    ] {
        assert!(!pushdown::is_public(&expr), "{expr}");
        assert!(pushdown::to_tipb_in(&expr, Dialect::Public).is_none(), "{expr}");
    }
}

#[test]
fn aggregates_go_by_number() {
    let ctx = EvalContext::default();
    let call = |function, field_type| {
        AggregateCall::new(function, vec![Expr::column(0, field_type, "c")], false, &ctx).expect("a call")
    };
    for (function, wanted) in [
        (AggregateFunction::Count, vec![3001]),
        (AggregateFunction::Sum, vec![3002]),
        (AggregateFunction::Avg, vec![3001, 3002]),
        (AggregateFunction::Min, vec![3004]),
        (AggregateFunction::Max, vec![3005]),
        (AggregateFunction::FirstRow, vec![3006]),
        (AggregateFunction::BitAnd, vec![3008]),
        (AggregateFunction::BitOr, vec![3009]),
        (AggregateFunction::BitXor, vec![3010]),
    ] {
        let call = call(function, FieldType::int());
        let messages = pushdown::aggregate_to_tipb_in(&call, Dialect::Public).expect("messages");
        assert_eq!(messages.iter().map(|message| message.tp).collect::<Vec<_>>(), wanted);
        let types: Vec<_> = messages
            .iter()
            .flat_map(|message| pushdown::aggregate_from_tipb(message).expect("a call").partial_types())
            .map(|field_type| (field_type.code, field_type.decimals))
            .collect();
        let own: Vec<_> = call.partial_types().iter().map(|ft| (ft.code, ft.decimals)).collect();
        assert_eq!(types, own, "{call}");
    }
    assert!(!pushdown::is_public_aggregate(&call(AggregateFunction::VarPop, FieldType::double())));
    assert!(!pushdown::is_public_aggregate(&call(AggregateFunction::Max, FieldType::new(TypeCode::Set))));
    // An AVG of a stranger's gives both halves.
    let average = tipb::Expr {
        tp: 3003,
        children: vec![pushdown::to_tipb(&Expr::int(1)).expect("a message")],
        field_type: Some(pushdown::field_type_to_tipb(&FieldType::decimal(20, 4))),
        ..Default::default()
    };
    assert_eq!(pushdown::aggregate_from_tipb(&average).expect("a call").partial_types().len(), 2);
}

fn int(value: i64) -> tipb::Expr {
    pushdown::to_tipb(&Expr::int(value)).expect("a message")
}

fn by_number(sig: i32, children: Vec<tipb::Expr>) -> tipb::Expr {
    tipb::Expr {
        tp: tipb::ExprType::ScalarFunc.into(),
        sig,
        children,
        field_type: Some(pushdown::field_type_to_tipb(&FieldType::int())),
        ..Default::default()
    }
}

#[test]
fn strangers_are_told_the_number() {
    let error =
        |sig, children| pushdown::from_tipb(&by_number(sig, children)).expect_err("an error").to_string();
    assert!(error(9999, Vec::new()).contains("9999"));
    assert!(error(0, Vec::new()).contains("signature 0"));
    // LTString of integers, EQInt of one.
    assert!(error(103, vec![int(1), int(2)]).contains("103"));
    assert!(error(140, vec![int(1)]).contains("140"));
    let aggregate = tipb::Expr { tp: 3007, ..by_number(0, vec![int(1)]) };
    assert!(pushdown::aggregate_from_tipb(&aggregate).expect_err("an error").to_string().contains("3007"));
}

#[test]
fn signs_and_truth_tests_of_strangers() {
    let ctx = EvalContext::default();
    let eval = |sig, children| {
        pushdown::from_tipb(&by_number(sig, children)).expect("a call").eval_datum(&ctx).expect("a value")
    };
    let null = tipb::Expr { tp: 0, field_type: int(0).field_type, ..Default::default() };
    assert_eq!(eval(222, vec![int(2), int(3)]), Datum::Int(5));
    assert_eq!(eval(226, vec![int(7), int(4)]), Datum::Int(3));
    assert_eq!(eval(3142, vec![int(7)]), Datum::Int(1));
    assert_eq!(eval(3142, vec![null.clone()]), Datum::Null);
    assert_eq!(eval(3145, vec![int(7)]), Datum::Int(0));
    assert_eq!(eval(3122, vec![null]), Datum::Int(0));
}

proptest! {
    /// Any number with any arguments: an error or something that evaluates.
    #[test]
    fn any_signature_is_answered(
        sig in prop_oneof![0..250, 2100..2160, 3100..3150, 4000..4320, 5000..5030, 6000..6160, 7000..7080],
        codes in proptest::collection::vec(prop_oneof![Just(3), Just(5), Just(10), Just(11), Just(12), Just(253), Just(246), Just(245)], 0..5),
        result in prop_oneof![Just(8), Just(5), Just(12), Just(11), Just(253), Just(246), Just(245)],
    ) {
        let field_type = |code: i32| tipb::FieldType { tp: code, flen: 10, decimal: 2, collate: 46, ..Default::default() };
        let children: Vec<tipb::Expr> = codes
            .iter()
            .enumerate()
            .map(|(at, code)| {
                let mut val = Vec::new();
                tidewater_codec::number::write_i64(at as i64, &mut val);
                tipb::Expr { tp: 201, val: val.into(), field_type: Some(field_type(*code)), ..Default::default() }
            })
            .collect();
        let message = tipb::Expr { field_type: Some(field_type(result)), ..by_number(sig, children) };
        if let Ok(expr) = pushdown::from_tipb(&message) {
            let types = column_types(&expr);
            let _ = expr.eval(&EvalContext::default(), &chunk(&types));
        }
    }
}
