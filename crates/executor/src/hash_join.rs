//! HashJoin: equal-key join through a hash table on one side.
//!
//! The build side is collected into one chunk and indexed by key ([`JoinTable`]). Each probe chunk then yields candidate
//! pairs (probe position, build position) in batches of at most one output chunk; a batch is gathered with two `take`s,
//! checked against the other conditions, and either given out or, for the semi kinds, only noted.
//!
//! # `NOT IN`
//! With null-aware keys a probe row has three outcomes: *matched*; *unknown*, when some build row's comparison is NULL
//! and none is true; *unmatched*. The hash table finds the true comparisons. NULL comparisons need a NULL on one side,
//! so only rows with a NULL key are looked at again: in the common case (one key, no further conditions) two flags
//! decide, otherwise pairs with NULL are checked one batch at a time.

use arrow::array::{BooleanArray, UInt32Array, new_null_array};
use async_trait::async_trait;
use tidewater_chunk::{Chunk, arrow_type};
use tidewater_expr::{Expr, build_function, filter_mask};
use tidewater_types::FieldType;

use crate::buffer::ChunkBuffer;
use crate::context::ExecContext;
use crate::error::ExecError;
use crate::join_spec::{BuildSide, HashJoinSpec, JoinKind, KeyNulls, SideKeys, compile_keys, shift_columns};
use crate::join_table::{JoinTable, NO_ROW};
use crate::keys::KeyBatch;
use crate::operator::{BoxedOperator, Operator};
use crate::semi_output::{any_row_not_false, semi_output};

/// Join by hash table; see the module documentation.
pub struct HashJoin {
    ctx: ExecContext,
    core: JoinCore,
    build: BoxedOperator,
    probe: BoxedOperator,
    build_buffer: ChunkBuffer,
    state: State,
}

/// What does not change while the join runs.
struct JoinCore {
    ctx: ExecContext,
    kind: JoinKind,
    build_side: BuildSide,
    schema: Vec<FieldType>,
    build_schema: Vec<FieldType>,
    probe_schema: Vec<FieldType>,
    build_keys: SideKeys,
    probe_keys: SideKeys,
    other_conditions: Vec<Expr>,
    null_aware: Option<NullAware>,
}

/// How "unknown" is found out.
enum NullAware {
    /// One null-aware key and nothing else: two facts about the build side decide.
    Flags,
    /// Pairs must be looked at: these must be true, those must not be false.
    Pairs { must_be_true: Vec<Expr>, must_not_be_false: Vec<Expr> },
}

enum State {
    NotBuilt,
    Probing {
        table: Box<Built>,
        current: Option<Box<Probe>>,
    },
    /// Build rows that never matched, for outer joins that preserve the build side.
    Unmatched {
        table: Box<Built>,
        position: usize,
    },
    Done,
}

struct Built {
    table: JoinTable,
    /// For outer joins that preserve the build side.
    matched: Option<Vec<bool>>,
    /// Rows with NULL in a key, for null-aware joins.
    null_rows: Vec<u32>,
}

struct Probe {
    chunk: Chunk,
    keys: KeyBatch,
    hashes: Vec<u64>,
    /// Where pairing stands: this row, and the build row to look at next.
    row: usize,
    candidate: u32,
    matched: Vec<bool>,
}

impl HashJoin {
    /// Joins two children. The semi kinds build on the right, whatever is asked for.
    pub fn new(
        ctx: &ExecContext,
        left: BoxedOperator,
        right: BoxedOperator,
        mut spec: HashJoinSpec,
    ) -> Result<HashJoin, ExecError> {
        if spec.kind.is_semi() {
            spec.build = BuildSide::Right;
        }
        if !spec.kind.is_semi() || spec.kind == JoinKind::Semi {
            // Where only matches count, unknown is as good as none.
            spec.keys.append(&mut spec.null_aware_keys);
        }
        let (left_schema, right_schema) = (left.schema().to_vec(), right.schema().to_vec());
        let all_keys: Vec<_> = spec.keys.iter().chain(&spec.null_aware_keys).cloned().collect();
        let (left_keys, right_keys) = compile_keys(&all_keys)?;
        let null_aware = null_aware_plan(ctx, &spec, left_schema.len())?;
        let schema = spec.kind.schema(&left_schema, &right_schema);
        let ((build, build_schema, build_keys), (probe, probe_schema, probe_keys)) = match spec.build {
            BuildSide::Left => ((left, left_schema, left_keys), (right, right_schema, right_keys)),
            BuildSide::Right => ((right, right_schema, right_keys), (left, left_schema, left_keys)),
        };
        let core = JoinCore {
            ctx: ctx.clone(),
            kind: spec.kind,
            build_side: spec.build,
            schema,
            build_schema,
            probe_schema,
            build_keys,
            probe_keys,
            other_conditions: spec.other_conditions,
            null_aware,
        };
        let build_buffer = ChunkBuffer::new(ctx.memory.child("HashJoin").reservation());
        Ok(HashJoin { ctx: ctx.clone(), core, build, probe, build_buffer, state: State::NotBuilt })
    }

    async fn build(&mut self) -> Result<Built, ExecError> {
        while let Some(chunk) = self.build.next().await? {
            self.ctx.kill.check()?;
            self.build_buffer.push(chunk)?;
        }
        let rows = self.build_buffer.take_all()?.unwrap_or_else(|| Chunk::empty(&self.core.build_schema));
        let keys = self.core.build_keys.encode(&self.ctx, &rows)?;
        let table = JoinTable::build(rows, keys);
        let rows = table.rows.num_rows();
        self.build_buffer.charge(table.memory_size())?;
        let matched = self.core.preserves_build().then(|| vec![false; rows]);
        let null_rows = match self.core.null_aware {
            Some(_) => (0..rows as u32).filter(|row| table.has_null(*row as usize)).collect(),
            None => Vec::new(),
        };
        Ok(Built { table, matched, null_rows })
    }
}

/// The expressions of the pair-wise check, unless two flags are enough.
fn null_aware_plan(
    ctx: &ExecContext,
    spec: &HashJoinSpec,
    left_width: usize,
) -> Result<Option<NullAware>, ExecError> {
    if spec.null_aware_keys.is_empty() {
        return Ok(None);
    }
    if spec.null_aware_keys.len() == 1 && spec.keys.is_empty() && spec.other_conditions.is_empty() {
        return Ok(Some(NullAware::Flags));
    }
    let equality = |name: &str, left: &Expr, right: &Expr| {
        build_function(name, vec![left.clone(), shift_columns(right, left_width)], &ctx.eval)
    };
    let mut must_be_true = spec.other_conditions.clone();
    for key in &spec.keys {
        let name = match key.nulls {
            KeyNulls::Reject => "eq",
            KeyNulls::Equal => "nulleq",
        };
        must_be_true.push(equality(name, &key.left, &key.right)?);
    }
    let mut must_not_be_false = Vec::new();
    for key in &spec.null_aware_keys {
        must_not_be_false.push(equality("eq", &key.left, &key.right)?);
    }
    Ok(Some(NullAware::Pairs { must_be_true, must_not_be_false }))
}

impl JoinCore {
    /// True when unmatched build rows come out.
    fn preserves_build(&self) -> bool {
        matches!(
            (self.kind, self.build_side),
            (JoinKind::LeftOuter, BuildSide::Left) | (JoinKind::RightOuter, BuildSide::Right)
        )
    }

    /// True when unmatched probe rows come out, padded.
    fn preserves_probe(&self) -> bool {
        matches!(
            (self.kind, self.build_side),
            (JoinKind::LeftOuter, BuildSide::Right) | (JoinKind::RightOuter, BuildSide::Left)
        )
    }

    fn start_probe(&self, chunk: Chunk) -> Result<Probe, ExecError> {
        let keys = self.probe_keys.encode(&self.ctx, &chunk)?;
        let mut hashes = Vec::with_capacity(chunk.num_rows());
        keys.hashes(&mut hashes);
        let matched = vec![false; chunk.num_rows()];
        Ok(Probe { chunk, keys, hashes, row: 0, candidate: NO_ROW, matched })
    }

    /// The next output chunk of this probe chunk; `None` when it is used up.
    fn advance(&self, built: &mut Built, probe: &mut Probe) -> Result<Option<Chunk>, ExecError> {
        let rows = probe.chunk.num_rows();
        while probe.row < rows {
            self.ctx.kill.check()?;
            if self.kind.is_semi() && self.other_conditions.is_empty() {
                self.mark_first_matches(built, probe);
                break;
            }
            let (probe_rows, build_rows) = self.next_pairs(built, probe);
            if probe_rows.is_empty() {
                continue;
            }
            if let Some(chunk) = self.check_pairs(built, probe, probe_rows, build_rows)? {
                return Ok(Some(chunk));
            }
        }
        if probe.row == rows {
            // One step past the end: what is left to say about the chunk is said once.
            probe.row += 1;
            return self.finish_probe(built, probe);
        }
        Ok(None)
    }

    /// A semi join without further conditions needs one match per row and no pairs.
    fn mark_first_matches(&self, built: &Built, probe: &mut Probe) {
        for row in 0..probe.chunk.num_rows() {
            if probe.keys.has_null(row) {
                continue;
            }
            let hash = probe.hashes[row];
            let mut candidate = built.table.first(hash);
            while candidate != NO_ROW && !built.table.key_equals(candidate, &probe.keys, hash, row) {
                candidate = built.table.after(candidate);
            }
            probe.matched[row] = candidate != NO_ROW;
        }
        probe.row = probe.chunk.num_rows();
    }

    /// Up to one output chunk of pairs with equal keys.
    fn next_pairs(&self, built: &Built, probe: &mut Probe) -> (Vec<u32>, Vec<u32>) {
        let capacity = self.ctx.max_chunk_rows.max(1);
        let (mut probe_rows, mut build_rows) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let rows = probe.chunk.num_rows();
        let table = &built.table;
        let mut candidate = probe.candidate;
        while probe.row < rows {
            let row = probe.row;
            let hash = probe.hashes[row];
            if candidate == NO_ROW && !probe.keys.has_null(row) {
                candidate = table.first(hash);
            }
            while candidate != NO_ROW {
                if table.key_equals(candidate, &probe.keys, hash, row) {
                    if probe_rows.len() == capacity {
                        probe.candidate = candidate;
                        return (probe_rows, build_rows);
                    }
                    probe_rows.push(row as u32);
                    build_rows.push(candidate);
                }
                candidate = table.after(candidate);
            }
            probe.row += 1;
        }
        probe.candidate = NO_ROW;
        (probe_rows, build_rows)
    }

    /// Applies the other conditions; gives the joined rows out unless the kind only wants to know.
    fn check_pairs(
        &self,
        built: &mut Built,
        probe: &mut Probe,
        probe_rows: Vec<u32>,
        build_rows: Vec<u32>,
    ) -> Result<Option<Chunk>, ExecError> {
        let (probe_rows, build_rows) = (UInt32Array::from(probe_rows), UInt32Array::from(build_rows));
        let joined = self.gather(&probe.chunk, &built.table.rows, &probe_rows, &build_rows);
        let mask = match self.other_conditions.is_empty() {
            true => None,
            false => Some(filter_mask(&self.other_conditions, &self.ctx.eval, &joined)?),
        };
        let passes = |pair: usize| mask.as_ref().is_none_or(|mask| mask.value(pair));
        if self.preserves_probe() || self.kind.is_semi() {
            for (pair, row) in probe_rows.values().iter().enumerate() {
                if passes(pair) {
                    probe.matched[*row as usize] = true;
                }
            }
        }
        if let Some(matched) = &mut built.matched {
            for (pair, row) in build_rows.values().iter().enumerate() {
                if passes(pair) {
                    matched[*row as usize] = true;
                }
            }
        }
        if self.kind.is_semi() {
            return Ok(None);
        }
        let joined = match mask {
            Some(mask) => joined.filter(&mask),
            None => joined,
        };
        Ok((joined.num_rows() > 0).then_some(joined))
    }

    /// Left columns, then right columns, of these pairs.
    fn gather(
        &self,
        probe: &Chunk,
        build: &Chunk,
        probe_rows: &UInt32Array,
        build_rows: &UInt32Array,
    ) -> Chunk {
        let (probe, build) = (probe.take(probe_rows), build.take(build_rows));
        self.side_by_side(probe, build)
    }

    fn side_by_side(&self, probe: Chunk, build: Chunk) -> Chunk {
        let rows = probe.num_rows();
        let (left, right) = match self.build_side {
            BuildSide::Left => (build, probe),
            BuildSide::Right => (probe, build),
        };
        let mut columns = left.into_columns();
        columns.extend(right.into_columns());
        Chunk::new(columns, rows)
    }

    /// What a probe chunk gives after all its pairs were seen.
    fn finish_probe(&self, built: &Built, probe: &Probe) -> Result<Option<Chunk>, ExecError> {
        if self.preserves_probe() {
            let unmatched: Vec<bool> = probe.matched.iter().map(|matched| !matched).collect();
            let rows = probe.chunk.filter(&BooleanArray::from(unmatched));
            let padding = nulls(&self.build_schema, rows.num_rows());
            let chunk = self.side_by_side(rows, padding);
            return Ok((chunk.num_rows() > 0).then_some(chunk));
        }
        if !self.kind.is_semi() {
            return Ok(None);
        }
        let unknown = self.unknown_rows(built, probe)?;
        Ok(semi_output(self.kind, &probe.chunk, &probe.matched, &unknown))
    }

    /// Probe rows without a true comparison but with a NULL one.
    fn unknown_rows(&self, built: &Built, probe: &Probe) -> Result<Vec<bool>, ExecError> {
        let rows = probe.chunk.num_rows();
        let mut unknown = vec![false; rows];
        match &self.null_aware {
            None => {}
            Some(NullAware::Flags) => {
                let build_is_empty = built.table.rows.num_rows() == 0;
                for (row, unknown) in unknown.iter_mut().enumerate() {
                    *unknown = !probe.matched[row]
                        && !build_is_empty
                        && (probe.keys.has_null(row) || !built.null_rows.is_empty());
                }
            }
            Some(NullAware::Pairs { must_be_true, must_not_be_false }) => {
                for row in (0..rows).filter(|row| !probe.matched[*row]) {
                    unknown[row] = self.is_unknown(built, probe, row, must_be_true, must_not_be_false)?;
                }
            }
        }
        Ok(unknown)
    }

    fn is_unknown(
        &self,
        built: &Built,
        probe: &Probe,
        row: usize,
        must_be_true: &[Expr],
        must_not_be_false: &[Expr],
    ) -> Result<bool, ExecError> {
        // A comparison is NULL only with a NULL on one side.
        let all_rows: Vec<u32>;
        let candidates = if probe.keys.has_null(row) {
            all_rows = (0..built.table.rows.num_rows() as u32).collect();
            &all_rows
        } else {
            &built.null_rows
        };
        for batch in candidates.chunks(self.ctx.max_chunk_rows.max(1)) {
            self.ctx.kill.check()?;
            let probe_rows = UInt32Array::from(vec![row as u32; batch.len()]);
            let build_rows = UInt32Array::from(batch.to_vec());
            let joined = self.gather(&probe.chunk, &built.table.rows, &probe_rows, &build_rows);
            let joined = joined.filter(&filter_mask(must_be_true, &self.ctx.eval, &joined)?);
            if joined.num_rows() > 0 && any_row_not_false(must_not_be_false, &self.ctx.eval, &joined)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Rows of NULLs.
pub(crate) fn nulls(schema: &[FieldType], rows: usize) -> Chunk {
    let columns = schema.iter().map(|field_type| new_null_array(&arrow_type(field_type), rows)).collect();
    Chunk::new(columns, rows)
}

#[async_trait]
impl Operator for HashJoin {
    fn schema(&self) -> &[FieldType] {
        &self.core.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.build.open().await?;
        self.probe.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        loop {
            self.ctx.kill.check()?;
            match &mut self.state {
                State::NotBuilt => {
                    let built = self.build().await?;
                    let nothing_can_match = built.table.rows.num_rows() == 0;
                    self.state = match self.core.kind {
                        JoinKind::Inner | JoinKind::Semi if nothing_can_match => State::Done,
                        _ => State::Probing { table: Box::new(built), current: None },
                    };
                }
                State::Probing { table, current: Some(probe) } => {
                    if let Some(chunk) = self.core.advance(table, probe)? {
                        return Ok(Some(chunk));
                    }
                    if probe.row > probe.chunk.num_rows()
                        && let State::Probing { current, .. } = &mut self.state
                    {
                        *current = None;
                    }
                }
                State::Probing { current, .. } => match self.probe.next().await? {
                    Some(chunk) => *current = Some(Box::new(self.core.start_probe(chunk)?)),
                    None => {
                        self.state = match std::mem::replace(&mut self.state, State::Done) {
                            State::Probing { table, .. } if table.matched.is_some() => {
                                State::Unmatched { table, position: 0 }
                            }
                            _ => State::Done,
                        };
                    }
                },
                State::Unmatched { table, position } => {
                    let matched = table.matched.as_deref().unwrap_or_default();
                    let rows: Vec<u32> = (*position..matched.len())
                        .filter(|row| !matched[*row])
                        .take(self.core.ctx.max_chunk_rows.max(1))
                        .map(|row| row as u32)
                        .collect();
                    let Some(last) = rows.last() else {
                        self.state = State::Done;
                        continue;
                    };
                    *position = *last as usize + 1;
                    let rows = table.table.rows.take(&UInt32Array::from(rows));
                    let padding = nulls(&self.core.probe_schema, rows.num_rows());
                    return Ok(Some(self.core.side_by_side(padding, rows)));
                }
                State::Done => return Ok(None),
            }
        }
    }

    async fn close(&mut self) {
        self.state = State::Done;
        self.build_buffer.free();
        self.build.close().await;
        self.probe.close().await;
    }
}
