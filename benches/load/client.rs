//! The load: keep-alive connections that ask without pause, on one thread, as cheaply as can be, because they run on
//! the same processors as the shop.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What a customer does: requests one after the other, each with its answer, timed together.
#[derive(Clone)]
pub struct Act {
    /// Acts of one kind are told of together.
    pub kind: &'static str,
    pub requests: Vec<Bytes>,
}

/// How long acts took, by kind, and over which time.
pub struct Took {
    pub acts: Vec<(&'static str, Duration)>,
    pub span: Duration,
}

pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

/// An answer, as it came.
pub struct Answer {
    pub status: u16,
    pub head: Bytes,
    pub body: Bytes,
}

impl Connection {
    /// Comes from an address of its own, as customers do: limits are by address.
    pub async fn open(to: SocketAddr) -> Connection {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::new(127, 1, high, low), 0).into()).expect("loopback has many addresses");
        let stream = socket.connect(to).await.expect("the shop listens");
        stream.set_nodelay(true).expect("it is TCP");
        Connection { stream, buffer: BytesMut::with_capacity(64 << 10) }
    }

    /// Asks, and waits for the whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> Answer {
        self.stream.write_all(request).await.expect("it is taken");
        let head = loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break self.buffer.split_to(end + 4).freeze();
            }
            self.more().await;
        };
        let length = memchr::memmem::find(&head, b"content-length: ").map_or(0, |at| {
            let digits = head[at + 16..].iter().take_while(|byte| byte.is_ascii_digit());
            digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
        });
        while self.buffer.len() < length {
            self.more().await;
        }
        let status = head[9..12].iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        let body = self.buffer.split_to(length).freeze();
        Answer { status, head, body }
    }

    async fn more(&mut self) {
        self.buffer.reserve(16 << 10);
        let read = self.stream.read_buf(&mut self.buffer).await.expect("it answers");
        assert!(read > 0, "the connection was closed in the middle: {:?}", self.buffer.chunk());
    }
}

/// Opens a connection for each list of `acts` and goes through it again and again, for `span` after a short warm-up,
/// with a `pause` after each act.
///
/// # Panics
/// On any answer that is no success.
pub async fn drive(to: SocketAddr, acts: Vec<Vec<Act>>, span: Duration, pause: Duration) -> Took {
    let mut connections = Vec::new();
    for acts in acts {
        connections.push((Connection::open(to).await, acts));
    }
    let begin = Instant::now() + span / 10;
    let end = begin + span;
    let one = |(mut connection, acts): (Connection, Vec<Act>)| async move {
        let mut took = Vec::with_capacity(1 << 14);
        for act in acts.iter().cycle() {
            let asked = Instant::now();
            for request in &act.requests {
                let answer = connection.ask(request).await;
                assert!(
                    answer.status < 300,
                    "{}\n{}{}",
                    String::from_utf8_lossy(request),
                    String::from_utf8_lossy(&answer.head),
                    String::from_utf8_lossy(&answer.body)
                );
            }
            let answered = Instant::now();
            if answered > end {
                break;
            }
            if asked >= begin {
                took.push((act.kind, answered - asked));
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        took
    };
    let all: Vec<Pin<Box<dyn Future<Output = _>>>> = connections
        .into_iter()
        .map(|connection| Box::pin(one(connection)) as Pin<Box<dyn Future<Output = _>>>)
        .collect();
    let acts = futures_util::future::join_all(all).await.concat();
    Took { acts, span }
}

/// A request's bytes.
pub fn request(verb: &str, path: &str, token: Option<&str>, body: &str) -> Bytes {
    let mut text =
        format!("{verb} {path} HTTP/1.1\r\nHost: shop.example.com\r\nAccept: application/json\r\n");
    if let Some(token) = token {
        text.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if verb != "GET" {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into()
}
