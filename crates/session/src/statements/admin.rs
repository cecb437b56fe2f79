//! FLUSH, CHECK and CHECKSUM TABLE, ADMIN.

use std::sync::Arc;

use tidewater_catalog::TableInfo;
use tidewater_codec::{Key, table_key};
use tidewater_parser::ast::{Admin, Flush, FlushTarget, MaintainTable, MaintainVerb};
use tidewater_table::TableLayout;
use tidewater_types::{Datum, ErrorCode, FieldType, SqlError, TimeZone};

use crate::error::{from_ddl, from_table, from_txn, sql_error, unsupported};
use crate::infoschema::{table_time, text};
use crate::privileges::Rights;
use crate::result::{OkResult, StatementResult};
use crate::session::Session;
use crate::show::{Table, text_type};
use crate::statements::rows_of;

/// Jobs of the history that ADMIN SHOW DDL JOBS lists.
const HISTORY_JOBS: usize = 10;
/// Rows that ADMIN CHECK TABLE compares at a time.
const CHECK_ROWS: usize = 1024;

impl Session {
    pub(crate) async fn run_flush(&mut self, flush: &Flush) -> Result<OkResult, SqlError> {
        for what in &flush.what {
            match what {
                FlushTarget::Other(what) if what == "PRIVILEGES" => {
                    self.privileges().check_global(Rights::RELOAD, "RELOAD")?;
                    let db = Arc::clone(&self.db);
                    db.notify(|notices| notices.accounts += 1).await?;
                    db.reload_accounts().await?;
                }
                FlushTarget::Tables { .. } | FlushTarget::Other(_) => {}
            }
        }
        Ok(self.ok())
    }

    pub(crate) async fn run_maintain(
        &mut self,
        maintain: &MaintainTable,
    ) -> Result<StatementResult, SqlError> {
        let schema = self.db.schema();
        let mut rows = Vec::new();
        for name in &maintain.tables {
            let full_name = format!("{}.{}", self.database_name(name.schema.as_deref())?, name.name.as_str());
            let found = self.known_table(&schema, name);
            if maintain.verb == MaintainVerb::Checksum {
                let sum = match found {
                    Ok((_, table)) => Datum::UInt(self.checksum(&table).await?),
                    Err(error) => {
                        self.warnings.push_error(&error);
                        Datum::Null
                    }
                };
                rows.push(vec![text(full_name), sum]);
                continue;
            }
            let verb = match maintain.verb {
                MaintainVerb::Check => "check",
                MaintainVerb::Checksum => "checksum",
                MaintainVerb::Optimize => "optimize",
                MaintainVerb::Repair => "repair",
            };
            let mut push = |kind: &str, message: &str| {
                rows.push(vec![text(full_name.clone()), text(verb), text(kind), text(message)]);
            };
            match found {
                Err(error) => {
                    push("Error", &error.message);
                    push("status", "Operation failed");
                }
                Ok((_, table))
                    if maintain.verb == MaintainVerb::Check && !table.is_view() && !table.is_virtual() =>
                {
                    match self.check_indexes(&table).await {
                        Ok(()) => push("status", "OK"),
                        Err(error) => push("error", &error.message),
                    }
                }
                Ok(_) => push("status", "OK"),
            }
        }
        let table = if maintain.verb == MaintainVerb::Checksum {
            Table::new(&[("Table", text_type()), ("Checksum", FieldType::uint())], rows)
        } else {
            Table::of_text(&["Table", "Op", "Msg_type", "Msg_text"], rows)
        };
        Ok(StatementResult::Rows(rows_of(self, table)))
    }

    /// A number that changes when a row does: the exclusive or of the rows' CRCs.
    async fn checksum(&mut self, table: &TableInfo) -> Result<u64, SqlError> {
        let ts = self.current_ts().await?;
        let snapshot = self.db.client().snapshot(tidewater_codec::StartTs(ts));
        let mut scan = snapshot.scan(table_key::row_range(table.id));
        let mut sum = 0u64;
        while let Some((key, value)) = scan.next().await.map_err(|error| from_txn(&error))? {
            let mut crc = 0xcbf2_9ce4_8422_2325u64;
            for byte in key.as_bytes().iter().chain(value.iter()) {
                crc = (crc ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
            sum ^= crc;
        }
        Ok(sum & 0xffff_ffff)
    }

    /// Compares every index with the rows, both ways, in one snapshot.
    pub(crate) async fn check_indexes(&mut self, table: &Arc<TableInfo>) -> Result<(), SqlError> {
        let ts = self.current_ts().await?;
        let snapshot = self.db.client().snapshot(tidewater_codec::StartTs(ts));
        let layout = TableLayout::new(Arc::clone(table), TimeZone::utc());
        let mut rows = 0u64;
        let mut scan = snapshot.scan(table_key::row_range(table.id));
        let mut batch: Vec<(Key, Vec<u8>, String)> = Vec::new();
        loop {
            let next = scan.next().await.map_err(|error| from_txn(&error))?;
            let at_end = next.is_none();
            if let Some((key, value)) = next {
                rows += 1;
                let (_, handle) = table_key::decode_row_key(key.as_bytes())
                    .map_err(|error| inconsistent(table, &error.to_string()))?;
                let row = layout.decode_row(&handle, &value).map_err(from_table)?;
                let (row, _) = layout.complete_stored(&row);
                for index in table.public_indices().filter(|index| layout.has_entries(index)) {
                    let entry = layout.index_entry(index, &row, &handle).map_err(from_table)?;
                    batch.push((entry.key, entry.value, format!("index:{}, handle:{handle}", index.name)));
                }
            }
            if batch.len() >= CHECK_ROWS || at_end {
                let found = snapshot
                    .batch_get(batch.iter().map(|(key, ..)| key))
                    .await
                    .map_err(|error| from_txn(&error))?;
                for (key, value, what) in batch.drain(..) {
                    if found.get(&key).is_none_or(|stored| stored[..] != value[..]) {
                        return Err(inconsistent(table, &what));
                    }
                }
            }
            if at_end {
                break;
            }
        }
        for index in table.public_indices().filter(|index| layout.has_entries(index)) {
            let mut entries = 0u64;
            let mut scan = snapshot.scan(table_key::index_range(table.id, index.id));
            while scan.next().await.map_err(|error| from_txn(&error))?.is_some() {
                entries += 1;
            }
            if entries != rows {
                return Err(inconsistent(
                    table,
                    &format!("index:{}, {entries} index entries, {rows} rows", index.name),
                ));
            }
        }
        Ok(())
    }

    pub(crate) async fn run_admin(&mut self, admin: &Admin) -> Result<StatementResult, SqlError> {
        match admin {
            Admin::ShowDdlJobs { count, .. } => {
                let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(HISTORY_JOBS);
                self.show_ddl_jobs(count).await
            }
            Admin::ShowDdl => {
                let version = Datum::Int(self.db.schema().version());
                let table = Table::new(
                    &[("SCHEMA_VER", FieldType::int()), ("OWNER_ID", text_type()), ("SELF_ID", text_type())],
                    vec![vec![version, text("1"), text("1")]],
                );
                Ok(StatementResult::Rows(rows_of(self, table)))
            }
            Admin::CheckTable(tables) => {
                let schema = self.db.schema();
                for name in tables {
                    let (_, table) = self.known_table(&schema, name)?;
                    self.check_indexes(&table).await?;
                }
                Ok(StatementResult::Ok(self.ok()))
            }
            Admin::CheckIndex { table, .. } => {
                let schema = self.db.schema();
                let (_, table) = self.known_table(&schema, table)?;
                self.check_indexes(&table).await?;
                Ok(StatementResult::Ok(self.ok()))
            }
            Admin::ShowDdlJobQueries(ids) => {
                let jobs = self.db.ddl().jobs(usize::MAX).await.map_err(from_ddl)?;
                let rows = jobs
                    .into_iter()
                    .filter(|job| ids.contains(&(job.id as u64)))
                    .map(|job| vec![text(job.query)])
                    .collect();
                Ok(StatementResult::Rows(rows_of(self, Table::of_text(&["QUERY"], rows))))
            }
            Admin::ChecksumTable(_)
            | Admin::CancelDdlJobs(_)
            | Admin::PauseDdlJobs(_)
            | Admin::ResumeDdlJobs(_)
            | Admin::RecoverIndex { .. }
            | Admin::CleanupIndex { .. }
            | Admin::ShowNextRowId(_) => Err(unsupported("this ADMIN statement")),
            Admin::Other(_) => Ok(StatementResult::Ok(self.ok())),
        }
    }

    async fn show_ddl_jobs(&mut self, history: usize) -> Result<StatementResult, SqlError> {
        let jobs = self.db.ddl().jobs(history).await.map_err(from_ddl)?;
        let rows = jobs
            .into_iter()
            .map(|job| {
                vec![
                    Datum::Int(job.id),
                    text(job.schema_name.clone()),
                    text(job.table_name.clone()),
                    text(job.kind.name()),
                    text(job.schema_state.name()),
                    Datum::Int(job.schema_id.0),
                    Datum::Int(job.table_id.0),
                    Datum::Int(job.row_count as i64),
                    table_time(job.start_ts),
                    table_time(job.start_ts),
                    table_time(job.finish_ts),
                    text(job.state.name()),
                ]
            })
            .collect();
        let (i, t) = (FieldType::int, text_type);
        let d = || FieldType::datetime(0);
        let table = Table::new(
            &[
                ("JOB_ID", i()),
                ("DB_NAME", t()),
                ("TABLE_NAME", t()),
                ("JOB_TYPE", t()),
                ("SCHEMA_STATE", t()),
                ("SCHEMA_ID", i()),
                ("TABLE_ID", i()),
                ("ROW_COUNT", i()),
                ("CREATE_TIME", d()),
                ("START_TIME", d()),
                ("END_TIME", d()),
                ("STATE", t()),
            ],
            rows,
        );
        Ok(StatementResult::Rows(rows_of(self, table)))
    }
}

fn inconsistent(table: &TableInfo, what: &str) -> SqlError {
    sql_error(
        ErrorCode::AdminCheckTable,
        format!("Inconsistent data found between table and index: table:{}, {what}", table.name),
    )
}
