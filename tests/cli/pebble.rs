//! Pebble, Let's Encrypt's own ACME server for tests, and a network in front of it that can be told to fail.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use crate::fakes::serve::{OneBody, whole};
use crate::support::free;

/// What the network in front does to one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection breaks.
    Broken,
    /// Another than Pebble answers: status, content type, more headers, body.
    Says(u16, &'static str, Vec<(&'static str, String)>, String),
    /// The answer comes so much later.
    Late(Duration),
}

/// An authority whose certificates are good for as long as it was told.
pub struct Pebble {
    pub dir: TempDir,
    /// Where the authority is asked.
    pub directory: String,
    /// The ports at which it proves domains: TLS-ALPN-01, HTTP-01.
    pub tls: SocketAddr,
    pub http: SocketAddr,
    front: Arc<Mutex<Front>>,
    children: Vec<Child>,
}

/// What goes through the network, and what is to become of it.
#[derive(Default)]
struct Front {
    /// For the next requests whose path has this in it, one each.
    faults: VecDeque<(&'static str, Fault)>,
    /// For all requests.
    always: Option<Fault>,
    asked: Vec<String>,
    /// What is said of renewal, where anything is (RFC 9773): start and end.
    window: Option<(String, String)>,
    /// What is not offered to prove a domain with.
    hidden: Option<&'static str>,
}

impl Pebble {
    /// `validity` is how long its certificates are good.
    pub fn start(validity: Duration) -> Pebble {
        let dir = tempfile::tempdir().expect("a directory");
        let (chain, key) = authority_of_its_own(dir.path());
        let (tls, http, listen, management, dns) = (free(), free(), free(), free(), free());
        let (own, root) = (dir.path().join("pebble.pem"), dir.path().join("pebble.key"));
        std::fs::write(&own, &chain).expect("written");
        std::fs::write(&root, &key).expect("written");
        let config = json!({"pebble": {
            "listenAddress": listen.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": own, "privateKey": root,
            "httpPort": http.port(), "tlsPort": tls.port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "certificateValidityPeriod": validity.as_secs(),
        }});
        let path = dir.path().join("pebble.json");
        std::fs::write(&path, config.to_string()).expect("written");
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-dns01", &dns.to_string(), "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.args(["-management", &free().to_string(), "-defaultIPv6", ""]);
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(&path).args(["-dnsserver", &dns.to_string()]);
        // It uses a proof that it had before again in one of a hundred orders all the same (`> authzReusePercent`).
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0").env("PEBBLE_AUTHZREUSE", "0");
        let children = [names, pebble]
            .map(|mut command| {
                command.stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().expect("these tests need pebble (Debian: pebble)")
            })
            .into();
        for address in [listen, management] {
            let deadline = Instant::now() + Duration::from_secs(20);
            while std::net::TcpStream::connect(address).is_err() {
                assert!(Instant::now() < deadline, "pebble does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let front = Arc::new(Mutex::new(Front::default()));
        let directory = serve(listen, &chain, &key, &dir.path().join("ca.pem"), Arc::clone(&front));
        Pebble { dir, directory, tls, http, front, children }
    }

    /// The certificate that the authority's own server is trusted by.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn fails(&self, faults: impl IntoIterator<Item = (&'static str, Fault)>) {
        self.front.lock().expect("unpoisoned").faults.extend(faults);
    }

    pub fn always(&self, fault: Option<Fault>) {
        self.front.lock().expect("unpoisoned").always = fault;
    }

    pub fn wants_renewal(&self, start: &str, end: &str) {
        self.front.lock().expect("unpoisoned").window = Some((start.to_owned(), end.to_owned()));
    }

    /// It offers no proof whose name ends so.
    pub fn hides(&self, proof: &'static str) {
        self.front.lock().expect("unpoisoned").hidden = Some(proof);
    }

    /// The paths that were asked for since this was asked the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.front.lock().expect("unpoisoned").asked)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Writes `ca.pem`, and gives a chain and a key for localhost under it (PEM).
fn authority_of_its_own(dir: &Path) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    std::fs::write(dir.join("ca.pem"), ca.pem()).expect("written");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(names).expect("names").signed_by(&key, &ca).expect("a certificate");
    (own.pem(), key.serialize_pem())
}

/// Serves the network in front of `pebble`; its directory's URL.
fn serve(pebble: SocketAddr, chain: &str, key: &str, ca: &Path, front: Arc<Mutex<Front>>) -> String {
    let (certificate, key) = (pem(chain), pem(key));
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], PrivateKeyDer::try_from(key).expect("a key"))
        .expect("they fit");
    let tls = TlsAcceptor::from(Arc::new(tls));
    let root = reqwest::Certificate::from_pem(&std::fs::read(ca).expect("a file")).expect("a certificate");
    let client = till::http::outgoing().http1_only().tls_certs_only([root]).build().expect("a client");
    let listener = tokio::net::TcpListener::from_std({
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("it can");
        listener
    })
    .expect("a runtime");
    let port = listener.local_addr().expect("bound").port();
    let base = format!("https://localhost:{port}");
    let directory = format!("{base}/dir");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, client, front, base) = (tls.clone(), client.clone(), Arc::clone(&front), base.clone());
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let answer = service_fn(move |request| {
                    pass(request, pebble, client.clone(), Arc::clone(&front), base.clone())
                });
                let _ =
                    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    directory
}

fn pem(text: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => key.secret_der().to_vec(),
        Err(_) => {
            let found = rustls::pki_types::CertificateDer::from_pem_slice(text.as_bytes());
            found.expect("a certificate").to_vec()
        }
    }
}

fn body(bytes: impl Into<Bytes>) -> OneBody {
    OneBody(Some(bytes.into()))
}

async fn pass(
    request: Request<Incoming>,
    pebble: SocketAddr,
    client: reqwest::Client,
    front: Arc<Mutex<Front>>,
    base: String,
) -> Result<Response<OneBody>, std::io::Error> {
    let path = request.uri().path().to_owned();
    let (fault, window, hidden) = {
        let mut front = front.lock().expect("unpoisoned");
        front.asked.push(path.clone());
        let at = front.faults.iter().position(|(part, _)| path.contains(part));
        let fault = at.and_then(|at| front.faults.remove(at)).map(|(_, fault)| fault);
        (fault.or_else(|| front.always.clone()), front.window.clone(), front.hidden)
    };
    match fault {
        Some(Fault::Broken) => return Err(std::io::Error::other("broken")),
        Some(Fault::Says(status, kind, headers, bytes)) => {
            let mut answer = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            return Ok(answer.body(body(bytes)).expect("an answer"));
        }
        Some(Fault::Late(span)) => tokio::time::sleep(span).await,
        None => {}
    }
    if let Some((start, end)) = &window
        && path.starts_with("/renewal/")
    {
        let bytes = json!({"suggestedWindow": {"start": start, "end": end}}).to_string();
        let answer = Response::builder().header(header::RETRY_AFTER, "21600");
        return Ok(answer.body(body(bytes)).expect("an answer"));
    }
    let (head, sent) = whole(request).await.into_parts();
    let url = format!("https://127.0.0.1:{}{path}", pebble.port());
    let mut headers = head.headers;
    // Pebble's links begin with it, and are to lead here.
    let host = base.trim_start_matches("https://").parse().expect("a host");
    headers.insert(header::HOST, host);
    let asked = client.request(head.method, url).headers(headers).body(sent).send().await;
    let Ok(answer) = asked else { return Err(std::io::Error::other("pebble is gone")) };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut bytes = answer.bytes().await.expect("it is whole");
    if let (Some(_), "/dir", StatusCode::OK) = (&window, path.as_str(), status) {
        let mut directory: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        directory["renewalInfo"] = format!("{base}/renewal").into();
        bytes = directory.to_string().into();
    }
    if let Some(hidden) = hidden.filter(|_| path.contains("/authZ/")) {
        let text = String::from_utf8(bytes.to_vec()).expect("JSON");
        bytes = text.replace(&format!("{hidden}\""), "another-proof\"").into();
    }
    let mut passed = Response::new(body(bytes));
    *passed.status_mut() = status;
    *passed.headers_mut() = headers;
    passed.headers_mut().remove(header::CONTENT_LENGTH);
    Ok(passed)
}
