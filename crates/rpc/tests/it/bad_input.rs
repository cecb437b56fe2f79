//! Bytes that are no requests: an error or a closed connection, never a panic, and the next client is served.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_kv::NodeConfig;
use tidewater_proto::tikvpb::tikv_client::TikvClient;
use tidewater_proto::{PdService, kvrpcpb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, channel};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a stranger may send: noise, noise behind a good beginning, headers without end.
fn garbage(rng: &mut SmallRng) -> Vec<u8> {
    let length = rng.random_range(0..2000);
    let noise: Vec<u8> = (0..length).map(|_| rng.random()).collect();
    match rng.random_range(0..5) {
        0 => noise,
        1 => [PREFACE, &noise].concat(),
        2 => [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0], &noise].concat(),
        3 => [b"GET /pd/api/v1/regions?limit=", &noise[..], b" HTTP/1.1\r\n\r\n"].concat(),
        _ => [b"POST /pd/api/v2/keyspaces HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n", &noise[..]]
            .concat(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_on_the_ports_harms_nobody() {
    let cluster = Cluster::start(1, NodeConfig::default()).await;
    let mut rng = SmallRng::seed_from_u64(1);
    for address in [&cluster.pd_address, &cluster.store_addresses[0]] {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The other side may hang up in the middle.
            let _ = stream.write_all(&garbage(&mut rng)).await;
            let mut answer = [0; 512];
            let _ = tokio::time::timeout(Duration::from_millis(5), stream.read(&mut answer)).await;
        }
    }
    assert!(cluster.pd.timestamps(1).await.is_ok());
    assert!(cluster.client().current_timestamp().await.is_ok());
    let mut store = TikvClient::new(channel(&cluster.store_addresses[0]).await);
    let answer = store.kv_get(kvrpcpb::GetRequest::default()).await.unwrap().into_inner();
    assert!(answer.region_error.is_some(), "a request without a place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_do_not_decode_are_refused() {
    let cluster = Cluster::start(1, NodeConfig::default()).await;
    let channel = channel(&cluster.store_addresses[0]).await;
    let mut rng = SmallRng::seed_from_u64(2);
    for path in
        ["/tikvpb.Tikv/KvGet", "/tikvpb.Tikv/KvPrewrite", "/tikvpb.Tikv/Coprocessor", "/tikvpb.Tikv/Nonsense"]
    {
        for _ in 0..50 {
            let length = rng.random_range(0..200);
            let body: Vec<u8> = (0..length).map(|_| rng.random()).collect();
            let mut client = tonic::client::Grpc::new(channel.clone());
            client.ready().await.unwrap();
            let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
            // Noise that happens to decode is a request like any other.
            let _ = client.unary(tonic::Request::new(body), path, Bytes).await;
        }
    }
    assert!(cluster.client().current_timestamp().await.is_ok());
}

/// Sends bytes as they are.
#[derive(Clone, Default)]
struct Bytes;

impl tonic::codec::Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), tonic::Status> {
        use bytes::BufMut;
        into.put_slice(&item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Vec<u8>>, tonic::Status> {
        use bytes::Buf;
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}
