use proptest::prelude::*;
use tidewater_executor::{BuildSide, ExecContext, HashJoin, HashJoinSpec, JoinKey, JoinKind, KeyNulls};
use tidewater_types::{Collation, Datum, FieldType};

use crate::support::{Row, as_int, call, column, context, int, nullable, run, sorted, values};

const KINDS: [JoinKind; 7] = [
    JoinKind::Inner,
    JoinKind::LeftOuter,
    JoinKind::RightOuter,
    JoinKind::Semi,
    JoinKind::AntiSemi,
    JoinKind::LeftOuterSemi,
    JoinKind::AntiLeftOuterSemi,
];

/// What is asked about each pair, in three-valued logic.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    /// `l.0 = r.0`, plain.
    key: bool,
    /// `l.0 <=> r.0` instead of `=`.
    null_equal: bool,
    /// `l.1 = r.1`, null-aware.
    null_aware: bool,
    /// `l.2 < r.2`.
    other: bool,
}

fn equal(left: &Datum, right: &Datum) -> Option<bool> {
    Some(as_int(left)? == as_int(right)?)
}

impl Conditions {
    /// Some(true): match; None: unknown through a null-aware key; Some(false): no match.
    fn of(self, left: &Row, right: &Row) -> Option<bool> {
        let key = match (self.key, self.null_equal) {
            (false, _) => true,
            (true, true) => as_int(&left[0]) == as_int(&right[0]),
            (true, false) => equal(&left[0], &right[0]) == Some(true),
        };
        let less = |left: &Datum, right: &Datum| matches!((as_int(left), as_int(right)), (Some(l), Some(r)) if l < r);
        let other = !self.other || less(&left[2], &right[2]);
        if !key || !other {
            return Some(false);
        }
        if self.null_aware { equal(&left[1], &right[1]) } else { Some(true) }
    }
}

/// The definition of the join kinds, row by row.
fn model(kind: JoinKind, left: &[Row], right: &[Row], conditions: Conditions) -> Vec<Row> {
    let nulls = || vec![Datum::Null; 3];
    let join = |left: &Row, right: &Row| [left.clone(), right.clone()].concat();
    let mut out = Vec::new();
    let mut right_matched = vec![false; right.len()];
    for left_row in left {
        let outcomes: Vec<Option<bool>> =
            right.iter().map(|right_row| conditions.of(left_row, right_row)).collect();
        let matched = outcomes.contains(&Some(true));
        let unknown = !matched && outcomes.contains(&None);
        let mark = |value: bool| if unknown { Datum::Null } else { Datum::Int(i64::from(value)) };
        match kind {
            JoinKind::Semi if matched => out.push(left_row.clone()),
            JoinKind::AntiSemi if !matched && !unknown => out.push(left_row.clone()),
            JoinKind::LeftOuterSemi => out.push([left_row.clone(), vec![mark(matched)]].concat()),
            JoinKind::AntiLeftOuterSemi => out.push([left_row.clone(), vec![mark(!matched)]].concat()),
            JoinKind::Semi | JoinKind::AntiSemi => {}
            JoinKind::Inner | JoinKind::LeftOuter | JoinKind::RightOuter => {
                for (index, right_row) in right.iter().enumerate() {
                    if outcomes[index] == Some(true) {
                        right_matched[index] = true;
                        out.push(join(left_row, right_row));
                    }
                }
                if kind == JoinKind::LeftOuter && !matched {
                    out.push(join(left_row, &nulls()));
                }
            }
        }
    }
    if kind == JoinKind::RightOuter {
        for (index, right_row) in right.iter().enumerate() {
            if !right_matched[index] {
                out.push(join(&nulls(), right_row));
            }
        }
    }
    out
}

fn hash_join(
    ctx: &ExecContext,
    kind: JoinKind,
    build: BuildSide,
    left: &[Row],
    right: &[Row],
    c: Conditions,
) -> Vec<Row> {
    let schema = [FieldType::int(), FieldType::int(), FieldType::int()];
    let nulls = if c.null_equal { KeyNulls::Equal } else { KeyNulls::Reject };
    let key = |index| JoinKey::equal(int(index), int(index));
    let spec = HashJoinSpec {
        kind,
        build,
        keys: if c.key { vec![JoinKey { nulls, ..key(0) }] } else { vec![] },
        null_aware_keys: if c.null_aware { vec![key(1)] } else { vec![] },
        other_conditions: if c.other { vec![call(ctx, "lt", vec![int(2), int(5)])] } else { vec![] },
    };
    let (left, right) = (values(ctx, &schema, left), values(ctx, &schema, right));
    run(Box::new(HashJoin::new(ctx, left, right, spec).expect("a valid plan")))
}

fn rows(count: usize) -> impl Strategy<Value = Vec<Row>> {
    let cell = || prop_oneof![1 => Just(None), 4 => (0..4_i64).prop_map(Some)].prop_map(nullable);
    proptest::collection::vec(proptest::collection::vec(cell(), 3), 0..count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn every_kind_equals_its_definition(
        left in rows(24),
        right in rows(24),
        key: bool, null_equal: bool, null_aware: bool, other: bool,
    ) {
        let ctx = context();
        for kind in KINDS {
            let knows_unknown = kind.is_semi() && kind != JoinKind::Semi;
            let conditions = Conditions { key, null_equal, null_aware: null_aware && knows_unknown, other };
            let expected = sorted(model(kind, &left, &right, conditions));
            for build in [BuildSide::Left, BuildSide::Right] {
                if kind.is_semi() && build == BuildSide::Left {
                    continue;
                }
                let got = sorted(hash_join(&ctx, kind, build, &left, &right, conditions));
                prop_assert_eq!(&got, &expected, "{:?} building {:?} with {:?}", kind, build, conditions);
            }
        }
    }
}

#[test]
fn string_keys_match_under_the_comparison_s_collation() {
    let ctx = context();
    let text = |text: &str| vec![Datum::Bytes(text.into())];
    let schema = [FieldType::varchar(20).with_collation(Collation::Utf8mb4GeneralCi)];
    let left = values(&ctx, &schema, &[text("Ab"), text("x"), vec![Datum::Null]]);
    let right = values(&ctx, &schema, &[text("aB"), text("AB "), text("y"), vec![Datum::Null]]);
    let key = JoinKey::equal(column(0, schema[0].clone()), column(0, schema[0].clone()));
    let spec = HashJoinSpec {
        kind: JoinKind::Inner,
        build: BuildSide::Right,
        keys: vec![key],
        null_aware_keys: vec![],
        other_conditions: vec![],
    };
    let joined = run(Box::new(HashJoin::new(&ctx, left, right, spec).expect("a valid plan")));
    assert_eq!(joined, [[text("Ab"), text("aB")].concat(), [text("Ab"), text("AB ")].concat()]);
}

#[test]
fn keys_of_different_types_are_compared_as_mysql_does() {
    let ctx = context();
    let unsigned = |value: u64| vec![Datum::UInt(value)];
    let left = values(&ctx, &[FieldType::int()], &[vec![Datum::Int(-1)], vec![Datum::Int(7)]]);
    // The bits of -1 are not the number -1.
    let right = values(&ctx, &[FieldType::uint()], &[unsigned(u64::MAX), unsigned(7)]);
    let spec = |left, right| HashJoinSpec {
        kind: JoinKind::Inner,
        build: BuildSide::Left,
        keys: vec![JoinKey::equal(column(0, left), column(0, right))],
        null_aware_keys: vec![],
        other_conditions: vec![],
    };
    let join =
        HashJoin::new(&ctx, left, right, spec(FieldType::int(), FieldType::uint())).expect("a valid plan");
    assert_eq!(run(Box::new(join)), [vec![Datum::Int(7), Datum::UInt(7)]]);

    let decimal = FieldType::decimal(10, 2);
    let value = |text: &str| Datum::Decimal(text.parse().expect("a decimal"));
    let left = values(&ctx, &[FieldType::int()], &[vec![Datum::Int(1)], vec![Datum::Int(2)]]);
    let right = values(&ctx, std::slice::from_ref(&decimal), &[vec![value("2.00")], vec![value("1.50")]]);
    let join = HashJoin::new(&ctx, left, right, spec(FieldType::int(), decimal)).expect("a valid plan");
    assert_eq!(run(Box::new(join)), [vec![Datum::Int(2), value("2.00")]]);
}
