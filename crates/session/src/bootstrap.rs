//! The system schema, made at the first start.

use std::sync::Arc;
use std::time::Duration;

use tidewater_types::SqlError;

use crate::database::Database;
use crate::error::from_ddl;
use crate::privileges::RIGHTS;

/// The version of the system tables below.
const VERSION: i64 = 1;

/// How often a node that waits for another's system tables looks for them.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Makes the system tables unless they are there.
pub(crate) async fn run(database: &Arc<Database>) -> Result<(), SqlError> {
    loop {
        let version = database
            .ddl()
            .with_meta(|meta| Box::pin(async move { meta.bootstrap_version().await }))
            .await
            .map_err(from_ddl)?;
        if version >= VERSION {
            return Ok(());
        }
        if database.ddl().is_owner() {
            break;
        }
        // The owner does it; if it does not live to, somebody else becomes owner.
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let mut session = database.internal_session()?;
    for statement in statements() {
        session.query(&statement).await?;
    }
    session.close().await;
    database
        .ddl()
        .with_meta(|meta| Box::pin(async move { meta.put_bootstrap_version(VERSION) }))
        .await
        .map_err(from_ddl)
}

/// All may be run twice: a start that was interrupted is repeated.
fn statements() -> Vec<String> {
    let all_rights: String = RIGHTS
        .iter()
        .map(|(_, _, column)| format!(", {column} ENUM('N','Y') NOT NULL DEFAULT 'N'"))
        .collect();
    let database_rights: String = RIGHTS
        .iter()
        .filter(|(right, ..)| {
            crate::privileges::Rights::DATABASE.union(crate::privileges::Rights::GRANT).contains(*right)
        })
        .map(|(_, _, column)| format!(", {column} ENUM('N','Y') NOT NULL DEFAULT 'N'"))
        .collect();
    let root_columns: String = RIGHTS.iter().map(|(_, _, column)| format!(", {column}")).collect();
    let root_values: String = RIGHTS.iter().map(|_| ", 'Y'").collect();
    vec![
        "CREATE DATABASE IF NOT EXISTS mysql".to_owned(),
        "CREATE DATABASE IF NOT EXISTS test".to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS mysql.user (Host CHAR(255) NOT NULL, User CHAR(32) NOT NULL{all_rights}, \
             plugin CHAR(64) NOT NULL DEFAULT 'mysql_native_password', authentication_string TEXT, \
             account_locked ENUM('N','Y') NOT NULL DEFAULT 'N', password_expired ENUM('N','Y') NOT NULL DEFAULT 'N', \
             ssl_type ENUM('','ANY','X509','SPECIFIED') NOT NULL DEFAULT '', \
             password_last_changed TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (Host, User))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS mysql.db (Host CHAR(255) NOT NULL, DB CHAR(64) NOT NULL, User CHAR(32) NOT NULL\
             {database_rights}, PRIMARY KEY (Host, DB, User))"
        ),
        "CREATE TABLE IF NOT EXISTS mysql.tables_priv (Host CHAR(255) NOT NULL, DB CHAR(64) NOT NULL, \
         User CHAR(32) NOT NULL, Table_name CHAR(64) NOT NULL, Grantor CHAR(93), \
         `Timestamp` TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP, Table_priv VARCHAR(512) NOT NULL DEFAULT '', \
         Column_priv VARCHAR(512) NOT NULL DEFAULT '', PRIMARY KEY (Host, DB, User, Table_name))"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS mysql.table_stats (table_id BIGINT PRIMARY KEY, version BIGINT UNSIGNED, \
         stats LONGTEXT)"
            .to_owned(),
        format!(
            "INSERT IGNORE INTO mysql.user (Host, User{root_columns}, authentication_string) \
             VALUES ('%', 'root'{root_values}, '')"
        ),
    ]
}
