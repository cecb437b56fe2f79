//! The flag through which KILL and time limits reach a running statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::error::ExecError;

const RUNNING: u8 = 0;
const KILL_QUERY: u8 = 1;
const KILL_CONNECTION: u8 = 2;
const TIMED_OUT: u8 = 3;

/// Shared by the session and every operator of its statement; operators ask it once per chunk.
#[derive(Clone, Debug, Default)]
pub struct KillFlag {
    state: Arc<AtomicU8>,
    /// Up whenever the state is not running: what expressions look at (`EvalContext::kill`).
    raised: Arc<AtomicBool>,
}

impl KillFlag {
    /// A flag that nobody raised yet.
    pub fn new() -> KillFlag {
        KillFlag::default()
    }

    /// Stops the running statement.
    pub fn kill_query(&self) {
        // A connection kill is stronger: do not weaken it.
        let _ = self.state.compare_exchange(RUNNING, KILL_QUERY, Ordering::Relaxed, Ordering::Relaxed);
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Stops the running statement and asks the session to end.
    pub fn kill_connection(&self) {
        self.state.store(KILL_CONNECTION, Ordering::Relaxed);
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Stops the running statement because its time is over.
    pub fn time_out(&self) {
        let _ = self.state.compare_exchange(RUNNING, TIMED_OUT, Ordering::Relaxed, Ordering::Relaxed);
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Forgets a statement kill (a new statement begins); a connection kill stays.
    pub fn reset_statement(&self) {
        for state in [KILL_QUERY, TIMED_OUT] {
            let _ = self.state.compare_exchange(state, RUNNING, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.raised.store(self.is_connection_killed(), Ordering::Relaxed);
    }

    /// The flag for expressions: up while the statement has to stop.
    pub fn expression_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.raised)
    }

    /// True after [`KillFlag::kill_connection`].
    pub fn is_connection_killed(&self) -> bool {
        self.state.load(Ordering::Relaxed) == KILL_CONNECTION
    }

    /// `Err` when the statement has to stop.
    #[inline]
    pub fn check(&self) -> Result<(), ExecError> {
        match self.state.load(Ordering::Relaxed) {
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
