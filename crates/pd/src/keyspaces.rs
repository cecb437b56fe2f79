//! Keyspaces: parts of the cluster's keys that do not see each other, each under a three-byte id in front of its keys.

use std::collections::BTreeMap;

use tidewater_proto::PdError;
use tidewater_proto::keyspacepb::{KeyspaceMeta, KeyspaceState};

/// The keyspace that is always there.
const DEFAULT_NAME: &str = "DEFAULT";
/// Ids are three bytes on the wire; the largest is left out, for the end of its range would have no prefix.
const ID_MAX: u32 = 0xff_fffe;
/// Bytes of a name.
const NAME_LEN_MAX: usize = 128;

#[derive(Debug)]
pub(crate) struct Keyspaces {
    by_name: BTreeMap<String, KeyspaceMeta>,
}

impl Default for Keyspaces {
    fn default() -> Self {
        let default = KeyspaceMeta { name: DEFAULT_NAME.to_owned(), ..Default::default() };
        Self { by_name: BTreeMap::from([(DEFAULT_NAME.to_owned(), default)]) }
    }
}

impl Keyspaces {
    pub(crate) fn get(&self, name: &str) -> Result<KeyspaceMeta, PdError> {
        self.by_name.get(name).cloned().ok_or_else(|| PdError::KeyspaceNotFound { name: name.to_owned() })
    }

    /// In the order of their ids.
    pub(crate) fn all(&self) -> Vec<KeyspaceMeta> {
        let mut all: Vec<_> = self.by_name.values().cloned().collect();
        all.sort_unstable_by_key(|keyspace| keyspace.id);
        all
    }

    pub(crate) fn insert(&mut self, keyspace: KeyspaceMeta) {
        self.by_name.insert(keyspace.name.clone(), keyspace);
    }

    /// A keyspace that does not exist yet, with the next id.
    pub(crate) fn plan(&self, name: &str, now_micros: i64) -> Result<KeyspaceMeta, PdError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > NAME_LEN_MAX || !name.bytes().all(is_plain) {
            return Err(PdError::InvalidValue {
                reason: format!(
                    "a keyspace's name is 1 to {NAME_LEN_MAX} letters, digits, hyphens and underscores, not {name:?}"
                ),
            });
        }
        let last = self.by_name.values().map(|keyspace| keyspace.id).max().unwrap_or_default();
        if last >= ID_MAX {
            return Err(PdError::InvalidValue { reason: format!("there are {ID_MAX} keyspaces already") });
        }
        Ok(KeyspaceMeta {
            id: last + 1,
            name: name.to_owned(),
            state: KeyspaceState::Enabled.into(),
            created_at: now_micros / 1_000_000,
            state_changed_at: now_micros / 1_000_000,
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_up_and_names_are_plain() {
        let mut keyspaces = Keyspaces::default();
        assert_eq!(keyspaces.get("DEFAULT").unwrap().id, 0);
        for (name, id) in [("one", 1), ("two", 2)] {
            let planned = keyspaces.plan(name, 5_000_000).unwrap();
            assert_eq!((planned.id, planned.created_at), (id, 5));
            keyspaces.insert(planned);
        }
        assert_eq!(keyspaces.all().iter().map(|each| each.id).collect::<Vec<_>>(), [0, 1, 2]);
        for name in ["", "a b", &"x".repeat(129), "\u{e4}"] {
            assert!(keyspaces.plan(name, 0).is_err(), "{name:?}");
        }
        assert!(keyspaces.get("three").is_err());
    }
}
