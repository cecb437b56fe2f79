//! `sysbench oltp_read_write` beside the other clients, where it is installed.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use mysql_async::Opts;

use super::process::wait;
use super::record::{RETRYABLE, Record};
use crate::bench::sysbench_figures;
use crate::command;

/// What its MySQL library says of lost connections and servers that are not there.
const CONNECTION_ERRORS: [u16; 4] = [2002, 2003, 2006, 2013];
const ARGUMENTS: [&str; 6] = [
    "oltp_read_write",
    "--mysql-user=root",
    "--mysql-db=sbtest",
    "--tables=2",
    "--table-size=2000",
    // Prepared statements end with their connections, and sysbench prepares once.
    "--db-ps-mode=disable",
];

/// A running sysbench.
pub struct Sysbench {
    child: Child,
    report: PathBuf,
}

/// How much longer it may take than it was told.
const PATIENCE: Duration = Duration::from_secs(60);

impl Sysbench {
    /// Makes its tables and starts it; `None` where it is not installed.
    pub async fn start(nodes: &[Opts], seconds: u64, folder: &Path) -> anyhow::Result<Option<Self>> {
        if !command::exists("sysbench") {
            eprintln!("sysbench is not installed: the load goes without it");
            return Ok(None);
        }
        let mut conn = mysql_async::Conn::new(nodes[0].clone()).await?;
        mysql_async::prelude::Queryable::query_drop(&mut conn, "CREATE DATABASE sbtest").await?;
        conn.disconnect().await?;
        let prepared = sysbench(&nodes[..1]).arg("prepare").output()?;
        if !prepared.status.success() {
            bail!("sysbench cannot prepare: {}", String::from_utf8_lossy(&prepared.stdout));
        }
        let mut run = sysbench(nodes);
        run.arg(format!("--time={seconds}")).args(["--threads=2", "--rate=20", "run"]);
        let report = folder.join("sysbench.log");
        let output = File::create(&report)?;
        let child = run.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output).spawn()?;
        Ok(Some(Self { child, report }))
    }

    /// Waits for its end; an error that it may not ignore is a violation. That it crashes is not: version 1.0.20 does, in its
    /// MySQL library, when servers go away under it.
    pub async fn finish(mut self, record: &Record) -> anyhow::Result<()> {
        let ended = wait(&mut self.child, PATIENCE).await?;
        let report = std::fs::read_to_string(&self.report)?;
        if !ended.is_some_and(|status| status.success()) {
            let fatal: Vec<_> = report.lines().filter(|line| line.contains("FATAL")).collect();
            if let Some(signal) = ended.and_then(|status| status.signal()) {
                eprintln!("sysbench itself crashed (signal {signal}): from then on the load was without it");
                return Ok(());
            }
            let end = ended.map_or_else(|| "it had to be ended".to_owned(), |status| status.to_string());
            record.violate(format!("sysbench gave up ({end}): {}", fatal.join("; ")));
            return Ok(());
        }
        let figures = sysbench_figures(&report).context("cannot read the report of sysbench")?;
        println!(
            "sysbench oltp_read_write: {:.1} transactions/s, {} errors that it tried again",
            figures.transactions_per_second, figures.errors
        );
        Ok(())
    }
}

impl Drop for Sysbench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sysbench(nodes: &[Opts]) -> Command {
    let hosts: Vec<_> = nodes.iter().map(Opts::ip_or_hostname).collect();
    let ports: Vec<_> = nodes.iter().map(|node| node.tcp_port().to_string()).collect();
    let codes: Vec<_> = RETRYABLE.iter().chain(&CONNECTION_ERRORS).map(ToString::to_string).collect();
    let mut sysbench = Command::new("sysbench");
    sysbench.args(ARGUMENTS);
    sysbench.arg(format!("--mysql-host={}", hosts.join(",")));
    sysbench.arg(format!("--mysql-port={}", ports.join(",")));
    sysbench.arg(format!("--mysql-ignore-errors={}", codes.join(",")));
    sysbench
}
