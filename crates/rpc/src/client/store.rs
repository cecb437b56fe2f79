//! Stores over gRPC.
//!
//! Commands of all callers share a stream to the store: whatever is queued when the transport is free goes out in one message, and answers
//! come back in any order, tied to their callers by ids. Plan fragments and the few commands outside of the public stream are calls of their
//! own; a fragment whose reader has gone is cancelled with its call. Who waits for a store that is lost is told soon: see [`Pulse`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tidewater_proto::tikvpb::BatchCommandsRequest;
use tidewater_proto::tikvpb::BatchCommandsResponse;
use tidewater_proto::tikvpb::batch_commands_request::Request as BatchedRequest;
use tidewater_proto::tikvpb::tikv_client::TikvClient;
use tidewater_proto::{StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::pulse::{Pulse, TICK};
use super::{ChannelOptions, lost};
use crate::MESSAGE_BYTES_MAX;

/// Commands joined into one message.
const COMMANDS_PER_MESSAGE_MAX: usize = 128;

/// Reaches stores by their addresses; connections are kept and shared.
pub struct GrpcConnector {
    options: ChannelOptions,
    /// Where connections are driven, wherever the first caller runs.
    network: Handle,
    stores: Mutex<BTreeMap<String, Arc<GrpcStore>>>,
}

impl GrpcConnector {
    /// A connector without connections, on the current runtime: that one drives the connections, wherever callers run.
    pub fn new(options: ChannelOptions) -> Self {
        Self { options, network: Handle::current(), stores: Mutex::default() }
    }
}

#[async_trait]
impl StoreConnector for GrpcConnector {
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        let mut stores = self.stores.lock();
        if let Some(store) = stores.get(address) {
            return Ok(store.clone());
        }
        let _network = self.network.enter();
        let store = Arc::new(GrpcStore::new(address, &self.options)?);
        self.network.spawn(watch(Arc::downgrade(&store)));
        stores.insert(address.to_owned(), store.clone());
        Ok(store)
    }
}

struct GrpcStore {
    address: Arc<str>,
    options: ChannelOptions,
    /// Made anew when a store that was lost is back: the old connections may take their time to notice.
    links: RwLock<Arc<Links>>,
    pulse: Arc<Pulse>,
    network: Handle,
}

/// Connections to a store.
struct Links {
    /// For calls of their own.
    calls: TikvClient<Channel>,
    lanes: Vec<Lane>,
    next: AtomicUsize,
}

/// A connection with a stream of commands on it, opened anew when it breaks.
struct Lane {
    client: TikvClient<Channel>,
    stream: Mutex<Option<CommandStream>>,
}

struct CommandStream {
    commands: mpsc::UnboundedSender<Queued>,
    shared: Arc<Shared>,
}

struct Shared {
    next_id: AtomicU64,
    waiting: Mutex<Waiting>,
}

impl Shared {
    /// Hangs up on all who wait, and takes nothing any more.
    fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_open = false;
        waiting.callers.clear();
    }
}

struct Waiting {
    is_open: bool,
    callers: BTreeMap<u64, oneshot::Sender<StoreResponse>>,
}

struct Queued {
    id: u64,
    command: StoreRequest,
}

impl Links {
    fn new(address: &str, options: &ChannelOptions) -> Result<Self, TransportError> {
        let client = || {
            let channel = options.lazy(address)?;
            Ok(TikvClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX))
        };
        let lane = || Ok(Lane { client: client()?, stream: Mutex::default() });
        Ok(Self {
            calls: client()?,
            lanes: (0..options.connections_per_store.max(1)).map(|_| lane()).collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
        })
    }

    fn is_owed(&self) -> bool {
        self.lanes.iter().any(|lane| lane.stream.lock().as_ref().is_some_and(CommandStream::is_owed))
    }

    /// Hangs up on all who wait for a command's answer.
    fn hang_up(&self) {
        for lane in &self.lanes {
            if let Some(stream) = lane.stream.lock().take() {
                stream.shared.close();
            }
        }
    }
}

impl GrpcStore {
    fn new(address: &str, options: &ChannelOptions) -> Result<Self, TransportError> {
        Ok(Self {
            address: address.into(),
            options: options.clone(),
            links: RwLock::new(Arc::new(Links::new(address, options)?)),
            pulse: Arc::new(Pulse::new()),
            network: Handle::current(),
        })
    }

    fn links(&self) -> Arc<Links> {
        self.links.read().clone()
    }

    fn silent(&self) -> TransportError {
        TransportError::Unreachable {
            address: self.address.to_string(),
            reason: "the store does not answer".to_owned(),
        }
    }

    /// Looks whether the store lives, if there is reason to doubt that.
    async fn look_after(&self) {
        let links = self.links();
        if !self.pulse.wants_probe(|| links.is_owed()) {
            return;
        }
        if !self.pulse.probe(&self.address, &self.options).await {
            if self.pulse.lose() {
                tracing::warn!(address = %self.address, "the store does not answer");
            }
            links.hang_up();
            return;
        }
        if self.pulse.is_lost()
            && let Ok(fresh) = Links::new(&self.address, &self.options)
        {
            *self.links.write() = Arc::new(fresh);
            self.pulse.find();
            // Who came in between the loss and now waits on the old connections.
            links.hang_up();
            tracing::info!(address = %self.address, "the store answers again");
        }
    }
}

/// Looks after a store as long as anybody has it.
async fn watch(store: Weak<GrpcStore>) {
    loop {
        tokio::time::sleep(TICK).await;
        match store.upgrade() {
            Some(store) => store.look_after().await,
            None => return,
        }
    }
}

#[async_trait]
impl StoreService for GrpcStore {
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError> {
        let answer = async {
            match request {
                StoreRequest::Coprocessor(request) => self.call_coprocessor(request).await,
                StoreRequest::UnsafeDestroyRange(request) => self.call_unsafe_destroy_range(request).await,
                StoreRequest::SplitRegion(request) => self.call_split_region(request).await,
                StoreRequest::RawGetKeyTtl(request) => self.call_raw_get_key_ttl(request).await,
                StoreRequest::RawCas(request) => self.call_raw_compare_and_swap(request).await,
                StoreRequest::RawChecksum(request) => self.call_raw_checksum(request).await,
                StoreRequest::StoreSafeTs(request) => self.call_get_store_safe_ts(request).await,
                StoreRequest::MvccGetByKey(request) => self.call_mvcc_get_by_key(request).await,
                StoreRequest::GetLockWaitInfo(request) => self.call_get_lock_wait_info(request).await,
                command => self.send(command).await,
            }
        };
        tokio::time::timeout(self.options.request_timeout, answer)
            .await
            .unwrap_or(Err(TransportError::Timeout))
    }
}

/// Commands that the public protocol keeps out of the stream, or that are better off alone.
macro_rules! calls {
    ($($function:ident $method:ident $variant:ident $request:path;)*) => {
        impl GrpcStore {
            $(async fn $function(&self, request: $request) -> Result<StoreResponse, TransportError> {
                let mut calls = self.links().calls.clone();
                let answered = self.pulse.guard(calls.$method(Request::new(request))).await;
                let answered = answered.ok_or_else(|| self.silent())?;
                self.answer(answered.map(|response| Response::map(response, StoreResponse::$variant)))
            })*
        }
    };
}

calls! {
    call_coprocessor coprocessor Coprocessor tidewater_proto::coprocessor::Request;
    call_unsafe_destroy_range unsafe_destroy_range UnsafeDestroyRange
        tidewater_proto::kvrpcpb::UnsafeDestroyRangeRequest;
    call_split_region split_region SplitRegion tidewater_proto::kvrpcpb::SplitRegionRequest;
    call_raw_get_key_ttl raw_get_key_ttl RawGetKeyTtl tidewater_proto::kvrpcpb::RawGetKeyTtlRequest;
    call_raw_compare_and_swap raw_compare_and_swap RawCas tidewater_proto::kvrpcpb::RawCasRequest;
    call_raw_checksum raw_checksum RawChecksum tidewater_proto::kvrpcpb::RawChecksumRequest;
    call_get_store_safe_ts get_store_safe_ts StoreSafeTs tidewater_proto::kvrpcpb::StoreSafeTsRequest;
    call_mvcc_get_by_key mvcc_get_by_key MvccGetByKey tidewater_proto::kvrpcpb::MvccGetByKeyRequest;
    call_get_lock_wait_info get_lock_wait_info GetLockWaitInfo tidewater_proto::kvrpcpb::GetLockWaitInfoRequest;
}

impl GrpcStore {
    fn answer(
        &self,
        answered: Result<Response<StoreResponse>, Status>,
    ) -> Result<StoreResponse, TransportError> {
        answered.map(Response::into_inner).map_err(|status| lost(&self.address, &status))
    }

    async fn send(&self, command: StoreRequest) -> Result<StoreResponse, TransportError> {
        if self.pulse.is_lost() {
            return Err(self.silent());
        }
        let links = self.links();
        let turn = links.next.fetch_add(1, Ordering::Relaxed);
        let lane = &links.lanes[turn % links.lanes.len()];
        let (caller, answer) = oneshot::channel();
        lane.enqueue(self, command, caller);
        // The stream's end hangs up on everybody who waits.
        answer.await.map_err(|_| if self.pulse.is_lost() { self.silent() } else { TransportError::Closed })
    }
}

impl Lane {
    /// Queues a command on the open stream, or on a new one.
    fn enqueue(&self, store: &GrpcStore, command: StoreRequest, caller: oneshot::Sender<StoreResponse>) {
        let mut stream = self.stream.lock();
        let open = match stream.take().filter(CommandStream::is_open) {
            Some(open) => open,
            None => self.open(store),
        };
        open.enqueue(command, caller);
        *stream = Some(open);
    }

    fn open(&self, store: &GrpcStore) -> CommandStream {
        let (commands, queue) = mpsc::unbounded_channel();
        let waiting = Waiting { is_open: true, callers: BTreeMap::new() };
        let shared = Arc::new(Shared { next_id: AtomicU64::new(1), waiting: Mutex::new(waiting) });
        let client = self.client.clone();
        let carried = run_stream(client, queue, shared.clone(), store.pulse.clone(), store.address.clone());
        store.network.spawn(carried);
        CommandStream { commands, shared }
    }
}

impl CommandStream {
    fn is_open(&self) -> bool {
        self.shared.waiting.lock().is_open && !self.commands.is_closed()
    }

    /// Whether somebody waits for an answer.
    fn is_owed(&self) -> bool {
        !self.shared.waiting.lock().callers.is_empty()
    }

    /// A stream that has ended meanwhile hangs up on the caller.
    fn enqueue(&self, command: StoreRequest, caller: oneshot::Sender<StoreResponse>) {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.shared.waiting.lock();
        if waiting.is_open && self.commands.send(Queued { id, command }).is_ok() {
            waiting.callers.insert(id, caller);
        }
    }
}

/// Carries commands and answers until the stream ends, then hangs up on all who wait.
async fn run_stream(
    mut client: TikvClient<Channel>,
    queue: mpsc::UnboundedReceiver<Queued>,
    shared: Arc<Shared>,
    pulse: Arc<Pulse>,
    address: Arc<str>,
) {
    if let Err(status) = carry(&mut client, queue, &shared, &pulse).await {
        tracing::debug!(%address, reason = %super::describe(&status), "a command stream broke");
    }
    shared.close();
}

async fn carry(
    client: &mut TikvClient<Channel>,
    queue: mpsc::UnboundedReceiver<Queued>,
    shared: &Shared,
    pulse: &Pulse,
) -> Result<(), Status> {
    let outgoing = futures::stream::unfold((queue, Vec::new()), |(mut queue, mut ready)| async move {
        if queue.recv_many(&mut ready, COMMANDS_PER_MESSAGE_MAX).await == 0 {
            return None;
        }
        let mut message = BatchCommandsRequest::default();
        for Queued { id, command } in ready.drain(..) {
            message.request_ids.push(id);
            message.requests.push(BatchedRequest { cmd: Some(command) });
        }
        Some((message, (queue, ready)))
    });
    let mut answers = client.batch_commands(Request::new(outgoing)).await?.into_inner();
    while let Some(message) = answers.message().await? {
        pulse.hear();
        dispatch(shared, message);
    }
    Ok(())
}

fn dispatch(shared: &Shared, message: BatchCommandsResponse) {
    let mut waiting = shared.waiting.lock();
    for (id, response) in message.request_ids.into_iter().zip(message.responses) {
        // A caller that left has no place any more; neither has an answer without content.
        if let (Some(caller), Some(answer)) = (waiting.callers.remove(&id), response.cmd) {
            let _ = caller.send(answer);
        }
    }
}
