//! Operators.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::http::Client;
use super::page::{field, items, joined, text};
use super::table::Table;
use super::{Answer, change};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what has ended, the latest at the end.
    History,
    /// Have something done to a region.
    Add {
        #[command(subcommand)]
        wish: Wish,
    },
    /// Give up what is under way with a region; steps that were taken stay taken.
    Cancel { region: u64 },
}

#[derive(Debug, Subcommand)]
enum Wish {
    /// Let the peer on another store lead.
    TransferLeader { region: u64, store: u64 },
    /// Give the region a peer more.
    AddPeer { region: u64, store: u64 },
    /// Give the region a peer more that has no vote.
    AddLearner { region: u64, store: u64 },
    /// Take a peer away.
    RemovePeer { region: u64, store: u64 },
    /// Move a peer from one store to another.
    TransferPeer { region: u64, from_store: u64, to_store: u64 },
    /// Make a region a part of its neighbor.
    MergeRegion { source: u64, target: u64 },
    /// Cut a region in the middle, or at keys.
    SplitRegion {
        region: u64,
        /// How to find where: scan reads all of the region, approximate goes by its size, usekey takes the keys that are given.
        #[arg(long, default_value = "scan")]
        policy: String,
        /// Encoded keys in hexadecimal digits, as `regions` shows them.
        #[arg(long, value_delimiter = ',')]
        keys: Vec<String>,
    },
    /// Spread a region with others of its group, each group for itself.
    ScatterRegion {
        #[arg(required = true)]
        regions: Vec<u64>,
        /// What the regions belong to, such as the id of a table.
        #[arg(long, default_value = "")]
        group: String,
    },
}

pub(super) async fn run(client: &Client, options: Options) -> anyhow::Result<Answer> {
    match options.action {
        None => list(client, "operators").await,
        Some(Action::History) => list(client, "operators/records").await,
        Some(Action::Add { wish }) => change(client, Method::POST, "operators", Some(&body(&wish))).await,
        Some(Action::Cancel { region }) => {
            change(client, Method::DELETE, &format!("operators/{region}"), None).await
        }
    }
}

fn body(wish: &Wish) -> Value {
    match wish {
        Wish::TransferLeader { region, store } => {
            json!({ "name": "transfer-leader", "region_id": region, "to_store_id": store })
        }
        Wish::AddPeer { region, store } => {
            json!({ "name": "add-peer", "region_id": region, "store_id": store })
        }
        Wish::AddLearner { region, store } => {
            json!({ "name": "add-learner", "region_id": region, "store_id": store })
        }
        Wish::RemovePeer { region, store } => {
            json!({ "name": "remove-peer", "region_id": region, "store_id": store })
        }
        Wish::TransferPeer { region, from_store, to_store } => json!({
            "name": "transfer-peer", "region_id": region, "from_store_id": from_store, "to_store_id": to_store,
        }),
        Wish::MergeRegion { source, target } => {
            json!({ "name": "merge-region", "source_region_id": source, "target_region_id": target })
        }
        Wish::SplitRegion { region, policy, keys } => {
            json!({ "name": "split-region", "region_id": region, "policy": policy, "keys": keys })
        }
        Wish::ScatterRegion { regions, group } => {
            json!({ "name": "scatter-regions", "region_ids": regions, "group": group })
        }
    }
}

async fn list(client: &Client, path: &str) -> anyhow::Result<Answer> {
    let page = client.get(path).await?;
    let mut table = Table::new(&["#region", "kind", "status", "#step", "steps", "why", "began", "ended"]);
    for operator in items(&page, "") {
        let cell = |path| field(operator, path);
        let steps = items(operator, "/steps").count();
        let status = match cell("/status") {
            running if running.is_empty() => "RUNNING".to_owned(),
            ended => ended,
        };
        table.push([
            cell("/region_id"),
            cell("/kind"),
            status,
            format!("{}/{steps}", cell("/current_step")),
            joined(items(operator, "/steps").map(text)),
            cell("/desc"),
            cell("/create_time"),
            cell("/finish_time"),
        ]);
    }
    Ok(Answer::Page(page, table.to_text()))
}
