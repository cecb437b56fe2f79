//! A cluster of processes for checks and measurements: `tidewater playground` in a folder of its own, stopped when dropped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, bail};

use crate::command;

/// A running cluster.
pub struct Cluster {
    child: Child,
    /// Kept open: the processes stop when it is closed.
    _input: Option<ChildStdin>,
    folder: PathBuf,
    /// `host:port` of the placement driver.
    pub pd: String,
}

impl Cluster {
    /// Starts a cluster with these settings, in TOML, for the placement driver and for all stores. Its logs go to `cluster.log` in its folder.
    pub fn start(
        program: &Path,
        name: &str,
        stores: u16,
        pd_settings: &str,
        store_settings: &str,
    ) -> anyhow::Result<Self> {
        let folder = command::target_dir().join("clusters").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let (pd, store) = (folder.join("pd.toml"), folder.join("store.toml"));
        std::fs::write(&pd, pd_settings)?;
        std::fs::write(&store, store_settings)?;
        let mut start = Command::new(program);
        start.args(["playground", "--port", "0", "--log-level", "warn", "--stop-with-stdin"]);
        start.arg("--dir").arg(folder.join("data"));
        start.arg("--pd-config").arg(&pd).arg("--store-config").arg(&store);
        // Ten keys a region make more regions than replicas are for: only single copies are merged.
        start.args(["--stores", &stores.to_string(), "--replicas", "1", "--sqls", "0"]);
        let mut child = start
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stderr.take().context("standard error is not piped")?;
        let input = child.stdin.take();
        let mut cluster = Self { child, _input: input, folder, pd: String::new() };
        cluster.read_addresses(BufReader::new(output))?;
        Ok(cluster)
    }

    fn read_addresses(&mut self, mut output: BufReader<std::process::ChildStderr>) -> anyhow::Result<()> {
        let mut said = String::new();
        let mut line = String::new();
        while !line.contains("stop:") {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                bail!("the cluster did not start:\n{said}");
            }
            said.push_str(&line);
            let mut words = line.split_whitespace();
            if words.next() == Some("pd-0") {
                let url = words.next().unwrap_or_default();
                self.pd = url.trim_start_matches("http://").to_owned();
            }
        }
        let mut log = std::fs::File::create(self.log())?;
        // Somebody has to read on, or the processes would block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut output, &mut log));
        Ok(())
    }

    /// What its processes said after they had started.
    pub fn log(&self) -> PathBuf {
        self.folder.join("cluster.log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
