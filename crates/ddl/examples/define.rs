//! What a CREATE TABLE becomes.
//!
//! ```text
//! cargo run -p tidewater-ddl --example define
//! ```

use tidewater_catalog::{DbInfo, ShowCreateOptions, show_create_table};
use tidewater_codec::DbId;
use tidewater_ddl::define::{DefineContext, build_table};
use tidewater_parser::ast::Statement;
use tidewater_parser::{ParserOptions, parse_one};
use tidewater_types::ConvertContext;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sql = "create table t (id int auto_increment primary key, name varchar(20) not null default 'x', unique (name))";
    let Statement::CreateTable(create) = parse_one(sql, &ParserOptions::default())?.statement else {
        return Err("not a CREATE TABLE".into());
    };
    let database = DbInfo::new(DbId(1), "test");
    let context = DefineContext { convert: ConvertContext::default(), database: &database, clustered: true };
    let table = build_table(&context, &create)?;
    println!("{}", show_create_table(&table, ShowCreateOptions::default(), &context.convert));
    Ok(())
}
