//! What groups cost in which nothing happens: CPU time and memory of 10,000 groups of three members, all in this process.
//!
//! `cargo bench -p tidewater-raft --bench idle`; `TIDEWATER_IDLE_GROUPS` sets another number. For comparison the same with groups that never sleep, a tenth as many.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tidewater_raft::{Applied, Membership, MemoryDevice, RaftConfig, RaftNode, Role, Spools};
use tokio::time::{Instant, sleep};

#[path = "common.rs"]
mod common;

use common::{Null, Silent, Stores};

const STORES: u64 = 3;
const WATCHED: Duration = Duration::from_secs(10);

/// CPU time of this process so far, and its memory in bytes.
fn usage() -> (Duration, u64) {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name: Vec<_> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    // The 14th and 15th field, in hundredths of a second; the name was the second.
    let ticks: u64 = after_name[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split_whitespace().nth(1).expect("resident pages").parse().expect("a number");
    (Duration::from_millis(ticks * 10), pages * 4096)
}

async fn measure(groups: u64, sleep_after: Option<Duration>) {
    let (_, before) = usage();
    let stores = Stores::default();
    let config = RaftConfig { sleep_after, ..RaftConfig::default() };
    for store_id in 1..=STORES {
        let (transport, device) = (Arc::new(stores.clone()), Arc::new(MemoryDevice::new()));
        let node = RaftNode::new(store_id, config.clone(), device, Spools::in_memory(), transport)
            .expect("it makes sense");
        stores.0.write().insert(store_id, Arc::new(node));
    }
    let nodes: Vec<_> = stores.0.read().values().cloned().collect();
    for node in &nodes {
        tokio::spawn(RaftNode::watch_idleness(Arc::downgrade(node)));
        tokio::spawn(RaftNode::watch_stores(Arc::downgrade(node)));
    }
    for group in 1..=groups {
        let membership = Membership::of_voters((1..=STORES).map(|store| (group * 10 + store, store)));
        for (peer_id, store_id) in membership.members.clone() {
            let node = &nodes[store_id as usize - 1];
            node.create_origin(group).await.expect("a log");
            let machine = Box::new(Null(Applied::origin(membership.clone())));
            node.start(group, peer_id, machine, Arc::new(Silent)).await.expect("it starts");
        }
        let first = nodes[(group % STORES) as usize].group(group).expect("it was started");
        first.campaign().await.expect("it stands");
    }
    let begun = Instant::now();
    let is_settled = |node: &Arc<RaftNode>| {
        node.groups().iter().all(|group| match sleep_after {
            Some(_) => group.is_asleep(),
            None => group.status().role == Role::Leader || group.status().leader.is_some(),
        })
    };
    while !nodes.iter().all(is_settled) {
        assert!(begun.elapsed() < Duration::from_secs(300), "they do not come to rest");
        sleep(Duration::from_millis(200)).await;
    }
    let (cpu, memory) = usage();
    sleep(WATCHED).await;
    let spent = usage().0 - cpu;
    let share = spent.as_secs_f64() / WATCHED.as_secs_f64() / STORES as f64 * 100.0;
    let per_member = memory.saturating_sub(before) as f64 / (groups * STORES) as f64 / 1024.0;
    let kind = if sleep_after.is_some() { "asleep" } else { "awake" };
    println!("{groups} groups {kind}: {share:.2} % of a core per store, {per_member:.1} KiB per member");
    for node in &nodes {
        node.stop_all().await;
    }
}

#[tokio::main]
async fn main() {
    let asked = std::env::var("TIDEWATER_IDLE_GROUPS").ok();
    let groups = asked.map_or(10_000, |asked| asked.parse().expect("TIDEWATER_IDLE_GROUPS is a number"));
    measure(groups, Some(Duration::from_secs(5))).await;
    measure(groups / 10, None).await;
}
