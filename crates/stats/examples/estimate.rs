//! Analyzes a column and estimates how many of its rows are in a range.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tidewater_chunk::ChunkBuilder;
use tidewater_codec::ColumnId;
use tidewater_stats::{BuildOptions, KeyRange, StatsBuilder};
use tidewater_types::{Datum, FieldType};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let types = [FieldType::int()];
    let mut chunk = ChunkBuilder::new(&types, 1000);
    for value in 0..1000 {
        chunk.push_row(&[Datum::Int(value * value % 311)]);
    }
    let columns = vec![(ColumnId(1), types[0].clone())];
    let mut builder = StatsBuilder::new(columns, vec![], BuildOptions::default(), SmallRng::seed_from_u64(7));
    builder.push(&chunk.finish())?;
    let stats = builder.finish();
    let range = KeyRange {
        low: vec![Datum::Int(100)],
        low_inclusive: true,
        high: vec![Datum::Int(200)],
        high_inclusive: false,
    };
    println!("{} rows, {} distinct values", stats.row_count, stats.ndv(ColumnId(1), false));
    println!("about {:.0} between 100 and 200", stats.column_rows(ColumnId(1), &[range], &types[0], false));
    Ok(())
}
