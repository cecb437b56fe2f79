//! A cluster that is disturbed while others use it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};

use super::faults::{self, Kind};
use super::interpose;
use super::members::{Counts, Members, Settings};
use super::process::Common;
use super::random::Random;
use crate::command;

const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What is done to a cluster, and how often.
#[derive(Debug, Clone)]
pub struct Disturbance {
    /// Kinds of faults, as far as they can be made on this machine.
    pub kinds: &'static [Kind],
    /// Milliseconds between the end of a fault and the next one.
    pub calm_ms: Range<u64>,
    /// Milliseconds that a fault lasts.
    pub fault_ms: Range<u64>,
}

/// A cluster to which something is done all the time, one thing after the other.
pub struct Disturbed {
    /// `host:port` of the members of the placement driver.
    pub pd: Vec<String>,
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<u32>>,
}

impl Disturbed {
    /// Starts a cluster with three replicas of everything and waits until they are there; from then on it is disturbed.
    pub fn start(
        program: &Path,
        name: &str,
        stores: u16,
        settings: Settings,
        disturbance: Disturbance,
    ) -> anyhow::Result<Self> {
        let folder = command::target_dir().join("clusters").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let interpose = interpose::build(&folder)?;
        let common = Common { program: program.to_owned(), interpose, folder: folder.clone() };
        let stop = Arc::new(AtomicBool::new(false));
        // Another for each name.
        let seed = name.bytes().fold(1, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let (told, ready) = mpsc::channel();
        let told_to_stop = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(async {
                let counts = Counts { pds: 3, stores, sqls: 0 };
                let mut members = Members::start(common, counts, settings).await?;
                let kinds = super::possible(disturbance.kinds, &members)?;
                super::wait_until_well(&members).await.context("the cluster never was well")?;
                told.send(members.pd_addresses()).context("nobody waits for the cluster")?;
                disturb(&mut members, seed, &kinds, &disturbance, &told_to_stop).await
            })
        });
        match ready.recv() {
            Ok(pd) => Ok(Self { pd, folder, stop, thread }),
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error),
                _ => bail!("the cluster did not start; see {}", folder.display()),
            },
        }
    }

    /// Folder of data and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the faults, and the cluster once it is well again; returns how many faults there were.
    pub fn finish(self) -> anyhow::Result<u32> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the cluster's thread panicked"))?
    }
}

async fn disturb(
    members: &mut Members,
    seed: u64,
    kinds: &[Kind],
    disturbance: &Disturbance,
    stop: &AtomicBool,
) -> anyhow::Result<u32> {
    let mut random = Random::new(seed);
    let mut count = 0;
    let Disturbance { calm_ms, fault_ms, .. } = disturbance;
    let draw = |random: &mut Random, range: &Range<u64>| {
        Duration::from_millis(range.start + random.below(range.end - range.start))
    };
    while wait(draw(&mut random, calm_ms), stop).await {
        for plan in faults::plan(&mut random, kinds).into_iter().take(1) {
            if let Some(fault) = faults::inject(members, plan, &[]).await? {
                eprintln!("{}", fault.what);
                count += 1;
                wait(draw(&mut random, fault_ms), stop).await;
                faults::heal(members, &fault).await?;
            }
        }
        for process in &mut members.processes {
            process.wait_until_ready().await?;
        }
    }
    super::wait_until_well(members).await?;
    for process in &mut members.processes {
        if let Some(complaint) = process.complaints().first() {
            bail!("{}: {complaint}", process.name);
        }
        if let Some(status) = process.has_ended() {
            bail!("{} ended by itself ({status})", process.name);
        }
    }
    for process in members.processes.iter_mut().rev() {
        process.stop().await?;
    }
    Ok(count)
}

/// Lets some time go by; tells whether nobody said stop.
async fn wait(time: Duration, stop: &AtomicBool) -> bool {
    let looks = time.as_millis() / LOOK_INTERVAL.as_millis();
    for _ in 0..looks {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    !stop.load(Ordering::Relaxed)
}
