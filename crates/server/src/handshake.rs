//! From a fresh connection to an authenticated session.

use std::sync::Arc;

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::{MyDeserialize, MySerialize};
use rand::Rng;
use tidewater_session::password::{self, NONCE_LEN};
use tidewater_session::{Session, SessionOptions};
use tidewater_types::{Collation, ErrorCode, SqlError};

use crate::auth::{self, AuthError, Claim};
use crate::error::ConnectionError;
use crate::packet::{PacketStream, TlsFacts};
use crate::packets;
use crate::server::Shared;

/// The version of the handshake packet.
const PROTOCOL_VERSION: u8 = 10;

/// Length of a handshake response that asks for TLS: it ends before the user name.
const SSL_REQUEST_LEN: usize = 32;

/// What the server can do, offered to every client.
fn offered(tls: bool) -> CapabilityFlags {
    let mut flags = CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_FOUND_ROWS
        | CapabilityFlags::CLIENT_LONG_FLAG
        | CapabilityFlags::CLIENT_CONNECT_WITH_DB
        | CapabilityFlags::CLIENT_ODBC
        | CapabilityFlags::CLIENT_LOCAL_FILES
        | CapabilityFlags::CLIENT_IGNORE_SPACE
        | CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_INTERACTIVE
        | CapabilityFlags::CLIENT_IGNORE_SIGPIPE
        | CapabilityFlags::CLIENT_TRANSACTIONS
        | CapabilityFlags::CLIENT_RESERVED
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_MULTI_STATEMENTS
        | CapabilityFlags::CLIENT_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PS_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PLUGIN_AUTH
        | CapabilityFlags::CLIENT_CONNECT_ATTRS
        | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | CapabilityFlags::CLIENT_COMPRESS
        | CapabilityFlags::CLIENT_DEPRECATE_EOF;
    flags.set(CapabilityFlags::CLIENT_SSL, tls);
    flags
}

/// A client that is in.
pub struct Welcome {
    /// Its session.
    pub session: Session,
    /// What both sides can do.
    pub capabilities: CapabilityFlags,
    /// The nonce of the greeting, which `COM_CHANGE_USER` proves against.
    pub nonce: [u8; NONCE_LEN],
    /// What the session was opened with; `COM_CHANGE_USER` starts from it.
    pub options: SessionOptions,
}

/// Greets the client, takes its answer (through TLS when it asks for that), checks the password and opens the session.
pub async fn welcome(
    stream: &mut PacketStream,
    shared: &Arc<Shared>,
    connection_id: u64,
    host: &str,
    address: &str,
) -> Result<Welcome, ConnectionError> {
    let nonce = shared.nonce();
    let capabilities = offered(shared.tls.is_some());
    stream.queue(&greeting(shared.db.server_version(), connection_id, &nonce, capabilities))?;
    stream.flush().await?;

    let mut response = stream.read().await?.to_vec();
    let mut tls = None;
    if response.len() == SSL_REQUEST_LEN {
        tls = Some(start_tls(stream, shared, &response).await?);
        response = stream.read().await?.to_vec();
    }
    let (claim, mut options, capabilities) = parse_response(&response, capabilities)?;
    let claim = Claim { host: host.to_owned(), secure: tls.is_some(), ..claim };
    options.connection_id = Some(connection_id);
    options.client_host = host.to_owned();
    options.client_address = address.to_owned();
    options.tls = tls.map(|facts| (facts.protocol, facts.cipher));

    let account = auth::authenticate(stream, &shared.db, &shared.auth, &nonce, claim).await.map_err(
        |error| match error {
            AuthError::Denied(error) => ConnectionError::Refused(error),
            AuthError::Packet(error) => ConnectionError::Packet(error),
        },
    )?;
    options.account = Some((account.user, account.host));
    let session = open_session(shared, &options).await?;
    Ok(Welcome { session, capabilities, nonce, options })
}

/// Opens a session; a default database that does not exist or may not be used is an error here.
async fn open_session(shared: &Arc<Shared>, options: &SessionOptions) -> Result<Session, ConnectionError> {
    let database = options.database.clone();
    let without = SessionOptions { database: None, ..options.clone() };
    let mut session = shared.db.session(without).map_err(ConnectionError::Refused)?;
    if let Some(database) = database {
        session.use_database(&database).await.map_err(ConnectionError::Refused)?;
    }
    Ok(session)
}

async fn start_tls(
    stream: &mut PacketStream,
    shared: &Shared,
    request: &[u8],
) -> Result<TlsFacts, ConnectionError> {
    let request = SslRequest::deserialize((), &mut ParseBuf(request)).map_err(|_| bad_handshake())?;
    match &shared.tls {
        Some(acceptor) if request.capabilities().contains(CapabilityFlags::CLIENT_SSL) => {
            Ok(stream.start_tls(acceptor).await?)
        }
        _ => Err(bad_handshake()),
    }
}

fn greeting(
    version: &str,
    connection_id: u64,
    nonce: &[u8; NONCE_LEN],
    capabilities: CapabilityFlags,
) -> Vec<u8> {
    let mut first = [0; 8];
    first.copy_from_slice(&nonce[..8]);
    let mut second = nonce[8..].to_vec();
    second.push(0);
    let packet = HandshakePacket::new(
        PROTOCOL_VERSION,
        version.as_bytes(),
        // The protocol has room for 32 bits; KILL takes the full id.
        connection_id as u32,
        first,
        Some(second),
        capabilities,
        Collation::default().id() as u8,
        StatusFlags::SERVER_STATUS_AUTOCOMMIT,
        Some(auth::DEFAULT_PLUGIN.as_bytes()),
    );
    let mut payload = Vec::new();
    packet.serialize(&mut payload);
    payload
}

fn parse_response(
    response: &[u8],
    offered: CapabilityFlags,
) -> Result<(Claim, SessionOptions, CapabilityFlags), ConnectionError> {
    let response =
        HandshakeResponse::deserialize((), &mut ParseBuf(response)).map_err(|_| bad_handshake())?;
    let capabilities = response.capabilities() & offered;
    if !capabilities.contains(CapabilityFlags::CLIENT_PROTOCOL_41) {
        return Err(bad_handshake());
    }
    let claim = Claim {
        user: String::from_utf8_lossy(response.user()).into_owned(),
        plugin: auth::plugin_name(response.auth_plugin().map(AuthPlugin::as_bytes)),
        proof: response.scramble_buf().to_vec(),
        ..Claim::default()
    };
    let mut attributes: Vec<(String, String)> =
        response.connect_attributes().unwrap_or_default().into_iter().collect();
    attributes.sort();
    let options = SessionOptions {
        user: claim.user.clone(),
        database: packets::database_name(response.db_name()),
        found_rows: capabilities.contains(CapabilityFlags::CLIENT_FOUND_ROWS),
        local_files: capabilities.contains(CapabilityFlags::CLIENT_LOCAL_FILES),
        interactive: capabilities.contains(CapabilityFlags::CLIENT_INTERACTIVE),
        collation_id: u16::from(response.collation()),
        attributes,
        ..SessionOptions::default()
    };
    Ok((claim, options, capabilities))
}

/// What `COM_CHANGE_USER` carries.
pub struct ChangeUser {
    /// Who the client says it is now.
    pub claim: Claim,
    /// The new default database.
    pub database: Option<String>,
}

/// Reads a `COM_CHANGE_USER` (header, user NUL, length and proof, database NUL, character set, plugin NUL); host and
/// security of the connection are for the caller to fill in. `None` when it is cut short.
pub fn parse_change_user(packet: &[u8]) -> Option<ChangeUser> {
    let (user, rest) = until_nul(packet.get(1..)?)?;
    let (&proof_len, rest) = rest.split_first()?;
    let (proof, rest) = rest.split_at_checked(usize::from(proof_len))?;
    let (database, rest) = until_nul(rest)?;
    let plugin = rest.get(2..).map(|rest| until_nul(rest).map_or(rest, |(plugin, _)| plugin));
    let claim = Claim {
        user: String::from_utf8_lossy(user).into_owned(),
        plugin: auth::plugin_name(plugin.filter(|plugin| !plugin.is_empty())),
        proof: proof.to_vec(),
        ..Claim::default()
    };
    Some(ChangeUser { claim, database: packets::database_name(Some(database)) })
}

fn until_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn bad_handshake() -> ConnectionError {
    ConnectionError::Refused(SqlError::new(ErrorCode::HandshakeError, "Bad handshake"))
}

/// A nonce of printable bytes.
pub fn nonce(random: &mut impl Rng) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    random.fill_bytes(&mut nonce);
    nonce.map(password::salt_byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_greeting_is_read_back_as_it_was_meant() {
        let nonce = [b'n'; NONCE_LEN];
        let bytes = greeting("8.0.11-test", 7, &nonce, offered(true));
        let packet = HandshakePacket::deserialize((), &mut ParseBuf(&bytes)).expect("a greeting");
        assert_eq!(packet.server_version_ref(), b"8.0.11-test");
        assert_eq!(packet.connection_id(), 7);
        assert!(packet.capabilities().contains(CapabilityFlags::CLIENT_SSL));
        assert_eq!(packet.auth_plugin_name_ref(), Some(auth::DEFAULT_PLUGIN.as_bytes()));
    }

    proptest! {
        #[test]
        fn any_answer_is_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_response(&bytes, offered(false));
            let _ = parse_change_user(&bytes);
        }
    }
}
