//! A region moves while its sender or its receiver crashes, between any two of their writes; and what a seed would take long to meet.

use std::sync::atomic::{AtomicBool, Ordering};

use tidewater_proto::metapb;
use tidewater_proto::regionmovepb::InstallRequest;

use super::*;
use crate::check;
use crate::sql::{connect, say};
use crate::workload::SqlTable;

/// Whose power fails.
const SENDER: usize = 0;
const RECEIVER: usize = 1;

/// The first store has all regions; the second one comes and gets its share. Returns whether the crash came about.
async fn move_with_crash(stores: usize, victim: usize, writes: u64) -> bool {
    let options = Options::new(writes, Workload::Bank);
    let world = World::with_stores(stores, &options);
    world.pds.start();
    world.stores.start(SENDER, 0).await;
    world.open(Workload::Bank).await;
    // A transaction whose locks travel.
    let client = world.calm_client();
    let mut locks = client.begin(TxnOptions::default()).await.expect("a transaction");
    let keys = Workload::Bank.keys();
    locks.lock_keys(keys.iter().map(|key| wire(key)), Default::default()).await.expect("locks");
    let has_crashed = std::sync::Arc::new(AtomicBool::new(false));
    if victim == SENDER {
        trap(&world, victim, writes, &has_crashed);
    }
    let stores = world.stores.clone();
    tokio::spawn(async move { stores.start(RECEIVER, 0).await });
    if victim == RECEIVER {
        while world.stores.nodes().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        trap(&world, victim, writes, &has_crashed);
    }
    sleep(CALM).await;
    if !has_crashed.load(Ordering::SeqCst) {
        return false;
    }
    world.settle().await.expect("one owner for each region");
    let counts: Vec<usize> = world.stores.nodes().iter().map(|node| node.region_count()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 3, "{counts:?}");
    assert!(counts.iter().all(|count| *count > 0), "nothing has moved: {counts:?}");
    let _ = locks.rollback().await;
    offer_again(&world).await;
    let truth = world.truth(Workload::Bank).await.expect("every key is served");
    // Nothing is lost, nothing is there twice, and everybody sees it.
    check::check(Workload::Bank, &world.history, &truth, &BTreeMap::new())
        .expect("the content is what it was");
    assert!(truth.values().all(|versions| versions.len() == 1), "{truth:?}");
    true
}

/// The first store is offered what it gave away, as by a store that did not hear that it had been taken: it must not serve it again.
async fn offer_again(world: &World) {
    let nodes = world.stores.nodes();
    let driver = world.pds.driver().expect("the driver runs");
    let regions = driver.scan_regions(pdpb::ScanRegionsRequest::default()).await.expect("regions");
    let moved = regions
        .regions
        .into_iter()
        .find(|found| found.leader.is_some_and(|leader| leader.store_id == nodes[RECEIVER].store_id()));
    let moved = moved.and_then(|found| found.region).expect("a region has moved");
    let epoch = moved.region_epoch.expect("an epoch");
    let store_id = nodes[SENDER].store_id();
    let old = metapb::Region {
        region_epoch: Some(metapb::RegionEpoch { conf_ver: epoch.conf_ver - 2, ..epoch }),
        peers: vec![metapb::Peer { id: 4_711, store_id, ..Default::default() }],
        ..moved
    };
    let offer = InstallRequest { region: Some(old), last: true, ..InstallRequest::default() };
    let before = nodes[SENDER].region_count();
    let answer = nodes[SENDER].call(StoreRequest::InstallRegion(offer)).await.expect("an answer");
    let StoreResponse::InstallRegion(answer) = answer else { panic!("another answer") };
    assert!(answer.already_installed && answer.error.is_empty(), "{answer:?}");
    assert_eq!(nodes[SENDER].region_count(), before, "an old region came back to life");
}

fn trap(world: &World, victim: usize, writes: u64, has_crashed: &Arc<AtomicBool>) {
    let (stores, has_crashed) = (world.stores.clone(), has_crashed.clone());
    let crash = move || {
        has_crashed.store(true, Ordering::SeqCst);
        stores.crash_for(victim, Duration::from_millis(100));
        if let Some(third) = stores.hosts.len().checked_sub(1).filter(|last| *last > RECEIVER) {
            // The driver forgets what it has ordered, and finds another store to send the region to.
            stores.pds.crash(0);
            stores.pds.boot(0);
            tokio::spawn(async move { stores.start(third, 0).await });
        }
    };
    world.stores.set_trap(victim, writes, Box::new(crash));
}

#[test]
fn a_crash_at_any_write_of_a_move_loses_and_doubles_nothing() {
    for (stores, victim) in [(2, SENDER), (2, RECEIVER), (3, SENDER), (3, RECEIVER)] {
        let mut points = 0;
        for writes in 1.. {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            if !runtime.expect("a runtime").block_on(move_with_crash(stores, victim, writes)) {
                break;
            }
            points += 1;
        }
        assert!(points >= 2, "only {points} writes belong to a move");
        println!("{points} crash points");
    }
}

/// Rows as they were have no values of a type that their column got later: who read them by the new schema saw nothing there, and who deleted one
/// left its entry in the index behind.
#[test]
fn a_transaction_goes_by_the_schema_of_its_snapshot() {
    let options = Options {
        spared: Incident::ALL.into(),
        clients: 1,
        ..Options::new(1, Workload::Sql(SqlTable::Accounts))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let world = World::new(&options);
        world.start().await;
        world.open(options.workload).await;
        let (database, _) = world.sql_nodes[0].running().expect("a node");
        let [mut early, mut other] = [(); 2].map(|()| connect(&database).expect("a connection"));
        for sql in ["BEGIN OPTIMISTIC", "SELECT v FROM t WHERE id = 1"] {
            say(&mut early, sql).await.expect("a snapshot");
        }
        for sql in ["ALTER TABLE t MODIFY COLUMN v VARCHAR(10)", "ALTER TABLE t ADD COLUMN b INT DEFAULT 7"] {
            say(&mut other, sql).await.expect("another schema");
        }
        let row = say(&mut early, "SELECT * FROM t WHERE id < 2 ORDER BY id").await.expect("rows").rows;
        assert_eq!(row, [["0", "100"], ["1", "100"]], "as they were");
        say(&mut early, "DELETE FROM t WHERE id = 1").await.expect("noted until the end");
        let error = say(&mut early, "COMMIT").await.expect_err("the table has changed");
        assert!([8028, 9007].contains(&error.code), "{error}");
        say(&mut early, "ADMIN CHECK TABLE t").await.expect("every entry has its row");
        let row = say(&mut early, "SELECT v, b FROM t WHERE id = 1").await.expect("rows").rows;
        assert_eq!(row, [["100", "7"]], "as it is");
    });
}
