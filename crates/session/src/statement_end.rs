//! What is due when a statement's last row is out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidewater_types::SqlError;

use crate::processes::Process;
use crate::result::StatusFlags;
use crate::warnings::WarningList;

/// Travels with a [`RecordSet`](crate::RecordSet) and closes the statement's books once, also when it is dropped.
pub(crate) struct StatementEnd {
    process: Arc<Process>,
    warnings: WarningList,
    rows: u64,
    finished: bool,
}

impl StatementEnd {
    pub(crate) fn new(process: Arc<Process>, warnings: WarningList) -> Self {
        Self { process, warnings, rows: 0, finished: false }
    }

    pub(crate) fn count_rows(&mut self, rows: u64) {
        self.rows += rows;
    }

    pub(crate) fn warnings(&self) -> u16 {
        self.warnings.count()
    }

    pub(crate) fn status(&self) -> StatusFlags {
        self.process.status()
    }

    pub(crate) fn finish(&mut self, error: Option<SqlError>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        match error {
            Some(error) => self.warnings.push_error(&error),
            None => self.process.found_rows.store(self.rows, Ordering::Relaxed),
        }
        self.process.update(|info| {
            info.command = "Sleep";
            info.statement = None;
        });
    }
}

impl Drop for StatementEnd {
    fn drop(&mut self) {
        self.finish(None);
    }
}
