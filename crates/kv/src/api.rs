//! The rules a request brings along: its API version, and with it what keys may look like.
//!
//! Version 2 puts a mode byte in front of every key, `x` for transactions and `r` for raw data, then three bytes of keyspace. Version 1,
//! with or without expiry, knows no such rules. A store serves all versions at the same time.

use tidewater_proto::kvrpcpb;

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyMode {
    Txn,
    Raw,
}

impl KeyMode {
    /// The first byte of such keys in version 2.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Txn => b'x',
            Self::Raw => b'r',
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Txn => "transactional",
            Self::Raw => "raw",
        }
    }
}

/// The request breaks the rules of its API version. Sending it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// A version nobody here has heard of.
    #[error("unknown API version {version}: versions 0 (V1), 1 (V1TTL) and 2 (V2) are known")]
    UnknownVersion {
        /// As sent.
        version: i32,
    },
    /// A key of version 2 that belongs to the other mode, or to none.
    #[error("key mode mismatch: {} is not a key of a {mode} request of API V2, such keys begin with '{}'", hex(.key), *.byte as char)]
    Key {
        /// As sent.
        key: Vec<u8>,
        /// What the command is about.
        mode: &'static str,
        /// The byte such keys begin with.
        byte: u8,
    },
    /// A range of version 2 that is not inside its mode.
    #[error(
        "key mode mismatch: {}..{} is not a range of a {mode} request of API V2, such keys begin with '{}'",
        hex(.start), hex(.end), *.byte as char
    )]
    Range {
        /// As sent.
        start: Vec<u8>,
        /// As sent.
        end: Vec<u8>,
        /// What the command is about.
        mode: &'static str,
        /// The byte such keys begin with.
        byte: u8,
    },
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the request is one of version 2.
pub(crate) fn is_v2(context: Option<&kvrpcpb::Context>) -> Result<bool, ApiError> {
    let version = context.map_or(0, |context| context.api_version);
    match kvrpcpb::ApiVersion::try_from(version) {
        Ok(kvrpcpb::ApiVersion::V1 | kvrpcpb::ApiVersion::V1ttl) => Ok(false),
        Ok(kvrpcpb::ApiVersion::V2) => Ok(true),
        Err(_) => Err(ApiError::UnknownVersion { version }),
    }
}

/// Checks the keys of a request.
pub(crate) fn check_keys<'k>(
    context: Option<&kvrpcpb::Context>,
    mode: KeyMode,
    keys: impl IntoIterator<Item = &'k [u8]>,
) -> Result<(), ApiError> {
    if !is_v2(context)? {
        return Ok(());
    }
    match keys.into_iter().find(|key| key.first() != Some(&mode.byte())) {
        None => Ok(()),
        Some(key) => Err(ApiError::Key { key: key.to_vec(), mode: mode.name(), byte: mode.byte() }),
    }
}

/// Checks a range of a request. Its end may be the first key behind the mode, or empty.
pub(crate) fn check_range(
    context: Option<&kvrpcpb::Context>,
    mode: KeyMode,
    start: &[u8],
    end: &[u8],
) -> Result<(), ApiError> {
    if !is_v2(context)? {
        return Ok(());
    }
    let byte = mode.byte();
    let ends_inside = match end {
        [] => true,
        [first, rest @ ..] => *first == byte || (*first == byte + 1 && rest.iter().all(|byte| *byte == 0)),
    };
    if start.first() == Some(&byte) && ends_inside {
        return Ok(());
    }
    Err(ApiError::Range { start: start.to_vec(), end: end.to_vec(), mode: mode.name(), byte })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ranges_of_version_2_begin_with_their_mode() {
        let context = |api_version| Some(kvrpcpb::Context { api_version, ..Default::default() });
        for (version, mode, key, fine) in [
            (0, KeyMode::Txn, "anything", true),
            (1, KeyMode::Raw, "", true),
            (2, KeyMode::Txn, "x\0\0\0k", true),
            (2, KeyMode::Raw, "r\0\0\0k", true),
            (2, KeyMode::Raw, "x\0\0\0k", false),
            (2, KeyMode::Txn, "r\0\0\0k", false),
            (2, KeyMode::Txn, "", false),
            (3, KeyMode::Txn, "x\0\0\0k", false),
        ] {
            let checked = check_keys(context(version).as_ref(), mode, [key.as_bytes()]);
            assert_eq!(checked.is_ok(), fine, "{version} {mode:?} {key:?} {checked:?}");
        }
        for (start, end, fine) in [
            ("x\0\0\0", "x\0\0\x01", true),
            ("x", "", true),
            ("x", "y", true),
            ("x\0\0\0", "y\0\0\0", true),
            ("x\0\0\0", "y\0\0\x01", false),
            ("", "x", false),
            ("r\0\0\0", "r\0\0\x01", false),
        ] {
            let checked = check_range(context(2).as_ref(), KeyMode::Txn, start.as_bytes(), end.as_bytes());
            assert_eq!(checked.is_ok(), fine, "{start:?}..{end:?}");
        }
        let error = check_keys(context(2).as_ref(), KeyMode::Raw, [&b"abc"[..]]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "key mode mismatch: 616263 is not a key of a raw request of API V2, such keys begin with 'r'"
        );
    }
}
