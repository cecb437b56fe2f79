//! Where the processes of a chaos run live, and how the links between them are cut.
//!
//! With the right to make them, each process has a network namespace of its own, and all hang on one bridge. The link from one to another
//! is cut by a false neighbor: what is sent goes to a hardware address that nobody has. That needs no packet filter and no queueing
//! discipline in the kernel, hits old connections like new ones, cuts one direction at a time, and the sender is told nothing, as with
//! a broken switch. Clients and `tidewater ctl` stay outside, on the bridge, and reach everybody at all times.
//!
//! Without that right everybody lives on loopback, and no link can be cut.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::command;

/// A hardware address of nobody: locally administered, as those of virtual links are.
const NOBODY: &str = "02:00:00:00:00:01";
/// What our namespaces and links are called, before the id of the process that made them.
const PREFIX: &str = "twx";

/// All places, and the links between them.
pub struct Network {
    /// The name of the bridge, with which all other names begin; none on loopback.
    bridge: Option<String>,
    subnet: String,
    hosts: u8,
}

/// Where one process lives.
#[derive(Clone)]
pub struct Host {
    /// Its address.
    pub address: String,
    namespace: Option<String>,
}

impl Network {
    /// Makes a bridge if that is allowed.
    pub fn open() -> Self {
        remove_leftovers();
        let id = std::process::id();
        let bridge = format!("{PREFIX}{id}");
        // Of the block that is set aside for tests of networks (RFC 2544), so that nobody's real addresses are hidden.
        let subnet = format!("198.18.{}", id % 256);
        let mut network = Self { bridge: Some(bridge.clone()), subnet, hosts: 0 };
        if let Err(error) = network.make_bridge(&bridge) {
            eprintln!("no network namespaces ({error:#}): everybody is on loopback, and links are not cut");
            network.remove();
            network.bridge = None;
        }
        network
    }

    fn make_bridge(&self, bridge: &str) -> anyhow::Result<()> {
        ip(&["link", "add", bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}.254/24", self.subnet), "dev", bridge])?;
        ip(&["link", "set", bridge, "up"])?;
        let probe = format!("{bridge}-probe");
        ip(&["netns", "add", &probe])?;
        ip(&["netns", "delete", &probe])
    }

    /// Whether links can be cut.
    pub fn has_links(&self) -> bool {
        self.bridge.is_some()
    }

    /// A new place.
    pub fn add_host(&mut self) -> anyhow::Result<Host> {
        let Some(bridge) = &self.bridge else {
            return Ok(Host { address: "127.0.0.1".to_owned(), namespace: None });
        };
        self.hosts += 1;
        let name = format!("{bridge}-{}", self.hosts);
        let address = format!("{}.{}", self.subnet, self.hosts);
        ip(&["netns", "add", &name])?;
        ip(&["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
        ip(&["link", "set", &name, "master", bridge, "up"])?;
        ip(&["-n", &name, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
        ip(&["-n", &name, "link", "set", "eth0", "up"])?;
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        Ok(Host { address, namespace: Some(name) })
    }

    fn remove(&self) {
        let Some(bridge) = &self.bridge else { return };
        for host in 1..=self.hosts {
            // Takes the pair of links with it.
            let _ = ip(&["netns", "delete", &format!("{bridge}-{host}")]);
        }
        let _ = ip(&["link", "delete", bridge]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Host {
    /// The usual port if this place has its ports for itself, else a free one.
    pub fn port(&self, usual: u16) -> anyhow::Result<u16> {
        match &self.namespace {
            Some(_) => Ok(usual),
            None => Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()),
        }
    }

    /// A command that runs here.
    pub fn command(&self, program: &Path) -> Command {
        let Some(namespace) = &self.namespace else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program);
        command
    }

    /// From now on nothing arrives at the other that is sent from here.
    pub fn cut(&self, to: &Self) -> anyhow::Result<()> {
        let Some(namespace) = &self.namespace else { return Ok(()) };
        let entry = [&to.address, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
        ip(&[&["-n", namespace, "neigh", "replace"], &entry[..]].concat())
    }

    /// Takes a cut back.
    pub fn mend(&self, to: &Self) -> anyhow::Result<()> {
        let Some(namespace) = &self.namespace else { return Ok(()) };
        ip(&["-n", namespace, "neigh", "delete", &to.address, "dev", "eth0"])
    }
}

/// What a run left behind that was killed.
fn remove_leftovers() {
    let links = command::output(Command::new("ip").args(["-o", "link"])).unwrap_or_default();
    let bridges = links.lines().filter_map(|line| line.split(": ").nth(1));
    for bridge in bridges.filter(|name| is_abandoned(name)) {
        let _ = ip(&["link", "delete", bridge]);
    }
    let namespaces = command::output(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    for name in namespaces.lines().filter_map(|line| line.split_whitespace().next()) {
        if name.split_once('-').is_some_and(|(bridge, _)| is_abandoned(bridge)) {
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

fn is_abandoned(bridge: &str) -> bool {
    let owner = bridge.strip_prefix(PREFIX).and_then(|id| id.parse::<u32>().ok());
    owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists())
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    command::output(Command::new("ip").args(arguments)).map(drop).context("ip")
}
