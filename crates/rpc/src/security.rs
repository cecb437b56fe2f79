//! TLS between components: one authority signs the certificates of all, and everybody shows one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// Where the certificates are; the names are those of TiKV's and PD's `[security]` sections. All empty: no TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Security {
    /// PEM file with the authority that signs every component's certificate.
    pub ca_path: PathBuf,
    /// PEM file with this component's certificate chain.
    pub cert_path: PathBuf,
    /// PEM file with this component's private key.
    pub key_path: PathBuf,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// Some of the three files are named, but not all.
    #[error("TLS between components needs all of ca-path, cert-path and key-path")]
    Incomplete,
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Security {
    /// Whether connections are encrypted.
    pub fn is_enabled(&self) -> bool {
        [&self.ca_path, &self.cert_path, &self.key_path].iter().any(|path| !path.as_os_str().is_empty())
    }

    /// For those who listen: clients must show a certificate of the same authority.
    pub fn server(&self) -> Result<Option<ServerTlsConfig>, SecurityError> {
        Ok(self
            .load()?
            .map(|(authority, identity)| ServerTlsConfig::new().identity(identity).client_ca_root(authority)))
    }

    /// For those who connect.
    pub fn client(&self) -> Result<Option<ClientTlsConfig>, SecurityError> {
        Ok(self
            .load()?
            .map(|(authority, identity)| ClientTlsConfig::new().identity(identity).ca_certificate(authority)))
    }

    fn load(&self) -> Result<Option<(Certificate, Identity)>, SecurityError> {
        if !self.is_enabled() {
            return Ok(None);
        }
        let read = |path: &PathBuf| {
            if path.as_os_str().is_empty() {
                return Err(SecurityError::Incomplete);
            }
            std::fs::read(path).map_err(|source| SecurityError::Read { path: path.clone(), source })
        };
        let authority = Certificate::from_pem(read(&self.ca_path)?);
        Ok(Some((authority, Identity::from_pem(read(&self.cert_path)?, read(&self.key_path)?))))
    }
}
