//! `cargo xtask clients`: drivers of other languages against a running server, where their toolchains are at hand.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::Args;

use crate::bench::Server;
use crate::{command, system};

/// JDBC driver that is fetched for the check.
const JDBC: &str = "com.mysql:mysql-connector-j:9.1.0";
/// Python drivers: package and the name that the script knows.
const PYTHON: &[(&str, &str)] = &[
    ("pymysql[rsa]", "pymysql"),
    // Later ones have lost their part in C.
    ("mysql-connector-python==9.7.0", "mysql-connector"),
    ("mysql-connector-python==9.7.0", "mysql-connector-c"),
    ("mysqlclient", "mysqlclient"),
];
/// Go's driver.
const GO: &str = "github.com/go-sql-driver/mysql@v1.10.1";
/// The ways a database is dumped.
const DUMP_OPTIONS: &[&[&str]] = &[
    &["--opt"],
    &["--hex-blob", "--single-transaction"],
    &["--skip-opt", "--create-options", "--add-locks", "--disable-keys", "--complete-insert"],
];

/// Which program to check.
#[derive(Args)]
pub struct Options {
    /// A program to check in place of a fresh release build.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Starts a server and runs every driver that can be had; what cannot is skipped with a line that says so.
pub fn run(options: &Options) -> anyhow::Result<()> {
    system::ensure_build_packages()?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => {
            command::run(command::cargo().args(["build", "--release", "--package", "tidewater"]))?;
            command::target_dir().join("release/tidewater")
        }
    };
    let server = Server::tidewater(&program)?;
    let scripts = command::workspace_root().join("apps/tidewater/tests/clients");
    let folder = command::target_dir().join("clients");
    std::fs::create_dir_all(&folder)?;
    let mut failed = Vec::new();
    let mut check = |name: &str, outcome: anyhow::Result<()>| {
        if let Err(error) = outcome {
            println!("{name}: FAILED: {error:#}");
            failed.push(name.to_owned());
        }
    };
    python(&scripts, &folder, server.port, &mut check)?;
    if command::exists("node") && command::exists("npm") {
        check("mysql2", node(&scripts, &folder, server.port));
    } else {
        println!("mysql2: skipped, there is no node here");
    }
    if command::exists("java") && command::exists("mvn") {
        check("jdbc", jdbc(&scripts, &folder, server.port));
    } else {
        println!("jdbc: skipped, there is no java with mvn here");
    }
    if command::exists("go") {
        check("go-sql-driver", go(&scripts, &folder, server.port));
    } else {
        println!("go-sql-driver: skipped, there is no go here");
    }
    if command::exists("mariadb") && command::exists("mariadb-dump") {
        check("mariadb-dump", dump(&scripts, server.port));
    } else {
        println!("mariadb-dump: skipped, it is not here");
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn python(
    scripts: &Path,
    folder: &Path,
    port: u16,
    check: &mut impl FnMut(&str, anyhow::Result<()>),
) -> anyhow::Result<()> {
    if !command::exists("python3") {
        println!("python drivers: skipped, there is no python3 here");
        return Ok(());
    }
    let home = folder.join("python");
    if !home.join("bin/pip").exists() {
        command::output(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    }
    for (package, driver) in PYTHON {
        if let Err(error) =
            command::output(Command::new(home.join("bin/pip")).args(["install", "--quiet", package]))
        {
            println!("{driver}: skipped, it cannot be installed: {}", first_line(&error));
            continue;
        }
        let mut script = Command::new(home.join("bin/python"));
        script.arg(scripts.join("check.py")).arg(driver).arg(port.to_string());
        check(driver, command::run(&mut script));
    }
    Ok(())
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn node(scripts: &Path, folder: &Path, port: u16) -> anyhow::Result<()> {
    let home = folder.join("node");
    std::fs::create_dir_all(&home)?;
    command::output(
        Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "mysql2"])
            .arg("--prefix")
            .arg(&home),
    )?;
    std::fs::copy(scripts.join("check.mjs"), home.join("check.mjs"))?;
    command::run(Command::new("node").arg(home.join("check.mjs")).arg(port.to_string()))
}

fn jdbc(scripts: &Path, folder: &Path, port: u16) -> anyhow::Result<()> {
    let jars = folder.join("jdbc");
    let mut fetch = Command::new("mvn");
    fetch.args(["--quiet", "--batch-mode", "dependency:copy", "-Dmdep.useBaseVersion=true"]);
    fetch.arg(format!("-Dartifact={JDBC}")).arg(format!("-DoutputDirectory={}", jars.display()));
    command::output(fetch.current_dir(folder)).context("cannot fetch the JDBC driver")?;
    let mut java = Command::new("java");
    java.arg("-cp")
        .arg(format!("{}/*", jars.display()))
        .arg(scripts.join("Check.java"))
        .arg(port.to_string());
    command::run(&mut java)
}

fn go(scripts: &Path, folder: &Path, port: u16) -> anyhow::Result<()> {
    let home = folder.join("go");
    std::fs::create_dir_all(&home)?;
    std::fs::copy(scripts.join("check.go"), home.join("check.go"))?;
    if !home.join("go.mod").exists() {
        command::output(Command::new("go").args(["mod", "init", "check"]).current_dir(&home))?;
    }
    command::output(Command::new("go").args(["get", GO]).current_dir(&home))?;
    command::run(Command::new("go").args(["run", "check.go", &port.to_string()]).current_dir(&home))
}

/// A dump, loaded into an empty database, dumps to the same text again.
fn dump(scripts: &Path, port: u16) -> anyhow::Result<()> {
    let source = std::fs::read(scripts.join("dump.sql"))?;
    load(port, &source)?;
    for options in DUMP_OPTIONS {
        let first = dumped(port, options)?;
        load(port, &first)?;
        let second = dumped(port, options)?;
        anyhow::ensure!(first == second, "a dump with {} does not survive a reload", options.join(" "));
    }
    println!("mariadb-dump: ok");
    Ok(())
}

fn load(port: u16, text: &[u8]) -> anyhow::Result<()> {
    let mut client = client("mariadb", port);
    client.args(["--execute", "DROP DATABASE IF EXISTS dump_check; CREATE DATABASE dump_check"]);
    command::output(&mut client)?;
    let mut client = self::client("mariadb", port);
    let mut child = client.arg("dump_check").stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("stdin is piped")?.write_all(text)?;
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "the dump did not load");
    Ok(())
}

/// Binary columns make a dump that is not text.
fn dumped(port: u16, options: &[&str]) -> anyhow::Result<Vec<u8>> {
    let mut dump = client("mariadb-dump", port);
    dump.arg("--skip-dump-date").args(options).arg("dump_check");
    command::output_bytes(&mut dump)
}

fn client(program: &str, port: u16) -> Command {
    let mut client = Command::new(program);
    client.args(["--host=127.0.0.1", "--user=root", "--default-character-set=utf8mb4"]);
    client.arg(format!("--port={port}"));
    client
}
