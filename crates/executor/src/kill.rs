//! The flag through which KILL and time limits reach a running statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::ExecError;

const RUNNING: u8 = 0;
const KILL_QUERY: u8 = 1;
const KILL_CONNECTION: u8 = 2;
const TIMED_OUT: u8 = 3;

/// Shared by the session and every operator of its statement; operators ask it once per chunk.
#[derive(Clone, Debug, Default)]
pub struct KillFlag(Arc<AtomicU8>);

impl KillFlag {
    /// A flag that nobody raised yet.
    pub fn new() -> KillFlag {
        KillFlag::default()
    }

    /// Stops the running statement.
    pub fn kill_query(&self) {
        // A connection kill is stronger: do not weaken it.
        let _ = self.0.compare_exchange(RUNNING, KILL_QUERY, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Stops the running statement and asks the session to end.
    pub fn kill_connection(&self) {
        self.0.store(KILL_CONNECTION, Ordering::Relaxed);
    }

    /// Stops the running statement because its time is over.
    pub fn time_out(&self) {
        let _ = self.0.compare_exchange(RUNNING, TIMED_OUT, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Forgets a statement kill (a new statement begins); a connection kill stays.
    pub fn reset_statement(&self) {
        for state in [KILL_QUERY, TIMED_OUT] {
            let _ = self.0.compare_exchange(state, RUNNING, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// True after [`KillFlag::kill_connection`].
    pub fn is_connection_killed(&self) -> bool {
        self.0.load(Ordering::Relaxed) == KILL_CONNECTION
    }

    /// `Err` when the statement has to stop.
    #[inline]
    pub fn check(&self) -> Result<(), ExecError> {
        match self.0.load(Ordering::Relaxed) {
            RUNNING => Ok(()),
            TIMED_OUT => Err(ExecError::TimedOut),
            _ => Err(ExecError::Killed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_kill_is_forgotten_and_a_connection_kill_is_not() {
        let flag = KillFlag::new();
        assert!(flag.check().is_ok());
        flag.kill_query();
        assert!(matches!(flag.check(), Err(ExecError::Killed)));
        flag.reset_statement();
        assert!(flag.check().is_ok());
        flag.time_out();
        assert!(matches!(flag.check(), Err(ExecError::TimedOut)));
        flag.kill_connection();
        flag.kill_query();
        flag.reset_statement();
        assert!(flag.is_connection_killed());
        assert!(matches!(flag.check(), Err(ExecError::Killed)));
    }
}
