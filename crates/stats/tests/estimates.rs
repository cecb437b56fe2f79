//! Estimates against counting.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tidewater_chunk::ChunkBuilder;
use tidewater_codec::{ColumnId, IndexId};
use tidewater_stats::{BuildOptions, KeyRange, StatsBuilder, TableStats};
use tidewater_types::{Datum, FieldType};

fn analyze(values: &[Option<i64>]) -> TableStats {
    let types = [FieldType::int(), FieldType::int()];
    let mut builder = StatsBuilder::new(
        vec![(ColumnId(1), types[0].clone()), (ColumnId(2), types[1].clone())],
        vec![(IndexId(1), vec![0, 1])],
        BuildOptions { sample_rows_max: 5_000, ..BuildOptions::default() },
        SmallRng::seed_from_u64(1),
    );
    for rows in values.chunks(1024) {
        let mut chunk = ChunkBuilder::new(&types, rows.len());
        for value in rows {
            let value = value.map_or(Datum::Null, Datum::Int);
            chunk.push_row(&[value.clone(), Datum::Int(7)]);
        }
        builder.push(&chunk.finish()).expect("integers have key forms");
    }
    builder.finish()
}

fn range(low: i64, high: i64) -> KeyRange {
    KeyRange {
        low: vec![Datum::Int(low)],
        low_inclusive: true,
        high: vec![Datum::Int(high)],
        high_inclusive: true,
    }
}

#[test]
fn a_skewed_column() {
    // Every second row holds 0, the others count up.
    let values: Vec<Option<i64>> = (0..20_000).map(|row| Some(if row % 2 == 0 { 0 } else { row })).collect();
    let stats = analyze(&values);
    let rows = |range| stats.column_rows(ColumnId(1), &[range], &FieldType::int(), false);
    assert_eq!(stats.row_count, 20_000.0);
    assert!((rows(KeyRange::point(vec![Datum::Int(0)])) / 10_000.0 - 1.0).abs() < 0.1);
    assert!(rows(KeyRange::point(vec![Datum::Int(12_345)])) < 50.0);
    assert!((rows(range(1, 9_999)) / 5_000.0 - 1.0).abs() < 0.15);
    assert!((stats.ndv(ColumnId(1), false) / 10_001.0 - 1.0).abs() < 0.05);
}

#[test]
fn nulls_are_counted_apart() {
    let values: Vec<Option<i64>> = (0..3_000).map(|row| (row % 3 != 0).then_some(row)).collect();
    let stats = analyze(&values);
    let types = FieldType::int();
    assert_eq!(stats.columns[&ColumnId(1)].null_count, 1_000.0);
    let nulls = stats.column_rows(ColumnId(1), &[KeyRange::point(vec![Datum::Null])], &types, false);
    assert_eq!(nulls, 1_000.0);
    let others = stats.column_rows(ColumnId(1), &[KeyRange::not_null()], &types, false);
    assert!((others - 2_000.0).abs() < 1.0, "{others}");
}

#[test]
fn statistics_survive_their_stored_form() {
    let stats = analyze(&(0..500).map(Some).collect::<Vec<_>>());
    let back = TableStats::from_json(&stats.to_json()).expect("it was just written");
    assert_eq!(back, stats);
    assert!(TableStats::from_json("{").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// With the whole table in the sample, a range is off by at most the buckets at its ends.
    #[test]
    fn ranges_are_estimated_within_two_buckets(
        values in proptest::collection::vec(-1_000i64..1_000, 100..2_000),
        low in -1_000i64..1_000,
        width in 0i64..1_000,
    ) {
        let stats = analyze(&values.iter().copied().map(Some).collect::<Vec<_>>());
        let high = low + width;
        let counted = values.iter().filter(|value| (low..=high).contains(*value)).count() as f64;
        let estimated = stats.column_rows(ColumnId(1), &[range(low, high)], &FieldType::int(), false);
        let bucket = values.len() as f64 / 256.0;
        prop_assert!((estimated - counted).abs() <= 4.0 * bucket + 4.0, "{estimated} against {counted}");
    }
}
