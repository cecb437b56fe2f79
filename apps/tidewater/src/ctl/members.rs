//! Members of the placement driver.

use clap::{Args, Subcommand};
use hyper::Method;

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
    /// Remove a member; what it had is of no use afterwards.
    Remove { name: String },
}

pub(super) async fn run(client: &Client, options: Options) -> anyhow::Result<Answer> {
    if let Some(Action::Remove { name }) = options.action {
        return change(client, Method::DELETE, &format!("members/name/{}", segment(&name)), None).await;
    }
    let page = client.get("members").await?;
    let leader = field(&page, "/leader/member_id");
    let mut table = Table::new(&["name", "role", "#id", "client urls", "peer urls"]);
    for member in items(&page, "/members") {
        let id = field(member, "/member_id");
        let role = if id == leader { "leader" } else { "follower" };
        let urls = |path| joined(items(member, path).map(text));
        table.push([field(member, "/name"), role.to_owned(), id, urls("/client_urls"), urls("/peer_urls")]);
    }
    Ok(Answer::Page(page, table.to_text()))
}
