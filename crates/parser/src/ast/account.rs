//! Users, roles and privileges.

use super::{Ident, ObjectName};

/// `'user'@'host'`; a role's name too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName {
    /// The user; may be empty.
    pub user: String,
    /// The host; `%` when not given.
    pub host: String,
}

/// A user as the statements name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// A named account.
    Named(UserName),
    /// CURRENT_USER, USER().
    Current,
}

/// An account with how it proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSpec {
    /// The account.
    pub user: UserRef,
    /// IDENTIFIED ..
    pub auth: Option<AuthOption>,
}

/// IDENTIFIED ..
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthOption {
    /// WITH plugin.
    pub plugin: Option<String>,
    /// The credential.
    pub credential: Credential,
    /// ALTER USER .. REPLACE 'current password'.
    pub replace: Option<String>,
    /// RETAIN CURRENT PASSWORD.
    pub retain_current: bool,
}

/// What proves the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing given: IDENTIFIED WITH plugin.
    None,
    /// BY 'password'.
    Password(String),
    /// BY RANDOM PASSWORD.
    Random,
    /// AS 'hash'; also BY PASSWORD 'hash'.
    Hash(String),
}

/// CREATE USER.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateUser {
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The accounts.
    pub users: Vec<UserSpec>,
    /// DEFAULT ROLE.
    pub default_roles: Vec<UserName>,
    /// The accounts' options.
    pub options: AccountOptions,
}

/// ALTER USER.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterUser {
    /// IF EXISTS.
    pub if_exists: bool,
    /// The accounts.
    pub users: Vec<UserSpec>,
    /// DEFAULT ROLE.
    pub default_roles: Option<RoleSelection>,
    /// The accounts' options.
    pub options: AccountOptions,
}

/// REQUIRE, WITH, ACCOUNT, PASSWORD, COMMENT of an account.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AccountOptions {
    /// REQUIRE: `NONE`, `SSL`, `X509`, or `CIPHER`, `ISSUER`, `SUBJECT`, `SAN` with a string.
    pub require: Vec<(String, Option<String>)>,
    /// WITH MAX_QUERIES_PER_HOUR and its relatives, names in upper case.
    pub resources: Vec<(String, u64)>,
    /// ACCOUNT LOCK (true) or UNLOCK.
    pub locked: Option<bool>,
    /// PASSWORD EXPIRE ..
    pub password_expire: Option<PasswordExpire>,
    /// PASSWORD HISTORY, PASSWORD REUSE INTERVAL, PASSWORD REQUIRE CURRENT, FAILED_LOGIN_ATTEMPTS, PASSWORD_LOCK_TIME: the
    /// name in upper case and the value's text (empty for none).
    pub password_rules: Vec<(String, String)>,
    /// COMMENT.
    pub comment: Option<String>,
    /// ATTRIBUTE (a JSON document).
    pub attribute: Option<String>,
}

/// PASSWORD EXPIRE ..
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordExpire {
    /// At once.
    Now,
    /// DEFAULT.
    Default,
    /// NEVER.
    Never,
    /// INTERVAL n DAY.
    Days(u64),
}

/// DROP USER, DROP ROLE.
#[derive(Clone, Debug, PartialEq)]
pub struct DropUser {
    /// DROP ROLE.
    pub role: bool,
    /// IF EXISTS.
    pub if_exists: bool,
    /// The accounts.
    pub users: Vec<UserRef>,
}

/// GRANT privileges ON ..
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// What is granted.
    pub privileges: Vec<Privilege>,
    /// TABLE, FUNCTION, PROCEDURE before the object.
    pub object_kind: Option<ObjectKind>,
    /// On what.
    pub level: GrantLevel,
    /// To whom; MySQL 5.7 could create accounts here.
    pub users: Vec<UserSpec>,
    /// REQUIRE and WITH resource limits (5.7 style).
    pub options: AccountOptions,
    /// WITH GRANT OPTION.
    pub with_grant_option: bool,
}

/// REVOKE privileges ON ..
#[derive(Clone, Debug, PartialEq)]
pub struct Revoke {
    /// IF EXISTS.
    pub if_exists: bool,
    /// What is taken. `REVOKE ALL PRIVILEGES, GRANT OPTION FROM u` has both and the level [`GrantLevel::Global`].
    pub privileges: Vec<Privilege>,
    /// TABLE, FUNCTION, PROCEDURE before the object.
    pub object_kind: Option<ObjectKind>,
    /// On what.
    pub level: GrantLevel,
    /// From whom.
    pub users: Vec<UserRef>,
    /// IGNORE UNKNOWN USER.
    pub ignore_unknown: bool,
}

/// GRANT roles TO users.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantRole {
    /// The roles.
    pub roles: Vec<UserName>,
    /// To whom.
    pub users: Vec<UserRef>,
    /// WITH ADMIN OPTION.
    pub with_admin_option: bool,
}

/// REVOKE roles FROM users.
#[derive(Clone, Debug, PartialEq)]
pub struct RevokeRole {
    /// IF EXISTS.
    pub if_exists: bool,
    /// The roles.
    pub roles: Vec<UserName>,
    /// From whom.
    pub users: Vec<UserRef>,
}

/// One privilege.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// In upper case, words separated by one space: `SELECT`, `CREATE TEMPORARY TABLES`, `ALL`, `GRANT OPTION`,
    /// `BACKUP_ADMIN` ..
    pub name: String,
    /// For which columns; empty means all.
    pub columns: Vec<Ident>,
}

/// What kind of object a privilege is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum ObjectKind {
    Table,
    Function,
    Procedure,
}

/// On what a privilege is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantLevel {
    /// `*.*`.
    Global,
    /// `db.*`; `None` is `*`, the current database.
    Database(Option<Ident>),
    /// `[db.]table`.
    Table(ObjectName),
}

/// CREATE ROLE.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateRole {
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The roles.
    pub roles: Vec<UserName>,
}

/// SET ROLE's choice, and that of SET DEFAULT ROLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSelection {
    /// DEFAULT.
    Default,
    /// NONE.
    None,
    /// ALL.
    All,
    /// ALL EXCEPT roles.
    AllExcept(Vec<UserName>),
    /// These roles.
    Roles(Vec<UserName>),
}

/// SET DEFAULT ROLE .. TO users.
#[derive(Clone, Debug, PartialEq)]
pub struct SetDefaultRole {
    /// Which roles.
    pub roles: RoleSelection,
    /// For whom.
    pub users: Vec<UserRef>,
}

/// SET PASSWORD.
#[derive(Clone, Debug, PartialEq)]
pub struct SetPassword {
    /// FOR; `None` is the current user.
    pub user: Option<UserRef>,
    /// The new password; `None` is TO RANDOM.
    pub password: Option<String>,
    /// REPLACE 'current password'.
    pub replace: Option<String>,
}

/// RENAME USER.
#[derive(Clone, Debug, PartialEq)]
pub struct RenameUser {
    /// Old and new names.
    pub renames: Vec<(UserName, UserName)>,
}
