//! Who may do what.
//!
//! Accounts and grants live in `mysql.user`, `mysql.db` and `mysql.tables_priv`; [`Accounts`] is their image in memory,
//! read again after every change. [`Privileges`] is what one session's account may do.

mod accounts;
mod grants;

use std::sync::Arc;

use bitflags::bitflags;
use tidewater_types::{ErrorCode, SqlError};

use crate::error::sql_error;
use crate::infoschema::{Row, is_virtual_database, text};

pub(crate) use accounts::{Account, Accounts, DatabaseGrant, TableGrant};

bitflags! {
    /// MySQL's static privileges.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(crate) struct Rights: u64 {
        const SELECT = 1;
        const INSERT = 1 << 1;
        const UPDATE = 1 << 2;
        const DELETE = 1 << 3;
        const CREATE = 1 << 4;
        const DROP = 1 << 5;
        const RELOAD = 1 << 6;
        const SHUTDOWN = 1 << 7;
        const PROCESS = 1 << 8;
        const FILE = 1 << 9;
        const REFERENCES = 1 << 10;
        const INDEX = 1 << 11;
        const ALTER = 1 << 12;
        const SHOW_DATABASES = 1 << 13;
        const SUPER = 1 << 14;
        const CREATE_TEMPORARY_TABLES = 1 << 15;
        const LOCK_TABLES = 1 << 16;
        const EXECUTE = 1 << 17;
        const REPLICATION_SLAVE = 1 << 18;
        const REPLICATION_CLIENT = 1 << 19;
        const CREATE_VIEW = 1 << 20;
        const SHOW_VIEW = 1 << 21;
        const CREATE_ROUTINE = 1 << 22;
        const ALTER_ROUTINE = 1 << 23;
        const CREATE_USER = 1 << 24;
        const EVENT = 1 << 25;
        const TRIGGER = 1 << 26;
        const CREATE_TABLESPACE = 1 << 27;
        const CREATE_ROLE = 1 << 28;
        const DROP_ROLE = 1 << 29;
        const GRANT = 1 << 30;
    }
}

/// Each right with its SQL name and its column of `mysql.user`, in MySQL's order.
pub(crate) const RIGHTS: &[(Rights, &str, &str)] = &[
    (Rights::SELECT, "SELECT", "Select_priv"),
    (Rights::INSERT, "INSERT", "Insert_priv"),
    (Rights::UPDATE, "UPDATE", "Update_priv"),
    (Rights::DELETE, "DELETE", "Delete_priv"),
    (Rights::CREATE, "CREATE", "Create_priv"),
    (Rights::DROP, "DROP", "Drop_priv"),
    (Rights::RELOAD, "RELOAD", "Reload_priv"),
    (Rights::SHUTDOWN, "SHUTDOWN", "Shutdown_priv"),
    (Rights::PROCESS, "PROCESS", "Process_priv"),
    (Rights::FILE, "FILE", "File_priv"),
    (Rights::REFERENCES, "REFERENCES", "References_priv"),
    (Rights::INDEX, "INDEX", "Index_priv"),
    (Rights::ALTER, "ALTER", "Alter_priv"),
    (Rights::SHOW_DATABASES, "SHOW DATABASES", "Show_db_priv"),
    (Rights::SUPER, "SUPER", "Super_priv"),
    (Rights::CREATE_TEMPORARY_TABLES, "CREATE TEMPORARY TABLES", "Create_tmp_table_priv"),
    (Rights::LOCK_TABLES, "LOCK TABLES", "Lock_tables_priv"),
    (Rights::EXECUTE, "EXECUTE", "Execute_priv"),
    (Rights::REPLICATION_SLAVE, "REPLICATION SLAVE", "Repl_slave_priv"),
    (Rights::REPLICATION_CLIENT, "REPLICATION CLIENT", "Repl_client_priv"),
    (Rights::CREATE_VIEW, "CREATE VIEW", "Create_view_priv"),
    (Rights::SHOW_VIEW, "SHOW VIEW", "Show_view_priv"),
    (Rights::CREATE_ROUTINE, "CREATE ROUTINE", "Create_routine_priv"),
    (Rights::ALTER_ROUTINE, "ALTER ROUTINE", "Alter_routine_priv"),
    (Rights::CREATE_USER, "CREATE USER", "Create_user_priv"),
    (Rights::EVENT, "EVENT", "Event_priv"),
    (Rights::TRIGGER, "TRIGGER", "Trigger_priv"),
    (Rights::CREATE_TABLESPACE, "CREATE TABLESPACE", "Create_tablespace_priv"),
    (Rights::CREATE_ROLE, "CREATE ROLE", "Create_role_priv"),
    (Rights::DROP_ROLE, "DROP ROLE", "Drop_role_priv"),
    (Rights::GRANT, "GRANT OPTION", "Grant_priv"),
];

impl Rights {
    /// Rights that make sense on a database.
    pub(crate) const DATABASE: Self = Self::SELECT
        .union(Self::INSERT)
        .union(Self::UPDATE)
        .union(Self::DELETE)
        .union(Self::CREATE)
        .union(Self::DROP)
        .union(Self::REFERENCES)
        .union(Self::INDEX)
        .union(Self::ALTER)
        .union(Self::CREATE_TEMPORARY_TABLES)
        .union(Self::LOCK_TABLES)
        .union(Self::EXECUTE)
        .union(Self::CREATE_VIEW)
        .union(Self::SHOW_VIEW)
        .union(Self::CREATE_ROUTINE)
        .union(Self::ALTER_ROUTINE)
        .union(Self::EVENT)
        .union(Self::TRIGGER);
    /// Rights that make sense on a table.
    pub(crate) const TABLE: Self = Self::SELECT
        .union(Self::INSERT)
        .union(Self::UPDATE)
        .union(Self::DELETE)
        .union(Self::CREATE)
        .union(Self::DROP)
        .union(Self::REFERENCES)
        .union(Self::INDEX)
        .union(Self::ALTER)
        .union(Self::CREATE_VIEW)
        .union(Self::SHOW_VIEW)
        .union(Self::TRIGGER);

    /// The right of this SQL name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        RIGHTS.iter().find(|(_, sql, _)| *sql == name).map(|(right, ..)| *right)
    }

    /// The SQL names, in MySQL's order, without GRANT OPTION.
    pub(crate) fn names(self) -> Vec<&'static str> {
        RIGHTS
            .iter()
            .filter(|(right, ..)| *right != Self::GRANT && self.contains(*right))
            .map(|(_, name, _)| *name)
            .collect()
    }

    /// Everything but GRANT OPTION.
    pub(crate) fn all_but_grant() -> Self {
        Self::all().difference(Self::GRANT)
    }
}

/// What an account may do.
#[derive(Clone)]
pub(crate) struct Privileges {
    accounts: Arc<Accounts>,
    /// `None`: the library's own session, which may do everything.
    account: Option<(String, String)>,
}

impl Privileges {
    pub(crate) fn new(accounts: Arc<Accounts>, account: Option<(String, String)>) -> Self {
        Self { accounts, account }
    }

    fn global(&self) -> Rights {
        match &self.account {
            None => Rights::all(),
            Some((user, host)) => {
                self.accounts.find(user, host).map_or(Rights::empty(), |account| account.rights)
            }
        }
    }

    fn on_database(&self, database: &str) -> Rights {
        let Some((user, host)) = &self.account else { return Rights::all() };
        self.accounts
            .databases
            .iter()
            .filter(|grant| {
                grant.user == *user && grant.host == *host && crate::show::like(database, &grant.database)
            })
            .fold(self.global(), |rights, grant| rights | grant.rights)
    }

    fn on_table(&self, database: &str, table: &str) -> Rights {
        let Some((user, host)) = &self.account else { return Rights::all() };
        self.accounts
            .tables
            .iter()
            .filter(|grant| {
                grant.user == *user
                    && grant.host == *host
                    && grant.database.eq_ignore_ascii_case(database)
                    && grant.table.eq_ignore_ascii_case(table)
            })
            .fold(self.on_database(database), |rights, grant| rights | grant.rights)
    }

    /// Whether everything is allowed, so that nothing need be looked up.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.account.is_none() || self.global().contains(Rights::all_but_grant())
    }

    pub(crate) fn has_global(&self, right: Rights) -> bool {
        self.global().contains(right)
    }

    pub(crate) fn has_database(&self, database: &str, right: Rights) -> bool {
        self.on_database(database).contains(right)
    }

    pub(crate) fn has_table(&self, database: &str, table: &str, right: Rights) -> bool {
        (is_virtual_database(database) && right == Rights::SELECT)
            || self.on_table(database, table).contains(right)
    }

    /// 1142 unless the account has the right on the table.
    pub(crate) fn check_table(
        &self,
        database: &str,
        table: &str,
        right: Rights,
        verb: &str,
    ) -> Result<(), SqlError> {
        if self.has_table(database, table, right) {
            return Ok(());
        }
        let (user, host) = self.account.clone().unwrap_or_default();
        Err(sql_error(
            ErrorCode::TableaccessDeniedError,
            format!("{verb} command denied to user '{user}'@'{host}' for table '{table}'"),
        ))
    }

    /// 1044 unless the account has the right on the database.
    pub(crate) fn check_database(&self, database: &str, right: Rights) -> Result<(), SqlError> {
        if self.has_database(database, right) { Ok(()) } else { Err(self.database_denied(database)) }
    }

    pub(crate) fn database_denied(&self, database: &str) -> SqlError {
        let (user, host) = self.account.clone().unwrap_or_default();
        sql_error(
            ErrorCode::DbaccessDeniedError,
            format!("Access denied for user '{user}'@'{host}' to database '{database}'"),
        )
    }

    /// 1227 unless the account has the global right.
    pub(crate) fn check_global(&self, right: Rights, name: &str) -> Result<(), SqlError> {
        if self.has_global(right) {
            return Ok(());
        }
        Err(sql_error(
            ErrorCode::SpecificAccessDeniedError,
            format!("Access denied; you need (at least one of) the {name} privilege(s) for this operation"),
        ))
    }

    /// Whether any right touches a database.
    pub(crate) fn sees_database(&self, database: &str) -> bool {
        if is_virtual_database(database) || self.is_unlimited() || self.has_global(Rights::SHOW_DATABASES) {
            return true;
        }
        let Some((user, host)) = &self.account else { return true };
        !self.on_database(database).is_empty()
            || self.accounts.tables.iter().any(|grant| {
                grant.user == *user && grant.host == *host && grant.database.eq_ignore_ascii_case(database)
            })
    }

    pub(crate) fn sees_table(&self, database: &str, table: &str) -> bool {
        is_virtual_database(database) || self.is_unlimited() || !self.on_table(database, table).is_empty()
    }

    pub(crate) fn sees_process(&self, user: &str) -> bool {
        self.has_global(Rights::PROCESS) || self.account.as_ref().is_none_or(|(own, _)| own == user)
    }

    fn visible_accounts(&self) -> impl Iterator<Item = &Account> {
        let all = self.is_unlimited();
        self.accounts.users.iter().filter(move |account| {
            all || self
                .account
                .as_ref()
                .is_some_and(|(user, host)| account.user == *user && account.host == *host)
        })
    }

    pub(crate) fn user_privilege_rows(&self) -> Vec<Row> {
        self.visible_accounts()
            .flat_map(|account| grant_rows(&account.user, &account.host, &[], account.rights, Some("USAGE")))
            .collect()
    }

    pub(crate) fn schema_privilege_rows(&self) -> Vec<Row> {
        let grants = self.accounts.databases.iter();
        grants
            .flat_map(|grant| grant_rows(&grant.user, &grant.host, &[&grant.database], grant.rights, None))
            .collect()
    }

    pub(crate) fn table_privilege_rows(&self) -> Vec<Row> {
        let grants = self.accounts.tables.iter();
        grants
            .flat_map(|grant| {
                let held_on = [grant.database.as_str(), grant.table.as_str()];
                grant_rows(&grant.user, &grant.host, &held_on, grant.rights, None)
            })
            .collect()
    }
}

/// A row for each right: whose it is, what it is held on, its name (or what stands for none), and whether it may be
/// passed on.
fn grant_rows(
    user: &str,
    host: &str,
    held_on: &[&str],
    rights: Rights,
    instead_of_none: Option<&'static str>,
) -> Vec<Row> {
    let mut names = rights.names();
    if names.is_empty() {
        names.extend(instead_of_none);
    }
    let grantable = if rights.contains(Rights::GRANT) { "YES" } else { "NO" };
    let row = |name| {
        let mut row = vec![text(format!("'{user}'@'{host}'")), text("def")];
        row.extend(held_on.iter().map(|place| text(*place)));
        row.extend([text(name), text(grantable)]);
        row
    };
    names.into_iter().map(row).collect()
}

/// SHOW PRIVILEGES.
pub(crate) const PRIVILEGE_HELP: &[(&str, &str, &str)] = &[
    ("Alter", "Tables", "To alter the table"),
    ("Create", "Databases,Tables,Indexes", "To create new databases and tables"),
    ("Create view", "Tables", "To create new views"),
    ("Create user", "Server Admin", "To create new users"),
    ("Delete", "Tables", "To delete existing rows"),
    ("Drop", "Databases,Tables", "To drop databases, tables, and views"),
    ("File", "File access on server", "To read and write files on the server"),
    (
        "Grant option",
        "Databases,Tables,Functions,Procedures",
        "To give to other users those privileges you possess",
    ),
    ("Index", "Tables", "To create or drop indexes"),
    ("Insert", "Tables", "To insert data into tables"),
    ("Lock tables", "Databases", "To use LOCK TABLES (together with SELECT privilege)"),
    ("Process", "Server Admin", "To view the plain text of currently executing queries"),
    ("References", "Databases,Tables", "To have references on tables"),
    ("Reload", "Server Admin", "To reload or refresh tables, logs and privileges"),
    ("Select", "Tables", "To retrieve rows from table"),
    ("Show databases", "Server Admin", "To see all databases with SHOW DATABASES"),
    ("Show view", "Tables", "To see views with SHOW CREATE VIEW"),
    ("Super", "Server Admin", "To use KILL thread, SET GLOBAL, CHANGE MASTER, etc."),
    ("Update", "Tables", "To update existing rows"),
    ("Usage", "Server Admin", "No privileges - allow connect only"),
];
