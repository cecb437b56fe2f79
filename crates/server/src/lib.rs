//! The MySQL wire protocol: connections, TLS, authentication exchange, status HTTP.
