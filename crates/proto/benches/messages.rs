//! What a point read and a small write cost to encode and decode.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use prost::Message;
use tidewater_proto::{kvrpcpb, metapb};

fn context() -> Option<kvrpcpb::Context> {
    Some(kvrpcpb::Context {
        region_id: 12,
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 7 }),
        peer: Some(metapb::Peer { id: 13, store_id: 1, ..Default::default() }),
        ..Default::default()
    })
}

fn messages(c: &mut Criterion) {
    let get =
        kvrpcpb::GetRequest { context: context(), key: vec![7; 19].into(), version: 455_000_614_502_400_001 };
    c.bench_function("get_request_round_trip", |b| {
        b.iter(|| black_box(kvrpcpb::GetRequest::decode(black_box(&get).encode_to_vec().as_slice())));
    });
    let mutation =
        kvrpcpb::Mutation { key: vec![7; 19].into(), value: vec![8; 120].into(), ..Default::default() };
    let prewrite = kvrpcpb::PrewriteRequest {
        context: context(),
        mutations: vec![mutation; 16],
        primary_lock: vec![7; 19].into(),
        start_version: 455_000_614_502_400_001,
        ..Default::default()
    };
    c.bench_function("prewrite_request_of_16_keys_round_trip", |b| {
        b.iter(|| {
            black_box(kvrpcpb::PrewriteRequest::decode(black_box(&prewrite).encode_to_vec().as_slice()))
        });
    });
}

criterion_group!(benches, messages);
criterion_main!(benches);
