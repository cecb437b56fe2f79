//! What `caching_sha2_password` remembers.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tidewater_session::AuthInfo;

/// How many accounts are remembered; beyond that an arbitrary one is forgotten and must log in fully again.
const ENTRIES_MAX: usize = 10_000;

/// Double hashes of passwords that were checked in full, by account. An entry counts only for the stored hash it was
/// checked against: a changed password needs no notice to this cache.
#[derive(Default)]
pub struct PasswordCache {
    entries: Mutex<BTreeMap<(String, String), Entry>>,
}

struct Entry {
    stored: Vec<u8>,
    double_hash: [u8; 32],
}

impl PasswordCache {
    /// The double hash for this account, if its password was checked since it was last changed.
    pub fn get(&self, account: &AuthInfo) -> Option<[u8; 32]> {
        let entries = self.entries.lock();
        let entry = entries.get(&(account.user.clone(), account.host.clone()))?;
        (entry.stored == account.auth_string).then_some(entry.double_hash)
    }

    /// Remembers a password that was checked.
    pub fn put(&self, account: &AuthInfo, double_hash: [u8; 32]) {
        let mut entries = self.entries.lock();
        if entries.len() >= ENTRIES_MAX {
            entries.pop_first();
        }
        let entry = Entry { stored: account.auth_string.clone(), double_hash };
        entries.insert((account.user.clone(), account.host.clone()), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_password_is_not_remembered() {
        let mut account = AuthInfo {
            user: "u".into(),
            host: "%".into(),
            plugin: "caching_sha2_password".into(),
            auth_string: b"one".to_vec(),
            locked: false,
            require_tls: false,
        };
        let cache = PasswordCache::default();
        cache.put(&account, [1; 32]);
        assert_eq!(cache.get(&account), Some([1; 32]));
        account.auth_string = b"two".to_vec();
        assert_eq!(cache.get(&account), None);
    }
}
