//! `LOAD DATA LOCAL INFILE`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::{Options, servers, servers::Server};
use crate::tpch;

/// Loads lineitem into both servers.
pub fn run(options: &Options, program: &Path) -> anyhow::Result<()> {
    println!("| server | rows | s | rows/s |");
    println!("| --- | --- | --- | --- |");
    let mut speeds = Vec::new();
    for server in [Server::tidewater(program)?, Server::mariadb()?] {
        let (rows, elapsed) = tables(&server, options.scale, &["lineitem"])?;
        let speed = rows as f64 / elapsed.as_secs_f64();
        speeds.push(speed);
        println!("| {} | {rows} | {:.2} | {speed:.0} |", server.name, elapsed.as_secs_f64());
    }
    println!("ratio: {:.2}", speeds[0] / speeds[1]);
    Ok(())
}

/// Makes the TPC-H schema and loads some of its tables; returns the number of rows and the time of the loads.
pub fn tables(server: &Server, scale: f64, tables: &[&str]) -> anyhow::Result<(u64, Duration)> {
    let folder = data_folder(scale)?;
    let schema = std::fs::read_to_string(tpch::folder().join("schema.sql"))?;
    server.sql("", "CREATE DATABASE tpch")?;
    server.sql("tpch", &schema)?;
    let (mut rows, mut time) = (0, Duration::ZERO);
    for table in tables {
        let file = folder.join(format!("{table}.tbl"));
        let load = format!(
            "LOAD DATA LOCAL INFILE '{}' INTO TABLE {table} FIELDS TERMINATED BY '|'",
            file.display()
        );
        let (_, elapsed) = servers::timed(|| server.sql("tpch", &load))?;
        let count = server.sql("tpch", &format!("SELECT COUNT(*) FROM {table}"))?;
        rows += count.trim().parse::<u64>().with_context(|| format!("COUNT(*) answered {count}"))?;
        time += elapsed;
    }
    eprintln!("{}: {rows} rows loaded in {:.1} s", server.name, time.as_secs_f64());
    Ok((rows, time))
}

/// The generated files, kept between runs.
fn data_folder(scale: f64) -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("tidewater-tpch-{scale}"));
    if !folder.join("complete").exists() {
        tpch::write_tables(scale, &folder)?;
        std::fs::write(folder.join("complete"), "")?;
    }
    Ok(folder)
}
