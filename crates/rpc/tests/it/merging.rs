//! Regions that became small are merged, on several stores, under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidewater_codec::Key;
use tidewater_kv::NodeConfig;
use tidewater_pd::{PdConfig, ScheduleConfig};
use tidewater_proto::{PdService, pdpb};
use tidewater_txn::{TxnKind, TxnOptions};

use crate::cluster::{Cluster, is_rivalry, put_accounts, total, transfer};

const ACCOUNTS: u32 = 20;
/// Rows that come and go beside the accounts.
const ROWS: u32 = 600;

/// Regions that begin with one of the rows. The accounts have theirs: with their many versions, they fill regions of their own.
async fn row_regions(cluster: &Cluster) -> usize {
    let bound = |key: Key| key.encode().into_bytes().into();
    let request = pdpb::ScanRegionsRequest {
        start_key: bound(row(0)),
        end_key: bound(row(ROWS)),
        ..Default::default()
    };
    let regions = cluster.pd.scan_regions(request).await.unwrap().regions;
    let first = row(0).encode().into_bytes();
    regions
        .iter()
        .filter_map(|region| region.region.as_ref())
        .filter(|region| region.start_key >= first)
        .count()
}

async fn wait_for(what: &str, cluster: &Cluster, holds: impl Fn(usize) -> bool) {
    for _ in 0..600 {
        if holds(row_regions(cluster).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {} regions", row_regions(cluster).await);
}

fn row(index: u32) -> Key {
    Key::new(format!("a row {index:05}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptied_regions_are_merged_while_money_moves() {
    let tiny = NodeConfig {
        region_keys_max: 30,
        region_keys_split: 15,
        heartbeat_interval: Duration::from_millis(50),
        gc_poll_interval: Some(Duration::from_millis(50)),
        ..NodeConfig::default()
    };
    let schedule = ScheduleConfig {
        merge_region_keys_max: 20,
        split_merge_interval: Duration::from_secs(1),
        // A store refuses a region whose neighbor changes there at that moment; soon enough it is ordered again.
        move_patience: Duration::from_secs(1),
        moves_per_store_minute_max: 60_000,
        ..ScheduleConfig::default()
    };
    let cluster = Cluster::start_with(3, tiny, PdConfig { schedule, ..PdConfig::default() }).await;
    let client = cluster.client();
    put_accounts(&client, ACCOUNTS).await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3u32)
        .map(|worker| {
            let (client, stop) = (cluster.client(), stop.clone());
            tokio::spawn(async move {
                let mut done = 0;
                for round in worker.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let kind = if worker == 0 { TxnKind::Optimistic } else { TxnKind::Pessimistic };
                    let (from, to) = (round * 7 % ACCOUNTS, (round * 11 + 1) % ACCOUNTS);
                    match transfer(&client, kind, from, to).await {
                        Ok(()) => done += 1,
                        Err(error) => assert!(is_rivalry(&error), "{error}"),
                    }
                    if round % 10 == worker {
                        assert_eq!(total(&client, ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
                    }
                    // The accounts get versions, which is what regions are measured by.
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                done
            })
        })
        .collect();

    for chunk in (0..ROWS).collect::<Vec<_>>().chunks(100) {
        let mut txn = client.begin(TxnOptions::default()).await.unwrap();
        chunk.iter().for_each(|index| txn.put(row(*index), b"v".to_vec()).unwrap());
        txn.commit().await.unwrap();
    }
    wait_for("the rows fill regions", &cluster, |count| count >= 20).await;
    for chunk in (0..ROWS).collect::<Vec<_>>().chunks(100) {
        let mut txn = client.begin(TxnOptions::default()).await.unwrap();
        chunk.iter().for_each(|index| txn.delete(row(*index)).unwrap());
        txn.commit().await.unwrap();
    }
    // The deleted versions stay until they are garbage.
    let stopper = stop.clone();
    let collected = async {
        while !stopper.load(Ordering::Relaxed) {
            let now = cluster.pd.timestamps(1).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let safe_point = u64::try_from((now.physical << 18) + now.logical).unwrap();
            let request = pdpb::UpdateGcSafePointRequest { safe_point, ..Default::default() };
            cluster.pd.update_gc_safe_point(request).await.unwrap();
        }
    };
    let merged = async {
        wait_for("they are merged", &cluster, |count| count <= 1).await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(collected, merged);
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    assert!(done > 20, "only {done} transfers were made");
    assert_eq!(total(&client, ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
    let txn = client.begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() }).await.unwrap();
    for index in 0..ROWS {
        assert_eq!(txn.get(&row(index)).await.unwrap(), None);
    }
    // Whoever asks finds a region for every key, without gaps.
    let regions = cluster.pd.scan_regions(pdpb::ScanRegionsRequest::default()).await.unwrap().regions;
    let metas: Vec<_> = regions.into_iter().filter_map(|region| region.region).collect();
    assert!(metas[0].start_key.is_empty() && metas[metas.len() - 1].end_key.is_empty());
    assert!(metas.windows(2).all(|pair| pair[0].end_key == pair[1].start_key));
}
