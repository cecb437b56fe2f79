//! The placement driver's keys over the wire, as etcd's clients and kvproto's ask for them.

use std::time::Duration;

use bytes::Bytes;
use tidewater_pd::PdConfig;
use tidewater_proto::etcdserverpb::{
    self as etcd, kv_client::KvClient, lease_client::LeaseClient, watch_client::WatchClient,
    watch_request::RequestUnion,
};
use tidewater_proto::meta_storagepb::{self as meta, meta_storage_client::MetaStorageClient};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;

use crate::cluster::{channel, start_pd};

struct Client {
    keys: KvClient<Channel>,
    leases: LeaseClient<Channel>,
    watches: WatchClient<Channel>,
    meta: MetaStorageClient<Channel>,
    cluster_id: u64,
}

async fn start(stop: &CancellationToken) -> Client {
    let (_, address, cluster_id) = start_pd(PdConfig::default(), stop).await;
    let channel = channel(&address).await;
    Client {
        keys: KvClient::new(channel.clone()),
        leases: LeaseClient::new(channel.clone()),
        watches: WatchClient::new(channel.clone()),
        meta: MetaStorageClient::new(channel),
        cluster_id,
    }
}

fn put(key: &'static str, value: &'static str) -> etcd::PutRequest {
    etcd::PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

fn get(key: &'static str) -> etcd::RangeRequest {
    etcd::RangeRequest { key: key.into(), ..Default::default() }
}

/// A stream of requests that is fed by hand.
fn fed<T: Send + 'static>() -> (mpsc::UnboundedSender<T>, impl futures::Stream<Item = T> + Send + 'static) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stream = futures::stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<T>| async move {
        Some((receiver.recv().await?, receiver))
    });
    (sender, stream)
}

fn watch(union: RequestUnion) -> etcd::WatchRequest {
    etcd::WatchRequest { request_union: Some(union) }
}

fn create(key: &'static str, start_revision: i64, watch_id: i64) -> etcd::WatchRequest {
    let request = etcd::WatchCreateRequest {
        key: key.into(),
        start_revision,
        watch_id,
        prev_kv: true,
        ..Default::default()
    };
    watch(RequestUnion::CreateRequest(request))
}

#[tokio::test]
async fn keys_have_revisions_and_headers_tell_who_answers() {
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let mut client = start(&stop).await;
    let answer = client.keys.put(put("a", "1")).await.unwrap().into_inner();
    let header = answer.header.unwrap();
    assert_eq!((header.cluster_id, header.member_id, header.revision), (client.cluster_id, 7, 2));
    client.keys.put(put("a", "2")).await.unwrap();
    let old = etcd::RangeRequest { revision: 2, ..get("a") };
    let found = client.keys.range(old).await.unwrap().into_inner().kvs;
    assert_eq!((&found[0].value[..], found[0].version), (&b"1"[..], 1));
    client.keys.compact(etcd::CompactionRequest { revision: 3, physical: true }).await.unwrap();
    let refused = client.keys.range(etcd::RangeRequest { revision: 2, ..get("a") }).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert_eq!(refused.message(), "etcdserver: mvcc: required revision has been compacted");
    for (refused, code) in [
        (client.keys.put(put("", "v")).await.map(drop), Code::InvalidArgument),
        (client.keys.put(etcd::PutRequest { lease: 5, ..put("a", "v") }).await.map(drop), Code::NotFound),
        (client.leases.lease_revoke(etcd::LeaseRevokeRequest { id: 5 }).await.map(drop), Code::NotFound),
    ] {
        assert_eq!(refused.unwrap_err().code(), code);
    }
    // Where old clients of the garbage collector look there is an answer, as long as nobody has written one.
    let found = client.keys.range(get("/tidb/store/gcworker/saved_safe_point")).await.unwrap().into_inner();
    assert_eq!(found.count, 1);
}

#[tokio::test]
async fn many_watches_share_a_stream() {
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let mut client = start(&stop).await;
    let (requests, stream) = fed();
    requests.send(create("a", 0, 0)).unwrap();
    let mut answers = client.watches.watch(stream).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert!(first.created && first.watch_id != 0);
    requests.send(create("b", 1, 40)).unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().watch_id, 40);
    client.keys.put(put("a", "1")).await.unwrap();
    let news = answers.message().await.unwrap().unwrap();
    assert_eq!((news.watch_id, news.events.len(), news.header.unwrap().revision), (first.watch_id, 1, 2));
    client.keys.put(put("b", "1")).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().watch_id, 40);
    let cancel = etcd::WatchCancelRequest { watch_id: first.watch_id };
    requests.send(watch(RequestUnion::CancelRequest(cancel))).unwrap();
    let canceled = answers.message().await.unwrap().unwrap();
    assert!(canceled.canceled && canceled.watch_id == first.watch_id);
    client.keys.put(put("a", "2")).await.unwrap();
    client.keys.put(put("b", "2")).await.unwrap();
    let news = answers.message().await.unwrap().unwrap();
    assert_eq!(news.watch_id, 40);
    assert_eq!(news.events[0].prev_kv.as_ref().unwrap().value, "1");
    // The same id again, and a past that is not known.
    requests.send(create("b", 0, 40)).unwrap();
    assert!(answers.message().await.unwrap().unwrap().canceled);
    client.keys.compact(etcd::CompactionRequest { revision: 4, physical: false }).await.unwrap();
    requests.send(create("a", 2, 0)).unwrap();
    assert!(answers.message().await.unwrap().unwrap().created);
    let refused = answers.message().await.unwrap().unwrap();
    assert!(refused.canceled && refused.compact_revision == 4, "{refused:?}");
    requests.send(watch(RequestUnion::ProgressRequest(etcd::WatchProgressRequest {}))).unwrap();
    let progress = answers.message().await.unwrap().unwrap();
    assert_eq!((progress.watch_id, progress.header.unwrap().revision), (-1, 5));
}

#[tokio::test]
async fn a_lease_ends_when_nobody_keeps_it_alive() {
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let mut client = start(&stop).await;
    let id =
        client.leases.lease_grant(etcd::LeaseGrantRequest { ttl: 2, id: 0 }).await.unwrap().into_inner().id;
    client.keys.put(etcd::PutRequest { lease: id, ..put("owner", "me") }).await.unwrap();
    let (requests, stream) = fed();
    requests.send(etcd::LeaseKeepAliveRequest { id }).unwrap();
    let mut answers = client.leases.lease_keep_alive(stream).await.unwrap().into_inner();
    for _ in 0..6 {
        assert_eq!(answers.message().await.unwrap().unwrap().ttl, 2);
        tokio::time::sleep(Duration::from_millis(500)).await;
        requests.send(etcd::LeaseKeepAliveRequest { id }).unwrap();
    }
    answers.message().await.unwrap();
    let left = etcd::LeaseTimeToLiveRequest { id, keys: true };
    let left = client.leases.lease_time_to_live(left).await.unwrap().into_inner();
    assert_eq!((left.granted_ttl, left.keys), (2, vec![Bytes::from("owner")]));
    let (requests_of_watch, stream) = fed();
    requests_of_watch.send(create("owner", 0, 0)).unwrap();
    let mut news = client.watches.watch(stream).await.unwrap().into_inner();
    assert!(news.message().await.unwrap().unwrap().created);
    let ended = tokio::time::timeout(Duration::from_secs(30), news.message()).await.expect("it ends");
    assert_eq!(ended.unwrap().unwrap().events[0].r#type(), etcd::event::EventType::Delete);
    assert_eq!(client.keys.range(get("owner")).await.unwrap().into_inner().count, 0);
    requests.send(etcd::LeaseKeepAliveRequest { id }).unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl, 0);
}

#[tokio::test]
async fn the_same_keys_are_there_in_the_form_of_kvproto() {
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let mut client = start(&stop).await;
    let header = |cluster_id| Some(meta::RequestHeader { cluster_id, source: "test".to_owned() });
    let ours = header(client.cluster_id);
    let (key, value) = (Bytes::from("k"), Bytes::from("1"));
    let request = meta::PutRequest { header: ours.clone(), key: key.clone(), value, ..Default::default() };
    let stranger = meta::PutRequest { header: header(client.cluster_id + 1), ..request.clone() };
    assert_eq!(client.meta.put(stranger).await.unwrap_err().code(), Code::FailedPrecondition);
    let answer = client.meta.put(request).await.unwrap().into_inner();
    assert_eq!(answer.header.unwrap().revision, 2);
    assert_eq!(client.keys.range(get("k")).await.unwrap().into_inner().kvs[0].value, "1");
    let request = meta::WatchRequest {
        header: ours.clone(),
        key: key.clone(),
        start_revision: 2,
        prev_kv: true,
        ..Default::default()
    };
    let mut news = client.meta.watch(request.clone()).await.unwrap().into_inner();
    assert_eq!(news.message().await.unwrap().unwrap().events[0].kv.as_ref().unwrap().value, "1");
    let delete =
        meta::DeleteRequest { header: ours.clone(), key: key.clone(), prev_kv: true, ..Default::default() };
    let answer = client.meta.delete(delete).await.unwrap().into_inner();
    assert_eq!((answer.deleted, answer.prev_kvs.len()), (1, 1));
    let event = news.message().await.unwrap().unwrap().events.remove(0);
    assert_eq!((event.r#type(), event.prev_kv.unwrap().value), (meta::event::EventType::Delete, "1".into()));
    // Errors are in the header.
    client.keys.compact(etcd::CompactionRequest { revision: 3, physical: false }).await.unwrap();
    let old = meta::GetRequest { header: ours, key, revision: 2, ..Default::default() };
    let error = client.meta.get(old).await.unwrap().into_inner().header.unwrap().error.unwrap();
    assert_eq!(error.r#type(), meta::ErrorType::DataCompacted);
    let mut ended = client.meta.watch(request).await.unwrap().into_inner();
    let last = ended.message().await.unwrap().unwrap();
    assert_eq!(last.compact_revision, 3);
    assert!(ended.message().await.unwrap().is_none());
}
