//! The public encodings of coprocessor answers, for those who do not speak Arrow.
//!
//! * [`columns`]: TypeChunk, column after column, in memory layout;
//! * [`rows`]: TypeDefault, row after row, a datum for each value.
//!
//! # What is left out
//! Spilled and compressed forms, big-endian layouts, and the block format of TiFlash.

pub(crate) mod columns;
pub(crate) mod decimal;
pub(crate) mod rows;

use tidewater_codec::DecodeError;

/// Why an answer in a public encoding cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end in the middle.
    #[error("an encoded chunk ends in the middle of {0}")]
    Truncated(&'static str),
    /// Bytes that mean nothing.
    #[error("an encoded chunk holds a malformed {0}")]
    Malformed(&'static str),
    /// A datum cannot be read.
    #[error("an encoded row: {0}")]
    Datum(#[from] DecodeError),
}
