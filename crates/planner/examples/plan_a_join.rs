//! Plans a query over two tables and prints what EXPLAIN would.

use tidewater_catalog::{DbInfo, InfoSchemaBuilder, TableInfo};
use tidewater_codec::{DbId, TableId};
use tidewater_expr::EvalContext;
use tidewater_parser::{ParserOptions, parse_one};
use tidewater_planner::{PlanContext, PlannerVars, explain, plan};
use tidewater_stats::PseudoStats;
use tidewater_types::FieldType;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut orders = TableInfo::new(TableId(1), "orders");
    orders.add_column("id", FieldType::int());
    orders.add_column("customer", FieldType::int());
    orders.add_index("by_customer", &["customer"]);
    let mut customers = TableInfo::new(TableId(2), "customers");
    customers.add_column("id", FieldType::int());
    customers.add_column("name", FieldType::varchar(40));
    let mut schema = InfoSchemaBuilder::new();
    schema
        .put_database(DbInfo::new(DbId(1), "shop"))
        .put_table(DbId(1), orders)
        .put_table(DbId(1), customers);
    let schema = schema.build(1);

    let sql =
        "SELECT name, count(*) FROM orders JOIN customers ON customers.id = orders.customer GROUP BY name";
    let statement = parse_one(sql, &ParserOptions::default())?.statement;
    let context = PlanContext {
        info_schema: &schema,
        stats: &PseudoStats,
        current_db: Some("shop"),
        eval: &EvalContext::default(),
        param_types: &[],
        vars: PlannerVars::default(),
        dirty_tables: &|_| false,
        system_variable: &|_, _| None,
    };
    for row in explain(&plan(&statement, &context)?.root) {
        println!(
            "{:<32}{:>12.2}  {:<10}{:<16}{}",
            row.id, row.est_rows, row.task, row.access_object, row.operator_info
        );
    }
    Ok(())
}
