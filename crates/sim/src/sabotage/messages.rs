//! Messages that are not what was sent.

use std::sync::atomic::{AtomicU64, Ordering};

use tidewater_proto::{StoreRequest, StoreResponse, kvrpcpb};

use super::Sabotage;

/// Every so many messages are tampered with, where all would be too many.
const EVERY: u64 = 12;

/// Tampers with messages to stores, and with their answers.
#[derive(Default)]
pub(crate) struct Meddler {
    sabotage: Option<Sabotage>,
    met: AtomicU64,
}

impl Meddler {
    pub(crate) fn new(sabotage: Option<Sabotage>) -> Self {
        Self { sabotage, met: AtomicU64::new(0) }
    }

    fn is_turn(&self) -> bool {
        self.met.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1
    }

    pub(crate) fn request(&self, request: &mut StoreRequest) {
        match (self.sabotage, request) {
            (Some(Sabotage::ReadAroundLocks), request) => read_around_locks(request),
            (Some(Sabotage::ReadLatest), StoreRequest::Get(request)) => request.version = u64::MAX,
            (Some(Sabotage::ReadLatest), StoreRequest::BatchGet(request)) => request.version = u64::MAX,
            (Some(Sabotage::LosePrewrites), StoreRequest::Prewrite(request))
                if request.mutations.len() > 1 && self.is_turn() =>
            {
                request.mutations.pop();
                request.pessimistic_actions.truncate(request.mutations.len());
            }
            (Some(Sabotage::ResolveAsRollback), StoreRequest::ResolveLock(request)) => {
                request.commit_version = 0;
                request.txn_infos.iter_mut().for_each(|info| info.status = 0);
            }
            (Some(Sabotage::SkipPessimisticCheck), StoreRequest::Prewrite(request)) => {
                request.pessimistic_actions.iter_mut().for_each(|action| *action = 0);
            }
            _ => {}
        }
    }

    pub(crate) fn answer(&self, answer: &mut StoreResponse) {
        if self.sabotage == Some(Sabotage::LowerCommitTs)
            && let StoreResponse::Prewrite(answer) = answer
            && answer.min_commit_ts > 0
            && self.is_turn()
        {
            answer.min_commit_ts -= 1;
        }
    }

    /// Whether a request is to be served whatever version its sender believes in.
    pub(crate) fn drops_epochs(&self) -> bool {
        self.sabotage == Some(Sabotage::DropEpochCheck)
    }
}

/// What a request says of the region it is for, if it is one of those that read or write transactions.
pub(crate) fn context_mut(request: &mut StoreRequest) -> Option<&mut kvrpcpb::Context> {
    match request {
        StoreRequest::Get(request) => request.context.as_mut(),
        StoreRequest::BatchGet(request) => request.context.as_mut(),
        StoreRequest::Scan(request) => request.context.as_mut(),
        StoreRequest::Prewrite(request) => request.context.as_mut(),
        StoreRequest::Commit(request) => request.context.as_mut(),
        StoreRequest::RawGet(request) => request.context.as_mut(),
        StoreRequest::RawPut(request) => request.context.as_mut(),
        _ => None,
    }
}

fn read_around_locks(request: &mut StoreRequest) {
    if matches!(request, StoreRequest::Get(_) | StoreRequest::BatchGet(_) | StoreRequest::Scan(_))
        && let Some(context) = context_mut(request)
    {
        context.isolation_level = kvrpcpb::IsolationLevel::Rc as i32;
    }
}
