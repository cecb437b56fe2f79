//! Reading the grant tables, and SHOW GRANTS.

use std::sync::Arc;

use tidewater_parser::ast::UserRef;
use tidewater_types::{Datum, ErrorCode, FieldType, SqlError};

use crate::database::Database;
use crate::error::sql_error;
use crate::infoschema::text;
use crate::session::Session;
use crate::show::Table;

use super::{Account, Accounts, DatabaseGrant, RIGHTS, Rights, TableGrant};

impl Database {
    /// Reads accounts and grants again.
    pub(crate) async fn reload_accounts(self: &Arc<Self>) -> Result<(), SqlError> {
        let mut session = self.internal_session()?;
        let columns: Vec<&str> = RIGHTS.iter().map(|(.., column)| *column).collect();
        let users = read(
            &mut session,
            &format!(
                "SELECT User, Host, plugin, authentication_string, account_locked, ssl_type, {} FROM mysql.user",
                columns.join(", ")
            ),
        )
        .await?;
        let users = users
            .into_iter()
            .map(|row| Account {
                user: row[0].clone(),
                host: row[1].clone(),
                plugin: row[2].clone(),
                auth_string: row[3].clone().into_bytes(),
                locked: row[4] == "Y",
                require_tls: !row[5].is_empty(),
                rights: rights_of(RIGHTS.iter().map(|(right, ..)| *right), &row[6..]),
            })
            .collect();
        let on_databases: Vec<_> =
            RIGHTS.iter().filter(|(right, ..)| (Rights::DATABASE | Rights::GRANT).contains(*right)).collect();
        let columns: Vec<&str> = on_databases.iter().map(|(.., column)| *column).collect();
        let databases =
            read(&mut session, &format!("SELECT User, Host, DB, {} FROM mysql.db", columns.join(", ")))
                .await?;
        let databases = databases
            .into_iter()
            .map(|row| DatabaseGrant {
                user: row[0].clone(),
                host: row[1].clone(),
                database: row[2].clone(),
                rights: rights_of(on_databases.iter().map(|(right, ..)| *right), &row[3..]),
            })
            .collect();
        let tables =
            read(&mut session, "SELECT User, Host, DB, Table_name, Table_priv FROM mysql.tables_priv")
                .await?;
        let tables = tables
            .into_iter()
            .map(|row| TableGrant {
                user: row[0].clone(),
                host: row[1].clone(),
                database: row[2].clone(),
                table: row[3].clone(),
                rights: row[4]
                    .split(',')
                    .filter_map(Rights::named)
                    .fold(Rights::empty(), |all, right| all | right),
            })
            .collect();
        session.close().await;
        self.set_accounts(Accounts::new(users, databases, tables));
        Ok(())
    }
}

async fn read(session: &mut Session, sql: &str) -> Result<Vec<Vec<String>>, SqlError> {
    let (fields, chunks) = session.query(sql).await?;
    let types: Vec<FieldType> = fields.iter().map(|field| field.field_type.clone()).collect();
    let mut rows = Vec::new();
    for chunk in chunks {
        for row in 0..chunk.num_rows() {
            let values = types.iter().enumerate().map(|(column, field_type)| {
                match chunk.datum(row, column, field_type) {
                    Datum::Null => String::new(),
                    value => tidewater_table::datum_text(&value, field_type),
                }
            });
            rows.push(values.collect());
        }
    }
    Ok(rows)
}

fn rights_of(rights: impl Iterator<Item = Rights>, flags: &[String]) -> Rights {
    rights.zip(flags).filter(|(_, flag)| *flag == "Y").fold(Rights::empty(), |all, (right, _)| all | right)
}

impl Session {
    pub(crate) fn show_grants(&self, user: Option<&UserRef>) -> Result<Table, SqlError> {
        let (user, host) = match user {
            Some(UserRef::Named(name)) => (name.user.clone(), name.host.clone()),
            Some(UserRef::Current) | None => {
                self.options.account.clone().unwrap_or_else(|| ("root".to_owned(), "%".to_owned()))
            }
        };
        if self.options.account.as_ref().is_some_and(|own| *own != (user.clone(), host.clone())) {
            // Others' grants are what the tables of the `mysql` database hold.
            self.privileges().check_database("mysql", Rights::SELECT)?;
        }
        let accounts = self.db.accounts();
        let Some(account) = accounts.find(&user, &host) else {
            return Err(sql_error(
                ErrorCode::NonexistingGrant,
                format!("There is no such grant defined for user '{user}' on host '{host}'"),
            ));
        };
        let who = format!("'{user}'@'{host}'");
        let mut lines = vec![line(account.rights, Rights::all_but_grant(), "*.*", &who)];
        for grant in accounts.databases.iter().filter(|grant| grant.user == user && grant.host == host) {
            lines.push(line(grant.rights, Rights::DATABASE, &format!("`{}`.*", grant.database), &who));
        }
        for grant in accounts.tables.iter().filter(|grant| grant.user == user && grant.host == host) {
            let on = format!("`{}`.`{}`", grant.database, grant.table);
            lines.push(line(grant.rights, Rights::TABLE, &on, &who));
        }
        let column = format!("Grants for {user}@{host}");
        Ok(Table::of_text(&[&column], lines.into_iter().map(|line| vec![text(line)]).collect()))
    }

    pub(crate) fn show_create_user(&self, user: &UserRef) -> Result<Table, SqlError> {
        let (user, host) = match user {
            UserRef::Named(name) => (name.user.clone(), name.host.clone()),
            UserRef::Current => {
                self.options.account.clone().unwrap_or_else(|| ("root".to_owned(), "%".to_owned()))
            }
        };
        let accounts = self.db.accounts();
        let Some(account) = accounts.find(&user, &host) else {
            return Err(sql_error(
                ErrorCode::CannotUser,
                format!("Operation SHOW CREATE USER failed for '{user}'@'{host}'"),
            ));
        };
        let sql = format!(
            "CREATE USER '{user}'@'{host}' IDENTIFIED WITH '{}' AS '{}' REQUIRE {} PASSWORD EXPIRE DEFAULT ACCOUNT {}",
            account.plugin,
            String::from_utf8_lossy(&account.auth_string),
            if account.require_tls { "SSL" } else { "NONE" },
            if account.locked { "LOCK" } else { "UNLOCK" },
        );
        let column = format!("CREATE USER for {user}@{host}");
        Ok(Table::of_text(&[&column], vec![vec![text(sql)]]))
    }
}

fn line(rights: Rights, all: Rights, on: &str, who: &str) -> String {
    let names = if rights.contains(all) {
        "ALL PRIVILEGES".to_owned()
    } else {
        let names = rights.names();
        if names.is_empty() { "USAGE".to_owned() } else { names.join(", ") }
    };
    let option = if rights.contains(Rights::GRANT) { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {names} ON {on} TO {who}{option}")
}
