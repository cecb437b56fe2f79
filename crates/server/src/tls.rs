//! TLS for clients: a given certificate, or a self-made one.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Where the server's certificate comes from.
#[derive(Debug, Clone, Default)]
pub enum TlsSettings {
    /// A certificate for `localhost` made at start; it encrypts, but proves nothing.
    #[default]
    SelfSigned,
    /// PEM files.
    Files {
        /// Certificate chain.
        certificate: PathBuf,
        /// Private key.
        key: PathBuf,
    },
    /// No TLS is offered.
    Off,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read or holds something else.
    #[error("cannot read {path}: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// The self-made certificate failed.
    #[error("cannot make a certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
    /// Certificate and key do not fit, or are not accepted.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The acceptor for these settings; `None` when TLS is off.
pub fn acceptor(settings: &TlsSettings) -> Result<Option<TlsAcceptor>, TlsError> {
    let (chain, key) = match settings {
        TlsSettings::Off => return Ok(None),
        TlsSettings::SelfSigned => self_signed()?,
        TlsSettings::Files { certificate, key } => {
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect)
                .map_err(|source| TlsError::Pem { path: certificate.clone(), source })?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|source| TlsError::Pem { path: key.clone(), source })?;
            (chain, key)
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn self_signed() -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    Ok((vec![made.cert.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_and_a_missing_file_is_named() {
        assert!(acceptor(&TlsSettings::SelfSigned).expect("a self-made certificate").is_some());
        assert!(acceptor(&TlsSettings::Off).expect("nothing to do").is_none());
        let missing = TlsSettings::Files { certificate: "no-such.pem".into(), key: "no-such.key".into() };
        let Err(error) = acceptor(&missing) else { panic!("a missing file was accepted") };
        assert!(error.to_string().contains("no-such.pem"));
    }
}
