//! A member's keys: the driver's while it leads.

use async_trait::async_trait;
use tidewater_proto::{KeyValueError, KeyValues, KeyWatch, etcdserverpb as etcd};

use super::Member;
use crate::key_values;

/// What was read may leave only while nobody else can have changed it; what was written stays written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl Member {
    async fn ask_keys<T, F>(
        &self,
        kind: Kind,
        ask: impl FnOnce(std::sync::Arc<crate::PlacementDriver>) -> F,
    ) -> Result<T, KeyValueError>
    where
        F: Future<Output = Result<T, KeyValueError>>,
    {
        let session = self.session().await?;
        let answer = ask(session.driver.clone()).await;
        match kind {
            Kind::Write => answer,
            Kind::Read => session.leased(Ok(answer))?,
        }
    }
}

macro_rules! keys {
    ($($kind:ident $method:ident($request:ident) -> $response:ty;)*) => {
        #[async_trait]
        impl KeyValues for Member {
            async fn txn(&self, request: etcd::TxnRequest) -> Result<etcd::TxnResponse, KeyValueError> {
                let kind = if key_values::writes(&request) { Kind::Write } else { Kind::Read };
                self.ask_keys(kind, async |driver| driver.keys().txn(request).await).await
            }

            $(async fn $method(&self, request: etcd::$request) -> Result<$response, KeyValueError> {
                self.ask_keys(Kind::$kind, async |driver| driver.keys().$method(request).await).await
            })*
        }
    };
}

keys! {
    Read range(RangeRequest) -> etcd::RangeResponse;
    Write put(PutRequest) -> etcd::PutResponse;
    Write delete_range(DeleteRangeRequest) -> etcd::DeleteRangeResponse;
    Write compact(CompactionRequest) -> etcd::CompactionResponse;
    Write lease_grant(LeaseGrantRequest) -> etcd::LeaseGrantResponse;
    Write lease_revoke(LeaseRevokeRequest) -> etcd::LeaseRevokeResponse;
    Read lease_keep_alive(LeaseKeepAliveRequest) -> etcd::LeaseKeepAliveResponse;
    Read lease_time_to_live(LeaseTimeToLiveRequest) -> etcd::LeaseTimeToLiveResponse;
    Read lease_leases(LeaseLeasesRequest) -> etcd::LeaseLeasesResponse;
    Read watch(WatchCreateRequest) -> Box<dyn KeyWatch>;
}
