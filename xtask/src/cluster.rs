//! A cluster of processes for checks and measurements: `tidewater playground` in a folder of its own, stopped when dropped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, bail};

use crate::command;

/// What a cluster is made of, besides one placement driver.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Stores.
    pub stores: u16,
    /// Copies of each region.
    pub replicas: u16,
    /// SQL nodes.
    pub sqls: u16,
}

/// A running cluster.
pub struct Cluster {
    child: Child,
    /// Kept open: the processes stop when it is closed.
    _input: Option<ChildStdin>,
    folder: PathBuf,
    /// `host:port` of the placement driver.
    pub pd: String,
    /// What each process said when it was ready, by its name (`store-0`).
    pub ready: BTreeMap<String, String>,
}

impl Cluster {
    /// Starts a cluster with these settings, in TOML, for the placement driver and for all stores. Its logs go to `cluster.log` in its folder.
    pub fn start(
        program: &Path,
        name: &str,
        shape: Shape,
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
        for (option, count) in
            [("--stores", shape.stores), ("--replicas", shape.replicas), ("--sqls", shape.sqls)]
        {
            start.args([option, &count.to_string()]);
        }
        let mut child = start
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stderr.take().context("standard error is not piped")?;
        let input = child.stdin.take();
        let (pd, ready) = (String::new(), BTreeMap::new());
        let mut cluster = Self { child, _input: input, folder, pd, ready };
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
            // After the heading, a line for each process: its name, and where it is.
            if let Some((name, place)) = line.trim().split_once(char::is_whitespace)
                && !name.starts_with('[')
            {
                self.ready.insert(name.to_owned(), place.trim().to_owned());
            }
        }
        let pd = self.ready.get("pd-0").context("the cluster named no placement driver")?;
        self.pd = pd.trim_start_matches("http://").to_owned();
        let mut log = std::fs::File::create(self.log())?;
        // Somebody has to read on, or the processes would block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut output, &mut log));
        Ok(())
    }

    /// The port of the first SQL node.
    pub fn sql_port(&self) -> anyhow::Result<u16> {
        let ready = self.ready.get("sql-0").context("the cluster has no SQL node")?;
        let port = ready.split_whitespace().skip_while(|&word| word != "-P").nth(1);
        Ok(port.with_context(|| format!("no port in: {ready}"))?.parse()?)
    }

    /// `host:port` of the status pages of all stores.
    pub fn store_status(&self) -> Vec<String> {
        let stores = self.ready.iter().filter(|(name, _)| name.starts_with("store-"));
        let page = |ready: &String| {
            let (_, page) = ready.split_once("status: http://")?;
            Some(page.split('/').next()?.to_owned())
        };
        stores.filter_map(|(_, ready)| page(ready)).collect()
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
