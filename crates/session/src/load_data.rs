//! `LOAD DATA`.

/// Parses the file's bytes and writes rows.
pub(crate) struct Loader {}
