//! The image of the grant tables in memory.

use super::Rights;

/// A row of `mysql.user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) plugin: String,
    pub(crate) auth_string: Vec<u8>,
    pub(crate) rights: Rights,
    pub(crate) locked: bool,
    pub(crate) require_tls: bool,
}

/// A row of `mysql.db`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseGrant {
    pub(crate) user: String,
    pub(crate) host: String,
    /// A LIKE pattern.
    pub(crate) database: String,
    pub(crate) rights: Rights,
}

/// A row of `mysql.tables_priv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableGrant {
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) rights: Rights,
}

/// All accounts and grants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    /// In the order in which they are tried: most specific host first.
    pub(crate) users: Vec<Account>,
    pub(crate) databases: Vec<DatabaseGrant>,
    pub(crate) tables: Vec<TableGrant>,
}

impl Accounts {
    pub(crate) fn new(
        mut users: Vec<Account>,
        databases: Vec<DatabaseGrant>,
        tables: Vec<TableGrant>,
    ) -> Self {
        // MySQL sorts by host specificity; a named user goes before the anonymous one.
        users.sort_by_key(|account| (specificity(&account.host), account.user.is_empty()));
        Self { users, databases, tables }
    }

    /// The account of exactly this name.
    pub(crate) fn find(&self, user: &str, host: &str) -> Option<&Account> {
        self.users.iter().find(|account| account.user == user && account.host.eq_ignore_ascii_case(host))
    }

    /// The account a client from `client_host` logs in to.
    pub(crate) fn matching(&self, user: &str, client_host: &str) -> Option<&Account> {
        self.users.iter().find(|account| {
            (account.user == user || account.user.is_empty()) && host_matches(&account.host, client_host)
        })
    }
}

/// Literal hosts before patterns, longer patterns before shorter ones.
fn specificity(host: &str) -> (u8, usize) {
    match host.find(['%', '_']) {
        None if host.is_empty() => (2, 0),
        None => (0, 0),
        Some(wildcard) => (1, usize::MAX - wildcard),
    }
}

/// Whether a host pattern admits a client. `localhost` means the loopback addresses.
pub(crate) fn host_matches(pattern: &str, client_host: &str) -> bool {
    let is_loopback = matches!(client_host, "127.0.0.1" | "::1" | "localhost" | "");
    if pattern == "%" || pattern.is_empty() {
        return true;
    }
    if pattern.eq_ignore_ascii_case("localhost") {
        return is_loopback;
    }
    crate::show::like(client_host, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(user: &str, host: &str) -> Account {
        Account {
            user: user.to_owned(),
            host: host.to_owned(),
            plugin: "mysql_native_password".to_owned(),
            auth_string: Vec::new(),
            rights: Rights::empty(),
            locked: false,
            require_tls: false,
        }
    }

    #[test]
    fn the_most_specific_host_is_tried_first() {
        let users =
            vec![account("a", "%"), account("a", "10.0.%"), account("a", "10.0.0.7"), account("", "%")];
        let accounts = Accounts::new(users, Vec::new(), Vec::new());
        let host = |client: &str| accounts.matching("a", client).map(|account| account.host.as_str());
        assert_eq!(host("10.0.0.7"), Some("10.0.0.7"));
        assert_eq!(host("10.0.9.9"), Some("10.0.%"));
        assert_eq!(host("192.168.0.1"), Some("%"));
        assert_eq!(accounts.matching("b", "x").map(|account| account.user.as_str()), Some(""));
    }

    #[test]
    fn localhost_is_the_loopback() {
        assert!(host_matches("localhost", "127.0.0.1"));
        assert!(!host_matches("localhost", "10.0.0.1"));
    }
}
