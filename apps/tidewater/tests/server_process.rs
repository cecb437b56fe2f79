//! A server as a process of its own on a temporary directory, ended when dropped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mysql_async::{Conn, Opts, OptsBuilder};

/// A running `tidewater serve`.
pub struct ServerProcess {
    child: Child,
    /// Its MySQL port on 127.0.0.1.
    pub port: u16,
}

impl ServerProcess {
    /// Starts a server on a data directory and waits until it says where it listens.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same with further options.
    pub fn start_with(data: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewater"));
        command.args(["serve", "--port", "0", "--status-port", "0", "--log", "warn", "--data"]).arg(data);
        command.args(options);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the built program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut lines = BufReader::new(stderr).lines();
        let mut seen = String::new();
        let port = loop {
            let line = lines
                .next()
                .and_then(Result::ok)
                .unwrap_or_else(|| panic!("the server did not start:\n{seen}"));
            if let Some(rest) = line.split(" -P ").nth(1) {
                break rest
                    .split_whitespace()
                    .next()
                    .and_then(|port| port.parse().ok())
                    .expect("a port number");
            }
            seen.push_str(&line);
            seen.push('\n');
        };
        // Somebody has to read on, or the server would block on a full pipe.
        std::thread::spawn(move || lines.for_each(|line| drop(line.map(|line| eprintln!("server: {line}")))));
        Self { child, port }
    }

    /// Ends the process as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process was running");
        self.child.wait().expect("the process ended");
    }

    /// Asks the process to stop and returns whether it ended well.
    pub fn stop(&mut self) -> bool {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        self.child.wait().expect("the process ended").success()
    }

    /// A connection as root.
    pub async fn connect(&self) -> Conn {
        Conn::new(self.options()).await.expect("the server accepts root")
    }

    /// Options of a connection as root.
    pub fn options(&self) -> Opts {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some("root"))
            .prefer_socket(false)
            .into()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
