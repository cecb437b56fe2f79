//! `tidewater ctl`: what an operator asks of the placement driver, and tells it, over its HTTP pages.
//!
//! Each file under `ctl/` is one family of commands; `http` is the client, `table` the form of what is shown.

mod check;
mod config;
mod hot;
mod http;
mod members;
mod operators;
mod page;
mod regions;
mod rules;
mod schedulers;
mod stores;
mod table;

use std::io::Write;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use http::{Client, Security};

/// Options of `ctl`, and what it is to do.
#[derive(Debug, Args)]
pub struct Options {
    /// Members of the placement driver, as `http://host:port`, several between commas; the next is tried where one does not answer.
    #[arg(
        long,
        short = 'u',
        env = "TIDEWATER_PD",
        default_value = "http://127.0.0.1:2379",
        value_delimiter = ',',
        global = true
    )]
    pd: Vec<String>,
    /// Print the pages as they are, in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    security: Security,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the stores.
    Stores(stores::ListOptions),
    /// Show a store, or change what is to become of it.
    Store(stores::StoreOptions),
    /// List regions in the order of their keys.
    Regions(regions::ListOptions),
    /// Show the region of an id, or the one that holds a key.
    Region(regions::RegionOptions),
    /// Have the replicas of regions compared.
    Check(check::Options),
    /// List what is under way with regions, have something done, or give it up.
    Operators(operators::Options),
    /// List the schedulers, remove them, bring them back, pause them.
    Schedulers(schedulers::Options),
    /// List the regions that are read or written much.
    Hot(hot::Options),
    /// Show settings, or change them for all members.
    Config(config::Options),
    /// List the placement rules, or change them.
    Rules(rules::Options),
    /// List the members of the placement driver, or remove one.
    Members(members::Options),
}

/// What a command has to say.
enum Answer {
    /// A page, and how people want to see it.
    Page(Value, String),
    /// Something was done.
    Done(Value),
}

/// Asks, and prints the answer.
pub fn run(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(&options.pd, &options.security)?;
    let answer = runtime.block_on(ask(&client, options.command))?;
    print(&answer, options.json)
}

async fn ask(client: &Client, command: Command) -> anyhow::Result<Answer> {
    match command {
        Command::Stores(options) => stores::list(client, &options).await,
        Command::Store(options) => stores::run(client, options).await,
        Command::Regions(options) => regions::list(client, &options).await,
        Command::Region(options) => regions::one(client, &options).await,
        Command::Check(options) => check::run(client, &options).await,
        Command::Operators(options) => operators::run(client, options).await,
        Command::Schedulers(options) => schedulers::run(client, options).await,
        Command::Hot(options) => hot::run(client, &options).await,
        Command::Config(options) => config::run(client, options).await,
        Command::Rules(options) => rules::run(client, options).await,
        Command::Members(options) => members::run(client, options).await,
    }
}

fn print(answer: &Answer, as_json: bool) -> anyhow::Result<()> {
    let text = match answer {
        Answer::Page(page, _) | Answer::Done(page) if as_json => serde_json::to_string_pretty(page)?,
        Answer::Page(_, shown) => shown.clone(),
        Answer::Done(Value::String(words)) => words.clone(),
        Answer::Done(other) => other.to_string(),
    };
    match writeln!(std::io::stdout(), "{text}") {
        // Whoever reads has seen enough: `ctl regions | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Has something done.
async fn change(client: &Client, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
    Ok(Answer::Done(client.ask(method, path, body).await?))
}
