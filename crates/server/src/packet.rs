//! Packets over a byte stream: framing, sequence numbers, limits and buffering.
//!
//! The framing itself is `mysql_common`'s codec; this file adds the buffers. Written packets gather in memory until
//! [`PacketStream::flush`], or until [`FLUSH_BYTES`] are waiting, so that a result of many rows takes few system calls
//! and a slow client holds back the statement that feeds it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use mysql_common::proto::codec::PacketCodec;
use mysql_common::proto::codec::error::PacketCodecError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;

/// Waiting output above this size is sent before more is taken.
pub const FLUSH_BYTES: usize = 64 * 1024;

/// The largest packet taken from a client that has not proved who it is.
pub const LOGIN_PACKET_BYTES: usize = 64 * 1024;

/// Buffers larger than this are given back when they are empty, so that one large statement does not pin memory.
const KEEP_BYTES: usize = 1024 * 1024;

/// Room for the headers of a compressed packet and for what small payloads grow by.
const COMPRESSED_EXTRA_BYTES: usize = 256;

/// How long the last words to a client may take.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// What a client may send ahead while its statement runs; the rest waits in the network's buffers.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// A socket, a TLS session over one, or an in-memory pipe in tests.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// Why a packet could not be read or written. The connection cannot go on after any of these.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The client went away between two packets.
    #[error("the client closed the connection")]
    Closed,
    /// The client went away within a packet, or the network failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A packet is longer than the limit in force.
    #[error("got a packet bigger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Sequence numbers out of order, or another breach of the framing.
    #[error("malformed packet: {0}")]
    Malformed(String),
}

/// A transport that gives some bytes which were read too early before it goes on.
struct Prefixed {
    prefix: BytesMut,
    transport: Box<dyn Transport>,
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.transport).poll_read(cx, buf);
        }
        let len = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}

/// What was agreed in a TLS handshake.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// Protocol version.
    pub protocol: String,
    /// Cipher suite.
    pub cipher: String,
}

/// The two directions of one connection.
pub struct PacketStream {
    transport: Box<dyn Transport>,
    codec: PacketCodec,
    input: BytesMut,
    output: BytesMut,
    packet: Vec<u8>,
    /// `packet` holds a packet that the caller has seen, not the first part of one that is still coming.
    delivered: bool,
}

impl PacketStream {
    /// A stream in the state before login: small packets only.
    pub fn new(transport: Box<dyn Transport>) -> Self {
        let mut codec = PacketCodec::default();
        codec.max_allowed_packet = LOGIN_PACKET_BYTES;
        Self {
            transport,
            codec,
            input: BytesMut::new(),
            output: BytesMut::new(),
            packet: Vec::new(),
            delivered: false,
        }
    }

    /// Sets the largest packet taken from the client, in bytes.
    pub fn set_limit(&mut self, bytes: usize) {
        self.codec.max_allowed_packet = bytes;
    }

    /// The next packet begins a new exchange.
    pub fn reset_sequence(&mut self) {
        self.codec.reset_seq_id();
    }

    /// Both sides compress from now on (zlib, as `CLIENT_COMPRESS` asks).
    pub fn compress(&mut self) {
        self.codec.compress(mysql_common::proto::codec::Compression::default());
    }

    /// Goes on within TLS. What the client has sent behind its request for TLS already belongs to the handshake: it does
    /// not wait for an answer.
    pub async fn start_tls(&mut self, acceptor: &TlsAcceptor) -> Result<TlsFacts, PacketError> {
        let plain = std::mem::replace(&mut self.transport, Box::new(tokio::io::empty()));
        let plain = Prefixed { prefix: std::mem::take(&mut self.input), transport: plain };
        let encrypted = acceptor.accept(plain).await?;
        let session = encrypted.get_ref().1;
        let facts = TlsFacts {
            protocol: session
                .protocol_version()
                .map(|version| format!("{version:?}").replace('_', "."))
                .unwrap_or_default(),
            // OpenSSL's name, which MySQL shows, has no version in it.
            cipher: session
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1))
                .unwrap_or_default(),
        };
        self.transport = Box::new(encrypted);
        Ok(facts)
    }

    /// Reads one packet. The slice is good until the next call. Cancel safe.
    pub async fn read(&mut self) -> Result<&[u8], PacketError> {
        if std::mem::take(&mut self.delivered) {
            self.packet.clear();
            if self.packet.capacity() > KEEP_BYTES {
                self.packet = Vec::new();
            }
        }
        loop {
            let limit = self.codec.max_allowed_packet;
            let complete = match self.codec.decode(&mut self.input, &mut self.packet) {
                Ok(complete) => complete,
                Err(error) => {
                    self.skip_sequence_number();
                    return Err(stream_error(&error, limit));
                }
            };
            if complete {
                self.delivered = true;
                return Ok(&self.packet);
            }
            self.input.reserve(16 * 1024);
            if self.transport.read_buf(&mut self.input).await? == 0 {
                let nothing_begun = self.input.is_empty() && self.packet.is_empty();
                return Err(if nothing_begun {
                    PacketError::Closed
                } else {
                    PacketError::Io(io::ErrorKind::UnexpectedEof.into())
                });
            }
        }
    }

    /// A packet that is refused has used up its number all the same: the client expects the error under the next one.
    fn skip_sequence_number(&mut self) {
        let _ = self.codec.encode(&mut &[][..], &mut BytesMut::new());
    }

    /// Reads one packet and gives it away; [`PacketStream::recycle`] takes its memory back. Cancel safe.
    pub async fn read_owned(&mut self) -> Result<Vec<u8>, PacketError> {
        self.read().await?;
        Ok(std::mem::take(&mut self.packet))
    }

    /// Takes back the memory of a packet that was given away.
    pub fn recycle(&mut self, packet: Vec<u8>) {
        self.packet = packet;
    }

    /// Ready when the client is gone. What it sends meanwhile is kept for the next [`PacketStream::read`]; behind
    /// [`READ_AHEAD_BYTES`] of that nobody looks any further. Cancel safe.
    pub async fn gone(&mut self) {
        while self.input.len() < READ_AHEAD_BYTES {
            self.input.reserve(4 * 1024);
            match self.transport.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending().await
    }

    /// Queues one packet.
    pub fn queue(&mut self, payload: &[u8]) -> Result<(), PacketError> {
        let limit = self.codec.max_allowed_packet;
        // The limit is one on what clients send; what the server sends is bounded by what it stored.
        self.codec.max_allowed_packet = usize::MAX;
        // Bytes that cannot be compressed grow a little; the codec cuts them off when there is no room behind them.
        self.output.reserve(payload.len() + payload.len() / 512 + COMPRESSED_EXTRA_BYTES);
        let done = self.codec.encode(&mut &payload[..], &mut self.output);
        self.codec.max_allowed_packet = limit;
        done.map_err(|error| stream_error(&error, limit))
    }

    /// Queues one packet and sends what waits when that has grown large.
    pub async fn write(&mut self, payload: &[u8]) -> Result<(), PacketError> {
        self.queue(payload)?;
        if self.output.len() >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Whether waiting output is large enough to be sent.
    pub fn is_full(&self) -> bool {
        self.output.len() >= FLUSH_BYTES
    }

    /// Sends all that waits.
    pub async fn flush(&mut self) -> Result<(), PacketError> {
        self.transport.write_all(&self.output).await?;
        self.transport.flush().await?;
        self.output.clear();
        if self.output.capacity() > KEEP_BYTES {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Says goodbye to the peer; errors do not matter any more, and one that does not listen is not waited for.
    pub async fn shutdown(&mut self) {
        let goodbye = async {
            self.flush().await?;
            Ok::<_, PacketError>(self.transport.shutdown().await?)
        };
        let _ = tokio::time::timeout(GOODBYE_TIME, goodbye).await;
    }
}

fn stream_error(error: &PacketCodecError, limit: usize) -> PacketError {
    match error {
        PacketCodecError::PacketTooLarge => PacketError::TooLarge { limit },
        PacketCodecError::Io(error) => PacketError::Io(io::Error::new(error.kind(), error.to_string())),
        other => PacketError::Malformed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    async fn read_all(bytes: &[u8], limit: usize) -> Result<Vec<u8>, PacketError> {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(bytes).await.expect("the pipe is large enough");
        drop(client);
        let mut stream = PacketStream::new(Box::new(server));
        stream.set_limit(limit);
        stream.read().await.map(<[u8]>::to_vec)
    }

    #[tokio::test]
    async fn a_packet_is_read_whole_or_not_at_all() {
        assert_eq!(read_all(b"\x03\0\0\0abc", 100).await.expect("a packet"), b"abc");
        assert!(matches!(read_all(b"", 100).await, Err(PacketError::Closed)));
        assert!(matches!(read_all(b"\x03\0\0\0ab", 100).await, Err(PacketError::Io(_))));
        assert!(matches!(read_all(b"\x03\0\0\x05abc", 100).await, Err(PacketError::Malformed(_))));
    }

    #[tokio::test]
    async fn a_length_above_the_limit_is_refused_before_its_bytes_are_taken() {
        assert!(matches!(
            read_all(b"\xff\xff\xff\0", 100).await,
            Err(PacketError::TooLarge { limit: 100 }) | Err(PacketError::Io(_))
        ));
        assert!(matches!(read_all(b"\xff\xff\xff\0a", 100).await, Err(PacketError::TooLarge { limit: 100 })));
    }

    #[tokio::test]
    async fn a_refused_packet_counts_in_the_sequence() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(b"\xff\xff\xff\0a").await.expect("the pipe is large enough");
        let mut stream = PacketStream::new(Box::new(server));
        stream.set_limit(100);
        stream.read().await.expect_err("too large");
        stream.queue(b"no").expect("a small packet");
        stream.flush().await.expect("the pipe is open");
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"\x02\0\0\x01no");
    }

    #[tokio::test]
    async fn what_cannot_be_compressed_is_sent_whole() {
        for len in [50, 51, 60, 100, 1000, 5000] {
            let mut random = rand::rngs::SmallRng::seed_from_u64(len);
            let mut payload = vec![0; usize::try_from(len).expect("a small number")];
            rand::Rng::fill_bytes(&mut random, &mut payload);
            let (client, server) = tokio::io::duplex(1 << 16);
            let (mut sender, mut receiver) =
                (PacketStream::new(Box::new(client)), PacketStream::new(Box::new(server)));
            sender.compress();
            receiver.compress();
            sender.queue(&payload).expect("a small packet");
            sender.flush().await.expect("the pipe is open");
            assert_eq!(receiver.read().await.expect("the packet"), payload.as_slice());
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_noticed_and_what_it_sent_ahead_is_kept() {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let mut stream = PacketStream::new(Box::new(server));
        client.write_all(b"\x03\0\0\0abc").await.expect("the pipe is large enough");
        drop(client);
        stream.gone().await;
        assert_eq!(stream.read().await.expect("a packet sent ahead"), b"abc");
        stream.reset_sequence();
        assert!(matches!(stream.read().await, Err(PacketError::Closed)));
    }

    #[tokio::test]
    async fn packets_over_16_mib_are_split_and_joined() {
        let (client, server) = tokio::io::duplex(1 << 16);
        let payload = vec![b'x'; 0x00ff_ffff * 2 + 5];
        let sent = payload.clone();
        let writer = tokio::spawn(async move {
            let mut stream = PacketStream::new(Box::new(client));
            stream.write(&sent).await?;
            stream.flush().await
        });
        let mut stream = PacketStream::new(Box::new(server));
        stream.set_limit(64 << 20);
        assert!(stream.read().await.expect("one packet") == payload.as_slice());
        writer.await.expect("the task ran").expect("the packet was sent");
    }
}
