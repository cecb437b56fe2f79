//! Prints the settings of a file as they are understood: `cargo run --example settings -- FILE`.

use tidewater_daemon::{LogSettings, load_settings};

fn main() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).map(std::path::PathBuf::from);
    let settings: LogSettings = load_settings(path.as_deref())?;
    println!("log level: {}", settings.level);
    Ok(())
}
