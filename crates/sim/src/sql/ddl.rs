//! Somebody who changes the schema while others work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngExt;
use rand::rngs::SmallRng;
use tidewater_session::Session;

use super::{LOOK, SqlHost, connect, is_wrong, say};
use crate::history::History;
use crate::workload::SqlTable;

/// How often a check is made again that the network does not let through.
const CHECKS: usize = 5;
/// Changes that are tried in one run.
const CHANGES_MAX: usize = 5;

/// Makes one change after the other, at whatever node there is, until everybody else is done; and looks after each whether table and indexes agree.
pub(crate) struct SchemaChanger {
    pub(crate) hosts: Vec<Arc<SqlHost>>,
    pub(crate) history: Arc<History>,
    pub(crate) table: SqlTable,
    pub(crate) rng: SmallRng,
    /// How many changes were acknowledged.
    pub(crate) changed: Arc<AtomicUsize>,
}

impl SchemaChanger {
    pub(crate) async fn work(mut self) {
        let changes = self.table.schema_changes();
        for _ in 0..CHANGES_MAX {
            let host = self.hosts[self.rng.random_range(0..self.hosts.len())].clone();
            let sql = changes[self.rng.random_range(0..changes.len())];
            let Some((database, life)) = host.running() else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let Some(mut session) = self.history.expect("a connection", connect(&database)) else { continue };
            tokio::select! {
                biased;
                // The job goes on at whatever node owns the jobs next.
                () = life.ended() => {}
                () = self.change(&host, &mut session, sql) => {}
            }
        }
    }

    async fn change(&self, host: &SqlHost, session: &mut Session, sql: &str) {
        let result = say(session, sql).await;
        let said = result.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned());
        host.note(format_args!("{}: {sql}: {said}", host.place));
        match result {
            Ok(_) => drop(self.changed.fetch_add(1, Ordering::Relaxed)),
            Err(error) if is_wrong(&error) => self.history.accuse(format!("{sql}: {error}")),
            Err(_) => {}
        }
        self.check(session, "ADMIN CHECK TABLE t", |_| None).await;
        if sql.contains("ADD COLUMN") {
            // Nobody writes it, so every row has what it was added with.
            let sql = "SELECT id, extra FROM t WHERE extra IS NULL OR extra <> 7";
            self.check(session, sql, |rows| (!rows.is_empty()).then(|| format!("{rows:?}"))).await;
        }
    }

    /// Says a statement until it is answered, and notes what is wrong.
    async fn check(
        &self,
        session: &mut Session,
        sql: &str,
        judge: impl Fn(&[Vec<String>]) -> Option<String>,
    ) {
        for _ in 0..CHECKS {
            match say(session, sql).await {
                Ok(answer) => {
                    if let Some(wrong) = judge(&answer.rows) {
                        self.history.accuse(format!("{sql}: {wrong}"));
                    }
                    return;
                }
                Err(error) if is_wrong(&error) => return self.history.accuse(format!("{sql}: {error}")),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}
