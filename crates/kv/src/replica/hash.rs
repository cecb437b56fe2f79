//! All of a region in one number, to compare replicas by.

use std::sync::Arc;

use crc::{CRC_64_XZ, Crc, Table};
use tidewater_proto::metapb;

use super::snapshot::{options, parts_of};
use crate::{EngineError, Snapshot};

/// Bytes read before others get their turn.
const BYTES_PER_TURN: usize = 1 << 20;

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// A region as it was when an entry had been applied.
pub(crate) struct HashTask {
    pub region: metapb::Region,
    /// Of the entry.
    pub index: u64,
    pub snapshot: Arc<dyn Snapshot>,
}

/// What a replica knows of its own hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hashed {
    /// The entry after which it was taken.
    pub index: u64,
    pub state: HashState,
    /// What the majority has found, if that is known before this replica has found anything.
    pub expected: Option<u64>,
}

/// How far the hash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HashState {
    /// Nobody has asked, or it cannot be told.
    #[default]
    Unknown,
    Pending,
    Known(u64),
    /// Data was removed here a while ago that may still be there elsewhere.
    Unsettled,
}

impl HashTask {
    /// Reads all there is, and hashes what a snapshot of the region would contain, with the boundaries. Peers are left out: they are no data.
    ///
    /// # Errors
    /// The data cannot be read.
    pub(crate) async fn run(&self) -> Result<u64, EngineError> {
        let corrupt = |reason: String| EngineError::Corrupt { what: "region record", reason };
        let mut digest = CRC.digest();
        let mut bytes = 0;
        let mut take = |parts: [&[u8]; 2]| {
            for part in parts {
                digest.update(&(part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        };
        take([&self.region.start_key, &self.region.end_key]);
        for (cf, lower, upper) in parts_of(&self.region).map_err(corrupt)? {
            take([cf.name().as_bytes(), &lower]);
            let mut cursor = self.snapshot.iterator(cf, options(&lower, &upper));
            let mut valid = cursor.seek(&lower)?;
            while valid {
                take([cursor.key(), cursor.value()]);
                bytes += cursor.key().len() + cursor.value().len();
                if bytes >= BYTES_PER_TURN {
                    bytes = 0;
                    tokio::task::yield_now().await;
                }
                valid = cursor.next()?;
            }
        }
        Ok(digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cf, Durability, Engine, MemoryEngine, WriteBatch, raw::RawSpace};

    fn region(start: &'static str) -> metapb::Region {
        let peers = vec![metapb::Peer { id: 70, store_id: 1, ..Default::default() }];
        metapb::Region { id: 7, start_key: start.as_bytes().into(), peers, ..Default::default() }
    }

    async fn hash(region: metapb::Region, pairs: &[(Cf, &str, &str)]) -> u64 {
        let engine = MemoryEngine::new();
        let mut batch = WriteBatch::new();
        for (cf, key, value) in pairs {
            batch.put(*cf, (*key).into(), (*value).into());
        }
        engine.write(batch, Durability::Sync).unwrap();
        HashTask { region, index: 1, snapshot: engine.snapshot() }.run().await.unwrap()
    }

    #[tokio::test]
    async fn only_what_is_replicated_counts_and_all_of_it() {
        let raw = RawSpace::all().next().unwrap().engine_key(b"x");
        let raw = String::from_utf8(raw).unwrap();
        let plain = [
            (Cf::Default, "zab", "1"),
            (Cf::Lock, "zb", ""),
            (Cf::Write, "zc", "3"),
            (Cf::Default, &raw, "4"),
        ];
        let original = hash(region(""), &plain).await;
        assert_eq!(original, hash(region(""), &plain).await);
        let with_own = [&plain[..], &[(Cf::Default, "\u{1}applied", "9")]].concat();
        assert_eq!(original, hash(region(""), &with_own).await, "the store's own records");
        for index in 0..plain.len() {
            let mut changed = plain;
            changed[index].2 = "5";
            assert_ne!(original, hash(region(""), &changed).await, "another value of {:?}", plain[index]);
            let fewer: Vec<_> = plain.iter().filter(|pair| **pair != plain[index]).copied().collect();
            assert_ne!(original, hash(region(""), &fewer).await, "without {:?}", plain[index]);
        }
        let shifted = [("za", "b1"), ("zab", "1")].map(|(key, value)| [(Cf::Default, key, value)]);
        assert_ne!(hash(region(""), &shifted[0]).await, hash(region(""), &shifted[1]).await);
    }
}
