//! A batch of commands to the wire and back. Run with `cargo run -p tidewater-proto --example batch`.

use prost::Message;
use tidewater_proto::{StoreRequest, kvrpcpb, tikvpb};

fn main() -> Result<(), prost::DecodeError> {
    let get = kvrpcpb::GetRequest { key: "k".into(), version: 7, ..Default::default() };
    let scan = kvrpcpb::ScanRequest { start_key: "a".into(), limit: 10, version: 7, ..Default::default() };
    let request = |cmd| tikvpb::batch_commands_request::Request { cmd: Some(cmd) };
    let batch = tikvpb::BatchCommandsRequest {
        requests: vec![request(StoreRequest::Get(get)), request(StoreRequest::Scan(scan))],
        request_ids: vec![1, 2],
    };
    let wire = batch.encode_to_vec();
    println!("{} bytes: {wire:02x?}", wire.len());
    for (id, request) in
        batch.request_ids.iter().zip(tikvpb::BatchCommandsRequest::decode(&wire[..])?.requests)
    {
        match request.cmd {
            Some(StoreRequest::Get(get)) => println!("{id}: get {:?} at {}", get.key, get.version),
            Some(StoreRequest::Scan(scan)) => {
                println!("{id}: scan from {:?}, at most {} rows", scan.start_key, scan.limit)
            }
            other => println!("{id}: {other:?}"),
        }
    }
    Ok(())
}
