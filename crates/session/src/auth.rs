//! What the server needs to know of an account to check a password.

/// An account that matches a user name and a client address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthInfo {
    /// User name of the account.
    pub user: String,
    /// Host pattern of the account (`%`, `localhost`, `10.0.%`); with `user` it is `CURRENT_USER()`.
    pub host: String,
    /// `mysql_native_password` or `caching_sha2_password`.
    pub plugin: String,
    /// The stored hash as `mysql.user.authentication_string` holds it; empty means no password.
    pub auth_string: Vec<u8>,
    /// `ACCOUNT LOCK`: refuse with 3118.
    pub locked: bool,
    /// `REQUIRE SSL`: refuse plain connections.
    pub require_tls: bool,
}
