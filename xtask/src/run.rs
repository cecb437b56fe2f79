//! `cargo xtask run`: from a fresh checkout to a running server.

use clap::Args;

use crate::{command, system};

/// Where the server listens and keeps its data; the defaults are those of `tidewater serve`.
#[derive(Args)]
pub struct Options {
    /// Folder of the data; made when missing.
    #[arg(long, default_value = "./tidewater-data")]
    data: String,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port for MySQL clients.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// Port for status and metrics over HTTP.
    #[arg(long, default_value_t = 10080)]
    status_port: u16,
}

/// Installs what is missing, builds the release program and becomes it.
pub fn run(options: Options) -> anyhow::Result<()> {
    system::ensure_build_packages()?;
    eprintln!("building (the first time compiles RocksDB: 10 to 20 minutes on two cores)");
    command::run(command::cargo().args(["build", "--release", "--package", "tidewater"]))?;
    let program = command::target_dir().join("release/tidewater");
    let mut server = std::process::Command::new(program);
    server.args(["serve", "--data", &options.data, "--host", &options.host]);
    server.args(["--port", &options.port.to_string(), "--status-port", &options.status_port.to_string()]);
    // The server takes over this process, so that Ctrl-C and signals reach it and nothing else.
    let error = std::os::unix::process::CommandExt::exec(&mut server);
    Err(anyhow::Error::new(error).context("cannot start the built server"))
}
