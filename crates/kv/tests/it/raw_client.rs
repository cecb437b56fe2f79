//! Short ways to call the raw commands.

use bytes::Bytes;
use tidewater_proto::kvrpcpb;

use super::{Store, bytes, context_of, text};
use crate::call;

/// A client of one API version that uses one column family.
#[derive(Clone, Copy)]
pub struct RawClient<'s> {
    pub store: &'s Store,
    pub version: i32,
    pub cf: &'static str,
}

impl<'s> RawClient<'s> {
    pub fn new(store: &'s Store, version: i32) -> Self {
        Self { store, version, cf: "" }
    }

    pub fn in_family(self, cf: &'static str) -> Self {
        Self { cf, ..self }
    }

    /// The key as this client sends it.
    pub fn key(self, name: &str) -> Bytes {
        match self.version {
            2 => [b"r\0\0\0", name.as_bytes()].concat().into(),
            _ => bytes(name),
        }
    }

    fn name(self, key: &[u8]) -> String {
        text(if self.version == 2 { &key[4..] } else { key })
    }

    /// A bound; an empty one is the end of what this client may see.
    pub fn end(self, name: &str) -> Bytes {
        match (self.version, name) {
            (2, "") => Bytes::from_static(b"r\0\0\x01"),
            _ => self.key(name),
        }
    }

    pub fn context(self, name: &str) -> kvrpcpb::Context {
        let key = self.key(name);
        let region = match self.version {
            2 => self.store.pd.region_of(&key),
            _ => self.store.pd.region_of_plain(&key),
        };
        kvrpcpb::Context { api_version: self.version, ..context_of(&region) }
    }

    pub fn put_request(self, name: &str, value: &str) -> kvrpcpb::RawPutRequest {
        kvrpcpb::RawPutRequest {
            context: Some(self.context(name)),
            key: self.key(name),
            value: bytes(value),
            cf: self.cf.into(),
            ..Default::default()
        }
    }

    pub async fn put(self, name: &str, value: &str) {
        self.put_for(name, value, 0).await;
    }

    pub async fn put_for(self, name: &str, value: &str, ttl: u64) {
        let request = kvrpcpb::RawPutRequest { ttl, ..self.put_request(name, value) };
        assert_eq!(call!(self.store, RawPut, request), kvrpcpb::RawPutResponse::default());
    }

    pub async fn batch_put(self, pairs: &[(&str, &str)], ttls: &[u64]) -> String {
        let pairs = pairs.iter().map(|(name, value)| kvrpcpb::KvPair {
            key: self.key(name),
            value: bytes(value),
            ..Default::default()
        });
        let pairs = pairs.collect::<Vec<_>>();
        let request = kvrpcpb::RawBatchPutRequest {
            context: Some(self.context("")),
            pairs,
            cf: self.cf.into(),
            ttls: ttls.to_vec(),
            ..Default::default()
        };
        let answer = call!(self.store, RawBatchPut, request);
        assert_eq!(answer.region_error, None);
        answer.error
    }

    pub async fn get(self, name: &str) -> Option<String> {
        let request = kvrpcpb::RawGetRequest {
            context: Some(self.context(name)),
            key: self.key(name),
            cf: self.cf.into(),
        };
        let answer = call!(self.store, RawGet, request);
        assert_eq!((answer.region_error, answer.error), (None, String::new()));
        (!answer.not_found).then(|| text(&answer.value))
    }

    pub async fn batch_get(self, names: &[&str]) -> Vec<(String, String)> {
        let request = kvrpcpb::RawBatchGetRequest {
            context: Some(self.context("")),
            keys: names.iter().map(|name| self.key(name)).collect(),
            cf: self.cf.into(),
        };
        let answer = call!(self.store, RawBatchGet, request);
        assert_eq!(answer.region_error, None);
        self.pairs(answer.pairs)
    }

    pub async fn ttl(self, name: &str) -> Option<u64> {
        let request = kvrpcpb::RawGetKeyTtlRequest {
            context: Some(self.context(name)),
            key: self.key(name),
            cf: self.cf.into(),
        };
        let answer = call!(self.store, RawGetKeyTtl, request);
        assert_eq!((answer.region_error, answer.error), (None, String::new()));
        (!answer.not_found).then_some(answer.ttl)
    }

    pub async fn delete(self, name: &str) {
        let request = kvrpcpb::RawDeleteRequest {
            context: Some(self.context(name)),
            key: self.key(name),
            cf: self.cf.into(),
            ..Default::default()
        };
        assert_eq!(call!(self.store, RawDelete, request), kvrpcpb::RawDeleteResponse::default());
    }

    pub async fn batch_delete(self, names: &[&str]) {
        let request = kvrpcpb::RawBatchDeleteRequest {
            context: Some(self.context("")),
            keys: names.iter().map(|name| self.key(name)).collect(),
            cf: self.cf.into(),
            ..Default::default()
        };
        assert_eq!(call!(self.store, RawBatchDelete, request), kvrpcpb::RawBatchDeleteResponse::default());
    }

    /// In the region of `start`.
    pub async fn delete_range(self, start: &str, end: &str) {
        let request = kvrpcpb::RawDeleteRangeRequest {
            context: Some(self.context(start)),
            start_key: self.key(start),
            end_key: self.end(end),
            cf: self.cf.into(),
        };
        assert_eq!(call!(self.store, RawDeleteRange, request), kvrpcpb::RawDeleteRangeResponse::default());
    }

    /// Swaps; returns whether it did, and what was there before.
    pub async fn cas(self, name: &str, expected: Option<&str>, value: &str) -> (bool, Option<String>) {
        let request = kvrpcpb::RawCasRequest {
            context: Some(self.context(name)),
            key: self.key(name),
            value: bytes(value),
            previous_not_exist: expected.is_none(),
            previous_value: bytes(expected.unwrap_or_default()),
            cf: self.cf.into(),
            ..Default::default()
        };
        let answer = call!(self.store, RawCas, request);
        assert_eq!((answer.region_error, answer.error), (None, String::new()));
        (answer.succeed, (!answer.previous_not_exist).then(|| text(&answer.previous_value)))
    }

    /// Scans the region of `at`, whatever the bounds.
    pub async fn scan_at(
        self,
        at: &str,
        start: &str,
        end: &str,
        limit: u32,
        reverse: bool,
    ) -> Vec<(String, String)> {
        let (start, end) = (self.key(start), self.end(end));
        let (start_key, end_key) = if reverse { (end, start) } else { (start, end) };
        let request = kvrpcpb::RawScanRequest {
            context: Some(self.context(at)),
            start_key,
            end_key,
            limit,
            reverse,
            cf: self.cf.into(),
            ..Default::default()
        };
        let answer = call!(self.store, RawScan, request);
        assert_eq!(answer.region_error, None);
        self.pairs(answer.kvs)
    }

    pub async fn scan(self, start: &str, end: &str) -> Vec<(String, String)> {
        self.scan_at(start, start, end, 1000, false).await
    }

    pub fn pairs(self, pairs: Vec<kvrpcpb::KvPair>) -> Vec<(String, String)> {
        let pair = |pair: kvrpcpb::KvPair| {
            assert_eq!(pair.error, None);
            (self.name(&pair.key), text(&pair.value))
        };
        pairs.into_iter().map(pair).collect()
    }
}
