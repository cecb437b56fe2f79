//! The warnings of the last statement, as `SHOW WARNINGS` lists them.

use tidewater_types::{SqlError, Warning, WarningLevel, Warnings};

/// The list of one statement; shared with all that work for it.
#[derive(Clone, Default)]
pub(crate) struct WarningList(Warnings);

impl WarningList {
    /// The form expressions push to.
    pub(crate) fn shared(&self) -> Warnings {
        self.0.clone()
    }

    pub(crate) fn push(&self, warning: Warning) {
        self.0.push(warning);
    }

    pub(crate) fn push_error(&self, error: &SqlError) {
        self.push(Warning { level: WarningLevel::Error, code: error.code, message: error.message.clone() });
    }

    pub(crate) fn push_note(&self, code: u16, message: String) {
        self.push(Warning { level: WarningLevel::Note, code, message });
    }

    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.0.count()).unwrap_or(u16::MAX)
    }

    pub(crate) fn list(&self) -> Vec<Warning> {
        let list = self.0.take();
        for warning in &list {
            self.0.push(warning.clone());
        }
        list
    }
}
