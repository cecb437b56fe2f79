//! Two accounts, one transfer in two phases, and a reader in between. Run with `cargo run -p tidewater-kv --example two_phase_transfer`.

#[path = "../tests/it/support.rs"]
mod support;

use support::{Store, bytes, prewrite, put};
use tidewater_proto::kvrpcpb;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let store = Store::memory().await;
    let opened = store.write(10, &[("alice", "100"), ("bob", "0")]).await;
    println!("accounts opened in one phase at {opened}");

    let transfer = kvrpcpb::PrewriteRequest {
        mutations: vec![put("alice", "70"), put("bob", "30")],
        ..prewrite(opened + 10, &[("alice", "")])
    };
    assert!(store.prewrite(transfer).await.errors.is_empty());
    let locked = store.get("bob", opened + 20).await.error.and_then(|error| error.locked);
    let owner = locked.map(|lock| (lock.primary_lock, lock.lock_version));
    assert_eq!(owner, Some((bytes("alice"), opened + 10)));
    println!("a reader meets the lock of the transfer: {owner:?}");
    println!("an older reader sees bob = {:?}", store.value("bob", opened + 5).await);

    assert!(store.commit(&["alice", "bob"], opened + 10, opened + 30).await.is_none());
    for account in ["alice", "bob"] {
        println!("{account} = {:?}", store.value(account, opened + 30).await);
    }
}
