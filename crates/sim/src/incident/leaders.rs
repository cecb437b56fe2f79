//! What leaders dread: to be cut off from their followers while clients still reach them, and to hand over in the middle of everything.

use std::collections::BTreeSet;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{Incident, millis};
use crate::network::{Place, Way};
use crate::world::World;

/// Longer than it takes to elect another leader and to tell the placement driver.
const ISOLATION_MILLIS: std::ops::Range<u64> = 2_000..6_000;

impl World {
    /// Like [`World::befall`], where readers are to be fooled: mostly leaders are isolated, or hand over.
    pub(crate) async fn befall_leaders(&mut self, rng: &mut SmallRng, spared: &[Incident]) {
        let dice = rng.random_range(0..10);
        let mut fate: SmallRng = rand::SeedableRng::seed_from_u64(rng.random());
        match dice {
            0..=2 if !spared.contains(&Incident::Partition) => {
                self.incidents += 1;
                self.isolate_leader(&mut fate);
            }
            3..=7 if !spared.contains(&Incident::Operator) => {
                self.incidents += 1;
                self.hand_over(&mut fate);
            }
            0..=7 => {}
            _ => self.befall(&mut fate, spared).await,
        }
    }

    /// Cuts a store that leads something off from all servers, but not from clients.
    fn isolate_leader(&self, rng: &mut SmallRng) {
        let leads = |index: &usize| self.stores.node(*index).is_some_and(|node| node.region_count() > 0);
        let leaders: Vec<usize> = (0..self.stores.hosts.len()).filter(leads).collect();
        if leaders.is_empty() {
            return;
        }
        let isolated = Place::Store(leaders[rng.random_range(0..leaders.len())]);
        let mut ways: BTreeSet<Way> = BTreeSet::new();
        for other in self.servers().into_iter().filter(|other| *other != isolated) {
            ways.insert((isolated, other));
            ways.insert((other, isolated));
        }
        let pause = std::time::Duration::from_millis(rng.random_range(ISOLATION_MILLIS));
        self.network.journal.note(format_args!("only clients reach {isolated} for {pause:?}"));
        self.network.cut(ways, pause);
    }

    /// Some regions get other leaders, preferably on stores that lead nothing: these have served no reads.
    fn hand_over(&self, rng: &mut SmallRng) {
        let Some(driver) = self.pds.driver() else { return };
        let nodes = self.stores.nodes();
        let is_idle =
            |store: u64| nodes.iter().any(|node| node.store_id() == store && node.region_count() == 0);
        for region in driver.regions(&[], &[], usize::MAX) {
            let others: Vec<u64> = region
                .peers
                .iter()
                .map(|peer| peer.store_id)
                .filter(|id| Some(*id) != region.leader_store)
                .collect();
            let idle = others.iter().copied().find(|id| is_idle(*id));
            let Some(to) = idle.or_else(|| others.get(rng.random_range(0..others.len().max(1))).copied())
            else {
                continue;
            };
            let (driver, journal, pause) = (driver.clone(), self.network.journal.clone(), millis(rng, 100));
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                let answer = driver.transfer_leader(region.id, to).await;
                let answer =
                    answer.map_or_else(|error| format!("refused: {error}"), |()| "ordered".to_owned());
                journal.note(format_args!("store {to} leads region {}: {answer}", region.id));
            });
        }
    }
}
