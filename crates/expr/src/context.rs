//! What an expression may know of its statement.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_types::clock::{ManualClock, WallClock};
use tidewater_types::{Collation, Datum, FieldType, SqlMode, TimeZone, Warning, WarningLevel, Warnings};

use crate::error::ExprError;
use crate::named_locks::NamedLocks;

/// The statement's surroundings: plain data and shared handles. Cheap to clone.
#[derive(Clone)]
pub struct EvalContext {
    /// `time_zone`.
    pub time_zone: TimeZone,
    /// `sql_mode`.
    pub sql_mode: SqlMode,
    /// The statement's time in microseconds since the epoch: what NOW() gives.
    pub now_micros: i64,
    /// The clock, for SYSDATE() alone.
    pub clock: Arc<dyn WallClock>,
    /// Where warnings go.
    pub warnings: Warnings,
    /// The statement writes: wrong data is an error in strict mode.
    pub in_dml: bool,
    /// INSERT IGNORE and its kin: wrong data is a warning in any mode.
    pub ignore_errors: bool,
    /// `div_precision_increment`.
    pub div_precision_increment: u8,
    /// `max_allowed_packet`: string results beyond it become NULL.
    pub max_allowed_packet: usize,
    /// `group_concat_max_len`.
    pub group_concat_max_len: usize,
    /// `collation_connection`: of literals and of numbers turned into text.
    pub collation: Collation,
    /// `default_week_format`.
    pub default_week_format: u8,
    /// What the information functions tell.
    pub session: Arc<SessionInfo>,
    /// `@name` variables by lower-case name.
    pub user_vars: Arc<Mutex<BTreeMap<String, (Datum, FieldType)>>>,
    /// Values of the statement's `?`.
    pub params: Arc<[Datum]>,
    /// Values of the outer row, by slot ([`crate::Expr::Correlated`]).
    pub correlated: Arc<[Datum]>,
    /// Raised by KILL.
    pub kill: Arc<AtomicBool>,
    /// Feeds RAND() and UUID(): every call takes one number.
    pub random: RandomSource,
    /// How SLEEP() waits; `None`: not at all.
    pub sleeper: Option<Arc<dyn Sleeper>>,
    /// The locks of GET_LOCK(): one table for all connections of a server.
    pub locks: Arc<NamedLocks>,
}

/// How SLEEP() waits. The embedding program hands one in; a simulated one returns at once.
pub trait Sleeper: Send + Sync {
    /// Waits at most this long.
    fn sleep(&self, slice: Duration);
}

/// What the information functions tell of the session.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// CONNECTION_ID().
    pub connection_id: u64,
    /// USER(), `name@host`.
    pub user: String,
    /// CURRENT_USER().
    pub current_user: String,
    /// DATABASE().
    pub database: Option<String>,
    /// LAST_INSERT_ID().
    pub last_insert_id: u64,
    /// FOUND_ROWS().
    pub found_rows: u64,
    /// ROW_COUNT().
    pub row_count: i64,
    /// VERSION().
    pub version: String,
    /// Set by LAST_INSERT_ID(n); the session reads it after the statement.
    pub next_last_insert_id: Arc<Mutex<Option<u64>>>,
}

impl Default for SessionInfo {
    fn default() -> Self {
        Self {
            connection_id: 0,
            user: String::new(),
            current_user: String::new(),
            database: None,
            last_insert_id: 0,
            found_rows: 0,
            row_count: 0,
            version: "8.0.11-Tidewater".to_owned(),
            next_last_insert_id: Arc::default(),
        }
    }
}

/// A statement's source of random numbers: SplitMix64 on a shared counter, so that clones never repeat each other and a
/// seed repeats the statement.
#[derive(Debug, Clone, Default)]
pub struct RandomSource(Arc<AtomicU64>);

impl RandomSource {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// The next number.
    pub fn next_u64(&self) -> u64 {
        let state =
            self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number in `[0, 1)`.
    pub fn next_f64(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What happens on a condition the SQL mode decides about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing.
    Ignore,
    /// A warning.
    Warn,
    /// The statement fails.
    Error,
}

/// Most warnings a statement keeps.
const WARNINGS_MAX: usize = 1024;

impl EvalContext {
    /// A statement's context at this time.
    pub fn new(now_micros: i64) -> Self {
        Self { now_micros, clock: Arc::new(ManualClock::new(now_micros)), ..Self::default() }
    }

    /// Adds a warning.
    pub fn warn(&self, code: u16, message: String) {
        if self.warnings.count() < WARNINGS_MAX {
            self.warnings.push(Warning { level: WarningLevel::Warning, code, message });
        }
    }

    /// What a text that is no number does.
    pub fn truncate_severity(&self) -> Severity {
        if self.in_dml && self.sql_mode.is_strict() && !self.ignore_errors {
            Severity::Error
        } else {
            Severity::Warn
        }
    }

    /// What a division by zero does.
    pub fn division_severity(&self) -> Severity {
        if !self.sql_mode.contains(SqlMode::ERROR_FOR_DIVISION_BY_ZERO) {
            Severity::Ignore
        } else {
            self.truncate_severity()
        }
    }

    /// Reports an error at this severity.
    pub fn report(&self, severity: Severity, error: ExprError) -> Result<(), ExprError> {
        match severity {
            Severity::Ignore => Ok(()),
            Severity::Warn => {
                self.warn(error.code(), error.to_string());
                Ok(())
            }
            Severity::Error => Err(error),
        }
    }

    /// A text that is no number (or a value cut short).
    pub fn truncated(&self, type_name: &'static str, value: &[u8]) -> Result<(), ExprError> {
        let value = String::from_utf8_lossy(value).into_owned();
        self.report(self.truncate_severity(), ExprError::Truncated { type_name, value })
    }

    /// A value that is no date or time: a warning (an error when writing in strict mode), and NULL.
    pub fn incorrect(&self, type_name: &'static str, value: &[u8]) -> Result<(), ExprError> {
        let value = String::from_utf8_lossy(value).into_owned();
        self.report(self.truncate_severity(), ExprError::IncorrectValue { type_name, value })
    }

    /// A division by zero: NULL, and what the mode says.
    pub fn division_by_zero(&self) -> Result<(), ExprError> {
        self.report(self.division_severity(), ExprError::DivisionByZero)
    }

    /// `Err` when the statement has been killed.
    pub fn check_killed(&self) -> Result<(), ExprError> {
        if self.kill.load(Ordering::Relaxed) { Err(ExprError::Killed) } else { Ok(()) }
    }
}

impl Default for EvalContext {
    fn default() -> Self {
        Self {
            time_zone: TimeZone::utc(),
            sql_mode: SqlMode::DEFAULT,
            now_micros: 0,
            clock: Arc::new(ManualClock::new(0)),
            warnings: Warnings::default(),
            in_dml: false,
            ignore_errors: false,
            div_precision_increment: 4,
            max_allowed_packet: 64 << 20,
            group_concat_max_len: 1024,
            collation: Collation::default(),
            default_week_format: 0,
            session: Arc::default(),
            user_vars: Arc::default(),
            params: Arc::from([]),
            correlated: Arc::from([]),
            kill: Arc::default(),
            random: RandomSource::default(),
            sleeper: None,
            locks: Arc::default(),
        }
    }
}

impl fmt::Debug for EvalContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvalContext")
            .field("sql_mode", &self.sql_mode)
            .field("now_micros", &self.now_micros)
            .field("in_dml", &self.in_dml)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}
