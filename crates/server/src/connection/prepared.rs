//! Prepared statements of the binary protocol, and their cursors.

use tidewater_session::{RecordSet, StatementResult, StatusFlags};
use tidewater_types::{ErrorCode, SqlError};

use super::{Connection, attended, text_of};
use crate::error::ConnectionError;
use crate::packets;
use crate::parameters::Bindings;
use crate::rows::{self, RowFormat};

/// What the server keeps for a prepared statement.
#[derive(Default)]
pub(super) struct Statement {
    parameter_count: usize,
    bindings: Bindings,
    cursor: Option<RecordSet>,
}

impl Connection {
    pub(super) async fn prepare(&mut self, text: &[u8]) -> Result<(), ConnectionError> {
        let prepared = match text_of(text) {
            Ok(text) => self.session.prepare(text).await,
            Err(error) => Err(error),
        };
        let info = match prepared {
            Ok(info) => info,
            Err(error) => return self.send_error(&error),
        };
        packets::prepared(&mut self.payload, &info);
        self.stream.queue(&self.payload)?;
        let status = self.session.status_flags();
        for fields in [&info.params[..], &info.columns[..]] {
            self.send_definitions(fields)?;
            if !fields.is_empty() && !packets::deprecates_eof(self.capabilities) {
                packets::eof(&mut self.payload, 0, status);
                self.stream.queue(&self.payload)?;
            }
        }
        self.statements
            .insert(info.id, Statement { parameter_count: info.params.len(), ..Statement::default() });
        Ok(())
    }

    pub(super) async fn execute_prepared(
        &mut self,
        id: u32,
        cursor: bool,
        parameters: &[u8],
    ) -> Result<(), ConnectionError> {
        let Some(statement) = self.statements.get_mut(&id) else {
            return self.send_error(&unknown_statement(id, "mysqld_stmt_execute"));
        };
        // Executing again closes the cursor of the last time.
        if let Some(mut rows) = statement.cursor.take() {
            rows.close().await;
        }
        let result = match statement.bindings.bind(parameters, statement.parameter_count) {
            Ok(values) => {
                let process = self.session.process().clone();
                attended(&mut self.stream, &process, self.session.execute_prepared(id, values)).await
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(StatementResult::Rows(rows)) if cursor => self.open_cursor(id, rows),
            Ok(result) => self.send_result(result, RowFormat::Binary, false).await.map(drop),
            Err(error) => self.send_error(&error),
        }
    }

    /// Sends the columns and keeps the rows for `COM_STMT_FETCH`.
    fn open_cursor(&mut self, id: u32, rows: RecordSet) -> Result<(), ConnectionError> {
        self.send_columns(rows.fields())?;
        self.send_end_of_rows(rows.warnings(), rows.status() | StatusFlags::CURSOR_EXISTS)?;
        if let Some(statement) = self.statements.get_mut(&id) {
            statement.cursor = Some(rows);
        }
        Ok(())
    }

    pub(super) async fn fetch(&mut self, id: u32, wanted: u32) -> Result<(), ConnectionError> {
        let cursor = self.statements.get_mut(&id).and_then(|statement| statement.cursor.take());
        let Some(mut cursor) = cursor else {
            return self.send_error(&unknown_statement(id, "mysqld_stmt_fetch"));
        };
        let process = self.session.process().clone();
        let fetching = cursor.fetch(usize::try_from(wanted).unwrap_or(usize::MAX));
        let (chunks, last) = match attended(&mut self.stream, &process, fetching).await {
            Ok(fetched) => fetched,
            Err(error) => {
                cursor.close().await;
                return self.send_error(&error);
            }
        };
        let fields = cursor.fields().clone();
        for chunk in &chunks {
            let sent =
                rows::send_chunk(&mut self.stream, RowFormat::Binary, &fields, chunk, &mut self.payload)
                    .await;
            if let Err(error) = sent {
                return self.row_error(error).map(drop);
            }
        }
        let end = if last { StatusFlags::LAST_ROW_SENT } else { StatusFlags::CURSOR_EXISTS };
        self.send_end_of_rows(cursor.warnings(), cursor.status() | end)?;
        if !last && let Some(statement) = self.statements.get_mut(&id) {
            statement.cursor = Some(cursor);
        }
        Ok(())
    }

    /// A long value for a statement that does not exist is dropped: there is no answer to put an error in.
    pub(super) fn long_data(&mut self, id: u32, parameter: u16, data: &[u8]) {
        let limit = usize::try_from(self.session.max_allowed_packet()).unwrap_or(usize::MAX);
        if let Some(statement) = self.statements.get_mut(&id) {
            statement.bindings.add_long_data(parameter, data, limit);
        }
    }

    pub(super) async fn reset_statement(&mut self, id: u32) -> Result<(), ConnectionError> {
        let Some(statement) = self.statements.get_mut(&id) else {
            return self.send_error(&unknown_statement(id, "mysqld_stmt_reset"));
        };
        statement.bindings.reset();
        if let Some(mut rows) = statement.cursor.take() {
            rows.close().await;
        }
        let status = self.session.status_flags();
        self.finish(Ok(tidewater_session::OkResult { status, ..Default::default() }))
    }

    pub(super) async fn close_statement(&mut self, id: u32) {
        if let Some(statement) = self.statements.remove(&id) {
            if let Some(mut rows) = statement.cursor {
                rows.close().await;
            }
            self.session.close_prepared(id);
        }
    }

    pub(super) async fn close_statements(&mut self) {
        while let Some((&id, _)) = self.statements.first_key_value() {
            self.close_statement(id).await;
        }
    }
}

fn unknown_statement(id: u32, command: &str) -> SqlError {
    SqlError::new(
        ErrorCode::UnknownStmtHandler,
        format!("Unknown prepared statement handler ({id}) given to {command}"),
    )
}
