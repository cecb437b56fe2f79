//! Raw data: keys and values without versions, transactions or locks. How they lie in the engine, and how they are read.
//!
//! ```text
//! engine key    `r` tag key      in the family `default`; the tag names the form of the key and the client's column family
//! engine value  expiry value     the expiry in seconds since 1970 as a variable-length integer, 0 is never
//! ```
//! The key is stored as the client sent it, so a range of a client is a range of the engine. Transactional data begins with `z`, the
//! node's own with 0x01: the three never meet. Keys of clients without a keyspace (API version 1) and with one (version 2) have tags
//! of their own: equal bytes are different keys there, because they belong to different regions (see [`KeyForm`]).
//!
//! # Expiry
//! An entry whose time has come is invisible at once, to everything that reads here. A sweep removes it some time later
//! (`node/raw_sweep.rs`).

use std::{
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tidewater_codec::{DecodeError, number};

use crate::{Cf, EngineError, EngineIterator, IteratorOptions, Snapshot, mvcc::Direction, region::KeyForm};

/// First byte of every raw key in the engine.
const RAW_PREFIX: u8 = b'r';
const PREFIX_LEN: usize = 2;

/// Whether an engine key of the `default` family holds raw data.
pub(crate) fn is_raw(engine_key: &[u8]) -> bool {
    engine_key.first() == Some(&RAW_PREFIX)
}

/// Where all raw data lies.
pub(crate) fn all_raw() -> (Vec<u8>, Vec<u8>) {
    (vec![RAW_PREFIX], vec![RAW_PREFIX + 1])
}

/// A column family as clients of raw data know it: a name space, nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawFamily {
    Default,
    Lock,
    Write,
}

/// A name that is none of the three.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown column family {name:?}: there are \"default\" (or empty), \"lock\" and \"write\"")]
pub(crate) struct UnknownFamily {
    name: String,
}

impl FromStr for RawFamily {
    type Err = UnknownFamily;

    fn from_str(name: &str) -> Result<Self, UnknownFamily> {
        match name {
            "" | "default" => Ok(Self::Default),
            "lock" => Ok(Self::Lock),
            "write" => Ok(Self::Write),
            name => Err(UnknownFamily { name: name.to_owned() }),
        }
    }
}

/// One ordered map of raw keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawSpace {
    pub form: KeyForm,
    pub family: RawFamily,
}

impl RawSpace {
    /// All there are.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let families = [RawFamily::Default, RawFamily::Lock, RawFamily::Write];
        let forms = [KeyForm::Encoded, KeyForm::Plain];
        forms.into_iter().flat_map(move |form| families.map(|family| Self { form, family }))
    }

    fn prefix(self) -> [u8; PREFIX_LEN] {
        let tag = match (self.form, self.family) {
            (KeyForm::Encoded, RawFamily::Default) => b'D',
            (KeyForm::Encoded, RawFamily::Lock) => b'L',
            (KeyForm::Encoded, RawFamily::Write) => b'W',
            (KeyForm::Plain, RawFamily::Default) => b'd',
            (KeyForm::Plain, RawFamily::Lock) => b'l',
            (KeyForm::Plain, RawFamily::Write) => b'w',
        };
        [RAW_PREFIX, tag]
    }

    pub(crate) fn engine_key(self, key: &[u8]) -> Vec<u8> {
        [&self.prefix()[..], key].concat()
    }

    /// The engine range of `start..end`; an empty end is unbounded.
    pub(crate) fn engine_range(self, start: &[u8], end: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let upper = match end.is_empty() {
            true => [self.prefix()[0], self.prefix()[1] + 1].to_vec(),
            false => self.engine_key(end),
        };
        (self.engine_key(start), upper)
    }
}

/// The client's key of an engine key.
pub(crate) fn client_key(engine_key: &[u8]) -> &[u8] {
    engine_key.get(PREFIX_LEN..).unwrap_or_default()
}

/// What the engine holds for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawEntry<'a> {
    /// Seconds since 1970; zero is never.
    pub expires_at: u64,
    pub value: &'a [u8],
}

impl<'a> RawEntry<'a> {
    /// An entry that lives for `ttl` seconds from `now` on, or for ever if that is zero.
    pub(crate) fn new(value: &'a [u8], ttl: u64, now: u64) -> Self {
        Self { expires_at: if ttl == 0 { 0 } else { now.saturating_add(ttl) }, value }
    }

    pub(crate) fn parse(mut stored: &'a [u8]) -> Result<Self, EngineError> {
        let corrupt =
            |error: DecodeError| EngineError::Corrupt { what: "raw value", reason: error.to_string() };
        let expires_at = number::read_var_u64(&mut stored).map_err(corrupt)?;
        Ok(Self { expires_at, value: stored })
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut stored = Vec::with_capacity(self.value.len() + 5);
        number::write_var_u64(self.expires_at, &mut stored);
        stored.extend_from_slice(self.value);
        stored
    }

    pub(crate) fn is_expired(&self, now: u64) -> bool {
        self.expires_at != 0 && self.expires_at <= now
    }

    /// Seconds left; zero is for ever.
    pub(crate) fn ttl(&self, now: u64) -> u64 {
        self.expires_at.saturating_sub(now)
    }
}

/// The entry in the engine's bytes, unless there is none or its time has come.
pub(crate) fn visible(stored: Option<&Bytes>, now: u64) -> Result<Option<RawEntry<'_>>, EngineError> {
    let Some(stored) = stored else { return Ok(None) };
    let entry = RawEntry::parse(stored)?;
    Ok((!entry.is_expired(now)).then_some(entry))
}

/// When the next entry expires, so that nobody searches for expired ones in vain.
///
/// Zero at first: what a restart left behind is not known.
#[derive(Debug, Default)]
pub(crate) struct EarliestExpiry(AtomicU64);

impl EarliestExpiry {
    /// Entries that expire then (zero is never) are in the engine.
    pub(crate) fn note(&self, expires_at: u64) {
        if expires_at != 0 {
            self.0.fetch_min(expires_at, Ordering::SeqCst);
        }
    }

    /// Begins a search if there may be something to find. What the search leaves has to be noted again.
    pub(crate) fn begin_search(&self, now: u64) -> bool {
        if self.0.load(Ordering::SeqCst) > now {
            return false;
        }
        // Before the snapshot: whatever becomes visible afterwards is noted afterwards.
        self.0.store(u64::MAX, Ordering::SeqCst);
        true
    }
}

/// A key and its value, in the engine's memory.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

/// A walk over the visible entries of a range.
pub(crate) struct RawScanner {
    cursor: Box<dyn EngineIterator>,
    lower: Vec<u8>,
    direction: Direction,
    now: u64,
    started: bool,
}

impl RawScanner {
    /// Over `start..end`, an empty end is unbounded.
    pub(crate) fn new(
        snapshot: &dyn Snapshot,
        space: RawSpace,
        (start, end): (&[u8], &[u8]),
        direction: Direction,
        now: u64,
    ) -> Self {
        let (lower, upper) = space.engine_range(start, end);
        let upper = upper.max(lower.clone());
        let cursor = snapshot.iterator(Cf::Default, IteratorOptions::range(lower.clone(), Some(upper)));
        Self { cursor, lower, direction, now, started: false }
    }

    /// The next key with its value.
    pub(crate) fn next(&mut self) -> Result<Option<Pair<'_>>, EngineError> {
        loop {
            let valid = match (self.started, self.direction) {
                (false, Direction::Forward) => self.cursor.seek(&self.lower)?,
                (false, Direction::Backward) => self.cursor.seek_to_last()?,
                (true, Direction::Forward) => self.cursor.next()?,
                (true, Direction::Backward) => self.cursor.prev()?,
            };
            self.started = true;
            if !valid {
                return Ok(None);
            }
            if !RawEntry::parse(self.cursor.value())?.is_expired(self.now) {
                break;
            }
        }
        let entry = RawEntry::parse(self.cursor.value())?;
        Ok(Some((client_key(self.cursor.key()), entry.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_do_not_touch() {
        let mut ranges = RawSpace::all().map(|space| space.engine_range(b"", b"")).collect::<Vec<_>>();
        ranges.sort();
        assert_eq!(ranges.len(), 6);
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        let (lower, upper) = all_raw();
        assert!(ranges.iter().all(|range| lower <= range.0 && range.1 <= upper && is_raw(&range.0)));
        let space = RawSpace { form: KeyForm::Plain, family: RawFamily::Default };
        assert_eq!(client_key(&space.engine_key(b"k")), b"k");
    }

    #[test]
    fn a_search_is_worth_it_when_something_has_expired() {
        let earliest = EarliestExpiry::default();
        assert!(earliest.begin_search(0), "nothing is known yet");
        assert!(!earliest.begin_search(1 << 60));
        earliest.note(100);
        earliest.note(0);
        earliest.note(200);
        assert!(!earliest.begin_search(99));
        assert!(earliest.begin_search(100));
        assert!(!earliest.begin_search(300), "it had to be noted again");
    }

    #[test]
    fn entries_live_as_long_as_they_were_given() {
        for (ttl, now, expired, left) in
            [(0, u64::MAX, false, 0), (5, 104, false, 1), (5, 105, true, 0), (u64::MAX, 1 << 40, false, 1)]
        {
            let stored = RawEntry::new(b"value", ttl, 100).to_bytes();
            let entry = RawEntry::parse(&stored).unwrap();
            assert_eq!((entry.value, entry.is_expired(now)), (&b"value"[..], expired), "{ttl} at {now}");
            assert_eq!(entry.ttl(now).min(1), left, "{ttl} at {now}");
        }
        assert!(RawEntry::parse(b"").is_err());
    }
}
