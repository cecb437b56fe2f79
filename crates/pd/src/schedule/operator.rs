//! One region's way from what it is to what it should be, in steps that its leader is asked to take one by one.

use bytes::Bytes;
use tidewater_proto::{metapb, pdpb};

use super::context::Context;
use super::status::RegionStatus;
use crate::regions::RegionRecord;

/// Why an operator exists; each kind has a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperatorKind {
    /// A rule is broken: too few or too many peers, a lost store, a wrong place.
    Repair,
    /// A peer moves so that stores have similar numbers of regions.
    Region,
    /// A leader moves so that stores lead similar numbers of regions, or because its store is to lead none.
    Leader,
    /// The leader of a hot region moves.
    Hot,
    /// A small region becomes a part of its neighbor.
    Merge,
    /// Somebody asked for it by hand.
    Admin,
}

impl OperatorKind {
    /// All there are, with PD's names for them.
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Repair, "replica"),
        (Self::Region, "region"),
        (Self::Leader, "leader"),
        (Self::Hot, "hot-region"),
        (Self::Merge, "merge"),
        (Self::Admin, "admin"),
    ];

    /// PD's name for it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of a name of PD's; the error is all names there are.
    pub fn from_name(name: &str) -> Result<Self, Vec<&'static str>> {
        let found = Self::NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind).ok_or_else(|| Self::NAMES.iter().map(|(_, name)| *name).collect())
    }
}

/// One change to a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A peer without a vote comes to the store; done when it has caught up.
    AddLearner {
        /// Where it comes to.
        store_id: u64,
        /// Its id.
        peer_id: u64,
    },
    /// A learner gets a vote.
    Promote {
        /// Where it is.
        store_id: u64,
        /// Its id.
        peer_id: u64,
    },
    /// Another peer is to lead.
    TransferLeader {
        /// The store that led when the operator was made.
        from_store: u64,
        /// The store that is to lead.
        to_store: u64,
    },
    /// A peer goes, voter or learner.
    RemovePeer {
        /// Where it is.
        store_id: u64,
        /// Its id.
        peer_id: u64,
    },
    /// The region becomes a part of its neighbor; done when it is no more.
    Merge {
        /// The neighbor's id.
        target: u64,
    },
    /// The region is cut; done when it has another version.
    Split {
        /// Where.
        policy: SplitPolicy,
        /// The region's version before.
        version: u64,
    },
}

/// How a region's leader finds where to cut it; PD's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitPolicy {
    /// In the middle, by reading all of it.
    Scan,
    /// In the middle, by what is known of its size.
    Approximate,
    /// At keys that are given.
    UseKey,
}

impl SplitPolicy {
    pub(crate) fn on_the_wire(self) -> pdpb::CheckPolicy {
        match self {
            Self::Scan => pdpb::CheckPolicy::Scan,
            Self::Approximate => pdpb::CheckPolicy::Approximate,
            Self::UseKey => pdpb::CheckPolicy::Usekey,
        }
    }

    /// The policy of a name of PD's.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "scan" => Some(Self::Scan),
            "approximate" => Some(Self::Approximate),
            "usekey" => Some(Self::UseKey),
            _ => None,
        }
    }

    /// PD's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Approximate => "approximate",
            Self::UseKey => "usekey",
        }
    }
}

/// What has become of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorResult {
    /// All steps are done.
    Success,
    /// It took too long.
    Timeout,
    /// The region was changed by others meanwhile.
    Stale,
    /// The store that a peer or the leader should go to is not well.
    StoreLost,
    /// The region is no more.
    RegionGone,
    /// Somebody gave it up by hand.
    Canceled,
}

/// A region as it reported itself, with what is known beside its record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) record: &'a RegionRecord,
    pub(crate) status: &'a RegionStatus,
}

/// What the leader is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    ChangePeer(metapb::Peer, pdpb::ConfChangeType),
    TransferLeader(metapb::Peer),
    Merge(metapb::Region),
    Split(SplitPolicy, Vec<Bytes>),
}

/// The steps of one region.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) region_id: u64,
    pub(crate) kind: OperatorKind,
    /// Why, for people.
    pub(crate) reason: &'static str,
    pub(crate) steps: Vec<Step>,
    /// Encoded keys to split at, if a step needs any.
    pub(crate) split_keys: Vec<Bytes>,
    /// The step that is to be done; all before are done.
    pub(crate) current: usize,
    /// Whether that step's newcomer is there, though it has not caught up.
    pub(crate) has_landed: bool,
    /// `(version, conf_ver)` when the operator was made.
    pub(crate) epoch: (u64, u64),
    /// Size of the region, for the balance by size.
    pub(crate) mebibytes: u64,
    pub(crate) created_micros: i64,
    pub(crate) deadline_micros: i64,
}

/// How far an operator is.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The step that is to be done.
    pub(crate) current: usize,
    /// Whether that step's newcomer is there, though it has not caught up.
    pub(crate) has_landed: bool,
    /// What has become of it, if it is over.
    pub(crate) end: Option<OperatorResult>,
    /// What the leader is to be asked for.
    pub(crate) order: Option<Order>,
}

impl<'a> View<'a> {
    pub(crate) fn region(&self) -> &'a metapb::Region {
        &self.record.region
    }

    pub(crate) fn epoch(&self) -> (u64, u64) {
        self.region().region_epoch.map_or((0, 0), |epoch| (epoch.version, epoch.conf_ver))
    }

    pub(crate) fn leader_store(&self) -> Option<u64> {
        self.record.leader.map(|leader| leader.store_id)
    }

    pub(crate) fn peer_on(&self, store_id: u64) -> Option<&'a metapb::Peer> {
        self.region().peers.iter().find(|peer| peer.store_id == store_id)
    }

    pub(crate) fn voters(&self) -> impl Iterator<Item = &'a metapb::Peer> {
        self.region().peers.iter().filter(|peer| is_voter(peer))
    }

    /// Whether the peer keeps up with its leader, by the leader's word.
    pub(crate) fn is_caught_up(&self, peer: &metapb::Peer) -> bool {
        self.status.pending_since(peer.id).is_none() && !self.status.is_down(peer.id)
    }

    /// Whether the region is as quiet as balance and merge need it: everybody has caught up, nothing is between two memberships.
    pub(crate) fn is_settled(&self) -> bool {
        self.record.leader.is_some()
            && self.status.pending.is_empty()
            && self.status.down.is_empty()
            && self.voters().count() == self.region().peers.len() - self.learner_count()
    }

    fn learner_count(&self) -> usize {
        self.region().peers.iter().filter(|peer| is_learner(peer)).count()
    }

    /// Whether the region is left with a majority of healthy voters once a peer is gone.
    pub(crate) fn survives_without(&self, ctx: &Context<'_>, peer_id: u64) -> bool {
        let rest: Vec<_> = self.voters().filter(|peer| peer.id != peer_id).collect();
        let healthy =
            rest.iter().filter(|peer| self.is_caught_up(peer) && ctx.is_alive(peer.store_id)).count();
        healthy > rest.len() / 2
    }

    /// Who should lead in place of the leader: a healthy voter, where leaders are welcome if there is such a one, where there are few of them.
    pub(crate) fn heir(&self, ctx: &Context<'_>, accept: impl Fn(u64) -> bool) -> Option<metapb::Peer> {
        self.voters()
            .filter(|peer| Some(peer.store_id) != self.leader_store() && accept(peer.store_id))
            .filter(|peer| self.is_caught_up(peer) && ctx.is_alive(peer.store_id))
            .min_by_key(|peer| {
                (!ctx.takes_leaders(peer.store_id), ctx.leader_score_with(peer.store_id, 1), peer.store_id)
            })
            .copied()
    }
}

impl Step {
    /// Whether the region shows that the step is done.
    fn is_done(&self, view: &View<'_>) -> bool {
        match *self {
            Self::AddLearner { store_id, peer_id } => {
                view.peer_on(store_id).is_some_and(|peer| peer.id == peer_id && view.is_caught_up(peer))
            }
            Self::Promote { store_id, peer_id } => {
                view.peer_on(store_id).is_some_and(|peer| peer.id == peer_id && is_voter(peer))
            }
            Self::TransferLeader { to_store, .. } => view.leader_store() == Some(to_store),
            Self::RemovePeer { store_id, peer_id } => {
                view.peer_on(store_id).is_none_or(|peer| peer.id != peer_id)
            }
            // The region itself never tells: it is gone.
            Self::Merge { .. } => false,
            Self::Split { version, .. } => view.epoch().0 > version,
        }
    }

    /// How many changes of members the region shows that are this step's.
    fn members_changed(&self, view: &View<'_>) -> u64 {
        let changed = match *self {
            Self::AddLearner { store_id, peer_id } => {
                view.peer_on(store_id).is_some_and(|peer| peer.id == peer_id)
            }
            Self::Promote { .. } | Self::RemovePeer { .. } => self.is_done(view),
            Self::TransferLeader { .. } | Self::Merge { .. } | Self::Split { .. } => false,
        };
        u64::from(changed)
    }

    /// The store that must be well for the step to succeed.
    fn needs_store(&self) -> Option<u64> {
        match *self {
            Self::AddLearner { store_id, .. } | Self::Promote { store_id, .. } => Some(store_id),
            Self::TransferLeader { to_store, .. } => Some(to_store),
            Self::RemovePeer { .. } | Self::Merge { .. } | Self::Split { .. } => None,
        }
    }

    /// What to ask the leader for; nothing while it would do harm.
    fn order(&self, ctx: &Context<'_>, view: &View<'_>, split_keys: &[Bytes]) -> Option<Order> {
        use pdpb::ConfChangeType::{AddLearnerNode, AddNode, RemoveNode};
        match *self {
            Self::AddLearner { store_id, peer_id } => {
                let role = metapb::PeerRole::Learner.into();
                let peer = metapb::Peer { id: peer_id, store_id, role, ..Default::default() };
                Some(Order::ChangePeer(peer, AddLearnerNode))
            }
            Self::Promote { store_id, peer_id } => {
                let peer = metapb::Peer { id: peer_id, store_id, ..Default::default() };
                Some(Order::ChangePeer(peer, AddNode))
            }
            Self::TransferLeader { to_store, .. } => {
                let peer = view.peer_on(to_store).filter(|peer| is_voter(peer) && view.is_caught_up(peer))?;
                Some(Order::TransferLeader(*peer))
            }
            Self::RemovePeer { store_id, peer_id } => {
                let peer = view.peer_on(store_id).filter(|peer| peer.id == peer_id)?;
                if is_learner(peer) {
                    return Some(Order::ChangePeer(*peer, RemoveNode));
                }
                if !view.survives_without(ctx, peer_id) {
                    return None;
                }
                // Leadership may have come back since it was given away; a leader does not remove itself.
                match view.leader_store() == Some(store_id) {
                    true => view.heir(ctx, |_| true).map(Order::TransferLeader),
                    false => Some(Order::ChangePeer(*peer, RemoveNode)),
                }
            }
            Self::Merge { target } => {
                ctx.cluster.regions.by_id(target).map(|record| Order::Merge(record.region.clone()))
            }
            Self::Split { policy, .. } => Some(Order::Split(policy, split_keys.to_vec())),
        }
    }
}

impl Operator {
    /// How far the region's report shows the operator to be.
    pub(crate) fn progress(&self, ctx: &Context<'_>, view: &View<'_>) -> Progress {
        let done = self.rest().iter().take_while(|step| step.is_done(view)).count();
        let current = self.current + done;
        let Some(step) = self.steps.get(current) else {
            return Progress { current, has_landed: false, end: Some(OperatorResult::Success), order: None };
        };
        let end = if self.was_changed_by_others(ctx, view, current) {
            Some(OperatorResult::Stale)
        } else if ctx.now_micros >= self.deadline_micros {
            Some(OperatorResult::Timeout)
        } else if step.needs_store().is_some_and(|store_id| !ctx.is_healthy(store_id)) {
            Some(OperatorResult::StoreLost)
        } else {
            None
        };
        let order = if end.is_none() { step.order(ctx, view, &self.split_keys) } else { None };
        let has_landed = matches!(step, Step::AddLearner { .. }) && step.members_changed(view) > 0;
        Progress { current, has_landed, end, order }
    }

    /// The steps that are not done.
    pub(crate) fn rest(&self) -> &[Step] {
        &self.steps[self.current..]
    }

    fn was_changed_by_others(&self, ctx: &Context<'_>, view: &View<'_>, current: usize) -> bool {
        // Merging changes epochs on its own; what counts is that the two are neighbors with peers on the same stores. A change ordered before the
        // merge was planned may have come late.
        if let Some(Step::Merge { target }) = self.steps.get(current) {
            let region = view.region();
            return ctx.cluster.regions.by_id(*target).is_none_or(|neighbor| {
                let neighbor = &neighbor.region;
                let is_beside = neighbor.end_key == region.start_key || neighbor.start_key == region.end_key;
                let have_met = neighbor.peers.len() == region.peers.len()
                    && neighbor
                        .peers
                        .iter()
                        .all(|peer| view.peer_on(peer.store_id).is_some_and(|own| own.role == peer.role));
                !is_beside || !have_met
            });
        }
        let (version, conf_ver) = view.epoch();
        let own: u64 = self.steps[..=current].iter().map(|step| step.members_changed(view)).sum();
        version != self.epoch.0 || conf_ver > self.epoch.1 + own
    }
}

pub(crate) fn is_learner(peer: &metapb::Peer) -> bool {
    peer.role() == metapb::PeerRole::Learner
}

pub(crate) fn is_voter(peer: &metapb::Peer) -> bool {
    peer.role() == metapb::PeerRole::Voter
}
