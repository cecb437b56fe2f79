//! The placement driver over gRPC.
//!
//! One member leads; the client asks the members it knows until one names the leader, and talks to that one. Timestamps come through one
//! stream, in order. When a call fails for want of an answer, the next one looks for the leader anew.
//!
//! Where several members are known, a call is made again until some member answers it or [`LEADER_PATIENCE`] is over: callers see the change of
//! a leader as a delay. A call whose answer was lost may so be carried out twice, which does no harm to any but the founding of the cluster:
//! that one is made again only if it certainly was not carried out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tidewater_proto::keyspacepb::{self, keyspace_client::KeyspaceClient};
use tidewater_proto::pdpb::{self, pd_client::PdClient};
use tidewater_proto::{PdError, PdService, TransportError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::{ChannelOptions, lost};
use crate::MESSAGE_BYTES_MAX;
use crate::pd_error::{self, Headed};

/// How long one unary call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one attempt may take where there are other members to ask.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long several members are asked for a leader's answer.
const LEADER_PATIENCE: Duration = Duration::from_secs(12);
const RETRY_PAUSE: Duration = Duration::from_millis(30);

/// Between two attempts to reach a driver that is not there yet.
const WAIT_PAUSE: Duration = Duration::from_millis(200);

/// A client of the placement driver.
pub struct GrpcPd {
    options: ChannelOptions,
    /// Where connections are driven, wherever callers run.
    network: Handle,
    /// Where members were last known to be.
    members: Mutex<Vec<String>>,
    connection: Mutex<Option<Arc<Connection>>>,
    /// One search for the leader at a time.
    searching: tokio::sync::Mutex<()>,
}

/// The leader.
struct Connection {
    address: String,
    cluster_id: u64,
    pd: PdClient<Channel>,
    keyspaces: KeyspaceClient<Channel>,
    timestamps: Exchange<u32, pdpb::Timestamp>,
    heartbeats: Exchange<pdpb::RegionHeartbeatRequest, pdpb::RegionHeartbeatResponse>,
}

/// A stream whose answers come in the order of the requests.
struct Exchange<Q, A> {
    requests: mpsc::UnboundedSender<(Q, oneshot::Sender<A>)>,
}

impl<Q: Send, A: Send> Exchange<Q, A> {
    async fn ask(&self, request: Q) -> Result<A, TransportError> {
        let (sender, answer) = oneshot::channel();
        self.requests.send((request, sender)).map_err(|_| TransportError::Closed)?;
        match timeout(CALL_TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|_| TransportError::Closed),
            Err(_) => Err(TransportError::Timeout),
        }
    }
}

impl GrpcPd {
    /// A client of the cluster whose members are at these addresses; connects before it returns.
    pub async fn connect(endpoints: &[String], options: ChannelOptions) -> Result<Arc<Self>, PdError> {
        let pd = Arc::new(Self {
            options,
            network: Handle::current(),
            members: Mutex::new(endpoints.to_vec()),
            connection: Mutex::default(),
            searching: tokio::sync::Mutex::default(),
        });
        pd.insist(Repeat::Always, |_| async { Ok(()) }).await?;
        Ok(pd)
    }

    /// [`Self::connect`], again and again until somebody answers; `None` if `stop` is cancelled before.
    pub async fn wait_for(
        endpoints: &[String],
        options: ChannelOptions,
        stop: &CancellationToken,
    ) -> Result<Option<Arc<Self>>, PdError> {
        let mut is_told = false;
        loop {
            let connected = tokio::select! {
                () = stop.cancelled() => return Ok(None),
                connected = Self::connect(endpoints, options.clone()) => connected,
            };
            let error = match connected {
                Ok(pd) => return Ok(Some(pd)),
                Err(error @ PdError::Transport(_)) => error,
                Err(error) => return Err(error),
            };
            if !is_told {
                tracing::warn!(%error, "waiting for the placement driver");
                is_told = true;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(WAIT_PAUSE) => {}
            }
        }
    }

    /// The id of the cluster.
    pub async fn cluster_id(&self) -> Result<u64, PdError> {
        Ok(self.connection().await?.cluster_id)
    }

    async fn connection(&self) -> Result<Arc<Connection>, PdError> {
        if let Some(connection) = self.connection.lock().clone() {
            return Ok(connection);
        }
        let _searching = self.searching.lock().await;
        if let Some(connection) = self.connection.lock().clone() {
            return Ok(connection);
        }
        let connection = Arc::new(self.search().await?);
        *self.connection.lock() = Some(connection.clone());
        Ok(connection)
    }

    /// Finds the leader on the runtime that will drive the connection.
    async fn search(&self) -> Result<Connection, PdError> {
        let search = Search { options: self.options.clone(), members: self.members.lock().clone() };
        let found = self.network.spawn(search.find_leader()).await;
        let (connection, members) = found.map_err(|_| TransportError::Closed)??;
        *self.members.lock() = members;
        Ok(connection)
    }

    /// The connection is of no use any more: look for the leader anew.
    fn forget(&self, connection: &Arc<Connection>) {
        let mut current = self.connection.lock();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            *current = None;
        }
    }

    /// Asks the leader, whoever that is, and waits for one while there is none.
    async fn insist<T, F>(
        &self,
        repeat: Repeat,
        ask: impl Fn(Arc<Connection>) -> F + Send,
    ) -> Result<T, PdError>
    where
        T: Send,
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let asked = Instant::now();
        loop {
            let has_choice = self.members.lock().len() > 1;
            let limit = if has_choice { ATTEMPT_TIMEOUT } else { CALL_TIMEOUT };
            let failure = match self.connection().await {
                Err(PdError::Transport(error)) => Failure { error, is_undone: true },
                Err(error) => return Err(error),
                Ok(connection) => {
                    let answered = timeout(limit, ask(connection.clone())).await;
                    match answered.unwrap_or(Err(TransportError::Timeout.into())) {
                        Ok(answer) => return Ok(answer),
                        Err(failure) => {
                            self.forget(&connection);
                            failure
                        }
                    }
                }
            };
            let may_repeat = repeat == Repeat::Always || failure.is_undone;
            if !has_choice || !may_repeat || asked.elapsed() > LEADER_PATIENCE {
                return Err(failure.error.into());
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// When a call is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// It does no harm.
    Always,
    /// Only if it was not carried out before.
    IfUndone,
}

/// Why there is no answer.
struct Failure {
    error: TransportError,
    /// Whether the call certainly was not carried out.
    is_undone: bool,
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self { error, is_undone: false }
    }
}

impl Failure {
    fn of(address: &str, status: &Status) -> Self {
        let is_undone = status.code() == Code::Unavailable && status.message().starts_with("not leader");
        Self { error: lost(address, status), is_undone }
    }
}

/// Looks for the leader among the known members.
struct Search {
    options: ChannelOptions,
    members: Vec<String>,
}

impl Search {
    /// Asks the known members who leads. Returns whom to ask next time, too.
    async fn find_leader(self) -> Result<(Connection, Vec<String>), PdError> {
        let mut failure = TransportError::Unreachable {
            address: String::new(),
            reason: "no address of a placement driver is known".to_owned(),
        };
        // All at once: the first may be a machine that is gone, and silent.
        let mut asked: FuturesUnordered<_> =
            self.members.iter().map(|address| self.ask_member(address)).collect();
        while let Some(answered) = asked.next().await {
            match answered {
                Ok(found) => return Ok(found),
                Err(error) => failure = error,
            }
        }
        Err(failure.into())
    }

    async fn ask_member(&self, address: &str) -> Result<(Connection, Vec<String>), TransportError> {
        let nobody = |reason: &str| TransportError::Unreachable {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let members = members_by(&self.options, address).await?;
        let header = members.header.as_ref().ok_or_else(|| nobody("the answer has no header"))?;
        let cluster_id = header.cluster_id;
        let leader = members.leader.ok_or_else(|| nobody("no member leads"))?;
        let mut known: Vec<_> = members.members.into_iter().flat_map(|member| member.client_urls).collect();
        for url in leader.client_urls {
            // Listed URLs may be of no use from here, unlike the one that answered.
            match self.open(&url, cluster_id).await {
                Ok(connection) => {
                    for old in &self.members {
                        if !known.contains(old) {
                            known.push(old.clone());
                        }
                    }
                    return Ok((connection, known));
                }
                Err(error) => tracing::debug!(%url, %error, "the leader is not reached there"),
            }
        }
        Err(nobody("the leader it names is not reachable"))
    }

    async fn open(&self, address: &str, cluster_id: u64) -> Result<Connection, TransportError> {
        members_by(&self.options, address).await?;
        let channel = self.options.lazy(address)?;
        let pd = PdClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Connection {
            address: address.to_owned(),
            cluster_id,
            keyspaces: KeyspaceClient::new(channel),
            timestamps: timestamps(pd.clone(), cluster_id),
            heartbeats: heartbeats(pd.clone(), cluster_id),
            pd,
        })
    }
}

async fn members_by(
    options: &ChannelOptions,
    address: &str,
) -> Result<pdpb::GetMembersResponse, TransportError> {
    let mut client = PdClient::new(options.lazy(address)?);
    let ask = client.get_members(Request::new(pdpb::GetMembersRequest::default()));
    match timeout(options.connect_timeout, ask).await {
        Ok(answered) => answered.map(Response::into_inner).map_err(|status| lost(address, &status)),
        Err(_) => Err(TransportError::Timeout),
    }
}

fn header(cluster_id: u64) -> Option<pdpb::RequestHeader> {
    Some(pdpb::RequestHeader { cluster_id, ..Default::default() })
}

/// Opens the stream of timestamps.
fn timestamps(mut pd: PdClient<Channel>, cluster_id: u64) -> Exchange<u32, pdpb::Timestamp> {
    let (requests, queue) = mpsc::unbounded_channel();
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let outgoing = outgoing(queue, asked.clone(), move |count| pdpb::TsoRequest {
        header: header(cluster_id),
        count,
        ..Default::default()
    });
    tokio::spawn(async move {
        let carry = async {
            let mut answers = pd.tso(Request::new(outgoing)).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                hand_over(&asked, answer.timestamp.unwrap_or_default());
            }
            Ok::<(), Status>(())
        };
        if let Err(status) = carry.await {
            tracing::debug!(reason = %super::describe(&status), "the stream of timestamps broke");
        }
        asked.lock().clear();
    });
    Exchange { requests }
}

/// Opens the stream of region heart beats.
fn heartbeats(
    mut pd: PdClient<Channel>,
    cluster_id: u64,
) -> Exchange<pdpb::RegionHeartbeatRequest, pdpb::RegionHeartbeatResponse> {
    let (requests, queue) = mpsc::unbounded_channel();
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let outgoing = outgoing(queue, asked.clone(), move |request: pdpb::RegionHeartbeatRequest| {
        pdpb::RegionHeartbeatRequest { header: header(cluster_id), ..request }
    });
    tokio::spawn(async move {
        let carry = async {
            let mut answers = pd.region_heartbeat(Request::new(outgoing)).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                hand_over(&asked, answer);
            }
            Ok::<(), Status>(())
        };
        if let Err(status) = carry.await {
            tracing::debug!(reason = %super::describe(&status), "the stream of heart beats broke");
        }
        asked.lock().clear();
    });
    Exchange { requests }
}

type Asked<A> = Arc<Mutex<VecDeque<oneshot::Sender<A>>>>;

/// The requests as the stream wants them; who asked is noted in their order.
fn outgoing<Q: Send + 'static, A: Send + 'static, M: Send + 'static>(
    queue: mpsc::UnboundedReceiver<(Q, oneshot::Sender<A>)>,
    asked: Asked<A>,
    message: impl Fn(Q) -> M + Send + 'static,
) -> impl futures::Stream<Item = M> + Send + 'static {
    futures::stream::unfold((queue, asked, message), |(mut queue, asked, message)| async move {
        let (request, sender) = queue.recv().await?;
        asked.lock().push_back(sender);
        Some((message(request), (queue, asked, message)))
    })
}

fn hand_over<A>(asked: &Asked<A>, answer: A) {
    if let Some(sender) = asked.lock().pop_front() {
        // Who left needs no answer; its place in the row was needed.
        let _ = sender.send(answer);
    }
}

/// The response, or the error in its header.
fn checked<R: Headed>(mut response: R) -> Result<R, PdError> {
    match response.header_mut().as_mut().and_then(|header| header.error.take()) {
        None => Ok(response),
        Some(error) => Err(pd_error::from_wire(error)),
    }
}

/// One unary call to the leader.
macro_rules! call {
    ($self:ident, $client:ident, $method:ident, $request:expr) => {
        call!($self, $client, $method, $request, Repeat::Always)
    };
    ($self:ident, $client:ident, $method:ident, $request:expr, $repeat:expr) => {{
        let request = $request;
        let ask = |connection: Arc<Connection>| {
            let mut request = request.clone();
            request.header = header(connection.cluster_id);
            async move {
                let mut client = connection.$client.clone();
                let answered = client.$method(Request::new(request)).await;
                answered.map(Response::into_inner).map_err(|status| Failure::of(&connection.address, &status))
            }
        };
        checked($self.insist($repeat, ask).await?)
    }};
}

macro_rules! calls {
    ($($method:ident $request:ident => $response:ident;)*) => {
        impl GrpcPd {
            $(async fn $method(&self, request: pdpb::$request) -> Result<pdpb::$response, PdError> {
                call!(self, pd, $method, request)
            })*
        }
    };
}

calls! {
    is_bootstrapped IsBootstrappedRequest => IsBootstrappedResponse;
    alloc_id AllocIdRequest => AllocIdResponse;
}

#[async_trait]
impl PdService for GrpcPd {
    async fn timestamps(&self, count: u32) -> Result<pdpb::Timestamp, PdError> {
        let ask = |connection: Arc<Connection>| async move { Ok(connection.timestamps.ask(count).await?) };
        self.insist(Repeat::Always, ask).await
    }

    async fn get_region(&self, request: pdpb::GetRegionRequest) -> Result<pdpb::GetRegionResponse, PdError> {
        call!(self, pd, get_region, request)
    }

    async fn get_prev_region(
        &self,
        request: pdpb::GetRegionRequest,
    ) -> Result<pdpb::GetRegionResponse, PdError> {
        call!(self, pd, get_prev_region, request)
    }

    async fn get_region_by_id(
        &self,
        request: pdpb::GetRegionByIdRequest,
    ) -> Result<pdpb::GetRegionResponse, PdError> {
        call!(self, pd, get_region_by_id, request)
    }

    async fn scan_regions(
        &self,
        request: pdpb::ScanRegionsRequest,
    ) -> Result<pdpb::ScanRegionsResponse, PdError> {
        call!(self, pd, scan_regions, request)
    }

    async fn get_store(&self, request: pdpb::GetStoreRequest) -> Result<pdpb::GetStoreResponse, PdError> {
        call!(self, pd, get_store, request)
    }

    async fn get_all_stores(
        &self,
        request: pdpb::GetAllStoresRequest,
    ) -> Result<pdpb::GetAllStoresResponse, PdError> {
        call!(self, pd, get_all_stores, request)
    }

    async fn put_store(&self, request: pdpb::PutStoreRequest) -> Result<pdpb::PutStoreResponse, PdError> {
        call!(self, pd, put_store, request)
    }

    async fn store_heartbeat(
        &self,
        request: pdpb::StoreHeartbeatRequest,
    ) -> Result<pdpb::StoreHeartbeatResponse, PdError> {
        call!(self, pd, store_heartbeat, request)
    }

    async fn is_bootstrapped(&self) -> Result<bool, PdError> {
        Ok(Self::is_bootstrapped(self, pdpb::IsBootstrappedRequest::default()).await?.bootstrapped)
    }

    async fn bootstrap(&self, request: pdpb::BootstrapRequest) -> Result<pdpb::BootstrapResponse, PdError> {
        call!(self, pd, bootstrap, request, Repeat::IfUndone)
    }

    async fn alloc_id(&self, count: u32) -> Result<u64, PdError> {
        Ok(Self::alloc_id(self, pdpb::AllocIdRequest { count, ..Default::default() }).await?.id)
    }

    async fn region_heartbeat(
        &self,
        request: pdpb::RegionHeartbeatRequest,
    ) -> Result<pdpb::RegionHeartbeatResponse, PdError> {
        let ask = |connection: Arc<Connection>| {
            let request = request.clone();
            async move { Ok(connection.heartbeats.ask(request).await?) }
        };
        checked(self.insist(Repeat::Always, ask).await?)
    }

    async fn ask_batch_split(
        &self,
        request: pdpb::AskBatchSplitRequest,
    ) -> Result<pdpb::AskBatchSplitResponse, PdError> {
        call!(self, pd, ask_batch_split, request)
    }

    async fn report_batch_split(
        &self,
        request: pdpb::ReportBatchSplitRequest,
    ) -> Result<pdpb::ReportBatchSplitResponse, PdError> {
        call!(self, pd, report_batch_split, request)
    }

    async fn scatter_region(
        &self,
        request: pdpb::ScatterRegionRequest,
    ) -> Result<pdpb::ScatterRegionResponse, PdError> {
        call!(self, pd, scatter_region, request)
    }

    async fn get_operator(
        &self,
        request: pdpb::GetOperatorRequest,
    ) -> Result<pdpb::GetOperatorResponse, PdError> {
        call!(self, pd, get_operator, request)
    }

    async fn split_regions(
        &self,
        request: pdpb::SplitRegionsRequest,
    ) -> Result<pdpb::SplitRegionsResponse, PdError> {
        call!(self, pd, split_regions, request)
    }

    async fn split_and_scatter_regions(
        &self,
        request: pdpb::SplitAndScatterRegionsRequest,
    ) -> Result<pdpb::SplitAndScatterRegionsResponse, PdError> {
        call!(self, pd, split_and_scatter_regions, request)
    }

    async fn get_gc_safe_point(
        &self,
        request: pdpb::GetGcSafePointRequest,
    ) -> Result<pdpb::GetGcSafePointResponse, PdError> {
        call!(self, pd, get_gc_safe_point, request)
    }

    async fn update_gc_safe_point(
        &self,
        request: pdpb::UpdateGcSafePointRequest,
    ) -> Result<pdpb::UpdateGcSafePointResponse, PdError> {
        call!(self, pd, update_gc_safe_point, request)
    }

    async fn update_service_gc_safe_point(
        &self,
        request: pdpb::UpdateServiceGcSafePointRequest,
    ) -> Result<pdpb::UpdateServiceGcSafePointResponse, PdError> {
        call!(self, pd, update_service_gc_safe_point, request)
    }

    async fn members(&self) -> Result<Vec<pdpb::Member>, PdError> {
        let ask = |connection: Arc<Connection>| async move {
            let answered = connection.pd.clone().get_members(Request::new(Default::default())).await;
            answered.map(Response::into_inner).map_err(|status| Failure::of(&connection.address, &status))
        };
        Ok(self.insist(Repeat::Always, ask).await?.members)
    }

    async fn load_keyspace(&self, name: &str) -> Result<keyspacepb::KeyspaceMeta, PdError> {
        let request = keyspacepb::LoadKeyspaceRequest { name: name.to_owned(), ..Default::default() };
        let answered = call!(self, keyspaces, load_keyspace, request)?;
        answered.keyspace.ok_or_else(|| PdError::KeyspaceNotFound { name: name.to_owned() })
    }

    async fn keyspaces(&self) -> Result<Vec<keyspacepb::KeyspaceMeta>, PdError> {
        let request = keyspacepb::GetAllKeyspacesRequest::default();
        Ok(call!(self, keyspaces, get_all_keyspaces, request)?.keyspaces)
    }
}
