//! Serves the pages of an empty placement driver until Ctrl-C: `cargo run --example pages`, then `curl 127.0.0.1:2379/pd/api/v1/config`.

use std::error::Error;
use std::sync::Arc;

use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_types::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pd =
        PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), Arc::new(SystemClock))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:2379").await?;
    println!("http://{}/pd/api/v1/config", listener.local_addr()?);
    axum::serve(listener, tidewater_pd_http::pages(move || Some(pd.clone()))).await?;
    Ok(())
}
