//! Lock records.

use super::{
    LAST_CHANGE, LastChange, SHORT_VALUE, read_last_change, read_short_value, read_ts, take_byte,
    write_last_change, write_short_value,
};
use crate::{DecodeError, StartTs, TimeStamp, bytes, number};

const FOR_UPDATE_TS: u8 = b'f';
const TXN_SIZE: u8 = b't';
const MIN_COMMIT_TS: u8 = b'c';
const ASYNC_COMMIT: u8 = b'a';
const ROLLBACK_TS: u8 = b'r';
const TXN_SOURCE: u8 = b's';
const LOCKED_WITH_CONFLICT: u8 = b'F';
const GENERATION: u8 = b'g';

/// What a lock will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockType {
    /// Put a value.
    Put,
    /// Delete the value.
    Delete,
    /// Nothing: the key was only locked.
    Lock,
    /// Not known yet: a pessimistic transaction is under way.
    Pessimistic,
    /// Shared by several transactions.
    Shared,
}

impl LockType {
    const fn letter(self) -> u8 {
        match self {
            Self::Put => b'P',
            Self::Delete => b'D',
            Self::Lock => b'L',
            Self::Pessimistic => b'S',
            Self::Shared => b'H',
        }
    }

    const fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'P' => Self::Put,
            b'D' => Self::Delete,
            b'L' => Self::Lock,
            b'S' => Self::Pessimistic,
            b'H' => Self::Shared,
            _ => return None,
        })
    }
}

/// A lock record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// What it will do.
    pub lock_type: LockType,
    /// The key that decides over the transaction.
    pub primary: Vec<u8>,
    /// The transaction.
    pub start_ts: StartTs,
    /// How long after its start the transaction may be taken for alive.
    pub ttl_ms: u64,
    /// The value to put, if it is short.
    pub short_value: Option<Vec<u8>>,
    /// Where a pessimistic transaction locked the key; zero if it is optimistic.
    pub for_update_ts: TimeStamp,
    /// How many keys the transaction has, roughly.
    pub txn_size: u64,
    /// The transaction will not be committed before this; zero if there is no such promise.
    pub min_commit_ts: TimeStamp,
    /// For async commit: the other keys (in the primary's lock; empty in the others').
    pub async_commit_secondaries: Option<Vec<Vec<u8>>>,
    /// Transactions that were rolled back at a timestamp that may be this one's commit timestamp.
    pub rollback_ts: Vec<TimeStamp>,
    /// Where the key's last change is.
    pub last_change: Option<LastChange>,
    /// Who wrote the transaction (for change feeds).
    pub txn_source: u64,
    /// Locked in spite of a newer version.
    pub locked_with_conflict: bool,
    /// Counts the writes of one transaction to one key in a pipelined transaction.
    pub generation: u64,
}

impl Lock {
    /// A lock without any of the optional parts.
    pub fn new(lock_type: LockType, primary: Vec<u8>, start_ts: StartTs, ttl_ms: u64) -> Self {
        Self {
            lock_type,
            primary,
            start_ts,
            ttl_ms,
            short_value: None,
            for_update_ts: TimeStamp::ZERO,
            txn_size: 0,
            min_commit_ts: TimeStamp::ZERO,
            async_commit_secondaries: None,
            rollback_ts: Vec::new(),
            last_change: None,
            txn_source: 0,
            locked_with_conflict: false,
            generation: 0,
        }
    }

    /// The record as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(64 + self.primary.len() + self.short_value.as_ref().map_or(0, Vec::len));
        self.encode(&mut out);
        out
    }

    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.lock_type.letter());
        bytes::write_compact_bytes(&self.primary, out);
        number::write_var_u64(self.start_ts.into_inner(), out);
        number::write_var_u64(self.ttl_ms, out);
        if let Some(value) = &self.short_value {
            write_short_value(value, out);
        }
        for (letter, number) in [
            (FOR_UPDATE_TS, self.for_update_ts.into_inner()),
            (TXN_SIZE, self.txn_size),
            (MIN_COMMIT_TS, self.min_commit_ts.into_inner()),
        ] {
            write_if_set(letter, number, out);
        }
        if let Some(secondaries) = &self.async_commit_secondaries {
            out.push(ASYNC_COMMIT);
            number::write_var_u64(secondaries.len() as u64, out);
            secondaries.iter().for_each(|key| bytes::write_compact_bytes(key, out));
        }
        if !self.rollback_ts.is_empty() {
            out.push(ROLLBACK_TS);
            number::write_var_u64(self.rollback_ts.len() as u64, out);
            self.rollback_ts.iter().for_each(|ts| number::write_u64(ts.into_inner(), out));
        }
        if let Some(change) = self.last_change {
            write_last_change(change, out);
        }
        if self.txn_source != 0 {
            out.push(TXN_SOURCE);
            number::write_var_u64(self.txn_source, out);
        }
        if self.locked_with_conflict {
            out.push(LOCKED_WITH_CONFLICT);
        }
        write_if_set(GENERATION, self.generation, out);
    }

    /// Reads a record. An unknown letter ends it: newer writers may know more.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = bytes;
        let letter = take_byte(&mut input).ok_or(DecodeError::UnexpectedEnd("lock"))?;
        let lock_type =
            LockType::from_letter(letter).ok_or(DecodeError::UnknownFlag { what: "lock", flag: letter })?;
        let primary = bytes::read_compact_bytes(&mut input)?.to_vec();
        let start_ts = StartTs::new(number::read_var_u64(&mut input)?);
        let ttl_ms = if input.is_empty() { 0 } else { number::read_var_u64(&mut input)? };
        let mut lock = Self::new(lock_type, primary, start_ts, ttl_ms);
        while let Some(letter) = take_byte(&mut input) {
            match letter {
                SHORT_VALUE => lock.short_value = Some(read_short_value(&mut input)?.to_vec()),
                FOR_UPDATE_TS => lock.for_update_ts = read_ts(&mut input)?,
                TXN_SIZE => lock.txn_size = number::read_u64(&mut input)?,
                MIN_COMMIT_TS => lock.min_commit_ts = read_ts(&mut input)?,
                ASYNC_COMMIT => {
                    let keys =
                        read_list(&mut input, |input| bytes::read_compact_bytes(input).map(<[u8]>::to_vec))?;
                    lock.async_commit_secondaries = Some(keys);
                }
                ROLLBACK_TS => lock.rollback_ts = read_list(&mut input, read_ts)?,
                LAST_CHANGE => lock.last_change = Some(read_last_change(&mut input)?),
                TXN_SOURCE => lock.txn_source = number::read_var_u64(&mut input)?,
                LOCKED_WITH_CONFLICT => lock.locked_with_conflict = true,
                GENERATION => lock.generation = number::read_u64(&mut input)?,
                _ => break,
            }
        }
        Ok(lock)
    }
}

fn write_if_set(letter: u8, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        out.push(letter);
        number::write_u64(number, out);
    }
}

fn read_list<'a, T>(
    input: &mut &'a [u8],
    mut read: impl FnMut(&mut &'a [u8]) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    // The count is not trusted with an allocation: every item takes at least a byte.
    let count = number::read_var_u64(input)?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(read(input)?);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn vectors() {
        let mut lock = Lock::new(LockType::Put, b"pk".to_vec(), StartTs::new(1), 10);
        lock.short_value = Some(b"v".to_vec());
        assert_eq!(lock.to_bytes(), hex("50 04706b 01 0a 760176"));
        let mut lock = Lock::new(LockType::Pessimistic, b"pk".to_vec(), StartTs::new(1), 3000);
        lock.for_update_ts = TimeStamp::new(5);
        lock.txn_size = 1;
        assert_eq!(lock.to_bytes(), hex("53 04706b 01 b817 66 0000000000000005 74 0000000000000001"));
    }

    fn any_lock() -> impl Strategy<Value = Lock> {
        let kinds =
            [LockType::Put, LockType::Delete, LockType::Lock, LockType::Pessimistic, LockType::Shared];
        let key = || prop::collection::vec(any::<u8>(), 0..20);
        let fixed = (prop::sample::select(kinds.to_vec()), key(), any::<u64>(), any::<u64>());
        let optional = (
            prop::option::of(prop::collection::vec(any::<u8>(), 0..=255)),
            any::<[u64; 5]>(),
            prop::option::of(prop::collection::vec(key(), 0..4)),
            prop::collection::vec(any::<u64>().prop_map(TimeStamp::new), 0..4),
            prop::option::of((any::<u64>(), any::<u64>())),
            any::<bool>(),
        );
        (fixed, optional).prop_map(|((kind, primary, start, ttl), optional)| {
            let (short_value, numbers, secondaries, rollback_ts, change, locked_with_conflict) = optional;
            Lock {
                short_value,
                for_update_ts: TimeStamp::new(numbers[0]),
                txn_size: numbers[1],
                min_commit_ts: TimeStamp::new(numbers[2]),
                async_commit_secondaries: secondaries,
                rollback_ts,
                last_change: change.map(|(ts, versions)| LastChange { ts: TimeStamp::new(ts), versions }),
                txn_source: numbers[3],
                locked_with_conflict,
                generation: numbers[4],
                ..Lock::new(kind, primary, StartTs::new(start), ttl)
            }
        })
    }

    proptest! {
        #[test]
        fn locks_round_trip(lock in any_lock()) {
            prop_assert_eq!(Lock::decode(&lock.to_bytes()), Ok(lock));
        }

        #[test]
        fn decoding_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60), letters in "[PDLSHvftcarlsFg]{1,20}") {
            let _ = Lock::decode(&bytes);
            let _ = Lock::decode(&[letters.as_bytes(), &bytes].concat());
            let _ = Lock::decode(&[b"P\x00\x01\x01", letters.as_bytes(), &bytes].concat());
        }

        #[test]
        fn a_cut_lock_is_no_other_lock(lock in any_lock(), cut in 1usize..10) {
            let bytes = lock.to_bytes();
            let shorter = &bytes[..bytes.len().saturating_sub(cut)];
            prop_assert_ne!(Lock::decode(shorter), Ok(lock));
        }
    }
}
