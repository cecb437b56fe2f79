//! Mutual TLS: who shows no certificate of the authority gets nothing.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::PdService;
use tidewater_rpc::{ChannelOptions, GrpcPd, PdIdentity, RpcServer, Security, SecurityError, pd_routes};
use tidewater_types::clock::SystemClock;
use tokio_util::sync::CancellationToken;

/// An authority and one certificate of it, as files.
fn certificates(folder: &Path, name: &str) -> Security {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let write = |part: &str, text: String| {
        let path = folder.join(format!("{name}.{part}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    };
    Security {
        ca_path: write("ca", authority_pem),
        cert_path: write("cert", certificate.pem()),
        key_path: write("key", key.serialize_pem()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_certificates_of_the_authority_are_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let ours = certificates(folder.path(), "ours");
    let theirs = certificates(folder.path(), "theirs");
    let server = RpcServer::bind("127.0.0.1:0", ours.clone()).await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let pd =
        PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), Arc::new(SystemClock))
            .unwrap();
    let url = format!("https://{address}");
    let identity = PdIdentity {
        cluster_id: pd.cluster_id(),
        name: "pd".to_owned(),
        member_id: 7,
        client_urls: vec![url.clone()],
        peer_urls: vec![url],
    };
    let stop = CancellationToken::new();
    tokio::spawn(server.run(pd_routes(pd, identity), stop.clone()));
    let connect = |security: Security| {
        let options = ChannelOptions { security, ..ChannelOptions::default() };
        let endpoints = [address.clone()];
        async move { GrpcPd::connect(&endpoints, options).await }
    };
    assert!(connect(ours.clone()).await.unwrap().timestamps(1).await.is_ok());
    assert!(connect(theirs).await.is_err(), "another authority");
    assert!(connect(Security::default()).await.is_err(), "no TLS");
    stop.cancel();
}

#[test]
fn half_a_setting_is_no_setting() {
    let half = Security { ca_path: "ca.pem".into(), ..Security::default() };
    assert!(half.is_enabled());
    assert!(matches!(half.server(), Err(SecurityError::Read { .. } | SecurityError::Incomplete)));
    assert!(Security::default().server().unwrap().is_none());
}
