//! The settings file of the SQL node; names are TiDB's where the meaning is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidewater_daemon::LogSettings;
use tidewater_rpc::Security;

/// All settings of the SQL node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Address to listen on.
    pub host: String,
    /// Port for MySQL clients; 0 takes a free one.
    pub port: u16,
    /// Addresses of the placement driver's members, separated by commas.
    pub path: String,
    /// Most clients at the same time.
    pub max_server_connections: usize,
    /// Whether each new table begins in a region of its own.
    pub split_table: bool,
    /// Logs.
    pub log: LogSettings,
    /// Status and metrics over HTTP.
    pub status: Status,
    /// TLS.
    pub security: SqlSecurity,
}

/// Status and metrics over HTTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Status {
    /// Address to listen on; empty: the same as for clients.
    pub status_host: String,
    /// Port; 0 takes a free one.
    pub status_port: u16,
}

/// TLS: for clients (`ssl-*`), and between components (`cluster-ssl-*`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SqlSecurity {
    /// PEM file with the certificate chain shown to clients; empty: the node makes one for itself.
    pub ssl_cert: PathBuf,
    /// PEM file with its private key.
    pub ssl_key: PathBuf,
    /// PEM file with the authority of all components.
    pub cluster_ssl_ca: PathBuf,
    /// PEM file with this component's certificate chain.
    pub cluster_ssl_cert: PathBuf,
    /// PEM file with this component's private key.
    pub cluster_ssl_key: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 4000,
            path: "127.0.0.1:2379".to_owned(),
            max_server_connections: 4096,
            split_table: true,
            log: LogSettings::default(),
            status: Status::default(),
            security: SqlSecurity::default(),
        }
    }
}

impl Default for Status {
    fn default() -> Self {
        Self { status_host: String::new(), status_port: 10080 }
    }
}

impl SqlSecurity {
    /// TLS between components.
    pub fn cluster(&self) -> Security {
        Security {
            ca_path: self.cluster_ssl_ca.clone(),
            cert_path: self.cluster_ssl_cert.clone(),
            key_path: self.cluster_ssl_key.clone(),
        }
    }
}
