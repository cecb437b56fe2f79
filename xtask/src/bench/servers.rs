//! The servers that are compared: started on temporary directories, stopped when dropped.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::command;

/// How long a server may take until it answers.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    /// What the tables call it.
    pub name: &'static str,
    /// Its MySQL port on 127.0.0.1.
    pub port: u16,
    /// From start to the first answer.
    pub start_time: Duration,
    child: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts our program.
    pub fn tidewater(program: &Path) -> anyhow::Result<Self> {
        let folder = fresh_folder("tidewater")?;
        let (port, status_port) = (free_port()?, free_port()?);
        let mut start = Command::new(program);
        start.arg("serve").arg("--data").arg(folder.join("data")).args(["--host", "127.0.0.1"]);
        start.args(["--port", &port.to_string(), "--status-port", &status_port.to_string()]);
        Self::start("tidewater", port, folder, start)
    }

    /// Starts MariaDB with a flush at every commit and room for all data in its buffer pool.
    pub fn mariadb() -> anyhow::Result<Self> {
        let folder = fresh_folder("mariadb")?;
        let data = folder.join("data");
        let mut install = Command::new("mariadb-install-db");
        install.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
        install.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"]);
        command::output(&mut install)?;
        let port = free_port()?;
        let program =
            if command::exists("mariadbd") { "mariadbd".into() } else { PathBuf::from("/usr/sbin/mariadbd") };
        let mut start = Command::new(program);
        start.args([
            "--no-defaults",
            "--user=root",
            "--bind-address=127.0.0.1",
            "--local-infile=1",
            "--skip-log-bin",
        ]);
        start.args([
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=2G",
            "--innodb-log-file-size=512M",
        ]);
        start.args(["--max-connections=1000", "--query-cache-type=0"]);
        start
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", folder.join("socket").display()));
        start.arg(format!("--port={port}"));
        Self::start("mariadb", port, folder, start)
    }

    fn start(name: &'static str, port: u16, folder: PathBuf, mut command: Command) -> anyhow::Result<Self> {
        let log = std::fs::File::create(folder.join("log"))?;
        let begun = now();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut server = Self { name, port, start_time: Duration::ZERO, child, folder };
        while !greets(port) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} stopped while starting ({status}):\n{}", server.log());
            }
            if begun.elapsed() > START_TIME_MAX {
                bail!("{name} does not answer:\n{}", server.log());
            }
            std::thread::yield_now();
        }
        server.start_time = begun.elapsed();
        Ok(server)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib * 1024)
    }

    /// Runs SQL through the `mariadb` client and returns what it prints (tab separated, no header).
    pub fn sql(&self, database: &str, text: &str) -> anyhow::Result<String> {
        let mut client = Command::new("mariadb");
        client.args([
            "--no-defaults",
            "-h",
            "127.0.0.1",
            "-u",
            "root",
            "--batch",
            "--skip-column-names",
            "--local-infile=1",
        ]);
        client.args(["-P", &self.port.to_string()]);
        if !database.is_empty() {
            client.args(["-D", database]);
        }
        client.args(["-e", text]);
        command::output(&mut client).with_context(|| format!("on {}", self.name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether a MySQL greeting comes from the port.
fn greets(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut head = [0; 5];
    socket.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && socket.read_exact(&mut head).is_ok()
        && head[4] == 10
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn fresh_folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("tidewater-bench-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// Runs something and says how long it took.
pub fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Duration)> {
    let begun = now();
    let result = work()?;
    Ok((result, begun.elapsed()))
}
