//! Who a member is: found in its data, or settled when it starts for the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tidewater_proto::{PdPeerConnector, TransportError, pdpeerpb};
use tidewater_raft::{Applied, Membership};
use tidewater_types::clock::WallClock;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{MemberConfig, MemberError, roster, state};
use crate::storage::{Batch, Storage};
use crate::{StorageError, records};

/// How long a founder waits for the others to tell that the cluster is there already.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);
/// How long a newcomer asks to be taken in: there may be no leader just now.
const JOIN_PATIENCE: Duration = Duration::from_secs(15);
const JOIN_PAUSE: Duration = Duration::from_millis(200);

/// What a member keeps about itself.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Identity {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(uint64, tag = "3")]
    pub(crate) group_id: u64,
    /// Stands for the data directory.
    #[prost(uint64, tag = "4")]
    pub(crate) instance: u64,
    /// Whether the cluster was there before the member.
    #[prost(bool, tag = "5")]
    pub(crate) joined: bool,
    /// Whether there must be a Raft log: from here on it holds promises.
    #[prost(bool, tag = "6")]
    pub(crate) ready: bool,
    /// Where the others were in the beginning.
    #[prost(message, repeated, tag = "7")]
    pub(crate) others: Vec<pdpeerpb::Member>,
}

impl Identity {
    pub(crate) fn save(&self, storage: &dyn Storage) -> Result<(), StorageError> {
        storage.write(vec![self.record()])
    }

    fn record(&self) -> (String, Option<Vec<u8>>) {
        (records::IDENTITY.to_owned(), Some(self.encode_to_vec()))
    }
}

/// Finds out who this member is. What it has settled is durable.
pub(crate) async fn settle(
    config: &MemberConfig,
    storage: &dyn Storage,
    connector: &Arc<dyn PdPeerConnector>,
    clock: &dyn WallClock,
) -> Result<Identity, MemberError> {
    let stored = storage.load()?;
    if let Some(bytes) = stored.get(records::IDENTITY) {
        let identity = Identity::decode(&bytes[..]).map_err(|error| MemberError::Stopped {
            reason: format!("the stored record {} is damaged: {error}", records::IDENTITY),
        })?;
        return match identity.name == config.name {
            true => Ok(identity),
            false => Err(MemberError::OtherName { name: config.name.clone(), found: identity.name }),
        };
    }
    // Zero means "has not run".
    let instance = (clock.now_micros().unsigned_abs() ^ hash(&[config.name.as_bytes()])).max(1);
    let has_data = stored.contains_key(records::CLUSTER_ID);
    if has_data && (!config.join.is_empty() || config.initial_cluster.len() > 1) {
        return Err(settings(
            "the data are those of a placement driver without other members: start it as the only one of --initial-cluster, and let the \
             others join it with --join",
        ));
    }
    match config.join.is_empty() {
        false => join(config, storage, connector, instance).await,
        true => {
            let identity = founder(config, &stored, instance)?;
            look_around(config, connector, identity.group_id).await?;
            let members: Vec<_> = identity.others.clone();
            let voters = Membership::of_voters(members.iter().map(|member| (member.id, member.id)));
            let mut batch: Batch = roster::founding(&members);
            batch.push((records::APPLIED.to_owned(), Some(state::encode_applied(&Applied::origin(voters)))));
            batch.push(identity.record());
            storage.write(batch)?;
            Ok(identity)
        }
    }
}

fn settings(reason: impl Into<String>) -> MemberError {
    MemberError::Settings { reason: reason.into() }
}

/// A member that a cluster begins with.
fn founder(
    config: &MemberConfig,
    stored: &BTreeMap<String, Vec<u8>>,
    instance: u64,
) -> Result<Identity, MemberError> {
    let named = config.initial_cluster.get(&config.name);
    let url = named.ok_or_else(|| {
        settings(format!("--initial-cluster does not name this member: {:?} is missing", config.name))
    })?;
    if !config.peer_urls.contains(url) {
        return Err(settings(format!(
            "--initial-cluster has {:?} at {url}, --peer-urls (or --advertise-peer-urls) have it at {}: make them agree",
            config.name,
            config.peer_urls.join(",")
        )));
    }
    let urls: BTreeSet<_> = config.initial_cluster.values().collect();
    if urls.len() != config.initial_cluster.len() {
        return Err(settings("two members of --initial-cluster have the same URL"));
    }
    let mut parts: Vec<&[u8]> = vec![config.initial_cluster_token.as_bytes()];
    for (name, url) in &config.initial_cluster {
        parts.extend([name.as_bytes(), url.as_bytes()]);
    }
    // A cluster that began without Raft.
    parts.extend(stored.get(records::CLUSTER_ID).map(|id| &id[..]));
    let others = config.initial_cluster.iter().zip(1..).map(|((name, url), id)| pdpeerpb::Member {
        id,
        name: name.clone(),
        peer_urls: vec![url.clone()],
        ..Default::default()
    });
    let others: Vec<_> = others.collect();
    let me = others.iter().find(|member| member.name == config.name);
    Ok(Identity {
        id: me.map_or(0, |me| me.id),
        name: config.name.clone(),
        group_id: hash(&parts).max(1),
        instance,
        joined: false,
        ready: false,
        others,
    })
}

/// Refuses to found what is there already: a member that has lost its data would break its promises.
async fn look_around(
    config: &MemberConfig,
    connector: &Arc<dyn PdPeerConnector>,
    group_id: u64,
) -> Result<(), MemberError> {
    let mut asked = JoinSet::new();
    for (name, url) in &config.initial_cluster {
        if *name != config.name {
            let (connector, url) = (connector.clone(), url.clone());
            asked.spawn(async move {
                let peer = connector.connect(&url)?;
                let told = timeout(LOOK_PATIENCE, peer.describe()).await;
                told.unwrap_or(Err(TransportError::Timeout)).map(|told| (url, told))
            });
        }
    }
    while let Some(told) = asked.join_next().await {
        // Who does not answer has not been started yet, or is away.
        let Ok(Ok((url, told))) = told else { continue };
        if told.group_id != group_id {
            return Err(MemberError::OtherCluster { url });
        }
        let name = config.name.clone();
        match told.members.iter().find(|member| member.name == name) {
            Some(member) if member.instance != 0 => return Err(MemberError::DataLost { name, url }),
            Some(_) => {}
            None => return Err(MemberError::Removed { name, url }),
        }
    }
    Ok(())
}

/// Asks a running cluster to take this member in.
async fn join(
    config: &MemberConfig,
    storage: &dyn Storage,
    connector: &Arc<dyn PdPeerConnector>,
    instance: u64,
) -> Result<Identity, MemberError> {
    let request = pdpeerpb::ChangeRequest {
        change: Some(pdpeerpb::change_request::Change::Join(pdpeerpb::Join {
            name: config.name.clone(),
            peer_urls: config.peer_urls.clone(),
            client_urls: config.client_urls.clone(),
        })),
        ..Default::default()
    };
    let asked = Instant::now();
    let mut reason = String::new();
    loop {
        for url in &config.join {
            let answer = match connector.connect(url) {
                Ok(peer) => timeout(JOIN_PATIENCE, peer.change(request.clone())).await,
                Err(error) => Ok(Err(error)),
            };
            use pdpeerpb::change_response::Outcome;
            match answer.unwrap_or(Err(TransportError::Timeout)) {
                Ok(answer) => match (answer.outcome(), answer.cluster) {
                    (Outcome::Done, Some(cluster)) => {
                        let identity = Identity {
                            id: answer.member_id,
                            name: config.name.clone(),
                            group_id: cluster.group_id,
                            instance,
                            joined: true,
                            ready: false,
                            others: cluster.members,
                        };
                        identity.save(storage)?;
                        return Ok(identity);
                    }
                    (Outcome::Refused, _) => return Err(MemberError::Refused { reason: answer.reason }),
                    _ => reason = answer.reason,
                },
                Err(error) => reason = error.to_string(),
            }
        }
        if asked.elapsed() > JOIN_PATIENCE {
            return Err(MemberError::Unreachable { urls: config.join.clone(), reason });
        }
        sleep(JOIN_PAUSE).await;
    }
}

/// FNV-1a of the parts and their lengths.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        let length = (part.len() as u64).to_le_bytes();
        for byte in length.iter().chain(*part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
