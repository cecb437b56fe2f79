//! How large keys, entries and batches may be.

/// Something is larger than [`NodeConfig`](crate::NodeConfig) allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// One key.
    #[error("a key of {bytes} bytes is larger than key_bytes_max, {limit}")]
    Key {
        /// Its length.
        bytes: usize,
        /// The largest allowed.
        limit: usize,
    },
    /// One key with its value.
    #[error("an entry of {bytes} bytes is larger than entry_bytes_max, {limit}")]
    Entry {
        /// Both lengths.
        bytes: usize,
        /// The largest allowed.
        limit: usize,
    },
    /// What one request writes.
    #[error("a batch of {bytes} bytes is larger than batch_bytes_max, {limit}")]
    Batch {
        /// All lengths.
        bytes: usize,
        /// The largest allowed.
        limit: usize,
    },
}

/// The limits of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub key_bytes_max: usize,
    pub entry_bytes_max: usize,
    pub batch_bytes_max: usize,
}

impl Limits {
    /// Checks keys that are written.
    pub(crate) fn check_keys<'k>(self, keys: impl IntoIterator<Item = &'k [u8]>) -> Result<(), LimitError> {
        self.check(keys.into_iter().map(|key| (key, &[][..])))
    }

    /// Checks keys and values that are written together.
    pub(crate) fn check<'k>(
        self,
        pairs: impl IntoIterator<Item = (&'k [u8], &'k [u8])>,
    ) -> Result<(), LimitError> {
        let mut total = 0usize;
        for (key, value) in pairs {
            if key.len() > self.key_bytes_max {
                return Err(LimitError::Key { bytes: key.len(), limit: self.key_bytes_max });
            }
            let bytes = key.len() + value.len();
            if bytes > self.entry_bytes_max {
                return Err(LimitError::Entry { bytes, limit: self.entry_bytes_max });
            }
            total += bytes;
        }
        match total > self.batch_bytes_max {
            true => Err(LimitError::Batch { bytes: total, limit: self.batch_bytes_max }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_named() {
        let limits = Limits { key_bytes_max: 3, entry_bytes_max: 5, batch_bytes_max: 9 };
        for (pairs, expected) in [
            (&[("abc", "12"), ("d", "")][..], None),
            (&[("abcd", "")], Some(LimitError::Key { bytes: 4, limit: 3 })),
            (&[("abc", "123")], Some(LimitError::Entry { bytes: 6, limit: 5 })),
            (&[("abc", "12"), ("def", "12")], Some(LimitError::Batch { bytes: 10, limit: 9 })),
        ] {
            let checked = limits.check(pairs.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())));
            assert_eq!(checked.err(), expected);
        }
    }
}
