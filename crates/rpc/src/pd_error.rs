//! Errors of the placement driver as the header of a response carries them, and back.

use tidewater_proto::{PdError, keyspacepb, pdpb};

/// A response with a header for errors, as all have.
pub(crate) trait Headed {
    fn header_mut(&mut self) -> &mut Option<pdpb::ResponseHeader>;
}

macro_rules! headed {
    ($($package:ident: $($response:ident)*;)*) => {
        $($(impl Headed for $package::$response {
            fn header_mut(&mut self) -> &mut Option<pdpb::ResponseHeader> {
                &mut self.header
            }
        })*)*
    };
}

headed! {
    pdpb: BootstrapResponse IsBootstrappedResponse AllocIdResponse GetStoreResponse PutStoreResponse GetAllStoresResponse
        StoreHeartbeatResponse RegionHeartbeatResponse GetRegionResponse ScanRegionsResponse BatchScanRegionsResponse
        AskBatchSplitResponse ReportBatchSplitResponse ScatterRegionResponse GetOperatorResponse SplitRegionsResponse
        SplitAndScatterRegionsResponse GetGcSafePointResponse
        UpdateGcSafePointResponse UpdateServiceGcSafePointResponse GetGcStateResponse GetMinTsResponse;
    keyspacepb: LoadKeyspaceResponse GetAllKeyspacesResponse;
}

pub(crate) fn to_wire(error: &PdError) -> pdpb::Error {
    use pdpb::ErrorType;
    let (kind, subject_id) = match error {
        PdError::NotBootstrapped => (ErrorType::NotBootstrapped, 0),
        PdError::AlreadyBootstrapped => (ErrorType::AlreadyBootstrapped, 0),
        PdError::StoreTombstone { store_id } => (ErrorType::StoreTombstone, *store_id),
        PdError::RegionNotFound { region_id } => (ErrorType::RegionNotFound, *region_id),
        // The public protocol has no type for it; the id tells it from other unknown errors.
        PdError::StoreNotFound { store_id } => (ErrorType::Unknown, *store_id),
        PdError::KeyspaceNotFound { .. } => (ErrorType::EntryNotFound, 0),
        PdError::InvalidValue { .. } => (ErrorType::InvalidValue, 0),
        PdError::Storage { .. } | PdError::NotLeader | PdError::LeadershipLost | PdError::Transport(_) => {
            (ErrorType::Unknown, 0)
        }
    };
    let message = match error {
        PdError::InvalidValue { reason } | PdError::Storage { reason } => reason.clone(),
        PdError::KeyspaceNotFound { name } => name.clone(),
        other => other.to_string(),
    };
    pdpb::Error { r#type: kind.into(), message, subject_id }
}

pub(crate) fn from_wire(error: pdpb::Error) -> PdError {
    use pdpb::ErrorType;
    match (error.r#type(), error.subject_id) {
        (ErrorType::NotBootstrapped, _) => PdError::NotBootstrapped,
        (ErrorType::AlreadyBootstrapped, _) => PdError::AlreadyBootstrapped,
        (ErrorType::StoreTombstone, store_id) => PdError::StoreTombstone { store_id },
        (ErrorType::RegionNotFound, region_id) => PdError::RegionNotFound { region_id },
        (ErrorType::EntryNotFound, _) => PdError::KeyspaceNotFound { name: error.message },
        (ErrorType::InvalidValue, _) => PdError::InvalidValue { reason: error.message },
        (ErrorType::Unknown, store_id) if store_id != 0 => PdError::StoreNotFound { store_id },
        _ => PdError::Storage { reason: error.message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_wire() {
        let reason = "so".to_owned();
        for error in [
            PdError::NotBootstrapped,
            PdError::AlreadyBootstrapped,
            PdError::StoreTombstone { store_id: 3 },
            PdError::RegionNotFound { region_id: 4 },
            PdError::StoreNotFound { store_id: 5 },
            PdError::KeyspaceNotFound { name: "none".to_owned() },
            PdError::InvalidValue { reason: reason.clone() },
            PdError::Storage { reason },
        ] {
            assert_eq!(from_wire(to_wire(&error)), error);
        }
    }
}
