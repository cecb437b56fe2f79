//! Errors and warnings as MySQL clients see them: a number, an SQLSTATE, a text.
//!
//! Inside, crates have error enums of their own; this is what the edge turns them into. The one table of numbers is in
//! [`ErrorCode`].

mod codes;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use codes::ErrorCode;

/// An error as a MySQL client sees it.
///
/// ```
/// use tidewater_types::{ErrorCode, SqlError};
///
/// let error = SqlError::with(ErrorCode::DupEntry, &[&"1-a", &"t.PRIMARY"]);
/// assert_eq!((error.code, &error.sqlstate), (1062, b"23000"));
/// assert_eq!(error.to_string(), "Duplicate entry '1-a' for key 't.PRIMARY'");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// MySQL's error number.
    pub code: u16,
    /// The SQLSTATE.
    pub sqlstate: [u8; 5],
    /// The text.
    pub message: String,
}

impl SqlError {
    /// An error with this text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: code.number(), sqlstate: sqlstate_bytes(code), message: message.into() }
    }

    /// An error with MySQL's text, its holes filled in order.
    pub fn with(code: ErrorCode, arguments: &[&dyn fmt::Display]) -> Self {
        Self::new(code, code.message(arguments))
    }

    /// The code, if it is one of the table's.
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::from_number(self.code)
    }

    /// The SQLSTATE as text.
    pub fn sqlstate(&self) -> &str {
        std::str::from_utf8(&self.sqlstate).unwrap_or("HY000")
    }

    /// Whether this is that error.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.number()
    }
}

fn sqlstate_bytes(code: ErrorCode) -> [u8; 5] {
    code.sqlstate().as_bytes().try_into().unwrap_or(*b"HY000")
}

impl ErrorCode {
    /// MySQL's text with its holes (`%s`, `%d`, `%-.192s`, ...) filled in order. Holes without an argument stay.
    pub fn message(self, arguments: &[&dyn fmt::Display]) -> String {
        use fmt::Write;
        let mut arguments = arguments.iter();
        let mut message = String::new();
        let mut rest = self.template();
        while let Some(at) = rest.find('%') {
            message.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some(hole) = hole_len(rest) else {
                message.push('%');
                rest = rest.strip_prefix("%%").unwrap_or(&rest[1..]);
                continue;
            };
            match arguments.next() {
                // Writing to a String cannot fail, and a broken Display only shortens the text.
                Some(argument) => drop(write!(message, "{argument}")),
                None => message.push_str(&rest[..hole]),
            }
            rest = &rest[hole..];
        }
        message.push_str(rest);
        message
    }
}

/// Length of a printf conversion at the front of the text.
fn hole_len(text: &str) -> Option<usize> {
    let flags =
        text[1..].bytes().take_while(|byte| matches!(byte, b'-' | b'.' | b'*' | b'l' | b'0'..=b'9')).count();
    matches!(text.as_bytes().get(1 + flags), Some(b's' | b'd' | b'u')).then_some(flags + 2)
}

/// How serious a [`Warning`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningLevel {
    /// Worth knowing.
    Note,
    /// Data was changed to fit.
    Warning,
    /// What would have been an error.
    Error,
}

impl fmt::Display for WarningLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "Note",
            Self::Warning => "Warning",
            Self::Error => "Error",
        })
    }
}

/// One line of SHOW WARNINGS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its seriousness.
    pub level: WarningLevel,
    /// MySQL's error number.
    pub code: u16,
    /// The text.
    pub message: String,
}

impl Warning {
    /// A warning with this text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { level: WarningLevel::Warning, code: code.number(), message: message.into() }
    }

    /// A warning with MySQL's text, its holes filled in order.
    pub fn with(code: ErrorCode, arguments: &[&dyn fmt::Display]) -> Self {
        Self::new(code, code.message(arguments))
    }

    /// A note with this text.
    pub fn note(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { level: WarningLevel::Note, ..Self::new(code, message) }
    }
}

impl From<SqlError> for Warning {
    /// An error that the statement survives.
    fn from(error: SqlError) -> Self {
        Self { level: WarningLevel::Warning, code: error.code, message: error.message }
    }
}

/// MySQL's default `max_error_count`: as many warnings are kept.
const WARNINGS_KEPT_MAX: usize = 1024;

/// A statement's warnings, shared by all that work for it. Keeps the first 1024 and counts the others.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    kept: Vec<Warning>,
    count: usize,
}

impl Warnings {
    /// Adds one.
    pub fn push(&self, warning: Warning) {
        let mut collected = self.lock();
        collected.count += 1;
        if collected.kept.len() < WARNINGS_KEPT_MAX {
            collected.kept.push(warning);
        }
    }

    /// Takes all that were kept, and begins anew.
    pub fn take(&self) -> Vec<Warning> {
        let mut collected = self.lock();
        collected.count = 0;
        std::mem::take(&mut collected.kept)
    }

    /// Forgets all but the first `count`: for work that is done again.
    pub fn rewind(&self, count: usize) {
        let mut collected = self.lock();
        collected.count = collected.count.min(count);
        collected.kept.truncate(count);
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.lock().count
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled() {
        let text = |code: ErrorCode, arguments: &[&dyn fmt::Display]| code.message(arguments);
        assert_eq!(
            text(ErrorCode::BadFieldError, &[&"a", &"where clause"]),
            "Unknown column 'a' in 'where clause'"
        );
        assert_eq!(
            text(ErrorCode::WarnDataOutOfRange, &[&"c", &7]),
            "Out of range value for column 'c' at row 7"
        );
        assert_eq!(text(ErrorCode::BadFieldError, &[&"a"]), "Unknown column 'a' in '%-.192s'");
        assert_eq!(text(ErrorCode::LockDeadlock, &[&"ignored"]), ErrorCode::LockDeadlock.template());
    }

    #[test]
    fn the_table_is_sound() {
        let mut previous = 0;
        for code in ErrorCode::ALL {
            assert!(code.number() > previous, "{code:?} is out of order");
            previous = code.number();
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert_eq!(code.sqlstate().len(), 5, "{code:?}");
            assert!(!code.template().is_empty(), "{code:?}");
        }
        assert!(ErrorCode::ALL.len() >= 250, "{}", ErrorCode::ALL.len());
        assert_eq!(ErrorCode::from_number(1), None);
        assert_eq!(ErrorCode::LockDeadlock.sqlstate(), "40001");
    }

    #[test]
    fn warnings_are_kept_up_to_a_limit() {
        let warnings = Warnings::default();
        for row in 0..2000 {
            warnings.push(Warning::with(ErrorCode::WarnDataTruncated, &[&"c", &row]));
        }
        assert_eq!(warnings.count(), 2000);
        assert_eq!(warnings.take().len(), 1024);
        assert!(warnings.is_empty());
    }
}
