//! `WHERE id BETWEEN 3 AND 7 OR id = 100` and `WHERE name >= 'm'` as ranges of keys.

use tidewater_catalog::TableInfo;
use tidewater_codec::TableId;
use tidewater_distsql::{index_ranges, row_ranges};
use tidewater_planner::KeyRange;
use tidewater_types::{Datum, FieldType, TimeZone, TypeFlags};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut table = TableInfo::new(TableId(42), "person");
    table.pk_is_handle = true;
    table.add_column("id", FieldType::int().not_null()).field_type.flags |= TypeFlags::PRI_KEY;
    table.add_column("name", FieldType::varchar(20));
    table.add_index("by_name", &["name"]);
    let zone = TimeZone::utc();

    let between = KeyRange {
        low: vec![Datum::Int(3)],
        low_inclusive: true,
        high: vec![Datum::Int(7)],
        high_inclusive: true,
    };
    for range in row_ranges(&table, &[between, KeyRange::point(vec![Datum::Int(100)])], &zone)? {
        println!("row    {}..{}", range.start, range.end);
    }
    let from_m = KeyRange {
        low: vec![Datum::Bytes(b"m".to_vec())],
        low_inclusive: true,
        high: vec![],
        high_inclusive: true,
    };
    for range in index_ranges(&table, &table.indices[0], &[from_m], &zone)? {
        println!("index  {}..{}", range.start, range.end);
    }
    Ok(())
}
