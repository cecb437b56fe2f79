//! What distance and replication cost: the same statements on the one-binary server, on processes with one store, and on processes with three stores
//! that replicate everything. And how many entries of the Raft logs share a sync.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Options, servers::Server};
use crate::cluster::{Cluster, Shape};

const CLIENTS: [u32; 3] = [1, 16, 128];
const ROWS: i64 = 10_000;
/// Rows of one batch.
const BATCH: i64 = 100;
const ENTRIES: &str = "tidewater_raft_entries_appended_total";
const SYNCS: &str = "tidewater_raft_log_syncs_total";

/// A way to run the system.
struct Rung {
    name: &'static str,
    port: u16,
    /// Status pages of stores with Raft logs.
    stores: Vec<String>,
    _process: Process,
}

#[expect(dead_code, reason = "they run as long as they are held")]
enum Process {
    One(Server),
    Many(Cluster),
}

impl Rung {
    fn all(program: &Path) -> anyhow::Result<Vec<Self>> {
        let server = Server::tidewater(program)?;
        let mut rungs = vec![Self {
            name: "one binary",
            port: server.port,
            stores: Vec::new(),
            _process: Process::One(server),
        }];
        for (name, folder, count) in
            [("one store, no replicas", "ladder-1", 1), ("three stores, three replicas", "ladder-3", 3)]
        {
            let shape = Shape { stores: count, replicas: count, sqls: 1 };
            // However full the disk of this machine is.
            let cluster = Cluster::start(program, folder, shape, "[schedule]\nlow-space-ratio = 1.0\n", "")?;
            let stores = if count > 1 { cluster.store_status() } else { Vec::new() };
            rungs.push(Self { name, port: cluster.sql_port()?, stores, _process: Process::Many(cluster) });
        }
        Ok(rungs)
    }

    async fn connect(&self) -> anyhow::Result<Conn> {
        let options =
            OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port).user(Some("root"));
        Conn::new(options.prefer_socket(false))
            .await
            .with_context(|| format!("{} does not answer", self.name))
    }

    async fn prepare(&self) -> anyhow::Result<()> {
        let mut conn = self.connect().await?;
        conn.query_drop("CREATE DATABASE ladder").await?;
        for table in ["pairs", "batches", "scanned"] {
            conn.query_drop(format!("CREATE TABLE ladder.{table} (id BIGINT PRIMARY KEY, v VARCHAR(120))"))
                .await?;
        }
        for first in (0..ROWS).step_by(500) {
            let rows: Vec<_> = (first..first + 500).map(|id| format!("({id}, '{}')", value(id))).collect();
            // What is put leaves old versions behind, the more the faster it was: what is scanned has a table of its own.
            for table in ["pairs", "scanned"] {
                conn.query_drop(format!("INSERT INTO ladder.{table} VALUES {}", rows.join(", "))).await?;
            }
        }
        Ok(conn.disconnect().await?)
    }

    /// Entries appended and syncs so far, of each store.
    async fn logs(&self) -> anyhow::Result<Vec<(f64, f64)>> {
        let mut counts = Vec::new();
        for store in &self.stores {
            let page = page(store, "/metrics").await?;
            counts.push((metric(&page, ENTRIES), metric(&page, SYNCS)));
        }
        Ok(counts)
    }
}

fn value(id: i64) -> String {
    format!("{:0>100x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64))
}

/// A page by HTTP.
async fn page(host: &str, path: &str) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(host).await?;
    socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    ensure!(answer.contains(" 200 "), "{host}{path} answered {}", answer.lines().next().unwrap_or_default());
    Ok(answer)
}

/// The sum of all series of a metric.
fn metric(page: &str, name: &str) -> f64 {
    let lines =
        page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    lines.filter_map(|line| line.split_whitespace().last()?.parse::<f64>().ok()).sum()
}

/// A kind of statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    PointGet,
    Put,
    BatchPut,
    Scan,
}

impl Work {
    const ALL: [Self; 4] = [Self::PointGet, Self::Put, Self::BatchPut, Self::Scan];

    fn name(self) -> &'static str {
        match self {
            Self::PointGet => "point get",
            Self::Put => "put of one row",
            Self::BatchPut => "put of 100 rows",
            Self::Scan => "scan of 10,000 rows",
        }
    }

    fn sql(self) -> String {
        match self {
            Self::PointGet => "SELECT v FROM ladder.pairs WHERE id = ?".to_owned(),
            Self::Put => "UPDATE ladder.pairs SET v = ? WHERE id = ?".to_owned(),
            Self::BatchPut => {
                let rows = vec!["(?, 'a row of many that are put at once')"; BATCH as usize];
                format!("INSERT INTO ladder.batches VALUES {}", rows.join(", "))
            }
            Self::Scan => "SELECT COUNT(*) FROM ladder.scanned WHERE v LIKE ?".to_owned(),
        }
    }

    async fn run(self, conn: &mut Conn, statement: &Statement, number: i64) -> anyhow::Result<()> {
        let id = number.wrapping_mul(2_654_435_761).rem_euclid(ROWS);
        match self {
            Self::PointGet => {
                let found: Option<String> = conn.exec_first(statement, (id,)).await?;
                ensure!(found.is_some(), "no row {id}");
            }
            Self::Put => conn.exec_drop(statement, (value(number), id)).await?,
            Self::BatchPut => {
                let ids: Vec<_> = (0..BATCH).map(|row| number * BATCH + row).collect();
                conn.exec_drop(statement, ids).await?;
            }
            Self::Scan => {
                // Another pattern each time: stores remember answers.
                let count: Option<i64> = conn.exec_first(statement, (format!("%0%{number}%"),)).await?;
                ensure!(count.is_some(), "the scan counted nothing");
            }
        }
        Ok(())
    }
}

/// Statements a second by so many clients. `next` numbers the statements of a rung, so that no batch is put twice.
async fn rate(
    rung: &Rung,
    work: Work,
    clients: u32,
    span: Duration,
    next: &Arc<AtomicI64>,
) -> anyhow::Result<f64> {
    let mut ready = Vec::new();
    for _ in 0..clients {
        let mut conn = rung.connect().await?;
        let statement = conn.prep(work.sql()).await?;
        ready.push((conn, statement));
    }
    let begun = Instant::now();
    let clients = ready.into_iter().map(|(mut conn, statement)| {
        let next = next.clone();
        tokio::spawn(async move {
            let mut done = 0u64;
            while begun.elapsed() < span {
                work.run(&mut conn, &statement, next.fetch_add(1, Ordering::Relaxed)).await?;
                done += 1;
            }
            anyhow::Ok(done)
        })
    });
    let mut done = 0;
    for client in clients.collect::<Vec<_>>() {
        done += client.await??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// Climbs it.
pub fn run(options: &Options, program: &Path) -> anyhow::Result<()> {
    let clients = if options.clients.is_empty() { &CLIENTS[..] } else { &options.clients };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rungs = Rung::all(program)?;
    runtime.block_on(climb(&rungs, clients, Duration::from_secs(options.seconds.into())))
}

async fn climb(rungs: &[Rung], clients: &[u32], span: Duration) -> anyhow::Result<()> {
    for rung in rungs {
        rung.prepare().await?;
    }
    let next: Vec<_> = rungs.iter().map(|_| Arc::new(AtomicI64::new(0))).collect();
    let mut syncs = Vec::new();
    println!("Statements per second, and as a ratio to the first column.\n");
    println!(
        "| statement | clients |{}",
        rungs.iter().map(|rung| format!(" {} |", rung.name)).collect::<String>()
    );
    println!("| --- | --- |{}", " --- |".repeat(rungs.len()));
    for work in Work::ALL {
        for &clients in clients {
            let mut cells = String::new();
            let mut base = None;
            for (rung, next) in rungs.iter().zip(&next) {
                let before = rung.logs().await?;
                let rate = rate(rung, work, clients, span, next).await?;
                let base = *base.get_or_insert(rate);
                cells += &format!(" {rate:.0} ({:.2}) |", rate / base);
                if work == Work::Put {
                    let after = rung.logs().await?;
                    syncs.extend(before.iter().zip(after).enumerate().map(|(store, (before, after))| {
                        (clients, store, after.0 - before.0, after.1 - before.1)
                    }));
                }
            }
            println!("| {} | {clients} |{cells}", work.name());
        }
    }
    println!("\nLog entries and syncs of each store while single rows were put.\n");
    println!("| clients | store | entries | syncs | syncs per entry |");
    println!("| --- | --- | --- | --- | --- |");
    for (clients, store, entries, syncs) in syncs {
        println!("| {clients} | {store} | {entries:.0} | {syncs:.0} | {:.2} |", syncs / entries.max(1.0));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_metric_are_summed_and_others_are_not() {
        let page = "# TYPE a_total counter\na_total 3\na_total{of=\"x\"} 4\na_total_more 100\n";
        assert_eq!(metric(page, "a_total"), 7.0);
    }
}
