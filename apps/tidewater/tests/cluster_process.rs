//! A cluster of processes on a temporary directory: a placement driver, stores, a SQL node. All end when dropped.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mysql_async::{Opts, OptsBuilder};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Regions so small that they split, move and merge all the time.
const PD_SETTINGS: &str = "[schedule]\nstore-limit = 60000\nmax-merge-region-keys = 20\n\
                           split-merge-interval = \"1s\"\nlow-space-ratio = 1.0\n";
const STORE_SETTINGS: &str = "[coprocessor]\nregion-max-keys = 120\nregion-split-keys = 60\n\
                              [raftstore]\npd-heartbeat-tick-interval = \"200ms\"\n\
                              raft-heartbeat-interval = \"500ms\"\nraft-election-timeout = \"2500ms\"\n";

/// One process, which can be killed and started again as it was.
pub struct Part {
    pub name: String,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// The processes.
pub struct ClusterProcess {
    // In the order in which they are stopped.
    pub sql: Part,
    pub stores: Vec<Part>,
    pub pds: Vec<Part>,
    sql_port: u16,
    pd_ports: Vec<u16>,
    _folder: TempDir,
}

impl ClusterProcess {
    pub fn start(store_count: usize) -> Self {
        Self::start_with(store_count, 1)
    }

    /// With several members of the placement driver.
    pub fn start_with(store_count: usize, pd_count: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("the settings are written");
            text_of(&path)
        };
        let sql_port = free_port();
        let pd_ports: Vec<_> = (0..pd_count).map(|_| free_port()).collect();
        let endpoints: Vec<_> = pd_ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let endpoint = endpoints.join(",");
        let data = |name: &str| text_of(&folder.path().join(name));
        let config = settings("pd.toml", PD_SETTINGS);
        let named: Vec<_> =
            (0..).zip(&endpoints).map(|(index, at)| format!("pd-{index}=http://{at}")).collect();
        let named = named.join(",");
        let pds = endpoints.iter().enumerate().map(|(index, at)| {
            let (name, url) = (format!("pd-{index}"), format!("http://{at}"));
            let place = ["pd", "--name", &name, "--client-urls", &url, "--data-dir", &data(&name)];
            Part::start(&name, &[&place[..], &["--initial-cluster", &named, "-C", &config]].concat())
        });
        let pds = pds.collect();
        let config = settings("store.toml", STORE_SETTINGS);
        let stores = (0..store_count).map(|index| {
            let (name, address) = (format!("store-{index}"), format!("127.0.0.1:{}", free_port()));
            let status = "127.0.0.1:0";
            let place = ["store", "--addr", &address, "--status-addr", status, "--data-dir", &data(&name)];
            Part::start(&name, &[&place[..], &["--pd", &endpoint, "-C", &config]].concat())
        });
        let stores = stores.collect();
        let sql = Part::start_sql("sql", &endpoint, sql_port);
        Self { sql, stores, pds, sql_port, pd_ports, _folder: folder }
    }

    /// Options of a connection as root.
    pub fn options(&self) -> Opts {
        root_at(self.sql_port)
    }

    /// Starts one more SQL node, and says how to connect to it as root.
    pub fn another_sql(&self, name: &str) -> (Part, Opts) {
        let port = free_port();
        (Part::start_sql(name, &self.pd_address(), port), root_at(port))
    }

    /// Where the first member of the placement driver answers over HTTP.
    pub fn pd_address(&self) -> String {
        self.pd_address_of(0)
    }

    /// Where a member of the placement driver answers over HTTP.
    pub fn pd_address_of(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.pd_ports[index])
    }
}

impl Part {
    /// Starts a process, and waits until it says that it is ready.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let common = ["--stop-with-stdin", "--log-level", "warn"];
        Self::start_plain(name, &[arguments, &common].concat())
    }

    /// A process that knows none of the options that the parts of a cluster share.
    pub fn start_plain(name: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|each| (*each).to_owned()).collect();
        let mut part = Self { name: name.to_owned(), arguments, child: None };
        part.restart();
        part
    }

    fn start_sql(name: &str, pd: &str, port: u16) -> Self {
        Self::start(name, &["sql", "--path", pd, "--port", &port.to_string(), "--status", "0"])
    }

    /// Starts the process, on the data and the port it had before; waits until it says that it is ready.
    pub fn restart(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewater"));
        command.args(&self.arguments);
        let mut child =
            command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the built program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        self.child = Some(child);
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let mut seen = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("{} did not start:\n{seen}", self.name));
            if line.contains(" is ready: ") {
                break;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        // Somebody has to read on, or the process would block on a full pipe.
        let name = self.name.clone();
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{name}: {line}")));
    }

    /// Asks the process to stop, and waits until it has.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), Signal::TERM).expect("the process was running");
            let status = child.wait().expect("the process ended");
            assert!(status.success(), "{} was asked to stop and ended with {status}", self.name);
        }
    }

    /// Ends the process as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the process was running");
            child.wait().expect("the process ended");
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kill();
    }
}

fn root_at(port: u16) -> Opts {
    OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some("root"))
        .prefer_socket(false)
        .into()
}

/// A port that nobody had a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("temporary folders have plain names").to_owned()
}
