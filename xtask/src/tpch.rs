//! `cargo xtask tpch-data`: the TPC-H tables as `|`-separated files, and where the queries lie.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

use crate::command;

/// What to make.
#[derive(Args)]
pub struct Options {
    /// Scale factor: 1 is about a gigabyte.
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    /// Folder for the files; made when missing.
    #[arg(long, default_value = "tpch-data")]
    out: PathBuf,
}

/// The tables in an order that suits foreign keys.
pub const TABLES: &[&str] =
    &["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"];

/// The queries that the tests and benchmarks run.
pub const QUERIES: &[u32] = &[1, 3, 4, 5, 6, 10, 12, 13, 14, 18, 19];

/// Makes the files.
pub fn run(options: &Options) -> anyhow::Result<()> {
    write_tables(options.scale, &options.out)?;
    println!("wrote {} tables of scale {} to {}", TABLES.len(), options.scale, options.out.display());
    Ok(())
}

/// The folder with schema, queries and expected answers.
pub fn folder() -> PathBuf {
    command::workspace_root().join("apps/tidewater/tests/tpch")
}

/// Writes `<table>.tbl` for each table unless it is there already.
pub fn write_tables(scale: f64, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for &table in TABLES {
        let path = folder.join(format!("{table}.tbl"));
        match table {
            "region" => write(&path, RegionGenerator::new(scale, 1, 1).iter())?,
            "nation" => write(&path, NationGenerator::new(scale, 1, 1).iter())?,
            "part" => write(&path, PartGenerator::new(scale, 1, 1).iter())?,
            "supplier" => write(&path, SupplierGenerator::new(scale, 1, 1).iter())?,
            "partsupp" => write(&path, PartSuppGenerator::new(scale, 1, 1).iter())?,
            "customer" => write(&path, CustomerGenerator::new(scale, 1, 1).iter())?,
            "orders" => write(&path, OrderGenerator::new(scale, 1, 1).iter())?,
            _ => write(&path, LineItemGenerator::new(scale, 1, 1).iter())?,
        }
    }
    Ok(())
}

/// The rows print themselves in the form of the official generator, with a separator behind every value.
fn write(path: &Path, rows: impl Iterator<Item = impl Display>) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::new(file);
    for row in rows {
        writeln!(out, "{row}")?;
    }
    Ok(out.flush()?)
}
