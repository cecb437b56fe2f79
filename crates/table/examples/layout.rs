//! The keys and values of a row and its index entries.
//!
//! ```text
//! cargo run -p tidewater-table --example layout
//! ```

use std::sync::Arc;

use tidewater_catalog::TableInfo;
use tidewater_codec::{Handle, TableId};
use tidewater_table::{TableError, TableLayout};
use tidewater_types::{Datum, FieldType, TimeZone};

fn main() -> Result<(), TableError> {
    let mut info = TableInfo::new(TableId(100), "orders");
    info.add_column("id", FieldType::int());
    info.add_column("note", FieldType::varchar(40));
    info.add_index("by_note", &["note"]);
    let mut layout = TableLayout::new(Arc::new(info), TimeZone::utc());
    let handle = Handle::Int(7);
    let row = [Datum::Int(1), Datum::Bytes(b"tea".to_vec())];
    println!("row key    {}", layout.row_key(&handle));
    println!("row value  {:02x?}", layout.row_value(&row)?);
    let table = Arc::clone(&layout.info);
    for index in &table.indices {
        let entry = layout.index_entry(index, &row, &handle)?;
        println!("{:<10} {} -> {:02x?}", index.name, entry.key, entry.value);
    }
    Ok(())
}
