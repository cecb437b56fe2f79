//! Reads SQL from the arguments (or a sample) and shows what the parser makes of it.
//!
//! `cargo run -p tidewater-parser --example explain_text -- "select 1+1, a from t where b in (1,2)"`

use tidewater_parser::ast::{QueryBody, Statement};
use tidewater_parser::{ParserOptions, StatementIter, normalize};

fn main() {
    let sql = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "select 1+1, a from t where b in (1, 2); begin; selec 1".to_owned());
    let options = ParserOptions::default();
    let mut statements = StatementIter::new(&sql);
    while let Some(parsed) = statements.next_statement(&options) {
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                println!("ERROR {}: {error}", error.mysql_code());
                return;
            }
        };
        let text = &sql[parsed.text.clone()];
        println!("text:       {text}");
        println!("restored:   {}", parsed.statement);
        println!("normalized: {}", normalize(text, options.sql_mode).text);
        if let Statement::Query(query) = &parsed.statement
            && let QueryBody::Select(select) = &query.body
        {
            let names = select.items.iter().map(|item| item.name().unwrap_or_else(|| "*".to_owned()));
            println!("columns:    {}", names.collect::<Vec<_>>().join(" | "));
        }
        println!();
    }
}
