//! Schedulers.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::http::{Client, segment};
use super::page::{field, items, text};
use super::table::Table;
use super::{Answer, change};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bring back one that was removed; `evict-leader-scheduler` keeps leaders off a store.
    Add {
        name: String,
        /// The store that is to lead nothing.
        #[arg(long, value_name = "ID")]
        store: Option<u64>,
    },
    /// Remove one until it is added again or the placement driver restarts; `evict-leader-scheduler-5` lets store 5 lead again.
    Remove { name: String },
    /// Have one rest for a while, or `all`.
    Pause { name: String, seconds: u64 },
    /// End a pause.
    Resume { name: String },
}

pub(super) async fn run(client: &Client, options: Options) -> anyhow::Result<Answer> {
    let of = |name: &str| format!("schedulers/{}", segment(name));
    match options.action {
        None => list(client).await,
        Some(Action::Add { name, store }) => {
            let mut body = json!({ "name": name });
            if let Some(store) = store {
                body["store_id"] = store.into();
            }
            change(client, Method::POST, "schedulers", Some(&body)).await
        }
        Some(Action::Remove { name }) => change(client, Method::DELETE, &of(&name), None).await,
        Some(Action::Pause { name, seconds }) => {
            change(client, Method::POST, &of(&name), Some(&json!({ "delay": seconds }))).await
        }
        Some(Action::Resume { name }) => {
            change(client, Method::POST, &of(&name), Some(&json!({ "delay": 0 }))).await
        }
    }
}

async fn list(client: &Client) -> anyhow::Result<Answer> {
    let there = client.get("schedulers").await?;
    let paused = client.get("schedulers?status=paused&timestamp=true").await?;
    let removed = client.get("schedulers?status=disabled").await?;
    let mut rows = Vec::new();
    for name in items(&there, "").map(text) {
        let pause = items(&paused, "").find(|pause| field(pause, "/name") == name);
        let until = pause.map(|pause| field(pause, "/resume_at"));
        let state = if until.is_some() { "paused" } else { "runs" };
        rows.push([name, state.to_owned(), until.unwrap_or_default()]);
    }
    rows.extend(items(&removed, "").map(|name| [text(name), "removed".to_owned(), String::new()]));
    let mut table = Table::new(&["scheduler", "state", "until"]);
    let page = |[name, state, until]: &[String; 3]| -> Value {
        json!({ "name": name, "state": state, "resume_at": (!until.is_empty()).then_some(until) })
    };
    let page = rows.iter().map(page).collect();
    rows.into_iter().for_each(|row| table.push(row));
    Ok(Answer::Page(page, table.to_text()))
}
