//! The raw half of the fake store: one sorted map.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidewater_proto::kvrpcpb as kv;
use tidewater_proto::{StoreRequest, StoreResponse, errorpb};

#[derive(Default)]
pub struct RawPairs {
    pairs: BTreeMap<Bytes, (Bytes, u64)>,
}

/// The context of a raw request, and the keys that must be in its region.
pub fn address(request: &StoreRequest) -> Option<(kv::Context, Vec<Bytes>)> {
    let (context, keys) = match request {
        StoreRequest::RawGet(request) => (&request.context, vec![request.key.clone()]),
        StoreRequest::RawBatchGet(request) => (&request.context, request.keys.clone()),
        StoreRequest::RawPut(request) => (&request.context, vec![request.key.clone()]),
        StoreRequest::RawBatchPut(request) => {
            (&request.context, request.pairs.iter().map(|pair| pair.key.clone()).collect())
        }
        StoreRequest::RawDelete(request) => (&request.context, vec![request.key.clone()]),
        StoreRequest::RawBatchDelete(request) => (&request.context, request.keys.clone()),
        StoreRequest::RawDeleteRange(request) => (&request.context, vec![request.start_key.clone()]),
        StoreRequest::RawScan(request) if request.reverse => {
            (&request.context, vec![request.end_key.clone()])
        }
        StoreRequest::RawScan(request) => (&request.context, vec![request.start_key.clone()]),
        StoreRequest::RawGetKeyTtl(request) => (&request.context, vec![request.key.clone()]),
        StoreRequest::RawCas(request) => (&request.context, vec![request.key.clone()]),
        StoreRequest::RawChecksum(request) => {
            (&request.context, request.ranges.iter().map(|range| range.start_key.clone()).collect())
        }
        _ => return None,
    };
    Some((context.clone().unwrap_or_default(), keys))
}

/// A region error in the form of the request's answer.
pub fn refuse(request: &StoreRequest, error: errorpb::Error) -> StoreResponse {
    macro_rules! answer {
        ($($request:ident $response:ident)*) => {
            match request {
                $(StoreRequest::$request(_) => StoreResponse::$request(kv::$response {
                    region_error: Some(error),
                    ..Default::default()
                }),)*
                other => panic!("{other:?} is not raw"),
            }
        };
    }
    answer! {
        RawGet RawGetResponse RawBatchGet RawBatchGetResponse RawPut RawPutResponse RawBatchPut RawBatchPutResponse
        RawDelete RawDeleteResponse RawBatchDelete RawBatchDeleteResponse RawDeleteRange RawDeleteRangeResponse
        RawScan RawScanResponse RawGetKeyTtl RawGetKeyTtlResponse RawCas RawCasResponse RawChecksum RawChecksumResponse
    }
}

impl RawPairs {
    fn range(&self, start: &Bytes, end: &Bytes) -> Vec<kv::KvPair> {
        self.pairs
            .iter()
            .filter(|(key, _)| *key >= start && (end.is_empty() || *key < end))
            .map(|(key, (value, _))| kv::KvPair { key: key.clone(), value: value.clone(), error: None })
            .collect()
    }

    pub fn answer(&mut self, request: StoreRequest) -> StoreResponse {
        match request {
            StoreRequest::RawGet(request) => {
                let found = self.pairs.get(&request.key).map(|(value, _)| value.clone());
                StoreResponse::RawGet(kv::RawGetResponse {
                    not_found: found.is_none(),
                    value: found.unwrap_or_default(),
                    ..Default::default()
                })
            }
            StoreRequest::RawBatchGet(request) => {
                let found = request.keys.iter().filter_map(|key| {
                    let (value, _) = self.pairs.get(key)?;
                    Some(kv::KvPair { key: key.clone(), value: value.clone(), error: None })
                });
                StoreResponse::RawBatchGet(kv::RawBatchGetResponse {
                    pairs: found.collect(),
                    ..Default::default()
                })
            }
            StoreRequest::RawPut(request) if request.value == "forbidden" => {
                StoreResponse::RawPut(kv::RawPutResponse { error: "forbidden".into(), ..Default::default() })
            }
            StoreRequest::RawPut(request) => {
                self.pairs.insert(request.key, (request.value, request.ttl));
                StoreResponse::RawPut(Default::default())
            }
            StoreRequest::RawBatchPut(request) => {
                for (pair, ttl) in request.pairs.into_iter().zip(request.ttls) {
                    self.pairs.insert(pair.key, (pair.value, ttl));
                }
                StoreResponse::RawBatchPut(Default::default())
            }
            StoreRequest::RawDelete(request) => {
                self.pairs.remove(&request.key);
                StoreResponse::RawDelete(Default::default())
            }
            StoreRequest::RawBatchDelete(request) => {
                request.keys.iter().for_each(|key| drop(self.pairs.remove(key)));
                StoreResponse::RawBatchDelete(Default::default())
            }
            StoreRequest::RawDeleteRange(request) => {
                for pair in self.range(&request.start_key, &request.end_key) {
                    self.pairs.remove(&pair.key);
                }
                StoreResponse::RawDeleteRange(Default::default())
            }
            StoreRequest::RawScan(request) => {
                let mut kvs = match request.reverse {
                    true => self.range(&request.end_key, &request.start_key),
                    false => self.range(&request.start_key, &request.end_key),
                };
                if request.reverse {
                    kvs.reverse();
                }
                kvs.truncate(request.limit as usize);
                StoreResponse::RawScan(kv::RawScanResponse { kvs, ..Default::default() })
            }
            StoreRequest::RawGetKeyTtl(request) => {
                let found = self.pairs.get(&request.key);
                StoreResponse::RawGetKeyTtl(kv::RawGetKeyTtlResponse {
                    not_found: found.is_none(),
                    ttl: found.map_or(0, |(_, ttl)| *ttl),
                    ..Default::default()
                })
            }
            StoreRequest::RawCas(request) => {
                let previous = self.pairs.get(&request.key).map(|(value, _)| value.clone());
                let expected = (!request.previous_not_exist).then_some(request.previous_value);
                let succeed = previous == expected;
                if succeed {
                    self.pairs.insert(request.key, (request.value, request.ttl));
                }
                StoreResponse::RawCas(kv::RawCasResponse {
                    succeed,
                    previous_not_exist: previous.is_none(),
                    previous_value: previous.unwrap_or_default(),
                    ..Default::default()
                })
            }
            StoreRequest::RawChecksum(request) => {
                let mut response = kv::RawChecksumResponse::default();
                let ranges = request.ranges.iter();
                for pair in ranges.flat_map(|range| self.range(&range.start_key, &range.end_key)) {
                    let sum =
                        |bytes: &[u8]| bytes.iter().fold(7, |sum: u64, byte| sum * 31 + u64::from(*byte));
                    response.checksum ^= sum(&pair.key) ^ sum(&pair.value).rotate_left(9);
                    response.total_kvs += 1;
                    response.total_bytes += (pair.key.len() + pair.value.len()) as u64;
                }
                StoreResponse::RawChecksum(response)
            }
            other => panic!("{other:?} is not raw"),
        }
    }
}
