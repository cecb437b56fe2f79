//! The time that leases have left: known to the leader alone, and given in full to all leases by a new one.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use tidewater_proto::KeyValueError;
use tokio::time::Instant;

use super::KeySpace;
use super::state::Lease;

/// Between looks at the leases, at least.
const LOOK_MIN: Duration = Duration::from_millis(100);
/// Leases that end in one change.
const ENDED_MAX: usize = 1_000;

/// When leases end.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// `None` until time can be told: the driver may be opened where there is no clock.
    by_id: BTreeMap<i64, (Option<Instant>, i64)>,
    /// Whether somebody looks after them.
    is_watched: bool,
}

impl Deadlines {
    /// Of leases whose time is not known: they get all of it.
    pub(super) fn of<'l>(leases: impl Iterator<Item = (i64, &'l Lease)>) -> Self {
        let by_id = leases.map(|(id, lease)| (id, (None, lease.ttl))).collect();
        Self { by_id, is_watched: false }
    }

    /// A lease has its whole time again.
    pub(super) fn renew(&mut self, id: i64, ttl: i64) {
        self.by_id.insert(id, (Some(after(ttl)), ttl));
    }

    /// The same for one that has not ended; `false` if it has.
    pub(super) fn keep_alive(&mut self, id: i64, ttl: i64) -> bool {
        let is_there = self.by_id.contains_key(&id);
        if is_there {
            self.renew(id, ttl);
        }
        is_there
    }

    pub(super) fn forget(&mut self, id: i64) {
        self.by_id.remove(&id);
    }

    /// Whole seconds that a lease has.
    pub(super) fn left(&self, id: i64) -> Option<i64> {
        let (deadline, ttl) = self.by_id.get(&id)?;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        Some(left.map_or(*ttl, |left| i64::try_from(left.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Takes out leases whose time is over, some at a time: nothing keeps them alive from here on.
    fn take_ended(&mut self) -> Vec<(i64, i64)> {
        let now = Instant::now();
        for (deadline, ttl) in self.by_id.values_mut().filter(|(deadline, _)| deadline.is_none()) {
            *deadline = Some(after(*ttl));
        }
        let is_over = |deadline: &Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let ended = self.by_id.iter().filter(|(_, (deadline, _))| is_over(deadline));
        let ended: Vec<_> = ended.map(|(id, (_, ttl))| (*id, *ttl)).take(ENDED_MAX).collect();
        for (id, _) in &ended {
            self.by_id.remove(id);
        }
        ended
    }

    /// When to look again; never if there are no leases.
    fn next(&self) -> Option<Instant> {
        self.by_id.values().filter_map(|(deadline, _)| *deadline).min()
    }
}

/// Never further than time reaches.
fn after(ttl: i64) -> Instant {
    const CENTURY: u64 = 100 * 366 * 86_400;
    Instant::now() + Duration::from_secs(u64::try_from(ttl).unwrap_or_default().min(CENTURY))
}

impl KeySpace {
    /// Looks after the leases, if there are any and nobody does.
    pub(crate) fn watch_leases(&self) {
        let mut deadlines = self.deadlines.lock();
        if deadlines.is_watched || deadlines.by_id.is_empty() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        deadlines.is_watched = true;
        runtime.spawn(watch(self.this.clone()));
    }

    /// Ends the leases whose time is over. Those whose end cannot be written get their whole time again: their holders may be heard by the next
    /// leader.
    async fn end_leases(&self) -> Result<(), KeyValueError> {
        let ended = self.deadlines.lock().take_ended();
        if ended.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = ended.iter().map(|(id, _)| *id).collect();
        tracing::info!(leases = ?ids, "leases have ended");
        let written = self
            .update(move |state| {
                let ids: Vec<_> = ids.into_iter().filter(|id| state.lease(*id).is_some()).collect();
                Ok(((!ids.is_empty()).then(|| state.revocation(&ids)), ()))
            })
            .await;
        if written.is_err() {
            let mut deadlines = self.deadlines.lock();
            ended.into_iter().for_each(|(id, ttl)| deadlines.renew(id, ttl));
        }
        written
    }
}

/// Until there are no leases, or no driver.
async fn watch(space: Weak<KeySpace>) {
    loop {
        let wake = {
            let Some(space) = space.upgrade() else { return };
            if let Err(error) = space.end_leases().await {
                tracing::warn!(%error, "leases that are over were not ended");
            }
            let mut deadlines = space.deadlines.lock();
            match deadlines.next() {
                Some(next) => next.max(Instant::now() + LOOK_MIN),
                None => {
                    deadlines.is_watched = false;
                    return;
                }
            }
        };
        // A lease that is granted meanwhile may be shorter.
        tokio::time::sleep_until(wake.min(Instant::now() + Duration::from_secs(1))).await;
    }
}
