//! Rows and their entries in an index. A row is `k3` = `c2:17`: its color, and the transaction that wrote it. Its entry is `kc2r3` = `17`.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::Workload;
use crate::history::Value;

const COLORS: usize = 3;

/// The entry of a row with that color.
fn entry(row: &str, color: &str) -> String {
    format!("k{color}r{}", &row[1..])
}

fn color(number: usize) -> String {
    format!("c{number}")
}

/// Rows, and all entries they can have.
pub(super) fn keys() -> Vec<String> {
    let rows = Workload::Index.rows();
    let entries = rows.iter().flat_map(|row| (0..COLORS).map(move |number| entry(row, &color(number))));
    rows.iter().cloned().chain(entries).collect()
}

/// A row gets another color, or goes, and its entry with it.
pub(super) fn change(number: usize, row: &str, old: &Value, rng: &mut SmallRng) -> Vec<(String, Value)> {
    let color = color(rng.random_range(0..COLORS));
    let goes = rng.random_bool(0.1);
    let mut writes = Vec::new();
    if let Some((old, _)) = old.as_deref().and_then(|old| old.split_once(':'))
        && (goes || old != color)
    {
        writes.push((entry(row, old), None));
    }
    writes.push((row.to_owned(), (!goes).then(|| format!("{color}:{number}"))));
    if !goes {
        writes.push((entry(row, &color), Some(number.to_string())));
    }
    writes
}

/// The entries that a row should have.
pub(crate) fn entry_of(row: &str, value: &str) -> Option<(String, String)> {
    let (color, number) = value.split_once(':')?;
    Some((entry(row, color), number.to_owned()))
}

/// Whether a key is that of a row.
pub(crate) fn is_row(key: &str) -> bool {
    !key.contains('r')
}
