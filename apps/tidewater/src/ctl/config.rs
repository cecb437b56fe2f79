//! Settings of the placement driver.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value};

use super::http::Client;
use super::page::text;
use super::table::Table;
use super::{Answer, change};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the settings (without a command, too).
    Show,
    /// Change one, for all members, for good.
    Set { key: String, value: String },
    /// Go back to what the members were started with.
    Reset { key: String },
}

pub(super) async fn run(client: &Client, options: Options) -> anyhow::Result<Answer> {
    let (key, value) = match options.action {
        None | Some(Action::Show) => return show(client).await,
        Some(Action::Set { key, value }) => (key, Value::from(value)),
        Some(Action::Reset { key }) => (key, Value::Null),
    };
    let body: Map<_, _> = [(key, value)].into_iter().collect();
    change(client, Method::POST, "config", Some(&body.into())).await
}

async fn show(client: &Client) -> anyhow::Result<Answer> {
    let page = client.get("config").await?;
    let mut table = Table::new(&["section", "setting", "value"]);
    for (section, settings) in page.as_object().into_iter().flatten() {
        for (name, value) in settings.as_object().into_iter().flatten() {
            table.push([section.clone(), name.clone(), text(value)]);
        }
    }
    Ok(Answer::Page(page, table.to_text()))
}
