//! Clients that do not keep to the protocol.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server_process::ServerProcess;

/// Sends bytes right after the greeting and reads until the server closes.
async fn answer_to(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    let mut head = [0; 4];
    socket.read_exact(&mut head).await.expect("a greeting");
    let mut greeting = vec![0; usize::from(head[0])];
    socket.read_exact(&mut greeting).await.expect("the rest of the greeting");
    // The server may close before it has taken everything: that is an answer, too.
    let _ = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_handshakes_are_refused_and_the_server_lives_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let cases: &[&[u8]] = &[
        b"",
        b"\x01",
        b"\0\0\0\x01",
        b"\x05\0\0\x01abcde",
        b"\x05\0\0\x07abcde",
        b"\xff\xff\xff\x01aaaaaaaaaaaaaaaa",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 200],
        &[b"\x20\0\0\x01".as_slice(), &[0xff; 32], &[0x16; 100]].concat(),
    ];
    for case in cases {
        let answer = answer_to(server.port, case).await;
        let is_error = answer.len() > 4 && answer[4] == 0xff;
        // A request for TLS that is followed by nonsense is answered in TLS: with an alert record.
        let is_tls_alert = answer.first() == Some(&0x15);
        assert!(answer.is_empty() || is_error || is_tls_alert, "{case:?} was answered with {answer:?}");
    }
    let mut conn = server.connect().await;
    use mysql_async::prelude::Queryable;
    assert_eq!(conn.query_first::<u8, _>("SELECT 1").await.expect("the server lives"), Some(1));
}
