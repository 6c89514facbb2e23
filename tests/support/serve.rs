//! A fake gateway behind real HTTP on loopback, with a network that loses and delays answers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use till::clock::{Clock, ManualClock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::paypal::FakePayPal;
use super::stripe::FakeStripe;

/// A fake gateway, as a state machine.
pub trait Fake: Send + 'static {
    /// `now` is in seconds since 1970.
    fn handle(&mut self, now: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>>;
    fn violations(&self) -> &[String];
}

impl Fake for FakeStripe {
    fn handle(&mut self, now: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        FakeStripe::handle(self, now, request)
    }

    fn violations(&self) -> &[String] {
        FakeStripe::violations(self)
    }
}

impl Fake for FakePayPal {
    fn handle(&mut self, now: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        FakePayPal::handle(self, now, request)
    }

    fn violations(&self) -> &[String] {
        FakePayPal::violations(self)
    }
}

/// What the network does to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    Good,
    /// The connection breaks before the gateway sees the request.
    LostBefore,
    /// It breaks after the effect.
    LostAfter,
    /// The effect takes place, and the answer comes so much later.
    Late(Duration),
}

/// A fake that listens.
pub struct Served<F: Fake> {
    pub base: String,
    pub clock: Arc<ManualClock>,
    fake: Arc<Mutex<F>>,
    net: Arc<Mutex<VecDeque<Net>>>,
}

impl<F: Fake> Served<F> {
    /// Over plain HTTP.
    pub async fn start(fake: F, clock: Arc<ManualClock>) -> Served<F> {
        Served::listen(fake, clock, None).await
    }

    /// Over HTTPS, with the certificate for `localhost` of the fixtures.
    pub async fn start_tls(fake: F, clock: Arc<ManualClock>) -> Served<F> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain = CertificateDer::pem_slice_iter(&fixture("localhost-chain.pem"))
            .collect::<Result<Vec<_>, _>>()
            .expect("certificates");
        let key = PrivateKeyDer::from_pem_slice(&fixture("localhost.key.pem")).expect("a key");
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("they belong together");
        Served::listen(fake, clock, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(fake: F, clock: Arc<ManualClock>, tls: Option<TlsAcceptor>) -> Served<F> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let served = Served {
            base: format!("{scheme}://localhost:{port}"),
            clock: Arc::clone(&clock),
            fake: Arc::new(Mutex::new(fake)),
            net: Arc::default(),
        };
        let (fake, net) = (Arc::clone(&served.fake), Arc::clone(&served.net));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fake, net, clock) = (Arc::clone(&fake), Arc::clone(&net), Arc::clone(&clock));
                match tls.clone() {
                    None => drop(tokio::spawn(talk(stream, fake, net, clock))),
                    Some(tls) => drop(tokio::spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            talk(stream, fake, net, clock).await;
                        }
                    })),
                }
            }
        });
        served
    }

    /// The gateway itself: to be its customer, or its dashboard.
    pub fn fake(&self) -> MutexGuard<'_, F> {
        self.fake.lock().expect("no test has panicked with it")
    }

    pub fn now(&self) -> i64 {
        self.clock.now().seconds()
    }

    /// What the network does to the next requests.
    pub fn network(&self, next: impl IntoIterator<Item = Net>) {
        self.net.lock().expect("unpoisoned").extend(next);
    }
}

impl<F: Fake> Drop for Served<F> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(
                self.fake().violations(),
                Vec::<String>::new(),
                "requests that the description refuses"
            );
        }
    }
}

pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/gateways/paypal-certs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("a fixture")
}

/// Serves one connection.
async fn talk<F: Fake, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    fake: Arc<Mutex<F>>,
    net: Arc<Mutex<VecDeque<Net>>>,
    clock: Arc<ManualClock>,
) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let (fake, net, clock) = (Arc::clone(&fake), Arc::clone(&net), Arc::clone(&clock));
        async move {
            let net = net.lock().expect("unpoisoned").pop_front().unwrap_or(Net::Good);
            if net == Net::LostBefore {
                return Err(std::io::Error::other("lost"));
            }
            let request = whole(request).await;
            let now = clock.now().seconds();
            let answer = fake.lock().expect("unpoisoned").handle(now, &request);
            match net {
                Net::LostAfter => return Err(std::io::Error::other("lost")),
                Net::Late(span) => tokio::time::sleep(span).await,
                Net::Good | Net::LostBefore => {}
            }
            Ok(answer.map(|body| OneBody(Some(Bytes::from(body)))))
        }
    });
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
}

/// A request with its body.
pub async fn whole(request: Request<Incoming>) -> Request<Vec<u8>> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
    {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Request::from_parts(head, bytes)
}

/// A body in one piece.
pub struct OneBody(pub Option<Bytes>);

impl Body for OneBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    }
}
