//! New regions are spread over the stores, each table's for themselves, and waited for: as TiDB does after SPLIT and CREATE TABLE.

use std::time::Duration;

use tidewater_executor::ExecError;
use tidewater_proto::{PdError, pdpb};
use tidewater_types::SqlError;
use tokio::time::Instant;

use crate::error::from_exec;
use crate::session::Session;

/// What the placement driver calls a region's way to where it should be.
const SCATTER: &[u8] = b"scatter-region";
/// Between looks at whether a region has arrived.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(200);

impl Session {
    /// Has regions spread as a group; tells how many of them will be. That some are not does no harm: balance spreads them by and by.
    pub(crate) async fn scatter_regions(&self, regions: &[u64], group: String) -> usize {
        if regions.is_empty() {
            return 0;
        }
        let request =
            pdpb::ScatterRegionRequest { regions_id: regions.to_vec(), group, ..Default::default() };
        match self.db.client().pd().scatter_region(request).await {
            Ok(answer) => regions.len() - answer.failed_regions_id.len().min(regions.len()),
            Err(error) => {
                tracing::warn!(%error, "new regions stay where they are");
                0
            }
        }
    }

    /// Waits until regions have arrived, or for so long at most; tells how many have.
    pub(crate) async fn wait_scattered(
        &self,
        regions: &[u64],
        patience: Duration,
    ) -> Result<usize, SqlError> {
        let deadline = Instant::now() + patience;
        let waiting = async {
            let mut arrived = 0;
            for region in regions {
                arrived += usize::from(self.has_arrived(*region, deadline).await);
            }
            arrived
        };
        tokio::select! {
            biased;
            arrived = waiting => Ok(arrived),
            () = self.process.query_killed() => Err(from_exec(ExecError::Killed)),
        }
    }

    async fn has_arrived(&self, region_id: u64, deadline: Instant) -> bool {
        let mut pause = LOOK_MIN;
        loop {
            match self.is_scattering(region_id).await {
                Ok(false) => return true,
                Ok(true) => {}
                Err(error) => tracing::debug!(%error, region = region_id, "cannot tell whether it arrived"),
            }
            if Instant::now() + pause > deadline {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_MAX);
        }
    }

    async fn is_scattering(&self, region_id: u64) -> Result<bool, PdError> {
        let request = pdpb::GetOperatorRequest { region_id, ..Default::default() };
        let operator = self.db.client().pd().get_operator(request).await?;
        Ok(operator.desc[..] == *SCATTER && operator.status() == pdpb::OperatorStatus::Running)
    }
}
