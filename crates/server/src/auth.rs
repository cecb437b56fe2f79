//! Who is there: the authentication exchange of `mysql_native_password` and `caching_sha2_password`.
//!
//! ```text
//! server: greeting (nonce, default plugin)      client: user, proof by its own favourite plugin
//! server: switch to the account's plugin        client: proof by that plugin          (when they differ)
//! server: 03 "fast ok"  or  04 "send it all"    client: password, in TLS or encrypted with the server's RSA key
//! server: OK or error 1045
//! ```
//! An account that does not exist goes through the same motions as one with a wrong password.

mod cache;
mod rsa_key;

use mysql_common::packets::{AuthMoreData, AuthSwitchRequest};
use mysql_common::proto::MySerialize;
use tidewater_session::password::{self, NONCE_LEN};
use tidewater_session::{AuthInfo, Database};
use tidewater_types::{ErrorCode, SqlError};

pub use cache::PasswordCache;
pub use rsa_key::RsaKey;

use crate::packet::{PacketError, PacketStream};

/// The plugin of the greeting: the one that every client has.
pub const DEFAULT_PLUGIN: &str = NATIVE;
const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";

const FAST_OK: u8 = 0x03;
const FULL_NEEDED: u8 = 0x04;
const PUBLIC_KEY_WANTED: u8 = 0x02;

/// What a client said of itself.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// User name.
    pub user: String,
    /// Address of the client without port; `localhost` stands for loopback when an account asks for it.
    pub host: String,
    /// The plugin the proof is made for.
    pub plugin: String,
    /// The proof.
    pub proof: Vec<u8>,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

/// What all connections share for authentication.
#[derive(Default)]
pub struct AuthShared {
    /// Passwords that were checked in full.
    pub passwords: PasswordCache,
    /// The key for passwords over plain connections.
    pub rsa: RsaKey,
}

/// How an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The client is told, then the connection closes.
    #[error("{}", .0.message)]
    Denied(SqlError),
    /// The connection broke.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

/// Carries the exchange to its end and returns the account. The final OK is left to the caller, which has to open the
/// session first.
pub async fn authenticate(
    stream: &mut PacketStream,
    db: &Database,
    shared: &AuthShared,
    nonce: &[u8; NONCE_LEN],
    mut claim: Claim,
) -> Result<AuthInfo, AuthError> {
    let account = db.lookup_user(&claim.user, &claim.host);
    let plugin = account.as_ref().map_or(DEFAULT_PLUGIN, |account| account.plugin.as_str()).to_owned();
    let no_password = account.as_ref().is_some_and(|account| account.auth_string.is_empty());
    if claim.plugin != plugin && !(no_password && is_empty_proof(&claim.proof)) {
        switch(stream, &plugin, nonce, &mut claim).await?;
    }
    let verified = match &account {
        Some(account) if account.auth_string.is_empty() => is_empty_proof(&claim.proof),
        Some(account) if plugin == NATIVE => {
            password::native_verify(&account.auth_string, nonce, &claim.proof)
        }
        Some(account) if plugin == CACHING_SHA2 => {
            caching_sha2(stream, shared, account, nonce, &claim).await?
        }
        Some(_) | None => false,
    };
    let account = account.filter(|_| verified).ok_or_else(|| AuthError::Denied(denied(&claim)))?;
    if account.locked {
        let message = format!("Access denied for user '{}'@'{}'. Account is locked.", claim.user, claim.host);
        return Err(AuthError::Denied(SqlError::new(ErrorCode::AccountHasBeenLocked, message)));
    }
    if account.require_tls && !claim.secure {
        return Err(AuthError::Denied(denied(&claim)));
    }
    Ok(account)
}

fn denied(claim: &Claim) -> SqlError {
    let using = if is_empty_proof(&claim.proof) { "NO" } else { "YES" };
    let message =
        format!("Access denied for user '{}'@'{}' (using password: {using})", claim.user, claim.host);
    SqlError::new(ErrorCode::AccessDeniedError, message)
}

/// No password is an empty proof, or for `caching_sha2_password` a lone NUL.
fn is_empty_proof(proof: &[u8]) -> bool {
    matches!(proof, [] | [0])
}

async fn switch(
    stream: &mut PacketStream,
    plugin: &str,
    nonce: &[u8; NONCE_LEN],
    claim: &mut Claim,
) -> Result<(), AuthError> {
    let mut nonce_with_end = nonce.to_vec();
    nonce_with_end.push(0);
    send(stream, &AuthSwitchRequest::new(plugin.as_bytes(), nonce_with_end)).await?;
    claim.proof = stream.read().await?.to_vec();
    plugin.clone_into(&mut claim.plugin);
    Ok(())
}

async fn send(stream: &mut PacketStream, packet: &impl MySerialize) -> Result<(), AuthError> {
    let mut payload = Vec::new();
    packet.serialize(&mut payload);
    stream.queue(&payload)?;
    Ok(stream.flush().await?)
}

async fn caching_sha2(
    stream: &mut PacketStream,
    shared: &AuthShared,
    account: &AuthInfo,
    nonce: &[u8; NONCE_LEN],
    claim: &Claim,
) -> Result<bool, AuthError> {
    if is_empty_proof(&claim.proof) {
        return Ok(false);
    }
    if let Some(entry) = shared.passwords.get(account)
        && password::sha2_fast_verify(&entry, nonce, &claim.proof)
    {
        send(stream, &AuthMoreData::new(&[FAST_OK][..])).await?;
        return Ok(true);
    }
    send(stream, &AuthMoreData::new(&[FULL_NEEDED][..])).await?;
    let Some(clear) = password_in_clear(stream, shared, nonce, claim.secure).await? else { return Ok(false) };
    let stored = account.auth_string.clone();
    // Thousands of hash rounds: not on an I/O thread.
    let checked =
        tokio::task::spawn_blocking(move || password::sha2_verify(&stored, &clear).then_some(clear)).await;
    let Ok(Some(clear)) = checked else { return Ok(false) };
    shared.passwords.put(account, password::sha2_cache_entry(&clear));
    Ok(true)
}

/// Reads the password: as it is within TLS, else encrypted with our public key, which the client may ask for first.
async fn password_in_clear(
    stream: &mut PacketStream,
    shared: &AuthShared,
    nonce: &[u8; NONCE_LEN],
    secure: bool,
) -> Result<Option<Vec<u8>>, AuthError> {
    let mut answer = stream.read().await?.to_vec();
    if secure {
        return Ok(answer.pop().filter(|&last| last == 0).map(|_| answer));
    }
    let Some(key) = shared.rsa.get().await else { return Ok(None) };
    if answer == [PUBLIC_KEY_WANTED] {
        send(stream, &AuthMoreData::new(key.public_pem())).await?;
        answer = stream.read().await?.to_vec();
    }
    let Some(mut clear) = key.decrypt(&answer) else { return Ok(None) };
    for (byte, mask) in clear.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
    // The client masks the password together with its terminating NUL.
    Ok(clear.pop().filter(|&last| last == 0).map(|_| clear))
}

/// The name of a plugin as the protocol writes it.
pub fn plugin_name(plugin: Option<&[u8]>) -> String {
    plugin.map_or_else(|| NATIVE.to_owned(), |plugin| String::from_utf8_lossy(plugin).into_owned())
}
