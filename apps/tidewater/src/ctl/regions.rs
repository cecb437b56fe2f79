//! Regions.

use anyhow::ensure;
use clap::Args;
use serde_json::Value;

use super::Answer;
use super::http::Client;
use super::page::{field, items, joined};
use super::table::Table;

#[derive(Debug, Args)]
pub(super) struct ListOptions {
    /// Show so many at most; 0 shows all.
    #[arg(long, default_value_t = 64)]
    limit: u32,
    /// Only those with a peer on this store.
    #[arg(long, value_name = "ID")]
    store: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct RegionOptions {
    /// Its id.
    #[arg(required_unless_present = "key")]
    id: Option<u64>,
    /// A key that it holds, encoded as regions' bounds are, in hexadecimal digits.
    #[arg(long, value_name = "HEX", conflicts_with = "id")]
    key: Option<String>,
}

pub(super) async fn list(client: &Client, options: &ListOptions) -> anyhow::Result<Answer> {
    let limit = if options.limit == 0 { -1 } else { i64::from(options.limit) };
    let path = match options.store {
        Some(store) => format!("regions/store/{store}?limit={limit}"),
        None => format!("regions?limit={limit}"),
    };
    let page = client.get(&path).await?;
    let shown = items(&page, "/regions").count();
    let note = (page.get("count").and_then(Value::as_u64) != Some(shown as u64))
        .then(|| format!("\n{shown} of {} are shown; --limit N shows more", field(&page, "/count")));
    let mut text = table(items(&page, "/regions")).to_text();
    if let Some(note) = note {
        text.push_str(&note);
    }
    Ok(Answer::Page(page, text))
}

pub(super) async fn one(client: &Client, options: &RegionOptions) -> anyhow::Result<Answer> {
    let path = match (&options.id, &options.key) {
        (Some(id), _) => format!("region/id/{id}"),
        (None, key) => {
            let digits = key.as_deref().unwrap_or_default();
            let is_hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            ensure!(is_hex, "--key {digits:?} is not of hexadecimal digits");
            format!("region/key/{digits}?format=hex")
        }
    };
    let page = client.get(&path).await?;
    let table = table(std::iter::once(&page));
    Ok(Answer::Page(page, table.to_text()))
}

fn table<'a>(regions: impl Iterator<Item = &'a Value>) -> Table {
    let mut table = Table::new(&[
        "#id",
        "start key",
        "end key",
        "#leader",
        "peers",
        "epoch",
        "#size MiB",
        "#keys",
        "#written",
        "#read",
        "ill",
    ]);
    for region in regions {
        let cell = |path| field(region, path);
        let peer = |peer: &Value| match peer.get("is_learner").and_then(Value::as_bool) {
            Some(true) => format!("{} (learner)", field(peer, "/store_id")),
            _ => field(peer, "/store_id"),
        };
        let down = items(region, "/down_peers").map(|down| format!("{} down", field(down, "/peer/store_id")));
        let pending =
            items(region, "/pending_peers").map(|peer| format!("{} behind", field(peer, "/store_id")));
        table.push([
            cell("/id"),
            cell("/start_key"),
            cell("/end_key"),
            cell("/leader/store_id"),
            joined(items(region, "/peers").map(peer)),
            format!("{}/{}", cell("/epoch/version"), cell("/epoch/conf_ver")),
            cell("/approximate_size"),
            cell("/approximate_keys"),
            cell("/written_bytes"),
            cell("/read_bytes"),
            joined(down.chain(pending)),
        ]);
    }
    table
}
