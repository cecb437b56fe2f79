//! Placement rules: how many peers of which role the regions of a key range have, and on which stores.
//!
//! A region follows the rules that hold its first key; a rule does not split regions. Where no rule asks for voters, there are as many as
//! [`ReplicationConfig::max_replicas`](crate::ReplicationConfig) says, anywhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidewater_proto::metapb;

/// Most rules of a cluster: they are gone through for each region.
pub(crate) const RULES_MAX: usize = 64;
/// Most peers that one rule may ask for.
pub(crate) const RULE_COUNT_MAX: usize = 9;

/// What the peers of a rule do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplicaRole {
    /// They vote and may lead.
    Voter,
    /// They follow only.
    Learner,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelOp {
    /// It has one of the values.
    In = 0,
    /// It has none of the values, or is not there.
    NotIn = 1,
    /// It is there.
    Exists = 2,
    /// It is not there.
    NotExists = 3,
}

/// What the labels of a store must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelConstraint {
    /// The label's key.
    pub key: String,
    /// How it is compared.
    pub op: LabelOp,
    /// With what; nothing for the two that ask whether it is there.
    pub values: Vec<String>,
}

/// How many peers the regions of a range have, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementRule {
    /// Its name: letters, digits, `-` and `_`.
    pub id: String,
    /// The first key (encoded) of the range.
    pub start_key: Bytes,
    /// The end of the range, exclusive; empty is unbounded.
    pub end_key: Bytes,
    /// What the peers do.
    pub role: ReplicaRole,
    /// How many there are.
    pub count: usize,
    /// All must hold for a store to get one of the peers.
    pub constraints: Vec<LabelConstraint>,
}

/// The table of rules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    by_id: BTreeMap<String, PlacementRule>,
}

/// What one rule asks of one region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) role: ReplicaRole,
    pub(crate) count: usize,
    pub(crate) constraints: &'a [LabelConstraint],
}

impl LabelConstraint {
    /// Whether a store is as asked for.
    pub(crate) fn accepts(&self, store: &metapb::Store) -> bool {
        let value = label_of(store, &self.key);
        let is_listed = value.is_some_and(|value| self.values.iter().any(|each| each == value));
        match self.op {
            LabelOp::In => is_listed,
            LabelOp::NotIn => !is_listed,
            LabelOp::Exists => value.is_some(),
            LabelOp::NotExists => value.is_none(),
        }
    }
}

impl PlacementRule {
    fn holds(&self, key: &[u8]) -> bool {
        self.start_key[..] <= *key && (self.end_key.is_empty() || *key < self.end_key[..])
    }

    /// Why the rule cannot be taken, if so.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if self.id.is_empty() || !self.id.bytes().all(is_plain) {
            Some("its name is not of letters, digits, hyphens and underscores")
        } else if self.count == 0 || self.count > RULE_COUNT_MAX {
            Some("it asks for no peers or for too many")
        } else if !self.end_key.is_empty() && self.start_key >= self.end_key {
            Some("its range ends before it starts")
        } else {
            None
        }
    }
}

impl Rules {
    pub(crate) fn insert(&mut self, rule: PlacementRule) {
        self.by_id.insert(rule.id.clone(), rule);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &PlacementRule> {
        self.by_id.values()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// What a region that starts at `key` should have: voters first, the pickiest first.
    pub(crate) fn wanted(&self, key: &[u8], max_replicas: usize) -> Vec<Wanted<'_>> {
        let matching = self.by_id.values().filter(|rule| rule.holds(key));
        let mut wanted: Vec<_> = matching
            .map(|rule| Wanted { role: rule.role, count: rule.count, constraints: &rule.constraints })
            .collect();
        if !wanted.iter().any(|rule| rule.role == ReplicaRole::Voter) {
            wanted.push(Wanted { role: ReplicaRole::Voter, count: max_replicas.max(1), constraints: &[] });
        }
        wanted.sort_by_key(|rule| (rule.role, std::cmp::Reverse(rule.constraints.len())));
        wanted
    }
}

/// A label of a store; an empty one counts as none.
pub(crate) fn label_of<'a>(store: &'a metapb::Store, key: &str) -> Option<&'a str> {
    let label = store.labels.iter().find(|label| label.key == key)?;
    (!label.value.is_empty()).then_some(label.value.as_str())
}
