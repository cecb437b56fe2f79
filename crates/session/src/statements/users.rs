//! Accounts and grants: CREATE, ALTER, DROP and RENAME USER, GRANT, REVOKE, SET PASSWORD. The tables of `mysql` are
//! changed through SQL, and their image in memory is then read again.

use std::sync::Arc;

use tidewater_parser::ast::{self, Credential, GrantLevel, UserName, UserRef, UserSpec};
use tidewater_types::{ErrorCode, SqlError};

use crate::error::sql_error;
use crate::password;
use crate::privileges::{RIGHTS, Rights};
use crate::result::OkResult;
use crate::session::Session;

impl Session {
    fn named_user(&self, user: &UserRef) -> UserName {
        match user {
            UserRef::Named(name) => UserName { user: name.user.clone(), host: name.host.to_lowercase() },
            UserRef::Current => match &self.options.account {
                Some((user, host)) => UserName { user: user.clone(), host: host.clone() },
                None => UserName { user: "root".to_owned(), host: "%".to_owned() },
            },
        }
    }

    /// Changes the system tables, all statements in one transaction, and reads the accounts again.
    async fn change_accounts(&mut self, statements: Vec<String>) -> Result<(), SqlError> {
        let mut session = self.db.internal_session()?;
        session.query("BEGIN").await?;
        for statement in statements {
            if let Err(error) = session.query(&statement).await {
                session.close().await;
                return Err(error);
            }
        }
        session.query("COMMIT").await?;
        session.close().await;
        let db = Arc::clone(&self.db);
        db.notify(|notices| notices.accounts += 1).await?;
        db.reload_accounts().await
    }

    /// Plugin and stored form of a credential.
    fn secret(&self, spec: &UserSpec, plugin: &str) -> Result<(String, Vec<u8>), SqlError> {
        let Some(auth) = &spec.auth else { return Ok((plugin.to_owned(), Vec::new())) };
        let plugin = auth.plugin.clone().unwrap_or_else(|| plugin.to_owned());
        if !matches!(plugin.as_str(), "mysql_native_password" | "caching_sha2_password") {
            return Err(sql_error(ErrorCode::PluginIsNotLoaded, format!("Plugin '{plugin}' is not loaded")));
        }
        let stored = match &auth.credential {
            Credential::None => Vec::new(),
            Credential::Password(password) => self.hash(&plugin, password),
            Credential::Hash(hash) => {
                let valid = match plugin.as_str() {
                    "mysql_native_password" => password::is_native_hash(hash.as_bytes()),
                    _ => password::is_sha2_hash(hash.as_bytes()),
                };
                if !valid && !hash.is_empty() {
                    return Err(sql_error(
                        ErrorCode::PasswordFormat,
                        "The password hash doesn't have the expected format.",
                    ));
                }
                hash.clone().into_bytes()
            }
            Credential::Random => return Err(crate::error::unsupported("RANDOM PASSWORD")),
        };
        Ok((plugin, stored))
    }

    fn hash(&self, plugin: &str, text: &str) -> Vec<u8> {
        if plugin == "mysql_native_password" {
            return password::native_hash(text.as_bytes());
        }
        let mut salt = [0u8; password::NONCE_LEN];
        for byte in &mut salt {
            *byte = password::salt_byte(self.random.next_u64() as u8);
        }
        password::sha2_hash(text.as_bytes(), &salt)
    }

    pub(crate) async fn create_user(&mut self, create: &ast::CreateUser) -> Result<OkResult, SqlError> {
        self.privileges().check_global(Rights::CREATE_USER, "CREATE USER")?;
        let accounts = self.db.accounts();
        let default_plugin = self.variable("default_authentication_plugin").unwrap_or_default();
        let mut failed = Vec::new();
        let mut statements = Vec::new();
        for spec in &create.users {
            let name = self.named_user(&spec.user);
            if accounts.find(&name.user, &name.host).is_some() {
                failed.push(shown(&name));
                continue;
            }
            let (plugin, stored) = self.secret(spec, &default_plugin)?;
            statements.push(format!(
                "INSERT INTO mysql.user (Host, User, plugin, authentication_string, account_locked, ssl_type) \
                 VALUES ({}, {}, {}, {}, '{}', '{}')",
                quoted(&name.host),
                quoted(&name.user),
                quoted(&plugin),
                hex_literal(&stored),
                if create.options.locked == Some(true) { 'Y' } else { 'N' },
                ssl_type(&create.options),
            ));
        }
        if !failed.is_empty() {
            let error = operation_failed("CREATE USER", &failed);
            if !create.if_not_exists {
                return Err(error);
            }
            for name in &failed {
                self.warnings.push_note(3163, format!("Authorization ID {name} already exists."));
            }
        }
        self.change_accounts(statements).await?;
        Ok(self.ok())
    }

    pub(crate) async fn alter_user(&mut self, alter: &ast::AlterUser) -> Result<OkResult, SqlError> {
        let accounts = self.db.accounts();
        let mut failed = Vec::new();
        let mut statements = Vec::new();
        for spec in &alter.users {
            let name = self.named_user(&spec.user);
            let own = self.options.account.as_ref() == Some(&(name.user.clone(), name.host.clone()));
            if !own {
                self.privileges().check_global(Rights::CREATE_USER, "CREATE USER")?;
            }
            let Some(account) = accounts.find(&name.user, &name.host) else {
                failed.push(shown(&name));
                continue;
            };
            let mut changes = Vec::new();
            if spec.auth.is_some() {
                let (plugin, stored) = self.secret(spec, &account.plugin)?;
                changes.push(format!(
                    "plugin = {}, authentication_string = {}",
                    quoted(&plugin),
                    hex_literal(&stored)
                ));
            }
            if let Some(locked) = alter.options.locked {
                changes.push(format!("account_locked = '{}'", if locked { 'Y' } else { 'N' }));
            }
            if !alter.options.require.is_empty() {
                changes.push(format!("ssl_type = '{}'", ssl_type(&alter.options)));
            }
            if !changes.is_empty() {
                statements.push(format!("UPDATE mysql.user SET {} WHERE {}", changes.join(", "), who(&name)));
            }
        }
        if !failed.is_empty() && !alter.if_exists {
            return Err(operation_failed("ALTER USER", &failed));
        }
        self.change_accounts(statements).await?;
        Ok(self.ok())
    }

    pub(crate) async fn drop_user(&mut self, drop: &ast::DropUser) -> Result<OkResult, SqlError> {
        self.privileges().check_global(Rights::CREATE_USER, "CREATE USER")?;
        let accounts = self.db.accounts();
        let mut failed = Vec::new();
        let mut statements = Vec::new();
        for user in &drop.users {
            let name = self.named_user(user);
            if accounts.find(&name.user, &name.host).is_none() {
                failed.push(shown(&name));
                continue;
            }
            for table in ["user", "db", "tables_priv"] {
                statements.push(format!("DELETE FROM mysql.{table} WHERE {}", who(&name)));
            }
        }
        if !failed.is_empty() {
            if !drop.if_exists {
                return Err(operation_failed("DROP USER", &failed));
            }
            for name in &failed {
                self.warnings.push_note(3162, format!("Authorization ID {name} does not exist."));
            }
        }
        self.change_accounts(statements).await?;
        Ok(self.ok())
    }

    pub(crate) async fn rename_user(&mut self, rename: &ast::RenameUser) -> Result<OkResult, SqlError> {
        self.privileges().check_global(Rights::CREATE_USER, "CREATE USER")?;
        let accounts = self.db.accounts();
        let mut statements = Vec::new();
        for (from, to) in &rename.renames {
            if accounts.find(&from.user, &from.host).is_none() || accounts.find(&to.user, &to.host).is_some()
            {
                return Err(operation_failed("RENAME USER", &[shown(from)]));
            }
            for table in ["user", "db", "tables_priv"] {
                statements.push(format!(
                    "UPDATE mysql.{table} SET User = {}, Host = {} WHERE {}",
                    quoted(&to.user),
                    quoted(&to.host),
                    who(from)
                ));
            }
        }
        self.change_accounts(statements).await?;
        Ok(self.ok())
    }

    pub(crate) async fn set_password(&mut self, set: &ast::SetPassword) -> Result<OkResult, SqlError> {
        let name = self.named_user(set.user.as_ref().unwrap_or(&UserRef::Current));
        let own = self.options.account.as_ref() == Some(&(name.user.clone(), name.host.clone()));
        if !own {
            self.privileges().check_global(Rights::SUPER, "SUPER")?;
        }
        let accounts = self.db.accounts();
        let Some(account) = accounts.find(&name.user, &name.host) else {
            return Err(sql_error(
                ErrorCode::PasswordNoMatch,
                "Can't find any matching row in the user table",
            ));
        };
        let Some(password) = &set.password else { return Err(crate::error::unsupported("RANDOM PASSWORD")) };
        let stored = self.hash(&account.plugin, password);
        self.change_accounts(vec![format!(
            "UPDATE mysql.user SET authentication_string = {} WHERE {}",
            hex_literal(&stored),
            who(&name)
        )])
        .await?;
        Ok(self.ok())
    }

    /// The rights a statement names, on its level.
    fn named_rights(&self, privileges: &[ast::Privilege], level: &GrantLevel) -> Result<Rights, SqlError> {
        let allowed = match level {
            GrantLevel::Global => Rights::all_but_grant(),
            GrantLevel::Database(_) => Rights::DATABASE,
            GrantLevel::Table(_) => Rights::TABLE,
        };
        let mut rights = Rights::empty();
        for privilege in privileges {
            if !privilege.columns.is_empty() {
                return Err(crate::error::unsupported("column privileges"));
            }
            rights |= match privilege.name.as_str() {
                "ALL" | "ALL PRIVILEGES" => allowed,
                "USAGE" => Rights::empty(),
                name => match Rights::named(name) {
                    Some(right) if (allowed | Rights::GRANT).contains(right) => right,
                    Some(_) => {
                        return Err(match level {
                            GrantLevel::Table(_) => sql_error(
                                ErrorCode::IllegalGrantForTable,
                                "Illegal GRANT/REVOKE command; please consult the manual to see which privileges can be used",
                            ),
                            _ => sql_error(
                                ErrorCode::WrongUsage,
                                "Incorrect usage of DB GRANT and GLOBAL PRIVILEGES",
                            ),
                        });
                    }
                    // Dynamic privileges are accepted; SUPER stands for them.
                    None if matches!(level, GrantLevel::Global) => Rights::empty(),
                    None => {
                        return Err(sql_error(
                            ErrorCode::IllegalGrantForTable,
                            "Illegal GRANT/REVOKE command; please consult the manual to see which privileges can be used",
                        ));
                    }
                },
            };
        }
        Ok(rights)
    }

    fn check_may_grant(&self, rights: Rights, level: &GrantLevel) -> Result<(), SqlError> {
        let privileges = self.privileges();
        let needed = rights | Rights::GRANT;
        match level {
            GrantLevel::Global => privileges.check_global(needed, "GRANT OPTION"),
            GrantLevel::Database(name) => {
                let name = self.database_name(name.as_deref())?;
                privileges.check_database(&name, needed)
            }
            GrantLevel::Table(name) => {
                let database = self.database_name(name.schema.as_deref())?;
                privileges.check_table(&database, &name.name.lower(), needed, "GRANT")
            }
        }
    }

    pub(crate) async fn grant(&mut self, grant: &ast::Grant) -> Result<OkResult, SqlError> {
        let mut rights = self.named_rights(&grant.privileges, &grant.level)?;
        self.check_may_grant(rights, &grant.level)?;
        if grant.with_grant_option {
            rights |= Rights::GRANT;
        }
        let accounts = self.db.accounts();
        let mut statements = Vec::new();
        for spec in &grant.users {
            let name = self.named_user(&spec.user);
            if accounts.find(&name.user, &name.host).is_none() {
                return Err(sql_error(
                    ErrorCode::CantCreateUserWithGrant,
                    "You are not allowed to create a user with GRANT",
                ));
            }
            statements.extend(self.grant_statements(&name, rights, &grant.level)?);
        }
        self.change_accounts(statements).await?;
        Ok(self.ok())
    }

    fn grant_statements(
        &self,
        name: &UserName,
        rights: Rights,
        level: &GrantLevel,
    ) -> Result<Vec<String>, SqlError> {
        let columns: Vec<&str> =
            RIGHTS.iter().filter(|(right, ..)| rights.contains(*right)).map(|(.., column)| *column).collect();
        let set: Vec<String> = columns.iter().map(|column| format!("{column} = 'Y'")).collect();
        Ok(match level {
            GrantLevel::Global if set.is_empty() => Vec::new(),
            GrantLevel::Global => {
                vec![format!("UPDATE mysql.user SET {} WHERE {}", set.join(", "), who(name))]
            }
            GrantLevel::Database(database) => {
                let database = self.database_name(database.as_deref())?;
                let mut statements = vec![format!(
                    "INSERT IGNORE INTO mysql.db (Host, DB, User) VALUES ({}, {}, {})",
                    quoted(&name.host),
                    quoted(&database),
                    quoted(&name.user)
                )];
                if !set.is_empty() {
                    statements.push(format!(
                        "UPDATE mysql.db SET {} WHERE {} AND DB = {}",
                        set.join(", "),
                        who(name),
                        quoted(&database)
                    ));
                }
                statements
            }
            GrantLevel::Table(table) => {
                let schema = self.db.schema();
                let database = self.database_name(table.schema.as_deref())?;
                if schema.table(&database, &table.name).is_none() && !rights.contains(Rights::CREATE) {
                    return Err(crate::error::no_such_table(&database, &table.name));
                }
                let old = self.table_rights(name, &database, &table.name);
                vec![self.put_table_rights(name, &database, &table.name, old | rights)]
            }
        })
    }

    fn table_rights(&self, name: &UserName, database: &str, table: &str) -> Rights {
        self.db
            .accounts()
            .tables
            .iter()
            .find(|grant| {
                grant.user == name.user
                    && grant.host.eq_ignore_ascii_case(&name.host)
                    && grant.database.eq_ignore_ascii_case(database)
                    && grant.table.eq_ignore_ascii_case(table)
            })
            .map_or(Rights::empty(), |grant| grant.rights)
    }

    fn put_table_rights(&self, name: &UserName, database: &str, table: &str, rights: Rights) -> String {
        let words: Vec<&str> =
            RIGHTS.iter().filter(|(right, ..)| rights.contains(*right)).map(|(_, word, _)| *word).collect();
        format!(
            "REPLACE INTO mysql.tables_priv (Host, DB, User, Table_name, Grantor, Table_priv) \
             VALUES ({}, {}, {}, {}, {}, {})",
            quoted(&name.host),
            quoted(database),
            quoted(&name.user),
            quoted(table),
            quoted(&self.options.user),
            quoted(&words.join(",")),
        )
    }

    pub(crate) async fn revoke(&mut self, revoke: &ast::Revoke) -> Result<OkResult, SqlError> {
        let rights = self.named_rights(&revoke.privileges, &revoke.level)?;
        self.check_may_grant(rights.difference(Rights::GRANT), &revoke.level)?;
        let accounts = self.db.accounts();
        let everything = matches!(revoke.level, GrantLevel::Global)
            && revoke.privileges.iter().any(|privilege| privilege.name.starts_with("ALL"))
            && revoke.privileges.iter().any(|privilege| privilege.name == "GRANT OPTION");
        let mut statements = Vec::new();
        for user in &revoke.users {
            let name = self.named_user(user);
            if accounts.find(&name.user, &name.host).is_none() {
                if revoke.ignore_unknown {
                    continue;
                }
                return Err(sql_error(
                    ErrorCode::NonexistingGrant,
                    format!(
                        "There is no such grant defined for user '{}' on host '{}'",
                        name.user, name.host
                    ),
                ));
            }
            let columns: Vec<String> = RIGHTS
                .iter()
                .filter(|(right, ..)| rights.contains(*right))
                .map(|(.., column)| format!("{column} = 'N'"))
                .collect();
            if everything {
                for table in ["db", "tables_priv"] {
                    statements.push(format!("DELETE FROM mysql.{table} WHERE {}", who(&name)));
                }
            }
            match &revoke.level {
                _ if columns.is_empty() => {}
                GrantLevel::Global => {
                    statements.push(format!(
                        "UPDATE mysql.user SET {} WHERE {}",
                        columns.join(", "),
                        who(&name)
                    ));
                }
                GrantLevel::Database(database) => {
                    let database = self.database_name(database.as_deref())?;
                    let known = accounts.databases.iter().any(|grant| {
                        grant.user == name.user
                            && grant.host == name.host
                            && grant.database.eq_ignore_ascii_case(&database)
                    });
                    if !known {
                        return Err(sql_error(
                            ErrorCode::NonexistingGrant,
                            format!(
                                "There is no such grant defined for user '{}' on host '{}'",
                                name.user, name.host
                            ),
                        ));
                    }
                    statements.push(format!(
                        "UPDATE mysql.db SET {} WHERE {} AND DB = {}",
                        columns.join(", "),
                        who(&name),
                        quoted(&database)
                    ));
                }
                GrantLevel::Table(table) => {
                    let database = self.database_name(table.schema.as_deref())?;
                    let old = self.table_rights(&name, &database, &table.name);
                    let left = old.difference(rights);
                    statements.push(if left.is_empty() {
                        format!(
                            "DELETE FROM mysql.tables_priv WHERE {} AND DB = {} AND Table_name = {}",
                            who(&name),
                            quoted(&database),
                            quoted(&table.name)
                        )
                    } else {
                        self.put_table_rights(&name, &database, &table.name, left)
                    });
                }
            }
        }
        self.change_accounts(statements).await?;
        Ok(self.ok())
    }
}

fn shown(name: &UserName) -> String {
    format!("'{}'@'{}'", name.user, name.host)
}

fn who(name: &UserName) -> String {
    format!("User = {} AND Host = {}", quoted(&name.user), quoted(&name.host))
}

/// A string literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Bytes as a literal.
fn hex_literal(bytes: &[u8]) -> String {
    if bytes.is_empty() { "''".to_owned() } else { format!("x'{}'", hex::encode(bytes)) }
}

fn ssl_type(options: &ast::AccountOptions) -> &'static str {
    match options.require.first().map(|(kind, _)| kind.as_str()) {
        None | Some("NONE") => "",
        Some("SSL") => "ANY",
        Some("X509") => "X509",
        Some(_) => "SPECIFIED",
    }
}

fn operation_failed(operation: &str, names: &[String]) -> SqlError {
    sql_error(ErrorCode::CannotUser, format!("Operation {operation} failed for {}", names.join(",")))
}
