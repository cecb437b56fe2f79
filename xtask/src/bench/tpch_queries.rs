//! The TPC-H queries: speed against MariaDB, and equal answers.

use std::path::Path;

use anyhow::bail;

use super::{Options, geometric_mean, load, servers, servers::Server};
use crate::tpch;

/// Each query runs this often on each server; the fastest counts.
const RUNS: usize = 3;

/// Loads both servers, compares answers and times.
pub fn run(options: &Options, program: &Path) -> anyhow::Result<()> {
    let servers = [Server::tidewater(program)?, Server::mariadb()?];
    // Both get the indexes on foreign keys without which MariaDB's nested loops never end.
    let indexes = std::fs::read_to_string(tpch::folder().join("foreign_key_indexes.sql"))?;
    for server in &servers {
        load::tables(server, options.scale, tpch::TABLES)?;
        let (_, elapsed) = servers::timed(|| server.sql("tpch", &indexes))?;
        eprintln!("{}: indexes on foreign keys made in {:.1} s", server.name, elapsed.as_secs_f64());
        server.sql("tpch", &format!("ANALYZE TABLE {}", tpch::TABLES.join(", ")))?;
    }
    println!("| query | tidewater s | mariadb s | speed ratio | answers |");
    println!("| --- | --- | --- | --- | --- |");
    let mut ratios = Vec::new();
    let mut different = 0;
    for query in tpch::QUERIES {
        let text = std::fs::read_to_string(tpch::folder().join(format!("q{query}.sql")))?;
        let (answer, ours) = fastest(&servers[0], &text)?;
        let (expected, theirs) = fastest(&servers[1], &text)?;
        let equal = same_rows(&answer, &expected);
        different += usize::from(!equal);
        ratios.push(theirs / ours);
        println!(
            "| {query} | {ours:.3} | {theirs:.3} | {:.2} | {} |",
            theirs / ours,
            if equal { "equal" } else { "DIFFERENT" }
        );
    }
    println!("geometric mean of the ratios: {:.2}", geometric_mean(&ratios));
    if different > 0 {
        bail!("{different} queries gave other answers than MariaDB");
    }
    Ok(())
}

/// Seconds of the fastest run, less what the client takes for nothing.
fn fastest(server: &Server, query: &str) -> anyhow::Result<(String, f64)> {
    let mut answer = String::new();
    let (mut query_s, mut nothing_s) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..RUNS {
        let (_, nothing) = servers::timed(|| server.sql("tpch", "SELECT 1"))?;
        let (rows, elapsed) = servers::timed(|| server.sql("tpch", query))?;
        nothing_s = nothing_s.min(nothing.as_secs_f64());
        query_s = query_s.min(elapsed.as_secs_f64());
        answer = rows;
    }
    Ok((answer, (query_s - nothing_s).max(1e-4)))
}

/// Equal texts, but for trailing zeros of numbers: engines differ in the scale they print.
fn same_rows(a: &str, b: &str) -> bool {
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split('\t').map(normal).collect()).collect()
    };
    rows(a) == rows(b)
}

fn normal(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if value.contains('.') => format!("{number:.4}"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::same_rows;

    #[test]
    fn scale_does_not_matter_but_values_do() {
        assert!(same_rows("a\t1.50\n", "a\t1.5000\n"));
        assert!(!same_rows("a\t1.50\n", "a\t1.51\n"));
        assert!(!same_rows("a\n", "a\nb\n"));
    }
}
