//! The warnings of the last statement, as `SHOW WARNINGS` lists them.

use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_types::{SqlError, Warning, WarningLevel};

/// MySQL's `max_error_count`: further warnings are counted, not kept.
const WARNINGS_MAX: usize = 1024;

/// The list of one session; shared with the running statement.
#[derive(Clone, Default)]
pub(crate) struct WarningList(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    warnings: Vec<Warning>,
    total: usize,
}

impl WarningList {
    pub(crate) fn clear(&self) {
        let mut kept = self.0.lock();
        kept.warnings.clear();
        kept.total = 0;
    }

    pub(crate) fn push(&self, warning: Warning) {
        let mut kept = self.0.lock();
        kept.total += 1;
        if kept.warnings.len() < WARNINGS_MAX {
            kept.warnings.push(warning);
        }
    }

    pub(crate) fn push_error(&self, error: &SqlError) {
        self.push(Warning { level: WarningLevel::Error, code: error.code, message: error.message.clone() });
    }

    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.0.lock().total).unwrap_or(u16::MAX)
    }

    pub(crate) fn list(&self) -> Vec<Warning> {
        self.0.lock().warnings.clone()
    }
}
