//! The commands this client sends, as one table: how each is wrapped, unwrapped, addressed and refused.

use tidewater_proto::{StoreRequest, StoreResponse, coprocessor, errorpb, kvrpcpb};

use crate::wire_keys::{Incoming, Outgoing};

/// A store command with its answer.
pub(crate) trait Command: Outgoing + Send + 'static {
    type Response: Incoming + Send + 'static;
    const NAME: &'static str;

    fn context_mut(&mut self) -> &mut kvrpcpb::Context;
    fn into_request(self) -> StoreRequest;
    /// `None` if the answer is to something else.
    fn from_response(response: StoreResponse) -> Option<Self::Response>;
    fn take_region_error(response: &mut Self::Response) -> Option<errorpb::Error>;
}

macro_rules! commands {
    ($($variant:ident: $request:ty => $response:ty;)*) => {$(
        impl Command for $request {
            type Response = $response;
            const NAME: &'static str = stringify!($variant);

            fn context_mut(&mut self) -> &mut kvrpcpb::Context {
                self.context.get_or_insert_default()
            }

            fn into_request(self) -> StoreRequest {
                StoreRequest::$variant(self)
            }

            fn from_response(response: StoreResponse) -> Option<Self::Response> {
                match response {
                    StoreResponse::$variant(response) => Some(response),
                    _ => None,
                }
            }

            fn take_region_error(response: &mut Self::Response) -> Option<errorpb::Error> {
                response.region_error.take()
            }
        }
    )*};
}

commands! {
    Get: kvrpcpb::GetRequest => kvrpcpb::GetResponse;
    BatchGet: kvrpcpb::BatchGetRequest => kvrpcpb::BatchGetResponse;
    Scan: kvrpcpb::ScanRequest => kvrpcpb::ScanResponse;
    Prewrite: kvrpcpb::PrewriteRequest => kvrpcpb::PrewriteResponse;
    Commit: kvrpcpb::CommitRequest => kvrpcpb::CommitResponse;
    BatchRollback: kvrpcpb::BatchRollbackRequest => kvrpcpb::BatchRollbackResponse;
    PessimisticLock: kvrpcpb::PessimisticLockRequest => kvrpcpb::PessimisticLockResponse;
    PessimisticRollback: kvrpcpb::PessimisticRollbackRequest => kvrpcpb::PessimisticRollbackResponse;
    TxnHeartBeat: kvrpcpb::TxnHeartBeatRequest => kvrpcpb::TxnHeartBeatResponse;
    CheckTxnStatus: kvrpcpb::CheckTxnStatusRequest => kvrpcpb::CheckTxnStatusResponse;
    CheckSecondaryLocks: kvrpcpb::CheckSecondaryLocksRequest => kvrpcpb::CheckSecondaryLocksResponse;
    ResolveLock: kvrpcpb::ResolveLockRequest => kvrpcpb::ResolveLockResponse;
    ScanLock: kvrpcpb::ScanLockRequest => kvrpcpb::ScanLockResponse;
    Gc: kvrpcpb::GcRequest => kvrpcpb::GcResponse;
    SplitRegion: kvrpcpb::SplitRegionRequest => kvrpcpb::SplitRegionResponse;
    UnsafeDestroyRange: kvrpcpb::UnsafeDestroyRangeRequest => kvrpcpb::UnsafeDestroyRangeResponse;
    Coprocessor: coprocessor::Request => coprocessor::Response;
    RawGet: kvrpcpb::RawGetRequest => kvrpcpb::RawGetResponse;
    RawBatchGet: kvrpcpb::RawBatchGetRequest => kvrpcpb::RawBatchGetResponse;
    RawPut: kvrpcpb::RawPutRequest => kvrpcpb::RawPutResponse;
    RawBatchPut: kvrpcpb::RawBatchPutRequest => kvrpcpb::RawBatchPutResponse;
    RawDelete: kvrpcpb::RawDeleteRequest => kvrpcpb::RawDeleteResponse;
    RawBatchDelete: kvrpcpb::RawBatchDeleteRequest => kvrpcpb::RawBatchDeleteResponse;
    RawDeleteRange: kvrpcpb::RawDeleteRangeRequest => kvrpcpb::RawDeleteRangeResponse;
    RawScan: kvrpcpb::RawScanRequest => kvrpcpb::RawScanResponse;
    RawGetKeyTtl: kvrpcpb::RawGetKeyTtlRequest => kvrpcpb::RawGetKeyTtlResponse;
    RawCas: kvrpcpb::RawCasRequest => kvrpcpb::RawCasResponse;
    RawChecksum: kvrpcpb::RawChecksumRequest => kvrpcpb::RawChecksumResponse;
}
