//! How long it takes until a region has another replica.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{Cluster, Shape};
use crate::command;

/// What the region holds, in MiB of rows that do not compress.
const REGION_MIB: usize = 96;
const ROW_BYTES: usize = 4096;
const ROWS_PER_STATEMENT: usize = 256;
/// Nothing is split, and nothing is moved but by us.
const STORE_SETTINGS: &str = "[coprocessor]\nregion-max-size = \"1GiB\"\nregion-split-size = \"512MiB\"\n\
                              [raftstore]\npd-heartbeat-tick-interval = \"1s\"\n";
const PD_SETTINGS: &str =
    "[schedule]\nlow-space-ratio = 1.0\nregion-schedule-limit = 0\nmerge-schedule-limit = 0\n";
const PATIENCE: Duration = Duration::from_secs(300);

/// Fills a region and adds a replica.
pub fn run(program: &Path) -> anyhow::Result<()> {
    let shape = Shape { stores: 4, replicas: 3, sqls: 1 };
    let cluster = Cluster::start(program, "replica", shape, PD_SETTINGS, STORE_SETTINGS)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&Pd { program, address: &cluster.pd }, cluster.sql_port()?))
}

struct Pd<'a> {
    program: &'a Path,
    address: &'a str,
}

impl Pd<'_> {
    fn ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        command::output(Command::new(self.program).args(["ctl", "--pd", self.address]).args(arguments))
    }

    fn page(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.ctl(&[&["--json"], arguments].concat())?)?)
    }
}

async fn measure(pd: &Pd<'_>, sql_port: u16) -> anyhow::Result<()> {
    let region = fill(pd, sql_port).await?;
    let stores = pd.page(&["stores"])?;
    let ids = stores["stores"]
        .as_array()
        .context("no stores")?
        .iter()
        .filter_map(|store| store["store"]["id"].as_u64());
    let taken = peers(&pd.page(&["region", &region])?);
    let target =
        ids.into_iter().find(|id| !taken.iter().any(|(store, _)| store == id)).context("no store is left")?;
    let begun = Instant::now();
    pd.ctl(&["operators", "add", "add-peer", &region, &target.to_string()])?;
    while !peers(&pd.page(&["region", &region])?).contains(&(target, true)) {
        if begun.elapsed() > PATIENCE {
            bail!("store {target} has no replica of region {region} yet");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("a replica of {REGION_MIB} MiB: {seconds:.2} s, {:.0} MiB/s", REGION_MIB as f64 / seconds);
    Ok(())
}

/// Stores with peers of the region, and whether these vote and have all of it.
fn peers(region: &Value) -> Vec<(u64, bool)> {
    let list = |name: &str| region[name].as_array().cloned().unwrap_or_default();
    let pending: Vec<_> = list("pending_peers").iter().map(|peer| peer["id"].clone()).collect();
    let of = |peer: &Value| {
        let is_whole = peer["role_name"] == "Voter" && !pending.contains(&peer["id"]);
        Some((peer["store_id"].as_u64()?, is_whole))
    };
    list("peers").iter().filter_map(of).collect()
}

/// Puts the rows; returns the region that has them.
async fn fill(pd: &Pd<'_>, sql_port: u16) -> anyhow::Result<String> {
    let options = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(sql_port).user(Some("root"));
    let mut conn = Conn::new(options.prefer_socket(false)).await?;
    conn.query_drop("CREATE DATABASE bench").await?;
    conn.query_drop("CREATE TABLE bench.big (id BIGINT PRIMARY KEY, v VARBINARY(5000))").await?;
    let mut state = 1u64;
    for first in (0..REGION_MIB * (1 << 20) / ROW_BYTES).step_by(ROWS_PER_STATEMENT) {
        let rows: Vec<_> = (first..first + ROWS_PER_STATEMENT)
            .map(|id| format!("({id}, 0x{})", noise(&mut state)))
            .collect();
        conn.query_drop(format!("INSERT INTO bench.big VALUES {}", rows.join(", "))).await?;
    }
    let rows: Vec<mysql_async::Row> = conn.query("SHOW TABLE bench.big REGIONS").await?;
    let id: u64 = rows.first().and_then(|row| row.get("REGION_ID")).context("the table has no region")?;
    // Until all of them have it all.
    let begun = Instant::now();
    while peers(&pd.page(&["region", &id.to_string()])?).iter().filter(|(_, is_whole)| *is_whole).count() < 3
    {
        if begun.elapsed() > PATIENCE {
            bail!("region {id} never had three replicas");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    conn.disconnect().await?;
    Ok(id.to_string())
}

/// A row's bytes in hexadecimal.
fn noise(state: &mut u64) -> String {
    let mut text = String::with_capacity(ROW_BYTES * 2);
    for _ in 0..ROW_BYTES / 8 {
        // Marsaglia's xorshift.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        text += &format!("{state:016x}");
    }
    text
}
