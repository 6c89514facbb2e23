//! A connection, from when it is accepted until HTTP is spoken on it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certs::ACME_TLS;

/// What an HTTP/2 client says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which HTTP a client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
}

/// A connection that was accepted.
pub trait Arrival: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits until the client has said what it speaks. hyper puts no limit on how long that takes, so it is done
    /// before: whoever connects and says nothing must not keep a place.
    ///
    /// # Errors
    /// It is not HTTP, or nobody is there any more.
    fn greet(self) -> impl Future<Output = io::Result<(Self::Stream, Speaks)>> + Send;

    /// Says that there is no place left, as far as that takes no time.
    fn turn_away(self);
}

impl Arrival for TcpStream {
    type Stream = TcpStream;

    async fn greet(self) -> io::Result<(TcpStream, Speaks)> {
        let mut said = [0; PREFACE.len()];
        loop {
            let count = self.peek(&mut said).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !PREFACE.starts_with(&said[..count]) {
                return Ok((self, Speaks::Http1));
            }
            if count == said.len() {
                return Ok((self, Speaks::Http2));
            }
            // The preface of HTTP/2 is cut in pieces; peeking does not wait for more of it.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn turn_away(self) {
        let _ = self.try_write(NO_PLACE.as_bytes());
    }
}

/// What who finds no place is told.
const NO_PLACE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n\
    Cache-Control: no-store\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 198\r\n\r\n\
    {\"type\":\"urn:till:problem:too_many_connections\",\"title\":\"too many connections\",\"status\":503,\
    \"detail\":\"There are too many connections; try again soon.\",\"code\":\"too_many_connections\",\"request_id\":\"-\"}";

/// A connection on which TLS is to be spoken.
pub struct Secured {
    pub stream: TcpStream,
    pub tls: TlsAcceptor,
}

impl Arrival for Secured {
    type Stream = TlsStream<TcpStream>;

    async fn greet(self) -> io::Result<(TlsStream<TcpStream>, Speaks)> {
        let mut first = [0];
        if self.stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
            let _ = self.stream.try_write(NOT_PLAIN.as_bytes());
            return Err(io::Error::other("plain HTTP on a port of HTTPS"));
        }
        let mut stream = self.tls.accept(self.stream).await?;
        let speaks = match stream.get_ref().1.alpn_protocol() {
            Some(ACME_TLS) => {
                // The handshake was the answer.
                let _ = stream.shutdown().await;
                return Err(io::Error::other("an authority asked"));
            }
            Some(b"h2") => Speaks::Http2,
            _ => Speaks::Http1,
        };
        if stream.fill_buf().await?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((stream, speaks))
    }

    fn turn_away(self) {}
}

/// What TLS begins with (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// What who speaks plain HTTP to a port of HTTPS is told.
const NOT_PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n\
    Cache-Control: no-store\r\nConnection: close\r\nContent-Length: 163\r\n\r\n\
    {\"type\":\"urn:till:problem:https_only\",\"title\":\"https only\",\"status\":400,\
    \"detail\":\"This port speaks HTTPS; ask with https://.\",\"code\":\"https_only\",\"request_id\":\"-\"}";

impl Arrival for UnixStream {
    type Stream = UnixStream;

    /// The operator is trusted to speak.
    async fn greet(self) -> io::Result<(UnixStream, Speaks)> {
        Ok((self, Speaks::Http1))
    }

    fn turn_away(self) {}
}
