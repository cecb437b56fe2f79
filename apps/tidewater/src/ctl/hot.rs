//! Hot spots.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::Answer;
use super::http::Client;
use super::page::{field, items};
use super::table::Table;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only what is read, or written.
    what: Option<Flow>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Flow {
    Read,
    Write,
}

pub(super) async fn run(client: &Client, options: &Options) -> anyhow::Result<Answer> {
    let wanted: &[Flow] = match options.what {
        None => &[Flow::Read, Flow::Write],
        Some(Flow::Read) => &[Flow::Read],
        Some(Flow::Write) => &[Flow::Write],
    };
    let mut table = Table::new(&["flow", "#store", "#region", "#bytes/s"]);
    let mut pages = Map::new();
    for flow in wanted {
        let name = match flow {
            Flow::Read => "read",
            Flow::Write => "write",
        };
        let page = client.get(&format!("hotspot/regions/{name}")).await?;
        let stores = page.get("as_leader").and_then(Value::as_object).into_iter().flatten();
        for (store, regions) in stores {
            for region in items(regions, "/statistics") {
                let (id, bytes) = (field(region, "/region_id"), field(region, "/flow_bytes"));
                table.push([name.to_owned(), store.clone(), id, bytes]);
            }
        }
        pages.insert(name.to_owned(), page);
    }
    Ok(Answer::Page(pages.into(), table.to_text()))
}
