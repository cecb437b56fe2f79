//! Prints a settings file with every default: `cargo run -p tidewater-pd-server --example pd_settings > pd.toml`.

use tidewater_pd_server::Settings;

fn main() -> anyhow::Result<()> {
    print!("{}", toml::to_string_pretty(&Settings::default())?);
    Ok(())
}
