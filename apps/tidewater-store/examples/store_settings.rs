//! Prints a settings file with every default: `cargo run -p tidewater-store-server --example store_settings > store.toml`.

use tidewater_store_server::Settings;

fn main() -> anyhow::Result<()> {
    print!("{}", toml::to_string_pretty(&Settings::default())?);
    Ok(())
}
