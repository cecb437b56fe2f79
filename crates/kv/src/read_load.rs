//! What is read of a region, and where to cut one that is read so much that its store should share it with others.
//!
//! HOT: every read adds to two or three counters, and now and then leaves its keys behind. It never waits, and allocates for a sample only.
//!
//! Once a second the owner looks at the counters. While a region is read more than the limits say, one request out of so many is sampled
//! that a few dozen a second are, and after [`LOOKS`] such seconds in a row a key is chosen that half of the samples lie before and few lie
//! across. This is TiKV's load-based split, with its limits and its scores; unlike there the counters of one node decide, and followers' reads
//! do not count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_codec::Key;

/// Looks in a row that find a region busy before it is cut.
const LOOKS: u32 = 10;
/// Samples that are taken between two looks, about.
const SAMPLES_PER_LOOK: u64 = 64;
/// Samples that are kept, each of all that were taken with the same chance.
const SAMPLES_MAX: usize = 256;
/// With fewer nothing is decided.
const SAMPLES_MIN: usize = 32;
/// How far the parts' samples may differ, in hundredths of their sum, and how many may lie across, in hundredths of all (TiKV's).
const IMBALANCE_MAX: usize = 25;
const ACROSS_MAX: usize = 50;

/// From when on a region is read much, in a second; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadLimits {
    pub requests: u64,
    pub bytes: u64,
}

/// The reads of a region since it was made.
#[derive(Default)]
pub(crate) struct ReadLoad {
    requests: AtomicU64,
    bytes: AtomicU64,
    /// Beside one for each request.
    more_keys: AtomicU64,
    /// One request out of so many is sampled; 0: none.
    stride: AtomicU64,
    samples: Mutex<Samples>,
    /// Bytes and keys that the placement driver was told of.
    told_bytes: AtomicU64,
    told_keys: AtomicU64,
    /// The owner's notes.
    watch: Mutex<Watch>,
}

#[derive(Default)]
struct Watch {
    requests: u64,
    bytes: u64,
    busy_looks: u32,
}

/// Some of the ranges that were read: the first key and the end, which is empty for no end.
#[derive(Default)]
struct Samples {
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    seen: u64,
}

impl ReadLoad {
    /// One key was read.
    #[inline]
    pub(crate) fn note_key(&self, key: &[u8], bytes: usize) {
        if self.count(1, bytes).is_some() {
            self.sample(key, None);
        }
    }

    /// Several keys were read at once.
    pub(crate) fn note_keys<'k>(&self, keys: impl ExactSizeIterator<Item = &'k [u8]>, bytes: usize) {
        let mut keys = keys;
        let count = keys.len();
        if let Some(number) = self.count(count, bytes)
            && let Some(key) = keys.nth(number as usize % count.max(1))
        {
            self.sample(key, None);
        }
    }

    /// Ranges were scanned; ends are exclusive, an empty one is none.
    pub(crate) fn note_ranges<'k>(
        &self,
        ranges: impl ExactSizeIterator<Item = (&'k [u8], &'k [u8])>,
        keys: usize,
        bytes: usize,
    ) {
        let mut ranges = ranges;
        let count = ranges.len();
        if let Some(number) = self.count(keys, bytes)
            && let Some((start, end)) = ranges.nth(number as usize % count.max(1))
        {
            self.sample(start, Some(end));
        }
    }

    /// What was read since the last call: bytes and keys.
    pub(crate) fn news(&self) -> (u64, u64) {
        let (bytes, requests) = (self.bytes.load(Ordering::Relaxed), self.requests.load(Ordering::Relaxed));
        let keys = requests + self.more_keys.load(Ordering::Relaxed);
        let since = |told: &AtomicU64, now: u64| now.saturating_sub(told.swap(now, Ordering::Relaxed));
        (since(&self.told_bytes, bytes), since(&self.told_keys, keys))
    }

    /// Looks at what was read since the last look; gives where to cut if the region was busy for long enough.
    pub(crate) fn look(&self, limits: ReadLimits, since: Duration) -> Option<Key> {
        let mut watch = self.watch.lock();
        let (requests, bytes) = (self.requests.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        let per_second = |now: u64, before: u64| (now - before).saturating_mul(1_000) / millis;
        let exceeds = |rate: u64, limit: u64| limit > 0 && rate >= limit;
        let rate = per_second(requests, watch.requests);
        let is_busy = exceeds(rate, limits.requests) || exceeds(per_second(bytes, watch.bytes), limits.bytes);
        (watch.requests, watch.bytes) = (requests, bytes);
        if !is_busy {
            if watch.busy_looks > 0 {
                watch.busy_looks = 0;
                self.stride.store(0, Ordering::Relaxed);
                *self.samples.lock() = Samples::default();
            }
            return None;
        }
        watch.busy_looks += 1;
        self.stride.store((rate / SAMPLES_PER_LOOK).max(1), Ordering::Relaxed);
        if watch.busy_looks < LOOKS {
            return None;
        }
        watch.busy_looks = 0;
        let samples = std::mem::take(&mut *self.samples.lock());
        middle(&samples.ranges).map(Key::new)
    }

    /// The request's number if it is to be sampled.
    #[inline]
    fn count(&self, keys: usize, bytes: usize) -> Option<u64> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if keys > 1 {
            self.more_keys.fetch_add(keys as u64 - 1, Ordering::Relaxed);
        }
        let stride = self.stride.load(Ordering::Relaxed);
        (stride != 0 && number.is_multiple_of(stride)).then_some(number)
    }

    /// `None` is the end right behind the key.
    #[cold]
    fn sample(&self, start: &[u8], end: Option<&[u8]>) {
        // Who meets another one here is not sampled.
        let Some(mut samples) = self.samples.try_lock() else { return };
        let range = || (start.to_vec(), end.map_or_else(|| [start, &[0]].concat(), <[u8]>::to_vec));
        samples.seen += 1;
        if samples.ranges.len() < SAMPLES_MAX {
            samples.ranges.push(range());
            return;
        }
        let place = scattered(samples.seen) % samples.seen;
        if let Some(kept) = usize::try_from(place).ok().and_then(|place| samples.ranges.get_mut(place)) {
            *kept = range();
        }
    }
}

/// Numbers without a pattern (the end of SplitMix64), the same in each run.
fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

/// The key that the samples are best divided at.
fn middle(ranges: &[(Vec<u8>, Vec<u8>)]) -> Option<&[u8]> {
    if ranges.len() < SAMPLES_MIN {
        return None;
    }
    let mut starts: Vec<&[u8]> = ranges.iter().map(|(start, _)| &start[..]).collect();
    let mut ends: Vec<&[u8]> = ranges.iter().map(|(_, end)| &end[..]).filter(|end| !end.is_empty()).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let mut candidates = [&starts[..], &ends[..]].concat();
    candidates.sort_unstable();
    candidates.dedup();
    let score = |cut: &[u8]| {
        let before = ends.partition_point(|end| *end <= cut);
        let behind = starts.len() - starts.partition_point(|start| *start < cut);
        let across = ranges.len() - before - behind;
        let imbalance = (before.abs_diff(behind) * 100).checked_div(before + behind)?;
        let across = across * 100 / ranges.len();
        (imbalance <= IMBALANCE_MAX && across <= ACROSS_MAX).then_some(imbalance + across)
    };
    let scored = candidates.into_iter().filter_map(|cut| Some((score(cut)?, cut)));
    scored.min().map(|(_, cut)| cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ReadLimits = ReadLimits { requests: 1_000, bytes: 1 << 20 };
    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: u64) -> Vec<u8> {
        format!("k{number:04}").into_bytes()
    }

    /// Reads for so many seconds; returns the cut, if there is one, and after how many seconds.
    fn read(load: &ReadLoad, seconds: u32, mut one: impl FnMut(&ReadLoad, u64)) -> Option<(u32, Vec<u8>)> {
        let mut number = 0;
        for second in 1..=seconds {
            for _ in 0..1_500 {
                one(load, number);
                number += 1;
            }
            if let Some(key) = load.look(LIMITS, SECOND) {
                return Some((second, key.into_bytes()));
            }
        }
        None
    }

    #[test]
    fn a_region_that_is_busy_for_long_is_cut_in_the_middle_of_what_is_read() {
        let load = ReadLoad::default();
        // All keys are behind 7000, alike.
        let (second, cut) =
            read(&load, 20, |load, number| load.note_key(&key(7_000 + scattered(number) % 1_000), 10))
                .unwrap();
        assert_eq!(second, LOOKS);
        assert!(key(7_350) < cut && cut < key(7_650), "{}", String::from_utf8_lossy(&cut));
        let (bytes, keys) = load.news();
        assert_eq!((bytes, keys), (150_000, 15_000));
        assert_eq!(load.news(), (0, 0));
    }

    #[test]
    fn a_pause_begins_the_count_anew() {
        let load = ReadLoad::default();
        for round in 0..5 {
            let cut = read(&load, LOOKS - 1, |load, number| load.note_key(&key(number % 1_000), 0));
            assert_eq!(cut, None, "round {round}");
            load.note_key(b"k", 0);
            assert_eq!(load.look(LIMITS, SECOND), None);
            assert_eq!((load.stride.load(Ordering::Relaxed), load.samples.lock().ranges.len()), (0, 0));
        }
    }

    #[test]
    fn what_cannot_be_divided_stays_whole() {
        let one_key = read(&ReadLoad::default(), 30, |load, _| load.note_key(b"hot", 10));
        assert_eq!(one_key, None);
        let (all, end) = (key(0), key(9_999));
        let whole_scans = read(&ReadLoad::default(), 30, |load, _| {
            load.note_ranges([(&all[..], &end[..])].into_iter(), 10, 1_000);
        });
        assert_eq!(whole_scans, None);
        // Too few to tell.
        assert_eq!(middle(&[(key(1), key(2)), (key(3), key(4))]), None);
    }

    #[test]
    fn scans_are_not_cut_through() {
        // Short scans around 2000 and 5000; between 4000 and 4500 there is nothing.
        let scan = |load: &ReadLoad, number: u64| {
            let start = if number.is_multiple_of(2) { 2_000 } else { 4_500 } + scattered(number) % 500;
            let (start, end) = (key(start), key(start + 400));
            load.note_ranges([(&start[..], &end[..])].into_iter(), 400, 4_000);
        };
        let (_, cut) = read(&ReadLoad::default(), 20, scan).unwrap();
        assert!(key(2_890) <= cut && cut <= key(4_510), "{}", String::from_utf8_lossy(&cut));
    }

    #[test]
    fn bytes_alone_make_a_region_busy() {
        let load = ReadLoad::default();
        let mut cut = None;
        for second in 0..u64::from(LOOKS) {
            for number in 0..20 {
                let start = key(scattered(second * 20 + number) % 9_000);
                load.note_ranges(
                    [(&start[..], &[start.clone(), vec![0]].concat()[..])].into_iter(),
                    1,
                    100_000,
                );
            }
            cut = load.look(LIMITS, SECOND);
        }
        assert!(cut.is_some());
        let few = ReadLimits { requests: 0, bytes: 0 };
        assert!((0..30).all(|_| load.look(few, SECOND).is_none()), "no limits, no cuts");
    }

    #[test]
    fn all_requests_have_the_same_chance_to_be_kept() {
        let load = ReadLoad::default();
        load.stride.store(1, Ordering::Relaxed);
        for number in 0..10_000 {
            load.note_key(&key(number), 0);
        }
        let early = load.samples.lock().ranges.iter().filter(|(start, _)| *start < key(5_000)).count();
        assert!((90..=166).contains(&early), "{early} of {SAMPLES_MAX} are of the first half");
    }
}
