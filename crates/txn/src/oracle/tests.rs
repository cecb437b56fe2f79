use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;

/// Gives out timestamps when permitted, and counts the calls.
struct SlowPd {
    permits: Semaphore,
    calls: AtomicU32,
    last: AtomicU64,
}

/// The whole service at once: `async_trait` does not look into macros.
macro_rules! slow_pd {
    ($($name:ident($request:ident) -> $response:ident;)*) => {
        #[async_trait]
        impl PdService for SlowPd {
            async fn timestamps(&self, count: u32) -> Result<pdpb::Timestamp, PdError> {
                self.calls.fetch_add(1, Ordering::SeqCst);
                self.permits.acquire().await.unwrap().forget();
                let last = self.last.fetch_add(u64::from(count), Ordering::SeqCst) + u64::from(count);
                Ok(pdpb::Timestamp { physical: 0, logical: i64::try_from(last).unwrap(), suffix_bits: 0 })
            }

            async fn is_bootstrapped(&self) -> Result<bool, PdError> {
                Ok(false)
            }

            async fn alloc_id(&self, _: u32) -> Result<u64, PdError> {
                Err(PdError::NotBootstrapped)
            }

            $(async fn $name(&self, _: pdpb::$request) -> Result<pdpb::$response, PdError> {
                Err(PdError::NotBootstrapped)
            })*
        }
    };
}

slow_pd! {
    get_region(GetRegionRequest) -> GetRegionResponse;
    get_prev_region(GetRegionRequest) -> GetRegionResponse;
    get_region_by_id(GetRegionByIdRequest) -> GetRegionResponse;
    scan_regions(ScanRegionsRequest) -> ScanRegionsResponse;
    get_store(GetStoreRequest) -> GetStoreResponse;
    get_all_stores(GetAllStoresRequest) -> GetAllStoresResponse;
    put_store(PutStoreRequest) -> PutStoreResponse;
    store_heartbeat(StoreHeartbeatRequest) -> StoreHeartbeatResponse;
    bootstrap(BootstrapRequest) -> BootstrapResponse;
    region_heartbeat(RegionHeartbeatRequest) -> RegionHeartbeatResponse;
    ask_batch_split(AskBatchSplitRequest) -> AskBatchSplitResponse;
    report_batch_split(ReportBatchSplitRequest) -> ReportBatchSplitResponse;
    get_gc_safe_point(GetGcSafePointRequest) -> GetGcSafePointResponse;
    update_gc_safe_point(UpdateGcSafePointRequest) -> UpdateGcSafePointResponse;
    update_service_gc_safe_point(UpdateServiceGcSafePointRequest) -> UpdateServiceGcSafePointResponse;
}

fn oracle() -> (Arc<SlowPd>, Arc<Oracle>) {
    let pd =
        Arc::new(SlowPd { permits: Semaphore::new(0), calls: AtomicU32::new(0), last: AtomicU64::new(0) });
    (pd.clone(), Arc::new(Oracle::new(pd, 1_000)))
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_waits_together_asks_once() {
    let (pd, oracle) = oracle();
    let ask = || {
        let oracle = oracle.clone();
        tokio::spawn(async move { oracle.timestamp().await.unwrap().into_inner() })
    };
    let first = ask();
    settle().await;
    let others: Vec<_> = (0..50).map(|_| ask()).collect();
    settle().await;
    assert_eq!(pd.calls.load(Ordering::SeqCst), 1);
    pd.permits.add_permits(10);
    let mut got = vec![first.await.unwrap()];
    for other in others {
        got.push(other.await.unwrap());
    }
    assert_eq!(
        pd.calls.load(Ordering::SeqCst),
        2,
        "one call for the first, one for all who waited meanwhile"
    );
    got.sort_unstable();
    assert_eq!(got, (1..=51).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_leader_that_hangs_up_strands_nobody() {
    let (pd, oracle) = oracle();
    let ask = || {
        let oracle = oracle.clone();
        tokio::spawn(async move { oracle.timestamp().await.unwrap().into_inner() })
    };
    let leader = ask();
    settle().await;
    let (heir, follower) = (ask(), ask());
    settle().await;
    leader.abort();
    settle().await;
    heir.abort();
    settle().await;
    pd.permits.add_permits(10);
    follower.await.expect("the lead came to the last in line");
    ask().await.expect("and on to whoever asks next");
}
