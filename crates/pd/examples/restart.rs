//! Gives out timestamps, "crashes", and goes on above them: `cargo run -p tidewater-pd --example restart [directory]`.

use std::sync::Arc;

use tidewater_pd::{FileStorage, PdConfig, PlacementDriver};
use tidewater_proto::PdService;
use tidewater_types::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args_os()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("tidewater-pd-example"), Into::into);
    for run in 1..=2 {
        let storage = Arc::new(FileStorage::open(&directory)?);
        let pd = PlacementDriver::open(PdConfig::default(), storage, Arc::new(SystemClock))?;
        let ts = pd.timestamps(1).await?;
        println!(
            "run {run}: cluster {}, timestamp {}.{}, id {}",
            pd.cluster_id(),
            ts.physical,
            ts.logical,
            pd.alloc_id(1).await?
        );
    }
    Ok(())
}
