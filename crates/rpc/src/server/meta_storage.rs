//! The placement driver's keys with revisions in kvproto's form: the same keys that etcd's clients see.

use futures::StreamExt;
use futures::stream::BoxStream;
use tidewater_proto::meta_storagepb::meta_storage_server::MetaStorage;
use tidewater_proto::{KeyValueError, KeyWatch, PdError, etcdserverpb as etcd, meta_storagepb as meta};
use tonic::{Request, Response, Status};

use super::etcd::status;
use super::pd::{Answered, PdEndpoint};

fn key_value(known: etcd::KeyValue) -> meta::KeyValue {
    let etcd::KeyValue { key, create_revision, mod_revision, version, value, lease } = known;
    meta::KeyValue { key, create_revision, mod_revision, version, value, lease }
}

fn event(known: etcd::Event) -> meta::Event {
    meta::Event { r#type: known.r#type, kv: known.kv.map(key_value), prev_kv: known.prev_kv.map(key_value) }
}

impl PdEndpoint {
    async fn check_meta(&self, header: Option<&meta::RequestHeader>) -> Result<u64, Status> {
        let (named, needed) = (header.map_or(0, |header| header.cluster_id), self.0.cluster_id().await?);
        match named == needed {
            true => Ok(needed),
            false => {
                let reason = format!("mismatch cluster id, need {needed} but got {named}");
                Err(Status::failed_precondition(reason))
            }
        }
    }
}

fn answer_header(cluster_id: u64, known: Option<etcd::ResponseHeader>) -> Option<meta::ResponseHeader> {
    let revision = known.map_or(0, |header| header.revision);
    Some(meta::ResponseHeader { cluster_id, error: None, revision })
}

/// What is wrong with a request travels in the header; that somebody else leads is a status.
fn refusal(cluster_id: u64, error: &KeyValueError) -> Result<Option<meta::ResponseHeader>, Status> {
    let kind = match error {
        KeyValueError::Driver(PdError::NotLeader | PdError::LeadershipLost) => return Err(status(error)),
        KeyValueError::Compacted { .. } => meta::ErrorType::DataCompacted,
        _ => meta::ErrorType::Unknown,
    };
    let error = Some(meta::Error { r#type: kind.into(), message: error.to_string() });
    Ok(Some(meta::ResponseHeader { cluster_id, error, revision: 0 }))
}

#[tonic::async_trait]
impl MetaStorage for PdEndpoint {
    type WatchStream = BoxStream<'static, Result<meta::WatchResponse, Status>>;

    async fn watch(&self, request: Request<meta::WatchRequest>) -> Answered<Self::WatchStream> {
        let request = request.into_inner();
        let cluster_id = self.check_meta(request.header.as_ref()).await?;
        let create = etcd::WatchCreateRequest {
            key: request.key,
            range_end: request.range_end,
            start_revision: request.start_revision,
            prev_kv: request.prev_kv,
            ..Default::default()
        };
        let watch = match self.key_values()?.watch(create).await {
            Ok(watch) => Some(watch),
            Err(error) => {
                let last = ended(cluster_id, &error);
                return Ok(Response::new(futures::stream::iter([last]).boxed()));
            }
        };
        let changes = futures::stream::unfold(watch, move |watch: Option<Box<dyn KeyWatch>>| async move {
            let mut watch = watch?;
            match watch.next().await {
                Ok(news) => {
                    let answer = meta::WatchResponse {
                        header: answer_header(cluster_id, news.header),
                        compact_revision: 0,
                        events: news.events.into_iter().map(event).collect(),
                    };
                    Some((Ok(answer), Some(watch)))
                }
                Err(error) => Some((ended(cluster_id, &error), None)),
            }
        });
        Ok(Response::new(changes.boxed()))
    }

    async fn get(&self, request: Request<meta::GetRequest>) -> Answered<meta::GetResponse> {
        let request = request.into_inner();
        let cluster_id = self.check_meta(request.header.as_ref()).await?;
        let range = etcd::RangeRequest {
            key: request.key,
            range_end: request.range_end,
            limit: request.limit,
            revision: request.revision,
            ..Default::default()
        };
        Ok(Response::new(match self.key_values()?.range(range).await {
            Ok(found) => meta::GetResponse {
                header: answer_header(cluster_id, found.header),
                kvs: found.kvs.into_iter().map(key_value).collect(),
                more: found.more,
                count: found.count,
            },
            Err(error) => meta::GetResponse { header: refusal(cluster_id, &error)?, ..Default::default() },
        }))
    }

    async fn put(&self, request: Request<meta::PutRequest>) -> Answered<meta::PutResponse> {
        let request = request.into_inner();
        let cluster_id = self.check_meta(request.header.as_ref()).await?;
        let put = etcd::PutRequest {
            key: request.key,
            value: request.value,
            lease: request.lease,
            prev_kv: request.prev_kv,
            ..Default::default()
        };
        Ok(Response::new(match self.key_values()?.put(put).await {
            Ok(done) => meta::PutResponse {
                header: answer_header(cluster_id, done.header),
                prev_kv: done.prev_kv.map(key_value),
            },
            Err(error) => meta::PutResponse { header: refusal(cluster_id, &error)?, prev_kv: None },
        }))
    }

    async fn delete(&self, request: Request<meta::DeleteRequest>) -> Answered<meta::DeleteResponse> {
        let request = request.into_inner();
        let cluster_id = self.check_meta(request.header.as_ref()).await?;
        let delete = etcd::DeleteRangeRequest {
            key: request.key,
            range_end: request.range_end,
            prev_kv: request.prev_kv,
        };
        Ok(Response::new(match self.key_values()?.delete_range(delete).await {
            Ok(done) => meta::DeleteResponse {
                header: answer_header(cluster_id, done.header),
                deleted: done.deleted,
                prev_kvs: done.prev_kvs.into_iter().map(key_value).collect(),
            },
            Err(error) => meta::DeleteResponse { header: refusal(cluster_id, &error)?, ..Default::default() },
        }))
    }
}

/// The last word of a watch.
fn ended(cluster_id: u64, error: &KeyValueError) -> Result<meta::WatchResponse, Status> {
    let compact_revision = match error {
        KeyValueError::Compacted { revision } => *revision,
        _ => 0,
    };
    let header = refusal(cluster_id, error)?;
    Ok(meta::WatchResponse { header, compact_revision, events: Vec::new() })
}
