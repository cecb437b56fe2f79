//! The cost model, in units of "looking at one row of a hundred bytes or so".
//!
//! Only ratios matter: a random row read costs some ten scanned rows, a row over the network about one, building a hash
//! table twice what probing it does.

/// Scanning rows on a store.
pub(crate) fn scan(rows: f64, width: f64) -> f64 {
    rows * (1.0 + width / 128.0)
}

/// Bringing rows from a store.
pub(crate) fn network(rows: f64, width: f64) -> f64 {
    rows * (0.3 + width / 256.0)
}

/// Starting a scan at so many places.
pub(crate) fn seek(ranges: f64) -> f64 {
    4.0 * ranges
}

/// Reading single rows by handle.
pub(crate) fn fetch(rows: f64, width: f64) -> f64 {
    rows * 8.0 + scan(rows, width)
}

/// One request to a store.
pub(crate) const REQUEST: f64 = 20.0;

/// Checking conditions.
pub(crate) fn filter(rows: f64, conditions: usize) -> f64 {
    rows * 0.1 * conditions as f64
}

/// Computing columns.
pub(crate) fn project(rows: f64, columns: usize) -> f64 {
    rows * 0.02 * columns as f64
}

/// Sorting.
pub(crate) fn sort(rows: f64) -> f64 {
    rows * rows.max(2.0).log2() * 0.3
}

/// Keeping the first few of an order.
pub(crate) fn top_n(rows: f64, wanted: f64) -> f64 {
    rows * 0.2 + sort(wanted.min(rows))
}

/// Building and probing a hash table.
pub(crate) fn hash_join(build: f64, probe: f64, output: f64) -> f64 {
    build * 2.0 + probe + output * 0.2
}

/// Grouping by hash.
pub(crate) fn hash_aggregate(rows: f64, groups: f64, aggregates: usize) -> f64 {
    rows * (0.6 + 0.15 * aggregates as f64) + groups
}
