//! The sysbench workloads.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::{Options, geometric_mean, servers::Server};
use crate::command;

const CLIENTS: [u32; 2] = [1, 32];

/// One measurement.
pub struct Figures {
    /// Transactions in a second.
    pub transactions_per_second: f64,
    /// The 95th percentile of their latencies.
    pub latency_p95_ms: f64,
    /// Errors after which sysbench tried again.
    pub errors: u64,
}

/// Prepares both servers, lets them take turns, prints the table.
pub fn run(options: &Options, program: &Path) -> anyhow::Result<()> {
    let servers = [Server::tidewater(program)?, Server::mariadb()?];
    for server in &servers {
        server.sql("", "CREATE DATABASE sbtest")?;
        sysbench(options, server, "oltp_read_write", 4, "prepare")?;
        eprintln!("{}: {} tables of {} rows prepared", server.name, options.tables, options.rows);
    }
    println!("| workload | clients | tidewater tps | p95 ms | errors | mariadb tps | p95 ms | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut ratios = Vec::new();
    for workload in &options.workloads {
        for &clients in if options.clients.is_empty() { &CLIENTS[..] } else { &options.clients } {
            let ours = measure(options, &servers[0], workload, clients)?;
            let theirs = measure(options, &servers[1], workload, clients)?;
            let ratio = ours.transactions_per_second / theirs.transactions_per_second;
            ratios.push(ratio);
            println!(
                "| {workload} | {clients} | {:.0} | {:.2} | {} | {:.0} | {:.2} | {ratio:.2} |",
                ours.transactions_per_second,
                ours.latency_p95_ms,
                ours.errors,
                theirs.transactions_per_second,
                theirs.latency_p95_ms
            );
        }
    }
    println!("geometric mean of the ratios: {:.2}", geometric_mean(&ratios));
    Ok(())
}

fn measure(options: &Options, server: &Server, workload: &str, clients: u32) -> anyhow::Result<Figures> {
    let report = sysbench(options, server, workload, clients, "run")?;
    parse(&report).with_context(|| format!("cannot read sysbench's report:\n{report}"))
}

fn sysbench(
    options: &Options,
    server: &Server,
    workload: &str,
    clients: u32,
    action: &str,
) -> anyhow::Result<String> {
    let mut sysbench = Command::new("sysbench");
    sysbench.args([workload, "--mysql-host=127.0.0.1", "--mysql-user=root", "--mysql-db=sbtest"]);
    sysbench.arg(format!("--mysql-port={}", server.port));
    sysbench.arg(format!("--tables={}", options.tables)).arg(format!("--table-size={}", options.rows));
    sysbench.arg(format!("--threads={clients}")).arg(format!("--time={}", options.seconds));
    // Write conflicts and deadlocks are for the client to retry; anything else ends the run with an error.
    sysbench.arg("--mysql-ignore-errors=1213,1205,1020,9007,8002,8022,8028");
    if options.text {
        sysbench.arg("--db-ps-mode=disable");
    }
    command::output(sysbench.arg(action))
}

/// Reads what sysbench prints at its end.
pub fn parse(report: &str) -> Option<Figures> {
    let line = |name: &str| report.lines().map(str::trim).find(|line| line.starts_with(name));
    let per_second = line("transactions:")?.split('(').nth(1)?.split_whitespace().next()?.parse().ok()?;
    let latency_p95_ms = line("95th percentile:")?.split_whitespace().last()?.parse().ok()?;
    let errors = line("ignored errors:")?.split_whitespace().nth(2)?.parse().ok()?;
    Some(Figures { transactions_per_second: per_second, latency_p95_ms, errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let report = "    transactions:                        12345  (1234.50 per sec.)\n    ignored errors:                      3      (0.30 per sec.)\n         95th percentile:                        2.50\n";
        let figures = parse(report).expect("a whole report");
        assert_eq!(
            (figures.transactions_per_second, figures.latency_p95_ms, figures.errors),
            (1234.5, 2.5, 3)
        );
    }
}
