//! Commands: the first byte of a packet and what follows it.

use tidewater_types::{ErrorCode, SqlError};

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// `COM_QUIT`: goodbye.
    Quit,
    /// `COM_INIT_DB`: another default database.
    InitDb(&'a [u8]),
    /// `COM_QUERY`: one statement, or several.
    Query(&'a [u8]),
    /// `COM_FIELD_LIST`: the columns of a table that match a pattern.
    FieldList {
        /// Table name.
        table: &'a [u8],
        /// LIKE pattern, or empty.
        pattern: &'a [u8],
    },
    /// `COM_STATISTICS`: a line on the server's state.
    Statistics,
    /// `COM_PROCESS_INFO`: the process list.
    ProcessInfo,
    /// `COM_PROCESS_KILL`: ends a connection.
    ProcessKill(u32),
    /// `COM_DEBUG`: accepted without effect.
    Debug,
    /// `COM_PING`: are you there?
    Ping,
    /// `COM_CHANGE_USER`: another user on the same connection; the whole packet.
    ChangeUser(&'a [u8]),
    /// `COM_RESET_CONNECTION`: as if freshly connected.
    ResetConnection,
    /// `COM_STMT_PREPARE`.
    StmtPrepare(&'a [u8]),
    /// `COM_STMT_EXECUTE`.
    StmtExecute {
        /// Statement id.
        id: u32,
        /// Whether a read-only cursor is wanted.
        cursor: bool,
        /// The parameter block.
        parameters: &'a [u8],
    },
    /// `COM_STMT_SEND_LONG_DATA`: has no answer.
    StmtSendLongData {
        /// Statement id.
        id: u32,
        /// Position of the parameter.
        parameter: u16,
        /// A piece of its value.
        data: &'a [u8],
    },
    /// `COM_STMT_CLOSE`: has no answer.
    StmtClose(u32),
    /// `COM_STMT_RESET`.
    StmtReset(u32),
    /// `COM_STMT_FETCH`.
    StmtFetch {
        /// Statement id.
        id: u32,
        /// Rows wanted.
        rows: u32,
    },
    /// `COM_SET_OPTION`: multi-statements on or off.
    SetOption(u16),
}

impl<'a> Command<'a> {
    /// Reads a command packet.
    pub fn parse(packet: &'a [u8]) -> Result<Self, SqlError> {
        let (&code, body) = packet.split_first().ok_or_else(malformed)?;
        Ok(match code {
            0x01 => Self::Quit,
            0x02 => Self::InitDb(body),
            0x03 => Self::Query(body),
            0x04 => {
                let end = body.iter().position(|&byte| byte == 0).ok_or_else(malformed)?;
                let pattern = &body[end + 1..];
                Self::FieldList {
                    table: &body[..end],
                    pattern: pattern.strip_suffix(&[0]).unwrap_or(pattern),
                }
            }
            0x09 => Self::Statistics,
            0x0a => Self::ProcessInfo,
            0x0c => Self::ProcessKill(u32::from_le_bytes(array(body, 0)?)),
            0x0d => Self::Debug,
            0x0e => Self::Ping,
            0x11 => Self::ChangeUser(packet),
            0x16 => Self::StmtPrepare(body),
            0x17 => {
                // id, flags, and an iteration count that is always 1
                let parameters = body.get(9..).ok_or_else(malformed)?;
                Self::StmtExecute {
                    id: u32::from_le_bytes(array(body, 0)?),
                    cursor: body[4] & 1 == 1,
                    parameters,
                }
            }
            0x18 => Self::StmtSendLongData {
                id: u32::from_le_bytes(array(body, 0)?),
                parameter: u16::from_le_bytes(array(body, 4)?),
                data: &body[6..],
            },
            0x19 => Self::StmtClose(u32::from_le_bytes(array(body, 0)?)),
            0x1a => Self::StmtReset(u32::from_le_bytes(array(body, 0)?)),
            0x1b => Self::SetOption(u16::from_le_bytes(array(body, 0)?)),
            0x1c => Self::StmtFetch {
                id: u32::from_le_bytes(array(body, 0)?),
                rows: u32::from_le_bytes(array(body, 4)?),
            },
            0x1f => Self::ResetConnection,
            _ => return Err(SqlError::new(ErrorCode::UnknownComError, "Unknown command")),
        })
    }

    /// The name under which the command is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::InitDb(_) => "init_db",
            Self::Query(_) => "query",
            Self::FieldList { .. } => "field_list",
            Self::Statistics => "statistics",
            Self::ProcessInfo => "process_info",
            Self::ProcessKill(_) => "process_kill",
            Self::Debug => "debug",
            Self::Ping => "ping",
            Self::ChangeUser(_) => "change_user",
            Self::ResetConnection => "reset_connection",
            Self::StmtPrepare(_) => "stmt_prepare",
            Self::StmtExecute { .. } => "stmt_execute",
            Self::StmtSendLongData { .. } => "stmt_send_long_data",
            Self::StmtClose(_) => "stmt_close",
            Self::StmtReset(_) => "stmt_reset",
            Self::StmtFetch { .. } => "stmt_fetch",
            Self::SetOption(_) => "set_option",
        }
    }
}

fn array<const N: usize>(body: &[u8], at: usize) -> Result<[u8; N], SqlError> {
    body.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or_else(malformed)
}

fn malformed() -> SqlError {
    SqlError::new(ErrorCode::MalformedPacket, "Malformed communication packet.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_recognised() {
        assert_eq!(Command::parse(b"\x03select 1").expect("a query"), Command::Query(b"select 1"));
        assert_eq!(
            Command::parse(b"\x04t\0c%").expect("a list"),
            Command::FieldList { table: b"t", pattern: b"c%" }
        );
        assert_eq!(
            Command::parse(b"\x17\x01\0\0\0\x01\x01\0\0\0xyz").expect("an execution"),
            Command::StmtExecute { id: 1, cursor: true, parameters: b"xyz" }
        );
        assert!(Command::parse(b"\x17\x01").is_err());
        assert_eq!(Command::parse(b"\x7f").expect_err("no such command").code, 1047);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_command_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Command::parse(&bytes);
        }
    }
}
