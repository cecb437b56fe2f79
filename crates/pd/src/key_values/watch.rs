//! A watch: a place in the history of the keys, and how to wait for what comes after it.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use tidewater_proto::etcdserverpb::{self as etcd, event::EventType, watch_create_request::FilterType};
use tidewater_proto::{KeyValueError, KeyWatch, PdError};

use super::state::{KeyRange, State, Version};
use super::{KeySpace, header};

/// Bytes of keys and values after which no further revision goes into the same answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A client's watch.
pub(super) struct Watching {
    space: Weak<KeySpace>,
    changed: tokio::sync::watch::Receiver<i64>,
    start: Bytes,
    end: Bytes,
    wants_puts: bool,
    wants_removals: bool,
    wants_previous: bool,
    /// The first revision that was not looked at.
    next: i64,
}

impl Watching {
    pub(super) fn open(
        space: &Arc<KeySpace>,
        request: etcd::WatchCreateRequest,
    ) -> Result<Self, KeyValueError> {
        let changed = space.revision.subscribe();
        let state = space.state.read();
        let next = if request.start_revision > 0 { request.start_revision } else { state.revision() + 1 };
        check(&state, next)?;
        let filters = |filter: FilterType| request.filters.contains(&filter.into());
        // The least key, for who names none.
        let least = || Bytes::from_static(&[0]);
        Ok(Self {
            space: Arc::downgrade(space),
            changed,
            wants_puts: !filters(FilterType::Noput),
            wants_removals: !filters(FilterType::Nodelete),
            wants_previous: request.prev_kv,
            start: if request.key.is_empty() { least() } else { request.key },
            end: request.range_end,
            next,
        })
    }

    /// Goes on in the history; the answer is of the last revision it tells of, or of the last there is.
    fn advance(&mut self, state: &State) -> Result<Option<etcd::WatchResponse>, KeyValueError> {
        check(state, self.next)?;
        let range = KeyRange::new(&self.start, &self.end);
        let (mut events, mut bytes, mut reached) = (Vec::new(), 0, state.revision());
        for (key, version, before) in state.changes_from(self.next) {
            let is_wanted = if version.is_removal() { self.wants_removals } else { self.wants_puts };
            if !is_wanted || !range.contains(key) {
                continue;
            }
            let last = events.last().and_then(|last: &etcd::Event| last.kv.as_ref());
            if let Some(last) =
                last.filter(|last| bytes > ANSWER_BYTES_MAX && last.mod_revision < version.revision)
            {
                reached = last.mod_revision;
                break;
            }
            bytes += key.len() + version.value.len();
            events.push(event(key, version, before.filter(|_| self.wants_previous)));
        }
        self.next = self.next.max(reached + 1);
        let answer = etcd::WatchResponse { header: header(reached), events, ..Default::default() };
        Ok(Some(answer).filter(|answer| !answer.events.is_empty()))
    }
}

fn check(state: &State, next: i64) -> Result<(), KeyValueError> {
    match next < state.compacted() {
        true => Err(KeyValueError::Compacted { revision: state.compacted() }),
        false => Ok(()),
    }
}

fn event(key: &Bytes, version: &Version, before: Option<&Version>) -> etcd::Event {
    let (kind, kv) = match version.is_removal() {
        true => {
            let (key, mod_revision) = (key.clone(), version.revision);
            (EventType::Delete, etcd::KeyValue { key, mod_revision, ..Default::default() })
        }
        false => (EventType::Put, version.on_the_wire(key)),
    };
    let prev_kv = before.map(|before| before.on_the_wire(key));
    etcd::Event { r#type: kind.into(), kv: Some(kv), prev_kv }
}

#[async_trait]
impl KeyWatch for Watching {
    fn revision(&self) -> i64 {
        self.next - 1
    }

    async fn next(&mut self) -> Result<etcd::WatchResponse, KeyValueError> {
        let gone = || KeyValueError::Driver(PdError::NotLeader);
        loop {
            self.changed.borrow_and_update();
            {
                let space = self.space.upgrade().ok_or_else(gone)?;
                let state = space.state.read();
                // A watch of the future waits for it.
                if self.next <= state.revision()
                    && let Some(answer) = self.advance(&state)?
                {
                    return Ok(answer);
                }
            }
            self.changed.changed().await.map_err(|_| gone())?;
        }
    }
}
