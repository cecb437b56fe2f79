//! Statistics from a sample of rows.
//!
//! ANALYZE reads a table's rows in chunks; the builder counts them all, sketches each column's distinct values, and keeps
//! a uniform sample of rows (reservoir sampling, Vitter's algorithm R). From the sample come the frequent values and the
//! histograms, scaled up to the whole table.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use tidewater_chunk::Chunk;
use tidewater_codec::{ColumnId, DecodeError, IndexId, datum::encode_key_datum};
use tidewater_types::{Datum, FieldType};

use crate::{ColumnStats, DistinctSketch, Histogram, TableStats, TopValue};

/// How much detail to keep.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions {
    /// Rows in the sample.
    pub sample_rows_max: usize,
    /// Buckets of a histogram.
    pub bucket_count_max: usize,
    /// Frequent values kept apart.
    pub top_n_max: usize,
}

impl Default for BuildOptions {
    fn default() -> Self {
        BuildOptions { sample_rows_max: 30_000, bucket_count_max: 256, top_n_max: 20 }
    }
}

/// Takes rows in, gives [`TableStats`].
pub struct StatsBuilder<R> {
    options: BuildOptions,
    columns: Vec<(ColumnId, FieldType)>,
    /// Positions of each index's columns among `columns`.
    indices: Vec<(IndexId, Vec<usize>)>,
    rows: u64,
    sketches: Vec<DistinctSketch>,
    index_sketches: Vec<Vec<DistinctSketch>>,
    null_counts: Vec<u64>,
    sizes: Vec<u64>,
    /// Key bytes per column; `None` is NULL.
    sample: Vec<Vec<Option<Vec<u8>>>>,
    random: R,
}

impl<R: Rng> StatsBuilder<R> {
    /// For rows of these columns; indexes are given as positions among them.
    pub fn new(
        columns: Vec<(ColumnId, FieldType)>,
        indices: Vec<(IndexId, Vec<usize>)>,
        options: BuildOptions,
        random: R,
    ) -> Self {
        StatsBuilder {
            options,
            rows: 0,
            sketches: vec![DistinctSketch::default(); columns.len()],
            index_sketches: indices
                .iter()
                .map(|(_, parts)| vec![DistinctSketch::default(); parts.len()])
                .collect(),
            null_counts: vec![0; columns.len()],
            sizes: vec![0; columns.len()],
            sample: Vec::new(),
            columns,
            indices,
            random,
        }
    }

    /// Takes the rows of a chunk.
    pub fn push(&mut self, chunk: &Chunk) -> Result<(), DecodeError> {
        for row in 0..chunk.num_rows() {
            let mut values = Vec::with_capacity(self.columns.len());
            for (position, (_, field_type)) in self.columns.iter().enumerate() {
                let value = chunk.datum(row, position, field_type);
                values.push(encode(&value, field_type)?);
            }
            self.push_row(values);
        }
        Ok(())
    }

    /// The statistics of all rows taken.
    pub fn finish(self) -> TableStats {
        let total = self.rows as f64;
        let columns = self
            .columns
            .iter()
            .enumerate()
            .map(|(position, (id, _))| {
                let values = self.sample.iter().filter_map(|row| row[position].clone()).collect();
                let mut stats = self.summarize(values, total - self.null_counts[position] as f64);
                stats.null_count = self.null_counts[position] as f64;
                stats.ndv = self.sketches[position].estimate().round().min(total);
                stats.avg_size = self.sizes[position] as f64 / total.max(1.0);
                (*id, stats)
            })
            .collect();
        let indices = self
            .indices
            .iter()
            .zip(&self.index_sketches)
            .map(|((id, parts), sketches)| {
                let values = self.sample.iter().map(|row| index_key(row, parts, parts.len())).collect();
                let mut stats = self.summarize(values, total);
                stats.prefix_ndv =
                    sketches.iter().map(|sketch| sketch.estimate().round().min(total)).collect();
                stats.ndv = stats.prefix_ndv.last().copied().unwrap_or(total);
                (*id, stats)
            })
            .collect();
        TableStats { row_count: total, modify_count: 0.0, version: 0, pseudo: false, columns, indices }
    }

    fn push_row(&mut self, values: Vec<Option<Vec<u8>>>) {
        self.rows += 1;
        for (position, value) in values.iter().enumerate() {
            match value {
                Some(bytes) => {
                    self.sketches[position].insert(bytes);
                    self.sizes[position] += bytes.len() as u64;
                }
                None => self.null_counts[position] += 1,
            }
        }
        for ((_, parts), sketches) in self.indices.iter().zip(&mut self.index_sketches) {
            for (length, sketch) in sketches.iter_mut().enumerate() {
                sketch.insert(&index_key(&values, parts, length + 1));
            }
        }
        if self.sample.len() < self.options.sample_rows_max {
            self.sample.push(values);
        } else {
            let place = self.random.random_range(0..self.rows);
            if let Some(slot) = usize::try_from(place).ok().and_then(|place| self.sample.get_mut(place)) {
                *slot = values;
            }
        }
    }

    /// Frequent values and histogram of sampled values that stand for `total` rows.
    fn summarize(&self, mut values: Vec<Vec<u8>>, total: f64) -> ColumnStats {
        let scale = if values.is_empty() { 1.0 } else { total / values.len() as f64 };
        values.sort_unstable();
        let mut groups: Vec<(Vec<u8>, u64)> = Vec::new();
        for value in values {
            match groups.last_mut() {
                Some((last, count)) if *last == value => *count += 1,
                _ => groups.push((value, 1)),
            }
        }
        let top_n = self.top_values(&groups);
        let rest: Vec<_> = groups.into_iter().filter(|(value, _)| !top_n.contains_key(value)).collect();
        let rest_rows = rest.iter().map(|(_, count)| *count as f64).sum::<f64>() * scale;
        ColumnStats {
            top_n: top_n
                .into_iter()
                .map(|(value, count)| TopValue { value, count: count as f64 * scale })
                .collect(),
            histogram: Histogram::build(
                rest.into_iter().map(|(value, count)| (value, count as f64 * scale)),
                rest_rows,
                self.options.bucket_count_max,
            ),
            ..ColumnStats::default()
        }
    }

    /// Values at least twice as frequent as the average one, the most frequent first to be taken.
    fn top_values(&self, groups: &[(Vec<u8>, u64)]) -> BTreeMap<Vec<u8>, u64> {
        let sampled: u64 = groups.iter().map(|(_, count)| count).sum();
        let bar = (sampled as f64 / groups.len().max(1) as f64 * 2.0).max(2.0);
        let few = groups.len() <= self.options.top_n_max;
        let mut frequent: Vec<_> =
            groups.iter().filter(|(_, count)| few || *count as f64 >= bar).cloned().collect();
        frequent.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        frequent.truncate(self.options.top_n_max);
        frequent.into_iter().collect()
    }
}

fn encode(value: &Datum, field_type: &FieldType) -> Result<Option<Vec<u8>>, DecodeError> {
    if value.is_null() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    // JSON has no key form; its statistics are only counts.
    if !matches!(value, Datum::Json(_)) {
        encode_key_datum(value, field_type, &mut bytes)?;
    }
    Ok(Some(bytes))
}

/// The first `length` values of an index key; NULL is the flag byte 0 of the key format.
fn index_key(row: &[Option<Vec<u8>>], parts: &[usize], length: usize) -> Vec<u8> {
    let mut key = Vec::new();
    for &part in &parts[..length] {
        match &row[part] {
            Some(bytes) => key.extend_from_slice(bytes),
            None => key.push(0),
        }
    }
    key
}
