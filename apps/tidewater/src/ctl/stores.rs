//! Stores.

use anyhow::Context;
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::http::Client;
use super::page::{field, items, joined};
use super::table::Table;
use super::{Answer, change};

#[derive(Debug, Args)]
pub(super) struct ListOptions {
    /// Those too that were removed.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(super) struct StoreOptions {
    /// The store's id.
    id: u64,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Empty the store; it leaves the cluster when nothing is on it any more.
    Offline,
    /// Call that off.
    Up,
    /// Give it labels, as `zone=a`; `zone=` takes one away.
    Label {
        #[arg(required = true, value_name = "KEY=VALUE")]
        labels: Vec<String>,
    },
    /// Give it another part of the leaders and of the regions than other stores have, whose weights are 1.
    Weight { leader: f64, region: f64 },
}

pub(super) async fn list(client: &Client, options: &ListOptions) -> anyhow::Result<Answer> {
    let path = if options.all { "stores?state=Up,Offline,Tombstone" } else { "stores" };
    let page = client.get(path).await?;
    let mut table = Table::new(&[
        "#id",
        "address",
        "state",
        "#leaders",
        "#regions",
        "#size MiB",
        "used",
        "available",
        "capacity",
        "#slow",
        "labels",
        "last heard",
    ]);
    for store in items(&page, "/stores") {
        let label = |label: &Value| format!("{}={}", field(label, "/key"), field(label, "/value"));
        let cell = |path| field(store, path);
        table.push([
            cell("/store/id"),
            cell("/store/address"),
            cell("/store/state_name"),
            cell("/status/leader_count"),
            cell("/status/region_count"),
            cell("/status/region_size"),
            cell("/status/used_size"),
            cell("/status/available"),
            cell("/status/capacity"),
            cell("/status/slow_score"),
            joined(items(store, "/store/labels").map(label)),
            cell("/status/last_heartbeat_ts"),
        ]);
    }
    Ok(Answer::Page(page, table.to_text()))
}

pub(super) async fn run(client: &Client, options: StoreOptions) -> anyhow::Result<Answer> {
    let path = format!("store/{}", options.id);
    match options.action {
        None => {
            let page = client.get(&path).await?;
            let mut table = Table::new(&["field", "value"]);
            for part in ["store", "status"] {
                let fields = page.get(part).and_then(Value::as_object).into_iter().flatten();
                for (name, value) in fields {
                    table.push([name.clone(), super::page::text(value)]);
                }
            }
            Ok(Answer::Page(page, table.to_text()))
        }
        Some(Action::Offline) => change(client, Method::DELETE, &path, None).await,
        Some(Action::Up) => change(client, Method::POST, &format!("{path}/state?state=Up"), None).await,
        Some(Action::Weight { leader, region }) => {
            let body = json!({ "leader": leader, "region": region });
            change(client, Method::POST, &format!("{path}/weight"), Some(&body)).await
        }
        Some(Action::Label { labels }) => {
            let pair = |label: String| {
                let (key, value) =
                    label.split_once('=').with_context(|| format!("{label:?} is not KEY=VALUE"))?;
                anyhow::Ok((key.to_owned(), Value::from(value)))
            };
            let body: Map<_, _> = labels.into_iter().map(pair).collect::<Result<_, _>>()?;
            change(client, Method::POST, &format!("{path}/label"), Some(&body.into())).await
        }
    }
}
