//! The accept loop: TCP and the data directory's Unix socket, over hyper with warp's service on top. It never waits for a
//! client.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::{Reply as _, Response};

use super::connection::{HEADER_TIME, IDLE_TIME, Over, Owed, Pulse, Watched};
use super::linger::linger;
use super::places::Places;
use super::{Body, Content, Incoming, Net, Origin, Reply};
use crate::app::App;
use crate::hex::hex;

/// Most connections of the operator at a time.
const OPERATORS: usize = 4096;
/// What an HTTP/2 client says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long requests that run may go on after the stop was asked for.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// The longest path that a Unix socket's address holds on every system (bytes).
const SOCKET_PATH: usize = 100;
/// In the data directory: the socket, and, where its path would be too long, a file that says where it is.
const SOCKET: &str = "till.sock";
const SOCKET_ELSEWHERE: &str = "till.sock.path";

/// The bound sockets, not yet served.
pub struct Listeners {
    tcp: Option<TcpListener>,
    unix: Option<(UnixListener, PathBuf)>,
}

/// Sockets that are served.
pub struct Running {
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    socket: Option<PathBuf>,
}

impl Listeners {
    pub async fn tcp(address: SocketAddr) -> io::Result<Listeners> {
        Ok(Listeners { tcp: Some(TcpListener::bind(address).await?), unix: None })
    }

    /// Adds the operator's socket in `data_dir`, for this user alone.
    pub fn with_socket(mut self, data_dir: &Path) -> io::Result<Listeners> {
        let path = make_socket_path(data_dir)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        self.unix = Some((listener, path));
        Ok(self)
    }

    /// Starts to answer.
    pub fn serve(self, app: &Arc<App>) -> Running {
        let (stop, stopping) = watch::channel(false);
        let address = self.tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
        if let Some(address) = address {
            // Only the first listener of a process is the shop's.
            let _ = app.listening.set(address);
        }
        let mut tasks = Vec::new();
        if let Some(tcp) = self.tcp {
            let accept = async move || {
                let (stream, peer) = tcp.accept().await?;
                stream.set_nodelay(true)?;
                Ok((stream, Origin::Network(peer.ip())))
            };
            let [most, of_one] = app.config.connections();
            let places = Places::new(most, of_one);
            tasks.push(tokio::spawn(accept_all(accept, Arc::clone(app), places, stopping.clone())));
        }
        let mut socket = None;
        if let Some((unix, path)) = self.unix {
            socket = Some(path);
            let accept = async move || unix.accept().await.map(|(stream, _)| (stream, Origin::Operator));
            // Each way in has places of its own, so that customers can't lock out the operator.
            let places = Places::new(OPERATORS, OPERATORS);
            tasks.push(tokio::spawn(accept_all(accept, Arc::clone(app), places, stopping)));
        }
        Running { address, stop, tasks, socket }
    }
}

impl Running {
    /// Where the shop listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Accepts nothing more, lets what runs finish, and returns when it has, or when it took too long.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        if let Some(path) = self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A connection that was accepted.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Waits until the client has said which version of HTTP it speaks: whether it is HTTP/1.
    fn greeting(&self) -> impl Future<Output = io::Result<bool>> + Send;

    /// Says that there is no place left, as far as that takes no time.
    fn turn_away(self);
}

impl Stream for TcpStream {
    /// hyper puts no limit on how long this takes, so it is done before: whoever connects and says nothing must
    /// not keep a place.
    async fn greeting(&self) -> io::Result<bool> {
        let mut said = [0; PREFACE.len()];
        loop {
            let count = self.peek(&mut said).await?;
            let is_http1 = !PREFACE.starts_with(&said[..count]);
            if count == 0 || count == said.len() || is_http1 {
                return Ok(is_http1);
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

impl Stream for UnixStream {
    /// The operator is trusted to speak.
    async fn greeting(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn turn_away(self) {}
}

async fn accept_all<S, A>(accept: A, app: Arc<App>, places: Arc<Places>, mut stopping: watch::Receiver<bool>)
where
    S: Stream,
    A: AsyncFn() -> io::Result<(S, Origin)>,
{
    let server = server();
    let routes = TowerToHyperService::new(warp::service(filter(&app)));
    loop {
        let accepted = tokio::select! {
            accepted = accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        let (stream, origin) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to be given back.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // A proxy speaks for many.
        let net = match origin {
            Origin::Network(peer) if !app.config.server_trusted_proxies.has(peer) => Some(Net::of(peer)),
            Origin::Network(_) | Origin::Operator => None,
        };
        let Some(place) = places.take(net) else {
            stream.turn_away();
            continue;
        };
        let (server, routes, stopping) = (server.clone(), routes.clone(), stopping.clone());
        tokio::spawn(async move {
            serve(&server, routes, stream, origin, stopping).await;
            drop(place);
        });
    }
    let deadline = tokio::time::Instant::now() + DRAIN_TIME;
    while places.held() > 0 {
        if tokio::time::Instant::now() > deadline {
            tracing::warn!("some requests did not end in time and were cut off");
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// hyper answers by itself what is beyond these; the shop's own limits are lower and say why.
fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        // The connection's own watch cuts off a slow head sooner; to hyper, a head begins when the last answer ended.
        .header_read_timeout(IDLE_TIME + HEADER_TIME)
        .max_headers(512)
        .max_buf_size(128 << 10);
    // What a client can have us keep for it: so many requests at a time, with so much of their bodies and answers.
    server
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(32 << 10)
        .max_concurrent_streams(100)
        .initial_stream_window_size(128 << 10)
        .initial_connection_window_size(256 << 10)
        .max_send_buf_size(64 << 10)
        // Requests that are taken back before they are looked at, and faults of the client, before it is cut off.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        // Whoever went away without a word is noticed.
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    server
}

/// Serves one connection to its end.
async fn serve<S: Stream>(
    server: &auto::Builder<TokioExecutor>,
    routes: impl Service<
        hyper::Request<hyper::body::Incoming>,
        Response = Response,
        Error = Infallible,
        Future: Send,
    > + Send
    + 'static,
    stream: S,
    origin: Origin,
    mut stopping: watch::Receiver<bool>,
) {
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(HEADER_TIME, stream.greeting()) => greeted,
        // Who has asked for nothing must not hold up the stop.
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    let Ok(Ok(is_http1)) = greeted else { return };
    let pulse = Pulse::new(is_http1);
    let watched = Watched::new(stream, Arc::clone(&pulse));
    let own = Arc::clone(&pulse);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let (run, pulse) = (own.run(), Arc::clone(&own));
        // CONNECT names a host and no path, which warp does not expect; like any other method it is refused.
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = Uri::from_static("/");
        }
        // HTTP/2 says the host in another place (RFC 9113, 8.3.1); links in answers begin with it.
        let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        if let Some(host) = host {
            request.headers_mut().entry(header::HOST).or_insert(host);
        }
        request.extensions_mut().insert(origin);
        let answering = routes.call(request);
        async move {
            let answer = answering.await;
            drop(run);
            answer.map(|answer| answer.map(|body| Owed::new(body, pulse)))
        }
    });
    let mut connection = pin!(server.serve_connection(TokioIo::new(watched), service));
    let mut is_ending = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            over = pulse.over(), if origin != Origin::Operator => {
                if is_ending || over != Over::Idle {
                    tracing::debug!(?over, "a connection was cut off");
                    return;
                }
            }
            _ = stopping.wait_for(|stop| *stop), if !is_ending => {}
        }
        is_ending = true;
        connection.as_mut().graceful_shutdown();
    }
}

/// All routes as one warp filter. A refusal is an answer of ours, never a rejection.
fn filter(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::ext::get())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            move |method: Method, origin: Origin, path: FullPath, query: String, headers: HeaderMap, body| {
                let app = Arc::clone(&app);
                async move {
                    let head = method == Method::HEAD;
                    let path = path.as_str().to_owned();
                    // Whoever waits to be told to go on sends nothing that would have to be heard out.
                    let waits = headers.contains_key(header::EXPECT);
                    let body = readable(body);
                    let body = Some(if waits { body } else { linger(body) });
                    let reply =
                        super::answer(&app, Incoming { method, path, query, headers, body, origin }).await;
                    response(reply, head)
                }
            },
        )
        .boxed()
}

fn readable<B: Buf>(
    body: impl futures_util::Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
) -> Body {
    Box::pin(body.map(|chunk| match chunk {
        Ok(mut chunk) => Ok(chunk.copy_to_bytes(chunk.remaining())),
        Err(error) => Err(error.to_string()),
    }))
}

fn response(reply: Reply, head: bool) -> Response {
    let Reply { status, mut headers, body } = reply;
    if head && !body.whole().is_empty() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.whole().len()));
    }
    let mut response = match body {
        _ if head => http::Response::new(Bytes::new()).into_response(),
        Content::Whole(body) => http::Response::new(body).into_response(),
        Content::Stream(body) => warp::reply::stream(body).into_response(),
    };
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Where the operator's socket of `data_dir` is to be: in it, or, where the system takes no path as long as
/// that, in a directory of this user's own, which a file in `data_dir` names.
fn make_socket_path(data_dir: &Path) -> io::Result<PathBuf> {
    let path = data_dir.join(SOCKET);
    let elsewhere = data_dir.join(SOCKET_ELSEWHERE);
    if path.as_os_str().len() <= SOCKET_PATH {
        match std::fs::remove_file(&elsewhere) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(path),
        }
    }
    let whole = data_dir.canonicalize()?;
    let owner = whole.metadata()?.uid();
    let digest = Sha256::digest(whole.as_os_str().as_encoded_bytes());
    let dir = std::env::temp_dir().join(format!("till-{owner}-{}", hex(&digest[..4])));
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = dir.symlink_metadata()?;
    if !found.is_dir() || found.uid() != owner || found.mode() & 0o077 != 0 {
        let said = format!("{} is not a directory of this user's own", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, said));
    }
    let path = dir.join(SOCKET);
    std::fs::write(&elsewhere, path.as_os_str().as_encoded_bytes())?;
    Ok(path)
}

/// Where a running shop of `data_dir` has its operator's socket.
pub fn find_socket(data_dir: &Path) -> PathBuf {
    let elsewhere = std::fs::read_to_string(data_dir.join(SOCKET_ELSEWHERE));
    elsewhere.map_or_else(|_| data_dir.join(SOCKET), PathBuf::from)
}
