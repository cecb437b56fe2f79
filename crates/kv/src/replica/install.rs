//! A replica becomes what another one was.
//!
//! What is different from what is here is written in batches of bounded size. If one is enough, the replica is old or new, never half. If not, a record
//! is made durable first that says which snapshot is being installed, and goes with the last batch. Whoever finds that record when a store opens
//! installs the snapshot again, from where it is kept; until then nobody starts the replica.

use std::sync::Arc;

use tidewater_proto::metapb;
use tidewater_raft::{Applied, MachineError, Spooled, Spools};

use super::{
    Shape,
    machine::Failure,
    snapshot::{changes, take_head},
};
use crate::{
    Durability, Engine, EngineError, WriteBatch,
    meta::{self, Installation},
};

/// Where and how a snapshot is installed.
pub(super) struct Installer<'e> {
    pub engine: &'e dyn Engine,
    pub region_id: u64,
    pub peer_id: u64,
    pub applied: &'e Applied,
    /// Bytes of one write, about.
    pub bytes_max: usize,
}

/// In how many writes a snapshot is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    One,
    /// From the first to the last of them the replica is neither old nor new.
    Several,
}

impl Installer<'_> {
    /// Installs a snapshot. `begin` is called before the first write, and may add to it.
    pub(super) fn install(
        &self,
        snapshot: &Spooled,
        begin: impl FnOnce(Writes, &metapb::Region, &mut WriteBatch),
    ) -> Result<Shape, MachineError> {
        let mut pieces = snapshot.pieces().map_err(|error| MachineError(error.to_string()))?;
        let (shape, region) = take_head(self.region_id, &mut pieces)?;
        let mut begin = Some(begin);
        let mut write = |batch: WriteBatch| {
            if let Some(begin) = begin.take() {
                let mut first = WriteBatch::new();
                begin(Writes::Several, &region, &mut first);
                meta::put_installation(&mut first, &self.record(snapshot));
                self.engine.write(first, Durability::Sync)?;
            }
            self.engine.write(batch, Durability::Buffered).map_err(Failure::from)
        };
        let mut last = changes(self.engine, &region, pieces, self.bytes_max, &mut write)?;
        if let Some(begin) = begin.take() {
            begin(Writes::One, &region, &mut last);
        }
        meta::put_region(&mut last, &region);
        meta::set_merging(&mut last, self.region_id, shape.merging_into.as_ref());
        meta::put_applied(&mut last, self.region_id, self.peer_id, self.applied);
        meta::delete_installation(&mut last, self.region_id);
        // The log that led here is given up.
        self.engine.write(last, Durability::Sync).map_err(|error| MachineError(error.to_string()))?;
        Ok(shape)
    }

    fn record(&self, snapshot: &Spooled) -> Installation {
        Installation {
            region_id: self.region_id,
            peer_id: self.peer_id,
            applied: self.applied.clone(),
            snapshot: snapshot.name().to_owned(),
        }
    }
}

/// A snapshot that was half installed and cannot be found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub region_id: u64,
    pub peer_id: u64,
    pub reason: String,
}

/// Brings to their end what was being installed when the store was last open, and forgets all other snapshots. Tells where that cannot be.
pub(crate) fn finish_installations(
    engine: &dyn Engine,
    spools: &Arc<Spools>,
    bytes_max: usize,
) -> Result<Vec<Unfinished>, EngineError> {
    let begun = meta::load_installations(&*engine.snapshot())?;
    let mut unfinished = Vec::new();
    for installation in &begun {
        let Installation { region_id, peer_id, .. } = *installation;
        match finish(engine, spools, installation, bytes_max) {
            Ok(()) => {
                tracing::info!(region = region_id, "a snapshot that was half installed is installed now")
            }
            Err(MachineError(reason)) => unfinished.push(Unfinished { region_id, peer_id, reason }),
        }
    }
    // What is left of those that failed is for whoever wants to look at it.
    let kept = begun.into_iter().map(|installation| installation.snapshot).collect();
    if let Err(error) = spools.retain(&kept) {
        tracing::warn!(%error, "received snapshots of an earlier time are still here");
    }
    Ok(unfinished)
}

fn finish(
    engine: &dyn Engine,
    spools: &Arc<Spools>,
    installation: &Installation,
    bytes_max: usize,
) -> Result<(), MachineError> {
    let Installation { region_id, peer_id, applied, snapshot } = installation;
    let found = spools.open(snapshot).map_err(|error| MachineError(error.to_string()))?;
    let found = found.ok_or_else(|| MachineError(format!("the snapshot {snapshot} is not here any more")))?;
    let installer = Installer { engine, region_id: *region_id, peer_id: *peer_id, applied, bytes_max };
    match installer.install(&found, |_, _, _| ()) {
        Ok(_) => Ok(()),
        Err(error) => {
            found.leave();
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
