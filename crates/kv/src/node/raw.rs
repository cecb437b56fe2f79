//! Raw commands.

use tidewater_proto::{StoreRequest, StoreResponse, kvrpcpb, tikvpb};

/// Answers a raw command.
pub(super) fn answer(request: &StoreRequest) -> StoreResponse {
    let error = "raw commands are not served yet".to_owned();
    match request {
        StoreRequest::RawGet(_) => {
            StoreResponse::RawGet(kvrpcpb::RawGetResponse { error, ..Default::default() })
        }
        _ => StoreResponse::Empty(tikvpb::BatchCommandsEmptyResponse::default()),
    }
}
