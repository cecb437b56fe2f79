//! What may go wrong.

/// Bytes that are not what they should be, or a value that the format cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the bytes end before the {0} does")]
    UnexpectedEnd(&'static str),
    /// The bytes are no valid form of it, or the value is none of the type.
    #[error("not a valid {0}")]
    Invalid(&'static str),
    /// A flag byte that is not known.
    #[error("unknown flag byte {flag:#04x} in a {what}")]
    UnknownFlag {
        /// The thing being decoded.
        what: &'static str,
        /// The byte found.
        flag: u8,
    },
}
