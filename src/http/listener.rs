//! The accept loop: the doors of the network and the data directory's Unix socket, over hyper with warp's service on top. It never waits for a
//! client.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
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
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::{Reply as _, Response};

use super::arrival::{Arrival, Secured, Speaks};
use super::connection::{ASK_TIME, HEADER_TIME, Over, Owed, Pulse, Watched};
use super::doors::{Door, Inherited, listen};
use super::linger::linger;
use super::places::{Places, room_for};
use super::redirect;
use super::socket::bind_socket;
use super::{Body, Content, Incoming, Net, Origin, Reply};
use crate::app::App;

/// Most connections of the operator at a time, and of whoever watches over the process.
const OPERATORS: usize = 4096;
/// How long requests that run may go on after the stop was asked for.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The open sockets, not yet served.
#[derive(Default)]
pub struct Listeners {
    doors: Vec<(Door, TcpListener)>,
    unix: Option<(UnixListener, PathBuf)>,
}

/// Sockets that are served.
pub struct Running {
    addresses: Vec<(Door, SocketAddr)>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    socket: Option<PathBuf>,
}

impl Listeners {
    /// Adds a door at `address`, on the socket that was handed in for it, or on a new one.
    pub fn open(
        mut self,
        door: Door,
        address: SocketAddr,
        inherited: &mut Inherited,
    ) -> io::Result<Listeners> {
        self.doors.push((door, listen(address, inherited)?));
        Ok(self)
    }

    /// Adds the operator's socket in `data_dir`, for this user alone.
    pub fn with_socket(mut self, data_dir: &Path) -> io::Result<Listeners> {
        self.unix = Some(bind_socket(data_dir)?);
        Ok(self)
    }

    /// Starts to answer.
    pub fn serve(self, app: &Arc<App>) -> Running {
        let (stop, stopping) = watch::channel(false);
        let mut running = Running { addresses: Vec::new(), stop, tasks: Vec::new(), socket: None };
        let [most, of_one] = app.config.connections();
        let shoppers = Places::new(room_for(most), of_one);
        for (door, tcp) in self.doors {
            if let Ok(address) = tcp.local_addr() {
                tracing::debug!(?door, %address, "a door is open");
                running.addresses.push((door, address));
            }
            // Each way in has places of its own, so that customers can't lock out the operator.
            let places = match door {
                Door::Shop | Door::SecureShop | Door::Redirect => Arc::clone(&shoppers),
                Door::Operations => Places::new(OPERATORS, OPERATORS),
            };
            let accept = async move || {
                let (stream, peer) = tcp.accept().await?;
                stream.set_nodelay(true)?;
                let is_shop = door != Door::Operations;
                Ok((stream, if is_shop { Origin::Network(peer.ip()) } else { Origin::Operations }))
            };
            let (app, stopping) = (Arc::clone(app), stopping.clone());
            running.tasks.push(match door {
                Door::Shop | Door::Operations => {
                    tokio::spawn(accept_all(accept, shop(&app), app, places, stopping))
                }
                Door::Redirect => tokio::spawn(accept_all(accept, sent_on(&app), app, places, stopping)),
                Door::SecureShop => {
                    let https = app.https().expect("this door is opened where there is HTTPS");
                    let tls = TlsAcceptor::from(Arc::new(https.tls()));
                    let accept = async move || {
                        let (stream, origin) = accept().await?;
                        Ok((Secured { stream, tls: tls.clone() }, origin))
                    };
                    tokio::spawn(accept_all(accept, shop(&app), app, places, stopping))
                }
            });
        }
        if let Some(address) = running.shop_address() {
            // Only the first listener of a process is the shop's.
            let _ = app.listening.set(address);
        }
        if let Some((unix, path)) = self.unix {
            running.socket = Some(path);
            let accept = async move || unix.accept().await.map(|(stream, _)| (stream, Origin::Operator));
            let places = Places::new(OPERATORS, OPERATORS);
            running.tasks.push(tokio::spawn(accept_all(
                accept,
                shop(app),
                Arc::clone(app),
                places,
                stopping,
            )));
        }
        running
    }
}

impl Running {
    /// Where `door` is, if it is open.
    pub fn address(&self, door: Door) -> Option<SocketAddr> {
        self.addresses.iter().find(|(own, _)| *own == door).map(|(_, address)| *address)
    }

    /// Where customers come in.
    pub fn shop_address(&self) -> Option<SocketAddr> {
        self.address(Door::SecureShop).or_else(|| self.address(Door::Shop))
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

async fn accept_all<S, A>(
    accept: A,
    routes: BoxedFilter<(Response,)>,
    app: Arc<App>,
    places: Arc<Places>,
    mut stopping: watch::Receiver<bool>,
) where
    S: Arrival,
    A: AsyncFn() -> io::Result<(S, Origin)>,
{
    let server = server();
    let routes = TowerToHyperService::new(warp::service(routes));
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
            Origin::Network(_) | Origin::Operations | Origin::Operator => None,
        };
        let Some(place) = places.take(net) else {
            app.requests.connections(origin).refused.add(1);
            stream.turn_away();
            continue;
        };
        let (server, routes, stopping) = (server.clone(), routes.clone(), stopping.clone());
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let _open = app.requests.connections(origin).open.enter();
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
        // The connection's own watch cuts off a slow head, without a timer for each request.
        .header_read_timeout(None)
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
async fn serve<S: Arrival>(
    server: &auto::Builder<TokioExecutor>,
    routes: impl Service<
        hyper::Request<hyper::body::Incoming>,
        Response = Response,
        Error = Infallible,
        Future: Send,
    > + Send
    + 'static,
    arrival: S,
    origin: Origin,
    mut stopping: watch::Receiver<bool>,
) {
    let came = tokio::time::Instant::now();
    let mut stopped = stopping.clone();
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(HEADER_TIME, arrival.greet()) => greeted,
        // Who has asked for nothing must not hold up the stop, and who has just come may be about to.
        () = async {
            let _ = stopped.wait_for(|stop| *stop).await;
            tokio::time::sleep_until(came + ASK_TIME).await;
        } => return,
    };
    let Ok(Ok((stream, speaks))) = greeted else { return };
    let server = match speaks {
        Speaks::Http1 => server.clone().http1_only(),
        Speaks::Http2 => server.clone().http2_only(),
    };
    let pulse = Pulse::new(speaks == Speaks::Http1);
    let watched = Watched::new(stream, Arc::clone(&pulse));
    let (own, is_stopping) = (Arc::clone(&pulse), stopping.clone());
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
        let (answering, is_stopping) = (routes.call(request), is_stopping.clone());
        async move {
            let mut answer = answering.await;
            drop(run);
            // Who is told asks elsewhere; a connection that is closed without a word may have a request on it.
            if let Ok(answer) = &mut answer
                && speaks == Speaks::Http1
                && *is_stopping.borrow()
            {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
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
            () = async {
                let _ = stopping.wait_for(|stop| *stop).await;
                if speaks == Speaks::Http1 {
                    pulse.left().await;
                }
            }, if !is_ending => {}
        }
        is_ending = true;
        connection.as_mut().graceful_shutdown();
    }
}

/// All routes of the shop as one warp filter.
fn shop(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    filter(move |incoming| {
        let app = Arc::clone(&app);
        async move { super::answer(&app, incoming).await }
    })
}

/// Plain HTTP beside HTTPS.
fn sent_on(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    filter(move |incoming| std::future::ready(redirect::answer(&app, &incoming)))
}

/// Whatever answers requests as a warp filter. A refusal is an answer of ours, never a rejection.
fn filter<F>(answer: impl Fn(Incoming) -> F + Clone + Send + Sync + 'static) -> BoxedFilter<(Response,)>
where
    F: Future<Output = Reply> + Send,
{
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::ext::get())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            move |method: Method, origin: Origin, path: FullPath, query: String, headers: HeaderMap, body| {
                let answer = answer.clone();
                async move {
                    let head = method == Method::HEAD;
                    let path = path.as_str().to_owned();
                    // Whoever waits to be told to go on sends nothing that would have to be heard out.
                    let waits = headers.contains_key(header::EXPECT);
                    let body = readable(body);
                    let body = Some(if waits { body } else { linger(body) });
                    response(answer(Incoming { method, path, query, headers, body, origin }).await, head)
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
