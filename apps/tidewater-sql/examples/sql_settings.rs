//! Prints a settings file with every default: `cargo run -p tidewater-sql-server --example sql_settings > sql.toml`.

use tidewater_sql_server::Settings;

fn main() -> anyhow::Result<()> {
    print!("{}", toml::to_string_pretty(&Settings::default())?);
    Ok(())
}
