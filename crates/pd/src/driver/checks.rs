//! What a request must hold to be looked at.

use tidewater_proto::{PdError, metapb};

pub(super) fn valid_store(store: Option<metapb::Store>) -> Result<metapb::Store, PdError> {
    match store {
        Some(store) if store.id == 0 => Err(invalid("a store needs an id above zero".to_owned())),
        Some(store) => Ok(store),
        None => Err(invalid("the request holds no store".to_owned())),
    }
}

pub(super) fn valid_region(region: Option<metapb::Region>) -> Result<metapb::Region, PdError> {
    let region = region.ok_or_else(|| invalid("the request holds no region".to_owned()))?;
    if region.id == 0 || region.region_epoch.is_none() {
        return Err(invalid("a region needs an id above zero and an epoch".to_owned()));
    }
    if !region.end_key.is_empty() && region.start_key >= region.end_key {
        return Err(invalid(format!("region {} ends before it starts", region.id)));
    }
    Ok(region)
}

pub(super) fn is_tombstone(store: &metapb::Store) -> bool {
    store.state == metapb::StoreState::Tombstone as i32
}

pub(super) fn invalid(reason: String) -> PdError {
    PdError::InvalidValue { reason }
}
