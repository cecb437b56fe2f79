//! What a statement gives back: an OK, a stream of rows, or the wish for a file of the client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bitflags::bitflags;
use tidewater_chunk::Chunk;
use tidewater_executor::{BoxedOperator, ExecError, KillFlag};
use tidewater_types::{FieldType, SqlError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::infile::LocalInfile;
use crate::statement_end::StatementEnd;

/// What one statement answered.
pub enum StatementResult {
    /// The statement changed something, or nothing; there are no rows.
    Ok(OkResult),
    /// The statement answers with rows, which are streamed.
    Rows(RecordSet),
    /// `LOAD DATA LOCAL`: the client must send this file; see [`LocalInfile`].
    LocalInfile(LocalInfile),
}

/// The content of an OK packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OkResult {
    /// Rows changed (or found, when the client asked so).
    pub affected_rows: u64,
    /// The first AUTO_INCREMENT value the statement generated, or the argument of `LAST_INSERT_ID(n)`.
    pub last_insert_id: u64,
    /// Human readable details, such as `Records: 3  Duplicates: 0  Warnings: 0`.
    pub info: String,
    /// How many warnings `SHOW WARNINGS` would list.
    pub warnings: u16,
    /// Server status after the statement.
    pub status: StatusFlags,
}

bitflags! {
    /// The status flags of OK and EOF packets, with the numbers of the protocol.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct StatusFlags: u16 {
        /// A transaction is open.
        const IN_TRANS = 0x0001;
        /// Autocommit is on.
        const AUTOCOMMIT = 0x0002;
        /// Further results follow; set by the server, which knows the batch.
        const MORE_RESULTS_EXISTS = 0x0008;
        /// The statement used no good index.
        const NO_GOOD_INDEX_USED = 0x0010;
        /// The statement used no index.
        const NO_INDEX_USED = 0x0020;
        /// A cursor is open on the result.
        const CURSOR_EXISTS = 0x0040;
        /// The last row of the cursor was sent.
        const LAST_ROW_SENT = 0x0080;
        /// The default database was dropped.
        const DB_DROPPED = 0x0100;
        /// `NO_BACKSLASH_ESCAPES` is in the SQL mode.
        const NO_BACKSLASH_ESCAPES = 0x0200;
        /// Metadata changed on re-preparation.
        const METADATA_CHANGED = 0x0400;
        /// The open transaction is read only.
        const IN_TRANS_READONLY = 0x2000;
        /// Session state information follows.
        const SESSION_STATE_CHANGED = 0x4000;
    }
}

/// One column of a result, as column definition packets describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultField {
    /// Database of the table; empty for expressions.
    pub db: String,
    /// Table alias.
    pub table: String,
    /// Table name.
    pub org_table: String,
    /// Column alias: the name that clients show.
    pub name: String,
    /// Column name in its table.
    pub org_name: String,
    /// SQL type with length, decimals, flags and collation.
    pub field_type: FieldType,
}

impl ResultField {
    /// A column that belongs to no table.
    pub fn computed(name: impl Into<String>, field_type: FieldType) -> Self {
        Self {
            db: String::new(),
            table: String::new(),
            org_table: String::new(),
            name: name.into(),
            org_name: String::new(),
            field_type,
        }
    }
}

/// A stream of rows in chunks. It owns what it needs: the session may be asked other things between two chunks,
/// which is what cursors do.
pub struct RecordSet {
    fields: Arc<[ResultField]>,
    source: Source,
    end: Option<StatementEnd>,
    /// What is left of a chunk that [`RecordSet::fetch`] cut.
    rest: Option<Chunk>,
    /// `max_execution_time`.
    deadline: Option<(Instant, KillFlag)>,
    /// Which rows the client gets of those that are counted.
    window: Option<Window>,
}

/// The LIMIT of a statement with SQL_CALC_FOUND_ROWS: all rows are read, for FOUND_ROWS(), and some are shown.
struct Window {
    skip: u64,
    take: u64,
}

impl Window {
    /// The part of a chunk that lies in the window, which moves behind it.
    fn cut(&mut self, chunk: &Chunk) -> Chunk {
        let rows = chunk.num_rows() as u64;
        let skipped = self.skip.min(rows);
        let taken = self.take.min(rows - skipped);
        self.skip -= skipped;
        self.take -= taken;
        chunk.slice(skipped as usize, taken as usize)
    }
}

/// Where the chunks come from.
pub(crate) enum Source {
    /// All chunks are there.
    Chunks(VecDeque<Chunk>),
    /// Operators run on the caller's task.
    Inline(BoxedOperator),
    /// Operators run on the compute runtime; the channel is bounded, so that a slow client slows the scan.
    Task(mpsc::Receiver<Result<Chunk, SqlError>>),
    /// Nothing more.
    Done,
}

impl RecordSet {
    pub(crate) fn new(fields: Arc<[ResultField]>, source: Source, end: Option<StatementEnd>) -> Self {
        Self { fields, source, end, rest: None, deadline: None, window: None }
    }

    pub(crate) fn from_chunks(
        fields: Vec<ResultField>,
        chunks: Vec<Chunk>,
        end: Option<StatementEnd>,
    ) -> Self {
        Self::new(fields.into(), Source::Chunks(chunks.into()), end)
    }

    /// Ends the statement with error 3024 when it runs longer.
    pub(crate) fn set_deadline(&mut self, limit: Duration, kill: KillFlag) {
        self.deadline = Some((Instant::now() + limit, kill));
    }

    /// Counts all rows, and gives only `take` after the first `skip`.
    pub(crate) fn show(&mut self, skip: u64, take: u64) {
        self.window = Some(Window { skip, take });
    }

    /// The columns.
    pub fn fields(&self) -> &Arc<[ResultField]> {
        &self.fields
    }

    /// The next chunk with at least one row, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Chunk>, SqlError> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        loop {
            let next = self.next_counted().await?;
            match (next, &mut self.window) {
                (Some(chunk), Some(window)) => {
                    let shown = window.cut(&chunk);
                    if shown.num_rows() > 0 {
                        return Ok(Some(shown));
                    }
                }
                (next, _) => return Ok(next),
            }
        }
    }

    async fn next_counted(&mut self) -> Result<Option<Chunk>, SqlError> {
        let deadline = self.deadline.clone();
        let next = match deadline {
            None => self.pull().await,
            Some((deadline, kill)) => match tokio::time::timeout_at(deadline, self.pull()).await {
                Ok(next) => next,
                Err(_) => {
                    kill.time_out();
                    Err(crate::error::from_exec(ExecError::TimedOut))
                }
            },
        };
        match &next {
            Ok(Some(chunk)) => {
                if let Some(end) = &mut self.end {
                    end.count_rows(chunk.num_rows() as u64);
                }
            }
            Ok(None) => self.finish(None),
            Err(error) => self.finish(Some(error.clone())),
        }
        next
    }

    async fn pull(&mut self) -> Result<Option<Chunk>, SqlError> {
        loop {
            let chunk = match &mut self.source {
                Source::Done => None,
                Source::Chunks(chunks) => chunks.pop_front(),
                Source::Inline(operator) => operator.next().await.map_err(crate::error::from_exec)?,
                Source::Task(receiver) => receiver.recv().await.transpose()?,
            };
            match chunk {
                Some(chunk) if chunk.num_rows() == 0 => continue,
                chunk => return Ok(chunk),
            }
        }
    }

    /// At most `rows` further rows; the flag says that nothing is left behind them. For `COM_STMT_FETCH`.
    pub async fn fetch(&mut self, rows: usize) -> Result<(Vec<Chunk>, bool), SqlError> {
        let mut chunks = Vec::new();
        let mut wanted = rows;
        while let Some(chunk) = self.next().await? {
            if wanted == 0 {
                self.rest = Some(chunk);
                return Ok((chunks, false));
            }
            if chunk.num_rows() > wanted {
                self.rest = Some(chunk.slice(wanted, chunk.num_rows() - wanted));
                chunks.push(chunk.slice(0, wanted));
                return Ok((chunks, false));
            }
            wanted -= chunk.num_rows();
            chunks.push(chunk);
        }
        Ok((chunks, true))
    }

    /// Ends the statement early: operators are dropped, later calls of `next` answer `None`.
    pub async fn close(&mut self) {
        self.rest = None;
        if let Source::Inline(operator) = &mut self.source {
            operator.close().await;
        }
        self.finish(None);
    }

    /// Warnings of the statement so far; complete after the last chunk.
    pub fn warnings(&self) -> u16 {
        self.end.as_ref().map_or(0, StatementEnd::warnings)
    }

    /// Server status for the packet that ends the rows.
    pub fn status(&self) -> StatusFlags {
        self.end.as_ref().map_or(StatusFlags::AUTOCOMMIT, StatementEnd::status)
    }

    fn finish(&mut self, error: Option<SqlError>) {
        self.source = Source::Done;
        if let Some(end) = &mut self.end {
            end.finish(error);
        }
    }
}
