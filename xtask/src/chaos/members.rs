//! The processes of the cluster, and what its placement driver says about them.
//!
//! `tidewater playground` stops all of its processes when one of them ends, as somebody who tries things out wants it; here they end all the
//! time, live in places of their own, and are watched. So they are started one by one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use mysql_async::{Opts, OptsBuilder};
use serde_json::Value;

use super::network::Network;
use super::process::{Common, Process, Role, wait};

/// Ports in namespaces.
const PD_PORT: u16 = 2379;
const STORE_PORT: u16 = 20160;
const STATUS_PORT: u16 = 20180;
const SQL_PORT: u16 = 4000;
/// Regions so small that the load splits them.
const STORE_SETTINGS: &str = "[coprocessor]\nregion-max-keys = 4000\nregion-split-keys = 2000\n\
                              [raftstore]\npd-heartbeat-tick-interval = \"1s\"\n";
/// Copies of each region.
const REPLICAS: usize = 3;
/// How long the placement driver may take to answer a question, with elections.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);

/// How many processes of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Members of the placement driver.
    pub pds: u16,
    /// Stores.
    pub stores: u16,
    /// SQL nodes.
    pub sqls: u16,
}

/// Settings of processes, in TOML.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Of the members of the placement driver.
    pub pd: &'static str,
    /// Of the stores.
    pub store: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self { pd: "", store: STORE_SETTINGS }
    }
}

/// All processes.
pub struct Members {
    /// In the order in which they are started.
    pub processes: Vec<Process>,
    /// How to connect to the SQL nodes.
    pub sql_nodes: Vec<Opts>,
    /// Whether links can be cut.
    pub has_links: bool,
    common: Common,
    pd: String,
    /// The places of stores by their addresses, as the placement driver knows them.
    stores: BTreeMap<String, usize>,
    // After the processes: they live in it.
    network: Network,
}

impl Members {
    /// Starts a cluster; returns when every region has its replicas.
    pub async fn start(common: Common, counts: Counts, settings: Settings) -> anyhow::Result<Self> {
        ensure!(counts.pds >= 1 && counts.stores >= 1, "a cluster needs a placement driver and a store");
        let network = Network::open();
        let mut members = Self {
            processes: Vec::new(),
            sql_nodes: Vec::new(),
            has_links: network.has_links(),
            common,
            pd: String::new(),
            stores: BTreeMap::new(),
            network,
        };
        members.add_pds(counts.pds, settings.pd)?;
        members.add_stores(counts.stores, settings.store)?;
        members.add_sqls(counts.sqls)?;
        for process in &mut members.processes {
            process.start()?;
            // Members of the placement driver wait for each other.
            if process.role != Role::Pd {
                process.wait_until_ready().await?;
            }
        }
        // However full the disk of this machine is.
        members.ctl(&["config", "set", "low-space-ratio", "1"]).await?;
        Ok(members)
    }

    fn add_pds(&mut self, count: u16, settings: &str) -> anyhow::Result<()> {
        let config = self.path("pd.toml");
        std::fs::write(&config, settings)?;
        let mut places = Vec::new();
        for index in 0..count {
            let host = self.network.add_host()?;
            let url = format!("http://{}:{}", host.address, host.port(PD_PORT)?);
            places.push((format!("pd-{index}"), host, url));
        }
        let urls: Vec<_> = places.iter().map(|(_, _, url)| &url[..]).collect();
        self.pd = urls.join(",");
        let cluster: Vec<_> = places.iter().map(|(name, _, url)| format!("{name}={url}")).collect();
        let cluster = cluster.join(",");
        for (name, host, url) in places {
            let data = self.path(&name);
            let arguments = ["pd", "--name", &name, "--client-urls", &url, "--data-dir", &data];
            let arguments = [&arguments[..], &["--initial-cluster", &cluster, "--config", &config]].concat();
            self.processes.push(Process::new(&self.common, Role::Pd, &name, host, &arguments)?);
        }
        Ok(())
    }

    fn add_stores(&mut self, count: u16, settings: &str) -> anyhow::Result<()> {
        let config = self.path("store.toml");
        std::fs::write(&config, settings)?;
        for index in 0..count {
            let name = format!("store-{index}");
            let host = self.network.add_host()?;
            let address = format!("{}:{}", host.address, host.port(STORE_PORT)?);
            let status = format!("{}:{}", host.address, host.port(STATUS_PORT)?);
            let data = self.path(&name);
            let arguments = ["store", "--addr", &address, "--status-addr", &status, "--data-dir", &data];
            let pd = self.pd.clone();
            let arguments = [&arguments[..], &["--pd-endpoints", &pd, "--config", &config]].concat();
            self.stores.insert(address.clone(), self.processes.len());
            self.processes.push(Process::new(&self.common, Role::Store, &name, host, &arguments)?);
        }
        Ok(())
    }

    fn add_sqls(&mut self, count: u16) -> anyhow::Result<()> {
        for index in 0..count {
            let name = format!("sql-{index}");
            let host = self.network.add_host()?;
            let port = host.port(SQL_PORT)?;
            let options = OptsBuilder::default().ip_or_hostname(&host.address).tcp_port(port);
            self.sql_nodes.push(options.user(Some("root")).prefer_socket(false).into());
            let (address, port, pd) = (host.address.clone(), port.to_string(), self.pd.clone());
            let arguments = ["sql", "--host", &address, "--port", &port, "--path", &pd, "--status", "0"];
            self.processes.push(Process::new(&self.common, Role::Sql, &name, host, &arguments)?);
        }
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.common.folder.join(name).display().to_string()
    }

    /// `host:port` of each member of the placement driver.
    pub fn pd_addresses(&self) -> Vec<String> {
        self.pd.split(',').map(|url| url.trim_start_matches("http://").to_owned()).collect()
    }

    /// Folder of data and logs.
    pub fn folder(&self) -> &Path {
        &self.common.folder
    }

    /// The member of the placement driver that leads.
    pub async fn pd_leader(&self) -> anyhow::Result<usize> {
        let members = self.page(&["members"]).await?;
        let name = members["leader"]["name"].as_str().context("nobody leads the placement driver")?;
        let found = self.processes.iter().position(|process| process.name == name);
        found.with_context(|| format!("there is no member {name}"))
    }

    /// The store that leads most regions.
    pub async fn busiest_store(&self) -> anyhow::Result<usize> {
        let page = self.page(&["stores"]).await?;
        let stores = page["stores"].as_array().context("no list of stores")?;
        let leaders = |store: &&Value| store["status"]["leader_count"].as_u64();
        let busiest = stores.iter().max_by_key(leaders).context("there is no store")?;
        let address = busiest["store"]["address"].as_str().context("a store without an address")?;
        self.stores.get(address).copied().with_context(|| format!("there is no store at {address}"))
    }

    /// What is wrong with stores and regions; nothing if every region has a leader and all of its replicas.
    pub async fn ills(&self) -> anyhow::Result<Vec<String>> {
        let mut ills = Vec::new();
        let page = self.page(&["stores"]).await?;
        let stores = page["stores"].as_array().context("no list of stores")?;
        let up = stores.iter().filter(|store| store["store"]["state_name"] == "Up").count();
        if up != self.stores.len() {
            ills.push(format!("{up} of {} stores are up", self.stores.len()));
        }
        let page = self.page(&["regions", "--limit", "0"]).await?;
        let regions = page["regions"].as_array().context("no list of regions")?;
        ensure!(!regions.is_empty(), "there are no regions");
        let replicas = REPLICAS.min(self.stores.len());
        ills.extend(regions.iter().filter_map(|region| region_ill(region, replicas)));
        Ok(ills)
    }

    async fn page(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let text = self.ctl(&[&["--json"], arguments].concat()).await?;
        serde_json::from_str(&text).with_context(|| format!("ctl {} answered {text}", arguments.join(" ")))
    }

    /// Asks `tidewater ctl`, which finds the leader by itself.
    async fn ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        // Into files: a pipe that nobody reads would hold it up.
        let (answer, errors) = (self.common.folder.join("ctl.out"), self.common.folder.join("ctl.err"));
        let mut command = Command::new(&self.common.program);
        command.args(["ctl", "--pd", &self.pd]).args(arguments).stdin(Stdio::null());
        command.stdout(File::create(&answer)?).stderr(File::create(&errors)?);
        let ended = wait(&mut command.spawn()?, ANSWER_PATIENCE).await?;
        let ended = ended.with_context(|| format!("no answer to ctl {}", arguments.join(" ")))?;
        if !ended.success() {
            bail!("ctl {}: {}", arguments.join(" "), std::fs::read_to_string(errors)?.trim());
        }
        Ok(std::fs::read_to_string(answer)?)
    }
}

fn region_ill(region: &Value, replicas: usize) -> Option<String> {
    let peers = region["peers"].as_array().map_or(&[][..], Vec::as_slice);
    let voters = peers.iter().filter(|peer| peer["role_name"] == "Voter").count();
    let count = |name: &str| region[name].as_array().map_or(0, Vec::len);
    let (down, pending) = (count("down_peers"), count("pending_peers"));
    let has_leader = region["leader"]["id"].as_u64().is_some_and(|id| id > 0);
    let is_well = voters == replicas && peers.len() == replicas && down + pending == 0 && has_leader;
    (!is_well).then(|| {
        format!(
            "region {}: {voters} voters of {} peers, {down} down, {pending} pending, leader: {has_leader}",
            region["id"],
            peers.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_region_is_well_with_all_its_voters_and_a_leader() {
        let peer = |id: u64, role: &str| json!({ "id": id, "store_id": id, "role_name": role });
        let mut region = json!({
            "id": 7, "leader": peer(1, "Voter"), "down_peers": [], "pending_peers": [],
            "peers": [peer(1, "Voter"), peer(2, "Voter"), peer(3, "Voter")],
        });
        assert_eq!(region_ill(&region, 3), None);
        region["peers"][2]["role_name"] = json!("Learner");
        assert!(region_ill(&region, 3).is_some_and(|ill| ill.contains("2 voters of 3")));
        region["peers"][2]["role_name"] = json!("Voter");
        region["leader"] = json!({});
        assert!(region_ill(&region, 3).is_some_and(|ill| ill.contains("leader: false")));
    }
}
