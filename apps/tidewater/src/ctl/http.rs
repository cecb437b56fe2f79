//! A client of the placement driver's pages, and of those of stores: one request at a time, at whoever answers.
//!
//! Members that do not lead send us on (307). An address that does not answer, or has no leader to name (503), is followed by the next; a
//! refusal is an answer. What was sent and not answered may have been done: it is not sent again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, LOCATION};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is sent on before it counts as going in circles.
const REDIRECTS_MAX: usize = 4;
/// The longest page, in bytes: a hundred thousand regions take some fifty million.
const PAGE_BYTES_MAX: usize = 256 << 20;

/// TLS, for clusters that use it; the three files that their members have.
#[derive(Debug, Args)]
pub(super) struct Security {
    /// PEM file with the authority that signs every component's certificate.
    #[arg(long, value_name = "FILE", requires_all = ["cert", "cert_key"], global = true)]
    cacert: Option<PathBuf>,
    /// PEM file with a certificate of that authority.
    #[arg(long, value_name = "FILE", global = true)]
    cert: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[arg(long, value_name = "FILE", global = true)]
    cert_key: Option<PathBuf>,
}

/// Knows where the members are.
pub(super) struct Client {
    addresses: Vec<String>,
    tls: Option<TlsConnector>,
}

/// Why one address was of no use.
enum Trouble {
    /// Nothing was done there: another address may be better.
    Unreached(String),
    /// It may have been done, or was refused for good.
    Final(anyhow::Error),
}

impl Client {
    pub(super) fn new(addresses: &[String], security: &Security) -> anyhow::Result<Self> {
        let tls = security.connector()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let trimmed = addresses.iter().map(|address| address.trim().trim_end_matches('/'));
        let addresses: Vec<_> = trimmed
            .filter(|address| !address.is_empty())
            .map(|address| match address.contains("://") {
                true => address.to_owned(),
                false => format!("{scheme}://{address}"),
            })
            .collect();
        ensure!(!addresses.is_empty(), "--pd names no address");
        Ok(Self { addresses, tls })
    }

    /// A page under `/pd/api/v1/`.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// Sends a request to the first address that takes it.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut tried = Vec::new();
        for address in &self.addresses {
            match self.ask_at(format!("{address}/pd/api/v1/{path}"), &method, body).await {
                Ok(page) => return Ok(page),
                Err(Trouble::Unreached(reason)) => tried.push(format!("  {reason}")),
                Err(Trouble::Final(error)) => return Err(error),
            }
        }
        bail!("no member of the placement driver took the request:\n{}", tried.join("\n"))
    }

    /// Sends a request to the status pages of a store.
    pub(super) async fn ask_store(&self, address: &str, method: Method, path: &str) -> anyhow::Result<Value> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = match address.contains("://") {
            true => format!("{address}/{path}"),
            false => format!("{scheme}://{address}/{path}"),
        };
        match self.ask_at(url, &method, None).await {
            Ok(page) => Ok(page),
            Err(Trouble::Unreached(reason)) => bail!("{reason}"),
            Err(Trouble::Final(error)) => Err(error),
        }
    }

    async fn ask_at(&self, mut url: String, method: &Method, body: Option<&Value>) -> Result<Value, Trouble> {
        let first = url.clone();
        for _ in 0..REDIRECTS_MAX {
            let (status, location, page) = self.send(&url, method, body).await?;
            match (status, location) {
                (StatusCode::TEMPORARY_REDIRECT, Some(location)) => url = location,
                (StatusCode::SERVICE_UNAVAILABLE, _) => {
                    return Err(Trouble::Unreached(format!("{url}: {}", words(&page))));
                }
                (status, _) if status.is_success() => {
                    return serde_json::from_slice(&page).map_err(|error| {
                        Trouble::Final(anyhow::anyhow!("{url} answered what is not JSON: {error}"))
                    });
                }
                (status, _) => {
                    let error = anyhow::anyhow!("{method} {url}: {status}: {}", words(&page));
                    return Err(Trouble::Final(error));
                }
            }
        }
        Err(Trouble::Unreached(format!("{first}: it sends us round in circles, up to {url}")))
    }

    /// One request to one address: the status, where it sends us, the body.
    async fn send(
        &self,
        url: &str,
        method: &Method,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Option<String>, Bytes), Trouble> {
        let unreached = |reason: String| Trouble::Unreached(format!("{url}: {reason}"));
        let uri: Uri = url.parse().map_err(|error| unreached(format!("this is not a URL: {error}")))?;
        let authority = uri.authority().ok_or_else(|| unreached("the URL names no host".to_owned()))?;
        let is_encrypted = uri.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let connecting = TcpStream::connect((host.as_str(), port));
        let stream = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error| unreached(error.to_string()))?,
            Err(_) => return Err(unreached(format!("no connection within {CONNECT_TIMEOUT:?}"))),
        };
        let request = Request::builder()
            .method(method)
            .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, authority.as_str())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.map_or_else(Bytes::new, |body| body.to_string().into())))
            .map_err(|error| unreached(error.to_string()))?;
        let is_change = *method != Method::GET;
        let answered = async {
            match (is_encrypted, &self.tls) {
                (false, _) => exchange(stream, request).await,
                (true, Some(tls)) => {
                    let name = ServerName::try_from(host).context("the host's name is none of TLS's")?;
                    exchange(tls.connect(name, stream).await.context("TLS")?, request).await
                }
                (true, None) => bail!("https needs --cacert, --cert and --cert-key"),
            }
        };
        match timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if !is_change => Err(unreached(format!("{error:#}"))),
            Err(_) if !is_change => Err(unreached(format!("no answer within {ANSWER_TIMEOUT:?}"))),
            Ok(Err(error)) => Err(unanswered(method, url, &format!("{error:#}"))),
            Err(_) => Err(unanswered(method, url, &format!("no answer within {ANSWER_TIMEOUT:?}"))),
        }
    }
}

fn unanswered(method: &Method, url: &str, reason: &str) -> Trouble {
    Trouble::Final(anyhow::anyhow!(
        "{method} {url}: {reason}; it is not known whether it was done: look before you ask again"
    ))
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Option<String>, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let asking = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.map(str::to_owned);
        let body = Limited::new(response.into_body(), PAGE_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
        anyhow::Ok((status, location, body.to_bytes()))
    };
    // The connection is driven here: nothing outlives the request.
    let (mut connection, mut asking) = (std::pin::pin!(connection), std::pin::pin!(asking));
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        ended = &mut connection => {
            ended?;
            asking.await
        }
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(encoded).collect()
}

/// What an error's page says: PD's are strings of JSON, others may be plain text.
fn words(page: &[u8]) -> String {
    match serde_json::from_slice(page) {
        Ok(Value::String(words)) => words,
        Ok(other) => other.to_string(),
        Err(_) if page.is_empty() => "no more was said".to_owned(),
        Err(_) => String::from_utf8_lossy(page).trim().to_owned(),
    }
}

impl Security {
    fn connector(&self) -> anyhow::Result<Option<TlsConnector>> {
        let (authority, chain, key) = match (&self.cacert, &self.cert, &self.cert_key) {
            (None, None, None) => return Ok(None),
            (Some(authority), Some(chain), Some(key)) => (authority, chain, key),
            _ => bail!("TLS needs all of --cacert, --cert and --cert-key"),
        };
        let certificates = |path: &PathBuf| -> anyhow::Result<Vec<CertificateDer<'static>>> {
            let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            let found = found.with_context(|| format!("cannot read certificates from {}", path.display()))?;
            ensure!(!found.is_empty(), "there is no certificate in {}", path.display());
            Ok(found)
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authority)? {
            roots.add(certificate).with_context(|| format!("{} is refused", authority.display()))?;
        }
        let key = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("cannot read a private key from {}", key.display()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(chain)?, key)
            .context("certificate and key do not fit")?;
        Ok(Some(TlsConnector::from(Arc::new(config))))
    }
}
