//! One connection from greeting to goodbye: reads commands, runs them on the session, sends what comes of it.

mod infile;
mod prepared;
mod results;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mysql_common::constants::CapabilityFlags;
use tidewater_session::password::NONCE_LEN;
use tidewater_session::{Batch, OkResult, Process, Session, SessionOptions, StatementResult};
use tidewater_types::{ErrorCode, SqlError};

use crate::auth::{self, AuthError, Claim};
use crate::command::Command;
use crate::error::ConnectionError;
use crate::handshake;
use crate::packet::{PacketError, PacketStream, Transport};
use crate::packets::{self, Terminator};
use crate::rows::RowFormat;
use crate::server::Shared;

/// Where a client comes from.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address without port.
    pub host: String,
    /// Address with port.
    pub address: String,
}

/// Serves a client until it leaves, is killed, or the server stops.
pub async fn serve(shared: Arc<Shared>, transport: Box<dyn Transport>, peer: Peer) {
    let mut stream = PacketStream::new(transport);
    let connection_id = shared.db.processes().next_connection_id();
    let greeted = handshake::welcome(&mut stream, &shared, connection_id, &peer.host, &peer.address);
    let welcome = match tokio::time::timeout(shared.login_timeout, greeted).await {
        Ok(Ok(welcome)) => welcome,
        Ok(Err(error)) => {
            tracing::debug!(connection_id, peer = peer.address, %error, "login failed");
            shared.db.count_status("Aborted_connects", 1);
            end(&mut stream, &error).await;
            return;
        }
        Err(_) => {
            tracing::debug!(connection_id, peer = peer.address, "login took too long");
            shared.db.count_status("Aborted_connects", 1);
            stream.shutdown().await;
            return;
        }
    };
    let mut connection = Connection {
        multi_statements: welcome.capabilities.contains(CapabilityFlags::CLIENT_MULTI_STATEMENTS),
        stream,
        shared,
        session: welcome.session,
        capabilities: welcome.capabilities,
        nonce: welcome.nonce,
        options: welcome.options,
        statements: BTreeMap::new(),
        payload: Vec::new(),
        times: CommandTimes::default(),
    };
    let outcome = connection.run().await;
    if let Err(error) = &outcome {
        tracing::debug!(connection_id, peer = peer.address, %error, "connection ended");
        connection.shared.db.count_status("Aborted_clients", 1);
        end(&mut connection.stream, error).await;
    } else {
        connection.stream.shutdown().await;
    }
    connection.session.close().await;
}

/// Tells the client why, where there is a why.
async fn end(stream: &mut PacketStream, error: &ConnectionError) {
    let told = match error {
        ConnectionError::Refused(error) => Some(error.clone()),
        ConnectionError::Packet(PacketError::TooLarge { .. }) => {
            let message = "Got a packet bigger than 'max_allowed_packet' bytes";
            Some(SqlError::new(ErrorCode::NetPacketTooLarge, message))
        }
        ConnectionError::Packet(PacketError::Malformed(_)) => {
            Some(SqlError::new(ErrorCode::NetPacketsOutOfOrder, "Got packets out of order"))
        }
        ConnectionError::Packet(PacketError::Closed | PacketError::Io(_)) => None,
    };
    // Without a word there is nobody who would listen to what is left.
    let Some(error) = told else { return };
    let mut payload = Vec::new();
    packets::error(&mut payload, &error);
    let _ = stream.queue(&payload);
    stream.shutdown().await;
}

/// Whether the connection goes on after a command.
enum Next {
    Command,
    Goodbye,
}

/// What wakes a connection that waits for its client.
enum Wake {
    Packet(Vec<u8>),
    Killed,
    Idle,
    Stopping,
}

pub(crate) struct Connection {
    stream: PacketStream,
    shared: Arc<Shared>,
    session: Session,
    capabilities: CapabilityFlags,
    nonce: [u8; NONCE_LEN],
    options: SessionOptions,
    multi_statements: bool,
    statements: BTreeMap<u32, prepared::Statement>,
    /// Scratch space for one outgoing packet.
    payload: Vec<u8>,
    times: CommandTimes,
}

/// How long commands take. Looking a histogram up costs more than recording, so each is looked up once per connection.
#[derive(Default)]
struct CommandTimes(Vec<(&'static str, metrics::Histogram)>);

impl CommandTimes {
    fn record(&mut self, name: &'static str, time: Duration) {
        let known = self.0.iter().position(|(known, _)| *known == name);
        let index = known.unwrap_or_else(|| {
            self.0.push((name, metrics::histogram!("tidewater_server_command_seconds", "command" => name)));
            self.0.len() - 1
        });
        self.0[index].1.record(time.as_secs_f64());
    }
}

impl Connection {
    async fn run(&mut self) -> Result<(), ConnectionError> {
        self.send_ok(&OkResult { status: self.session.status_flags(), ..OkResult::default() })?;
        self.stream.flush().await?;
        if self.capabilities.contains(CapabilityFlags::CLIENT_COMPRESS) {
            self.stream.compress();
        }
        loop {
            let packet = match self.wait().await? {
                Wake::Packet(packet) => packet,
                Wake::Killed | Wake::Stopping => return self.shutdown_notice().await,
                Wake::Idle => return Ok(()),
            };
            let next = self.command(&packet).await?;
            self.stream.flush().await?;
            self.stream.recycle(packet);
            match next {
                Next::Command if self.session.process().is_connection_killed() => return Ok(()),
                Next::Command => {}
                Next::Goodbye => return Ok(()),
            }
        }
    }

    /// Waits for the next command, but not for ever.
    async fn wait(&mut self) -> Result<Wake, ConnectionError> {
        self.stream.reset_sequence();
        let limit = usize::try_from(self.session.max_allowed_packet()).unwrap_or(usize::MAX);
        self.stream.set_limit(limit);
        let idle = Duration::from_secs(self.session.wait_timeout_secs());
        let process = self.session.process().clone();
        let stream = &mut self.stream;
        tokio::select! {
            biased;
            packet = stream.read_owned() => match packet {
                Ok(packet) => Ok(Wake::Packet(packet)),
                // Leaving without COM_QUIT is not polite, but usual.
                Err(PacketError::Closed) => Ok(Wake::Idle),
                Err(error) => Err(error.into()),
            },
            () = process.connection_killed() => Ok(Wake::Killed),
            () = self.shared.stopping.cancelled() => Ok(Wake::Stopping),
            () = tokio::time::sleep(idle) => Ok(Wake::Idle),
        }
    }

    /// The word MySQL sends to an idle client whose connection is killed or whose server stops.
    async fn shutdown_notice(&mut self) -> Result<(), ConnectionError> {
        self.send_error(&SqlError::new(ErrorCode::ServerShutdown, "Server shutdown in progress"))?;
        Ok(self.stream.flush().await?)
    }

    async fn command(&mut self, packet: &[u8]) -> Result<Next, ConnectionError> {
        let command = match Command::parse(packet) {
            Ok(command) => command,
            Err(error) => {
                self.send_error(&error)?;
                return Ok(Next::Command);
            }
        };
        let started = tokio::time::Instant::now();
        let name = command.name();
        let next = self.execute(command).await?;
        self.times.record(name, started.elapsed());
        Ok(next)
    }

    async fn execute(&mut self, command: Command<'_>) -> Result<Next, ConnectionError> {
        match command {
            Command::Quit => return Ok(Next::Goodbye),
            Command::Query(text) => self.query(text).await?,
            Command::StmtPrepare(text) => self.prepare(text).await?,
            Command::StmtExecute { id, cursor, parameters } => {
                self.execute_prepared(id, cursor, parameters).await?
            }
            Command::StmtSendLongData { id, parameter, data } => self.long_data(id, parameter, data),
            Command::StmtFetch { id, rows } => self.fetch(id, rows).await?,
            Command::StmtReset(id) => self.reset_statement(id).await?,
            Command::StmtClose(id) => self.close_statement(id).await,
            Command::InitDb(name) => {
                let result = match text_of(name) {
                    Ok(name) => self.session.use_database(name).await,
                    Err(error) => Err(error),
                };
                self.finish(result)?;
            }
            Command::FieldList { table, pattern } => self.field_list(table, pattern).await?,
            Command::Ping | Command::Debug => {
                self.send_ok(&OkResult { status: self.session.status_flags(), ..OkResult::default() })?;
            }
            Command::Statistics => self.statistics()?,
            Command::ProcessInfo => self.query(b"SHOW PROCESSLIST").await?,
            Command::ProcessKill(id) => self.query(format!("KILL {id}").as_bytes()).await?,
            Command::ResetConnection => {
                self.close_statements().await;
                let result = self.session.reset().await;
                self.finish(result)?;
            }
            Command::ChangeUser(packet) => return self.change_user(packet).await,
            Command::SetOption(option) => self.set_option(option)?,
        }
        Ok(Next::Command)
    }

    /// Runs the statements of a text; the first error ends it.
    async fn query(&mut self, text: &[u8]) -> Result<(), ConnectionError> {
        let mut batch = if self.multi_statements { Batch::new(text) } else { Batch::single(text) };
        let mut answered = false;
        let process = self.session.process().clone();
        while let Some(result) =
            attended(&mut self.stream, &process, self.session.next_result(&mut batch)).await
        {
            answered = true;
            let result = match result {
                Ok(result) => result,
                Err(error) => return self.send_error(&error),
            };
            let more = batch.has_more();
            if !self.send_result(result, RowFormat::Text, more).await? {
                return Ok(());
            }
        }
        if !answered {
            self.send_error(&SqlError::new(ErrorCode::EmptyQuery, "Query was empty"))?;
        }
        Ok(())
    }

    /// Sends one result; `false` when it ended in an error, which has been sent then.
    async fn send_result(
        &mut self,
        result: StatementResult,
        format: RowFormat,
        more: bool,
    ) -> Result<bool, ConnectionError> {
        match result {
            StatementResult::Ok(mut ok) => {
                results::set_more(&mut ok.status, more);
                self.send_ok(&ok)?;
                Ok(true)
            }
            StatementResult::Rows(rows) => self.send_rows(rows, format, more).await,
            StatementResult::LocalInfile(infile) => self.load_infile(infile, more).await,
        }
    }

    fn finish(&mut self, result: Result<OkResult, SqlError>) -> Result<(), ConnectionError> {
        match result {
            Ok(ok) => self.send_ok(&ok),
            Err(error) => self.send_error(&error),
        }
    }

    fn send_ok(&mut self, ok: &OkResult) -> Result<(), ConnectionError> {
        packets::ok(&mut self.payload, ok, Terminator::Statement);
        Ok(self.stream.queue(&self.payload)?)
    }

    fn send_error(&mut self, error: &SqlError) -> Result<(), ConnectionError> {
        packets::error(&mut self.payload, error);
        Ok(self.stream.queue(&self.payload)?)
    }

    async fn field_list(&mut self, table: &[u8], pattern: &[u8]) -> Result<(), ConnectionError> {
        let columns = match (text_of(table), text_of(pattern)) {
            (Ok(table), Ok(pattern)) => self.session.field_list(table, pattern).await,
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        match columns {
            Ok(columns) => {
                for column in &columns {
                    packets::column(&mut self.payload, column, true);
                    self.stream.write(&self.payload).await?;
                }
                self.send_end_of_rows(0, self.session.status_flags())
            }
            Err(error) => self.send_error(&error),
        }
    }

    /// One line in the words of `mysqladmin status`.
    fn statistics(&mut self) -> Result<(), ConnectionError> {
        // Clients cut the line at its double blanks: the numbers and their order are MySQL's.
        let db = &self.shared.db;
        let (uptime, questions) = (db.uptime_secs(), db.questions());
        let line = format!(
            "Uptime: {uptime}  Threads: {}  Questions: {questions}  Slow queries: 0  Opens: 0  Flush tables: 0  Open \
             tables: 0  Queries per second avg: {:.3}",
            db.processes().count(),
            questions as f64 / uptime.max(1) as f64
        );
        Ok(self.stream.queue(line.as_bytes())?)
    }

    fn set_option(&mut self, option: u16) -> Result<(), ConnectionError> {
        match option {
            0 => self.multi_statements = true,
            1 => self.multi_statements = false,
            _ => return self.send_error(&SqlError::new(ErrorCode::UnknownComError, "Unknown command")),
        }
        self.send_end_of_rows(0, self.session.status_flags())
    }

    /// `COM_CHANGE_USER`: the exchange of a login again, with the same nonce. When it fails the connection closes.
    async fn change_user(&mut self, packet: &[u8]) -> Result<Next, ConnectionError> {
        let parsed = handshake::parse_change_user(packet).ok_or_else(|| {
            ConnectionError::Refused(SqlError::new(
                ErrorCode::MalformedPacket,
                "Malformed communication packet.",
            ))
        })?;
        let claim = Claim {
            host: self.options.client_host.clone(),
            secure: self.options.tls.is_some(),
            ..parsed.claim
        };
        let user = claim.user.clone();
        let account =
            auth::authenticate(&mut self.stream, &self.shared.db, &self.shared.auth, &self.nonce, claim)
                .await
                .map_err(|error| match error {
                    AuthError::Denied(error) => ConnectionError::Refused(error),
                    AuthError::Packet(error) => ConnectionError::Packet(error),
                })?;
        self.close_statements().await;
        self.options.user = user;
        self.options.account = Some((account.user, account.host));
        self.options.database = None;
        let mut result = self.session.change_user(self.options.clone()).await;
        if let (Ok(_), Some(database)) = (&result, parsed.database) {
            result = self.session.use_database(&database).await;
        }
        match result {
            Ok(ok) => self.send_ok(&ok)?,
            Err(error) => return Err(ConnectionError::Refused(error)),
        }
        Ok(Next::Command)
    }
}

/// Does a piece of a session's work while watching whether its client is still there: the work of one that left is
/// killed, and awaited all the same, so that it cleans up behind itself.
async fn attended<T>(stream: &mut PacketStream, process: &Process, work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = stream.gone() => {}
    }
    process.kill_connection();
    work.await
}

/// Statement texts and names are UTF-8.
fn text_of(bytes: &[u8]) -> Result<&str, SqlError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let rest = &bytes[error.valid_up_to()..];
        let shown: String = rest.iter().take(6).map(|byte| format!("\\x{byte:02X}")).collect();
        SqlError::new(
            ErrorCode::InvalidCharacterString,
            format!("Invalid utf8mb4 character string: '{shown}'"),
        )
    })
}
