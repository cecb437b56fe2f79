//! Many watches over one stream, as etcd's clients hold them.
//!
//! The answers of one stream wait in a short queue. While it is full nothing is read for its watches: they go on from where they are, or learn
//! that what they have missed is not known any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use tidewater_proto::etcdserverpb as etcd;
use tidewater_proto::etcdserverpb::watch_request::RequestUnion;
use tidewater_proto::{KeyValueError, KeyWatch, PdError, PdService};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::etcd::status;

/// Answers that wait to be sent.
const QUEUE_MAX: usize = 4;
/// Watches of one stream.
const WATCHES_MAX: usize = 10_000;
/// What etcd names in answers that are about no single watch.
const ALL_WATCHES: i64 = -1;

/// Serves the watches that a client asks for, until it goes away.
pub(super) fn serve(
    pd: Arc<dyn PdService>,
    header: etcd::ResponseHeader,
    requests: Streaming<etcd::WatchRequest>,
) -> BoxStream<'static, Result<etcd::WatchResponse, Status>> {
    let (answers, queue) = mpsc::channel(QUEUE_MAX);
    let watches = Watches { pd, header, answers, running: BTreeMap::new(), last_id: 0 };
    tokio::spawn(watches.run(requests));
    futures::stream::unfold(queue, |mut queue| async move { Some((queue.recv().await?, queue)) }).boxed()
}

struct Watches {
    pd: Arc<dyn PdService>,
    header: etcd::ResponseHeader,
    answers: mpsc::Sender<Result<etcd::WatchResponse, Status>>,
    /// By id: how to stop each, and up to which revision it has told.
    running: BTreeMap<i64, (CancellationToken, i64)>,
    last_id: i64,
}

/// What a watch has to say, with itself to be asked again.
struct News {
    id: i64,
    watch: Box<dyn KeyWatch>,
    said: Said,
}

enum Said {
    Stopped,
    Changes(Result<etcd::WatchResponse, KeyValueError>),
}

type Pending = FuturesUnordered<BoxFuture<'static, News>>;

fn ask_again(id: i64, mut watch: Box<dyn KeyWatch>, stop: CancellationToken) -> BoxFuture<'static, News> {
    async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => News { id, watch, said: Said::Stopped },
            changes = watch.next() => News { id, watch, said: Said::Changes(changes) },
        }
    }
    .boxed()
}

/// The client does not listen any more, or nothing can be told any more.
struct Over;

impl Watches {
    async fn run(mut self, mut requests: Streaming<etcd::WatchRequest>) {
        let mut pending = Pending::new();
        let (mut asks, answers) = (true, self.answers.clone());
        while asks || !self.running.is_empty() {
            let done = tokio::select! {
                () = answers.closed() => return,
                request = requests.message(), if asks => match request {
                    Ok(Some(request)) => self.take(request, &mut pending).await,
                    Ok(None) => {
                        asks = false;
                        Ok(())
                    }
                    Err(_) => return,
                },
                Some(news) = pending.next(), if !pending.is_empty() => self.tell(news, &mut pending).await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn send(&self, answer: etcd::WatchResponse) -> Result<(), Over> {
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        let header = Some(etcd::ResponseHeader { revision, ..self.header });
        self.answers.send(Ok(etcd::WatchResponse { header, ..answer })).await.map_err(|_| Over)
    }

    async fn take(&mut self, request: etcd::WatchRequest, pending: &mut Pending) -> Result<(), Over> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create, pending).await,
            Some(RequestUnion::CancelRequest(cancel)) => {
                let Some((stop, revision)) = self.running.remove(&cancel.watch_id) else { return Ok(()) };
                stop.cancel();
                let header = Some(etcd::ResponseHeader { revision, ..Default::default() });
                let watch_id = cancel.watch_id;
                self.send(etcd::WatchResponse { header, watch_id, canceled: true, ..Default::default() })
                    .await
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                // All watches have told everything up to the least of these.
                let told = self.running.values().map(|(_, revision)| *revision).min();
                let Some(revision) = told else { return Ok(()) };
                let header = Some(etcd::ResponseHeader { revision, ..Default::default() });
                self.send(etcd::WatchResponse { header, watch_id: ALL_WATCHES, ..Default::default() }).await
            }
            None => Ok(()),
        }
    }

    async fn create(&mut self, create: etcd::WatchCreateRequest, pending: &mut Pending) -> Result<(), Over> {
        let wanted = create.watch_id;
        if self.running.contains_key(&wanted) && wanted != 0 || self.running.len() >= WATCHES_MAX {
            let reason = match self.running.len() {
                WATCHES_MAX.. => "etcdserver: too many watches on one stream",
                _ => "etcdserver: mvcc: duplicate watch ID provided on the WatchStream",
            };
            return self.refuse(ALL_WATCHES, 0, reason.to_owned()).await;
        }
        let id = match wanted {
            0 => {
                while self.last_id == 0 || self.running.contains_key(&self.last_id) {
                    self.last_id += 1;
                }
                self.last_id
            }
            wanted => wanted,
        };
        let opened = match self.pd.key_values() {
            Some(keys) => keys.watch(create).await,
            None => Err(PdError::NotLeader.into()),
        };
        match opened {
            Ok(watch) => {
                let (stop, revision) = (CancellationToken::new(), watch.revision());
                self.running.insert(id, (stop.clone(), revision));
                let header = Some(etcd::ResponseHeader { revision, ..Default::default() });
                self.send(etcd::WatchResponse { header, watch_id: id, created: true, ..Default::default() })
                    .await?;
                pending.push(ask_again(id, watch, stop));
                Ok(())
            }
            Err(KeyValueError::Compacted { revision }) => {
                self.refuse(id, revision, KeyValueError::Compacted { revision }.to_string()).await
            }
            Err(error) => self.fail(&error).await,
        }
    }

    /// As in etcd: a watch that is refused was created first.
    async fn refuse(&self, watch_id: i64, compact_revision: i64, cancel_reason: String) -> Result<(), Over> {
        let created = etcd::WatchResponse { watch_id, created: true, ..Default::default() };
        if watch_id == ALL_WATCHES {
            let refused = etcd::WatchResponse { canceled: true, cancel_reason, ..created };
            return self.send(refused).await;
        }
        self.send(created).await?;
        self.cancel(watch_id, compact_revision, cancel_reason).await
    }

    async fn cancel(&self, watch_id: i64, compact_revision: i64, cancel_reason: String) -> Result<(), Over> {
        let canceled = etcd::WatchResponse {
            watch_id,
            canceled: true,
            compact_revision,
            cancel_reason,
            ..Default::default()
        };
        self.send(canceled).await
    }

    /// The whole stream ends: clients open it anew, where they find a leader.
    async fn fail(&self, error: &KeyValueError) -> Result<(), Over> {
        let _ = self.answers.send(Err(status(error))).await;
        Err(Over)
    }

    async fn tell(&mut self, news: News, pending: &mut Pending) -> Result<(), Over> {
        let News { id, watch, said: Said::Changes(changes) } = news else { return Ok(()) };
        let Some((stop, told)) = self.running.get_mut(&id) else { return Ok(()) };
        match changes {
            Ok(answer) => {
                *told = watch.revision();
                let stop = stop.clone();
                self.send(etcd::WatchResponse { watch_id: id, ..answer }).await?;
                pending.push(ask_again(id, watch, stop));
                Ok(())
            }
            Err(KeyValueError::Compacted { revision }) => {
                self.running.remove(&id);
                self.cancel(id, revision, KeyValueError::Compacted { revision }.to_string()).await
            }
            Err(error) => self.fail(&error).await,
        }
    }
}
