//! Sending results: column definitions, rows, and what ends them.

use tidewater_session::{OkResult, RecordSet, ResultField, StatusFlags};
use tidewater_types::SqlError;

use super::{Connection, attended};
use crate::error::ConnectionError;
use crate::packet::PacketError;
use crate::packets::{self, Terminator};
use crate::rows::{self, RowError, RowFormat};

/// Marks a result as followed by another.
pub fn set_more(status: &mut StatusFlags, more: bool) {
    status.set(StatusFlags::MORE_RESULTS_EXISTS, more);
}

impl Connection {
    /// Streams a whole result; `false` when it ended in an error, which has been sent then.
    pub(super) async fn send_rows(
        &mut self,
        mut rows: RecordSet,
        format: RowFormat,
        more: bool,
    ) -> Result<bool, ConnectionError> {
        let fields = rows.fields().clone();
        self.send_columns(&fields)?;
        if !packets::deprecates_eof(self.capabilities) {
            let mut status = rows.status();
            set_more(&mut status, more);
            packets::eof(&mut self.payload, 0, status);
            self.stream.queue(&self.payload)?;
        }
        let process = self.session.process().clone();
        loop {
            match attended(&mut self.stream, &process, rows.next()).await {
                Ok(Some(chunk)) => {
                    let sending =
                        rows::send_chunk(&mut self.stream, format, &fields, &chunk, &mut self.payload);
                    let sent = tokio::select! {
                        biased;
                        sent = sending => sent,
                        // A client that does not read its rows would hold the statement for ever.
                        () = process.connection_killed() => Err(PacketError::Closed.into()),
                    };
                    if let Err(error) = sent {
                        rows.close().await;
                        return self.row_error(error);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    rows.close().await;
                    self.send_error(&error)?;
                    return Ok(false);
                }
            }
        }
        let mut status = rows.status();
        set_more(&mut status, more);
        self.send_end_of_rows(rows.warnings(), status)?;
        Ok(true)
    }

    pub(super) fn row_error(&mut self, error: RowError) -> Result<bool, ConnectionError> {
        match error {
            RowError::Packet(error) => Err(error.into()),
            error @ RowError::WrongArray { .. } => {
                let error: SqlError = error.to_sql();
                self.send_error(&error)?;
                Ok(false)
            }
        }
    }

    /// The column count and the column definitions.
    pub(super) fn send_columns(&mut self, fields: &[ResultField]) -> Result<(), ConnectionError> {
        packets::column_count(&mut self.payload, fields.len());
        self.stream.queue(&self.payload)?;
        self.send_definitions(fields)
    }

    pub(super) fn send_definitions(&mut self, fields: &[ResultField]) -> Result<(), ConnectionError> {
        for field in fields {
            packets::column(&mut self.payload, field, false);
            self.stream.queue(&self.payload)?;
        }
        Ok(())
    }

    /// The packet behind the last row, in the form the client knows.
    pub(super) fn send_end_of_rows(
        &mut self,
        warnings: u16,
        status: StatusFlags,
    ) -> Result<(), ConnectionError> {
        if packets::deprecates_eof(self.capabilities) {
            packets::ok(
                &mut self.payload,
                &OkResult { warnings, status, ..OkResult::default() },
                Terminator::Rows,
            );
        } else {
            packets::eof(&mut self.payload, warnings, status);
        }
        Ok(self.stream.queue(&self.payload)?)
    }
}
