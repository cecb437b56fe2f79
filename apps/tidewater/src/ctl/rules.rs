//! Placement rules.

use anyhow::Context;
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use super::http::{Client, segment};
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
    /// Add a rule, or replace the one of its id: `{"id": "far", "role": "learner", "count": 1, "start_key": "", "end_key": "",
    /// "label_constraints": [{"key": "zone", "op": "in", "values": ["far"]}]}`.
    Set {
        /// In JSON.
        rule: String,
    },
    /// Remove a rule.
    Remove { id: String },
}

pub(super) async fn run(client: &Client, options: Options) -> anyhow::Result<Answer> {
    match options.action {
        None => list(client).await,
        Some(Action::Set { rule }) => {
            let rule: Value = serde_json::from_str(&rule).context("the rule is not JSON")?;
            change(client, Method::POST, "config/rule", Some(&rule)).await
        }
        Some(Action::Remove { id }) => {
            change(client, Method::DELETE, &format!("config/rule/pd/{}", segment(&id)), None).await
        }
    }
}

async fn list(client: &Client) -> anyhow::Result<Answer> {
    let page = client.get("config/rules").await?;
    let mut table = Table::new(&["id", "role", "#count", "start key", "end key", "constraints"]);
    for rule in items(&page, "") {
        let constraint = |constraint: &Value| {
            let values = joined(items(constraint, "/values").map(text));
            format!("{} {} [{values}]", field(constraint, "/key"), field(constraint, "/op"))
        };
        table.push([
            field(rule, "/id"),
            field(rule, "/role"),
            field(rule, "/count"),
            field(rule, "/start_key"),
            field(rule, "/end_key"),
            joined(items(rule, "/label_constraints").map(constraint)),
        ]);
    }
    Ok(Answer::Page(page, table.to_text()))
}
