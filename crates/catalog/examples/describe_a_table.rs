//! Describes a table, prints its stored form and the statement that makes it.

use tidewater_catalog::{ShowCreateOptions, TableInfo, show_create_table};
use tidewater_codec::TableId;
use tidewater_types::{ConvertContext, FieldType, SqlMode, TimeZone};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut table = TableInfo::new(TableId(100), "orders");
    table.add_column("id", FieldType::int().not_null());
    table.add_column("note", FieldType::varchar(40)).comment = "free text".to_owned();
    table.add_index("by_note", &["note"]);
    table.refresh_key_flags();
    let context = ConvertContext {
        sql_mode: SqlMode::DEFAULT,
        strict: true,
        time_zone: TimeZone::utc(),
        now_micros: 0,
        warnings: Default::default(),
        column: "".into(),
        row: 1,
    };
    println!("{}", show_create_table(&table, ShowCreateOptions::default(), &context));
    println!("{}", serde_json::to_string_pretty(&table)?);
    Ok(())
}
