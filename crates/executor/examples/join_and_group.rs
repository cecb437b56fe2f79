//! Joins two small tables and counts by city: `SELECT count(*), city FROM person JOIN town ON .. GROUP BY city`.

use tidewater_executor::{
    BoxedOperator, BuildSide, ExecContext, HashAggregate, HashJoin, HashJoinSpec, JoinKey, JoinKind, Sort,
    SortKey, Values, collect,
};
use tidewater_expr::{AggregateCall, AggregateFunction, Expr};
use tidewater_types::{Datum, FieldType};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ctx = ExecContext::default();
    let text = |text: &str| Datum::Bytes(text.as_bytes().to_vec());
    let person_schema = vec![FieldType::varchar(20), FieldType::int()];
    let people = [("Ada", 1), ("Bob", 2), ("Cyd", 1), ("Dan", 3)]
        .map(|(name, town)| vec![text(name), Datum::Int(town)])
        .to_vec();
    let town_schema = vec![FieldType::int(), FieldType::varchar(20)];
    let towns = [(1, "Kiel"), (2, "Bremen")].map(|(id, name)| vec![Datum::Int(id), text(name)]).to_vec();

    let join = HashJoin::new(
        &ctx,
        Box::new(Values::from_rows(&ctx, person_schema, people)),
        Box::new(Values::from_rows(&ctx, town_schema, towns)),
        HashJoinSpec {
            kind: JoinKind::Inner,
            build: BuildSide::Right,
            keys: vec![JoinKey::equal(
                Expr::column(1, FieldType::int(), "person.town"),
                Expr::column(0, FieldType::int(), "town.id"),
            )],
            null_aware_keys: vec![],
            other_conditions: vec![],
        },
    )?;
    let city = Expr::column(3, FieldType::varchar(20), "town.name");
    let count = AggregateCall::new(AggregateFunction::Count, vec![Expr::int(1)], false, &ctx.eval)?;
    let grouped: BoxedOperator = Box::new(HashAggregate::new(&ctx, Box::new(join), vec![city], vec![count])?);
    let by_city = SortKey::ascending(Expr::column(1, FieldType::varchar(20), "town.name"));
    let mut sorted = Sort::new(&ctx, grouped, vec![by_city]);

    for chunk in futures::executor::block_on(collect(&mut sorted))? {
        for row in 0..chunk.num_rows() {
            if let [Datum::Int(count), Datum::Bytes(city)] =
                chunk.row(row, &[FieldType::int(), FieldType::varchar(20)]).as_slice()
            {
                println!("{:8} {count}", String::from_utf8_lossy(city));
            }
        }
    }
    Ok(())
}
