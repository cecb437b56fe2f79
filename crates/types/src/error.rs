//! MySQL's error numbers.
use std::sync::{Arc, Mutex};
/// An error as a MySQL client sees it.
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
    /// An error of this code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: code.number(), sqlstate: *b"HY000", message: message.into() }
    }
}
/// Error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[allow(missing_docs)]
pub enum ErrorCode { DupEntry = 1062, ParseError = 1064, NoSuchTable = 1146 , UnknownError = 1105 }
impl ErrorCode {
    /// MySQL's error number.
    pub fn number(self) -> u16 { self as u16 }
    /// The code with this number.
    pub fn from_number(_number: u16) -> Option<Self> { None }
    /// The SQLSTATE.
    pub fn sqlstate(self) -> &'static str { "HY000" }
    /// MySQL's message template, with printf-like holes.
    pub fn template(self) -> &'static str { "" }
}
/// How serious a [`Warning`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningLevel {
    /// Note.
    Note,
    /// Warning.
    Warning,
    /// Error.
    Error,
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
/// A statement's warnings, shared by all that work for it.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<Warning>>>);
impl Warnings {
    /// Adds one.
    pub fn push(&self, warning: Warning) { self.0.lock().unwrap_or_else(|e| e.into_inner()).push(warning) }
    /// Takes all.
    pub fn take(&self) -> Vec<Warning> { std::mem::take(&mut self.0.lock().unwrap_or_else(|e| e.into_inner())) }
    /// How many.
    pub fn count(&self) -> usize { self.0.lock().unwrap_or_else(|e| e.into_inner()).len() }
}
