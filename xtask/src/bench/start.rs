//! Start-up time and the memory of an empty server.

use std::path::Path;

use super::servers::Server;

/// Starts each server on an empty directory.
pub fn run(program: &Path) -> anyhow::Result<()> {
    println!("| server | ready after ms | resident MiB |");
    println!("| --- | --- | --- |");
    for server in [Server::tidewater(program)?, Server::mariadb()?] {
        server.sql("", "SELECT 1")?;
        let resident = server.resident_bytes()? as f64 / (1 << 20) as f64;
        println!("| {} | {:.0} | {resident:.0} |", server.name, server.start_time.as_secs_f64() * 1000.0);
    }
    Ok(())
}
