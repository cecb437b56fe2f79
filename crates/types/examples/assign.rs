//! What columns of several types make of the same text, in strict and in lenient mode.
//!
//! `cargo run -p tidewater-types --example assign -- "12.5 apples"`

use tidewater_types::{ConvertContext, Datum, FieldType, SqlMode, TypeCode, convert};

fn main() {
    let text = std::env::args().nth(1).unwrap_or_else(|| "2024-02-30".to_owned());
    let columns = [
        FieldType::new(TypeCode::Tiny),
        FieldType::int(),
        FieldType::decimal(5, 1),
        FieldType::double(),
        FieldType::varchar(5),
        FieldType::date(),
        FieldType::datetime(0),
        FieldType::duration(0),
        FieldType::json(),
    ];
    println!("{text:?} assigned to");
    for column in columns {
        let lenient = ConvertContext::new(SqlMode::empty());
        let strict = match convert(&Datum::from(text.as_str()), &column, &ConvertContext::default()) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_sql_error("c", 1).to_string(),
        };
        let stored = match convert(&Datum::from(text.as_str()), &column, &lenient) {
            Ok(value) => {
                let mut shown = Vec::new();
                column.write_text(&value, &mut shown);
                String::from_utf8_lossy(&shown).into_owned()
            }
            Err(_) => "nothing".to_owned(),
        };
        println!("  {:14} strict: {strict}; lenient stores {stored:?}", column.to_sql());
    }
}
