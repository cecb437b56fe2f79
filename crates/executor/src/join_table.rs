//! The hash table of a join's build side: buckets of row positions, chained through a vector.

use tidewater_chunk::Chunk;

use crate::keys::KeyBatch;

/// End of a chain, and "no row".
pub(crate) const NO_ROW: u32 = u32::MAX;

/// Build rows by key. Chains run in row order, so matches come in build order.
pub(crate) struct JoinTable {
    /// All build rows, including those whose key is NULL.
    pub(crate) rows: Chunk,
    keys: KeyBatch,
    hashes: Vec<u64>,
    buckets: Vec<u32>,
    next: Vec<u32>,
    mask: usize,
}

impl JoinTable {
    /// Indexes `rows` by `keys`; a row for which `keys.has_null` says yes is in no chain.
    pub(crate) fn build(rows: Chunk, keys: KeyBatch) -> JoinTable {
        let count = rows.num_rows();
        let mut hashes = Vec::with_capacity(count);
        keys.hashes(&mut hashes);
        let mask = (count * 2).next_power_of_two().max(2) - 1;
        let mut buckets = vec![NO_ROW; mask + 1];
        let mut next = vec![NO_ROW; count];
        // Backwards, because each row is put before the chain it joins.
        for row in (0..count).rev() {
            if keys.has_null(row) {
                continue;
            }
            let bucket = &mut buckets[hashes[row] as usize & mask];
            next[row] = *bucket;
            *bucket = row as u32;
        }
        JoinTable { rows, keys, hashes, buckets, next, mask }
    }

    /// The first build row that could match.
    #[inline]
    pub(crate) fn first(&self, hash: u64) -> u32 {
        self.buckets[hash as usize & self.mask]
    }

    /// The build row after `row` in its chain.
    #[inline]
    pub(crate) fn after(&self, row: u32) -> u32 {
        self.next[row as usize]
    }

    /// True when the keys of a build row and a probe row are equal.
    #[inline]
    pub(crate) fn key_equals(
        &self,
        build_row: u32,
        probe: &KeyBatch,
        probe_hash: u64,
        probe_row: usize,
    ) -> bool {
        let build_row = build_row as usize;
        match (&self.keys, probe) {
            (KeyBatch::One { words: build, .. }, KeyBatch::One { words: probe, .. }) => {
                build[build_row] == probe[probe_row]
            }
            (KeyBatch::Two { words: build }, KeyBatch::Two { words: probe }) => {
                build[build_row] == probe[probe_row]
            }
            (KeyBatch::General { rows: build, .. }, KeyBatch::General { rows: probe, .. }) => {
                self.hashes[build_row] == probe_hash && build.row(build_row) == probe.row(probe_row)
            }
            _ => unreachable!("both sides of a join are laid out by the same kinds"),
        }
    }

    /// True when the build row has a NULL key.
    pub(crate) fn has_null(&self, row: usize) -> bool {
        self.keys.has_null(row)
    }

    /// Bytes held beside the rows.
    pub(crate) fn memory_size(&self) -> usize {
        self.keys.memory_size()
            + self.hashes.capacity() * 8
            + (self.buckets.capacity() + self.next.capacity()) * 4
    }
}
