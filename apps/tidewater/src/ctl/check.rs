//! Comparing the replicas of regions.

use anyhow::{Context, ensure};
use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::Answer;
use super::http::Client;
use super::page::field;
use super::table::Table;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The regions' ids.
    #[arg(required = true)]
    regions: Vec<u64>,
}

/// Has the leader of each region compare its replicas, and tells what each peer has found.
pub(super) async fn run(client: &Client, options: &Options) -> anyhow::Result<Answer> {
    let mut reports = Vec::new();
    let mut table = Table::new(&["#region", "#index", "#peer", "finding", "verdict"]);
    for region in &options.regions {
        let report = check(client, *region).await?;
        let findings = report.get("findings").and_then(Value::as_object).into_iter().flatten();
        for (peer, finding) in findings {
            let (found, verdict) = verdict(finding, report.get("agreed"));
            table.push([
                region.to_string(),
                field(&report, "/index"),
                peer.clone(),
                found,
                verdict.to_owned(),
            ]);
        }
        reports.push(report);
    }
    let text = table.to_text();
    Ok(Answer::Page(json!(reports), text))
}

async fn check(client: &Client, region: u64) -> anyhow::Result<Value> {
    let page = client.get(&format!("region/id/{region}")).await?;
    let store = field(&page, "/leader/store_id");
    ensure!(
        !store.is_empty() && store != "0",
        "region {region} has no leader that the placement driver knows"
    );
    let page = client.get(&format!("store/{store}")).await?;
    let address = field(&page, "/store/status_address");
    ensure!(!address.is_empty(), "store {store} has not told where its status pages are");
    let path = format!("consistency-check?region={region}");
    let report = client.ask_store(&address, Method::POST, &path).await;
    report.with_context(|| format!("store {store}, which leads region {region}"))
}

/// What a peer has found, and what that means.
fn verdict(finding: &Value, agreed: Option<&Value>) -> (String, &'static str) {
    match (finding, finding.get("hash"), agreed) {
        (_, Some(hash), Some(agreed)) if hash == agreed => (super::page::text(hash), "ok"),
        (_, Some(hash), Some(Value::String(_))) => (super::page::text(hash), "damaged"),
        (_, Some(hash), _) => (super::page::text(hash), "no majority agrees"),
        (other, None, _) => (super::page::text(other), "not compared"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_judged_by_the_majority() {
        let found = |hash: &str| json!({ "hash": hash });
        assert_eq!(verdict(&found("aa"), Some(&json!("aa"))), ("aa".to_owned(), "ok"));
        assert_eq!(verdict(&found("ab"), Some(&json!("aa"))), ("ab".to_owned(), "damaged"));
        assert_eq!(verdict(&found("ab"), Some(&Value::Null)), ("ab".to_owned(), "no majority agrees"));
        assert_eq!(verdict(&json!("absent"), Some(&json!("aa"))), ("absent".to_owned(), "not compared"));
    }
}
