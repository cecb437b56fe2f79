//! The placement driver's pages for operators over HTTP: stores, regions, operators, schedulers, hot spots, settings, placement rules.
//!
//! Floor 6: knows the driver and JSON. Paths, names and forms are those of PD's HTTP API (`/pd/api/v1`) where they mean the same, so that
//! programs written for that find what they look for; an error is a status and a sentence as a JSON string, as there.
//!
//! # Invariants
//! * **No decision is made here**: a page asks the driver, or tells it what somebody wants, and shows the answer.
//! * Whatever is asked is answered: what cannot be understood is a 400 with the reason, what is not there a 404, what the state of the cluster
//!   forbids a 409.
//! * A member that does not lead answers 503; who serves the pages may send askers to the leader instead.
//!
//! # Tour
//! [`pages`] is the router. Each file is one family of pages: `stores`, `regions`, `operators`, `schedulers`, `hot`, `config`, `rules`; `asked`
//! takes requests apart and `failure` says what is wrong with them.
//!
//! ```
//! use std::sync::Arc;
//! use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
//! use tidewater_types::clock::ManualClock;
//!
//! let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
//! let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock)?;
//! let router: axum::Router = tidewater_pd_http::pages(move || Some(pd.clone()));
//! # drop(router);
//! # Ok::<(), tidewater_pd::OpenError>(())
//! ```

mod asked;
mod config;
mod failure;
mod hot;
mod operators;
mod regions;
mod rules;
mod schedulers;
mod stores;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tidewater_pd::PlacementDriver;

/// Where the pages find the driver.
#[derive(Clone)]
pub(crate) struct Leader(Arc<dyn Fn() -> Option<Arc<PlacementDriver>> + Send + Sync>);

/// All pages that only the leader can answer. `driver` gives the driver of this member, or `None` while another one leads.
pub fn pages(driver: impl Fn() -> Option<Arc<PlacementDriver>> + Send + Sync + 'static) -> Router {
    let under_v1 = Router::new()
        .route("/cluster", get(config::cluster))
        .route("/stores", get(stores::list))
        .route("/store/{id}", get(stores::one).delete(stores::remove))
        .route("/store/{id}/state", post(stores::set_state))
        .route("/store/{id}/label", post(stores::set_labels))
        .route("/store/{id}/weight", post(stores::set_weights))
        .route("/regions", get(regions::list))
        .route("/regions/count", get(regions::count))
        .route("/regions/key", get(regions::scan))
        .route("/regions/store/{id}", get(regions::of_store))
        .route("/region/id/{id}", get(regions::by_id))
        .route("/region/key/{key}", get(regions::by_key))
        .route("/operators", get(operators::list).post(operators::add))
        .route("/operators/records", get(operators::records))
        .route("/operators/{id}", get(operators::one).delete(operators::cancel))
        .route("/schedulers", get(schedulers::list).post(schedulers::add))
        .route("/schedulers/{name}", post(schedulers::pause).delete(schedulers::remove))
        .route("/hotspot/regions/read", get(hot::read))
        .route("/hotspot/regions/write", get(hot::write))
        .route("/config", get(config::all).post(config::set))
        .route("/config/schedule", get(config::schedule).post(config::set))
        .route("/config/replicate", get(config::replication).post(config::set))
        .route("/config/rules", get(rules::list))
        .route("/config/rule", post(rules::set))
        .route("/config/rule/{group}/{id}", get(rules::one).delete(rules::remove));
    Router::new().nest("/pd/api/v1", under_v1).with_state(Leader(Arc::new(driver)))
}
