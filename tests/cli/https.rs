//! HTTPS with files of the operator's, against the real program: what is spoken, what is refused, and files that change.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, Version, header, redirect};

use crate::support::{Home, Server, free, run};

const NAME: &str = "shop.example.test";

/// A certificate for the shop and its key, on files of `home`; what the certificate is.
fn write_pair(home: &Home) -> String {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![NAME.to_owned()]).expect("names");
    let made = params.self_signed(&key).expect("a certificate").pem();
    std::fs::write(home.dir.path().join("cert.pem"), &made).expect("written");
    std::fs::write(home.dir.path().join("key.pem"), key.serialize_pem()).expect("written");
    made
}

struct Secure {
    home: Home,
    http: SocketAddr,
    tls: SocketAddr,
    root: String,
    server: Server,
}

fn command(home: &Home, http: SocketAddr) -> Command {
    let mut command = with_files(home, home.command(&["serve", "--listen", "127.0.0.1:0"]));
    command.env("TILL_HTTPS__HTTP_LISTEN", http.to_string());
    command
}

fn with_files(home: &Home, mut command: Command) -> Command {
    let file = |name: &str| home.dir.path().join(name);
    command.env("TILL_HTTPS__CERT_FILE", file("cert.pem")).env("TILL_HTTPS__KEY_FILE", file("key.pem"));
    command
}

fn serve() -> Secure {
    serve_as("")
}

/// `public_url` is what customers call it.
fn serve_as(public_url: &str) -> Secure {
    let (home, http) = (Home::new(), free());
    let root = write_pair(&home);
    let log = std::fs::File::create(home.dir.path().join("log")).expect("a file");
    let mut command = command(&home, http);
    command.env("TILL_SERVER__PUBLIC_URL", public_url);
    let server = Server::start_with_log(command, log.into());
    let tls = server.base.strip_prefix("https://").expect("it speaks HTTPS").parse().expect("an address");
    Secure { home, http, tls, root, server }
}

impl Secure {
    /// A client that trusts `root` alone, and finds the shop by its name.
    fn client(&self, root: &str) -> Client {
        self.builder(root).build().expect("a client")
    }

    fn builder(&self, root: &str) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(root.as_bytes()).expect("a certificate");
        let client = till::http::outgoing().tls_certs_only([root]).resolve(NAME, self.tls);
        client.redirect(redirect::Policy::none()).timeout(Duration::from_secs(30))
    }

    fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.tls.port())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.dir.path().join("log")).expect("a file")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_spoken_and_browsers_are_told_to_stay() {
    let shop = serve();
    for (builder, version) in [
        (shop.builder(&shop.root), Version::HTTP_2),
        (shop.builder(&shop.root).http1_only(), Version::HTTP_11),
    ] {
        let client = builder.build().expect("a client");
        let answer = client.get(shop.url("/api/products/?page_size=1")).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert_eq!(answer.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    }
    assert_eq!(shop.server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_sent_on_to_the_shop_and_to_nowhere_else() {
    let shop = serve();
    let client = till::http::outgoing().redirect(redirect::Policy::none()).build().expect("a client");
    let ask = async |method: &str, host: &str, path: &str| {
        let method = method.parse().expect("a method");
        let asked = client.request(method, format!("http://{}{path}", shop.http)).header(header::HOST, host);
        let answer = asked.send().await.expect("an answer");
        assert!(!answer.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
        let location = answer.headers().get(header::LOCATION);
        (answer.status().as_u16(), location.map(|to| to.to_str().expect("ASCII").to_owned()))
    };
    let sent = |to: &str| (308, Some(to.to_owned()));
    let path = "/api/products/?search=caf%C3%A9&page=2";
    assert_eq!(ask("GET", NAME, path).await, sent(&format!("https://{NAME}{path}")));
    assert_eq!(
        ask("POST", &format!("{}:80", NAME.to_uppercase()), "/").await,
        sent(&format!("https://{}/", NAME.to_uppercase()))
    );
    assert_eq!(ask("GET", NAME, "//evil.example/x").await, sent(&format!("https://{NAME}//evil.example/x")));
    for host in ["evil.example", "127.0.0.1", &format!("{NAME}.evil.example"), "user@evil.example", "[::1]"] {
        assert_eq!(ask("GET", host, "/").await, (421, None), "{host}");
    }
    assert_eq!(ask("GET", NAME, "/.well-known/acme-challenge/abc").await, (404, None));
    assert_eq!(shop.server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_sent_on_to_the_port_that_customers_know() {
    for (public, port) in [
        ("", ""),
        ("https://shop.example.test:8443", ":8443"),
        ("https://shop.example.test/", ""),
        // It says nothing of HTTPS.
        ("http://shop.example.test:8080", ""),
    ] {
        let shop = serve_as(public);
        for host in [NAME, &format!("{NAME}:80"), &format!("{NAME}:8080")] {
            let said = plain(&shop, "GET /a?b", host);
            let location = said.lines().find_map(|line| line.strip_prefix("location: "));
            assert_eq!(location, Some(format!("https://{NAME}{port}/a?b").as_str()), "{public} {host}");
        }
        assert_eq!(shop.server.stop(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_plain_http_as_such_is_answered_there() {
    let shop = serve();
    let ask = |line: &str| plain(&shop, line, NAME);
    let said = ask("OPTIONS *");
    assert!(said.starts_with("HTTP/1.1 204 ") && said.contains("allow: "), "{said}");
    assert!(!said.contains("location:"), "{said}");
    let said = ask("OPTIONS /api/products/");
    assert!(said.starts_with("HTTP/1.1 308 "), "{said}");
    let said = ask(&format!("GET http://{NAME}/a?b"));
    assert!(said.contains(&format!("location: https://{NAME}/a?b")), "{said}");
    for line in [&format!("CONNECT {NAME}:443"), "GET *"] {
        let said = ask(line);
        assert!(said.starts_with("HTTP/1.1 4") && !said.contains("location:"), "{line}: {said}");
    }
    assert_eq!(shop.server.stop(), Some(0));
}

/// What plain HTTP answers to a request that begins so.
fn plain(shop: &Secure, line: &str, host: &str) -> String {
    let asked = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    String::from_utf8(answered(shop.http, asked.as_bytes())).expect("text")
}

/// The first bytes that are answered to `hello`.
fn answered(address: SocketAddr, hello: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("it can");
    stream.write_all(hello).expect("it reads");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    said
}

#[test]
fn old_versions_of_tls_and_plain_http_are_refused() {
    let shop = serve();
    // The same hello, but for the version: random, no session, one cipher suite, no compression, a signature, a group.
    let hello = |minor: u8| {
        let mut body = vec![3, minor];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
        body.extend([0, 16, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 29]);
        let length = u8::try_from(body.len()).expect("short");
        [[22, 3, 1, 0, length + 4, 1, 0, 0, length].as_slice(), &body].concat()
    };
    for minor in [1, 2] {
        let said = answered(shop.tls, &hello(minor));
        assert_eq!((said.first(), said.last()), (Some(&21), Some(&70)), "an alert: protocol_version");
    }
    assert_eq!(answered(shop.tls, &hello(3)).first(), Some(&22), "a handshake");
    let said = answered(shop.tls, b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n");
    let said = String::from_utf8(said).expect("text");
    let (head, body) = said.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len()))
            || head.ends_with(&body.len().to_string())
    );
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["code"], "https_only");
    assert_eq!(shop.server.stop(), Some(0));
}

#[test]
fn sessions_are_resumed_by_both_versions() {
    let shop = serve();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = shop.home.dir.path().join("session");
        let talk = |more: [&str; 2]| {
            let mut openssl = Command::new("openssl");
            openssl.args(["s_client", "-connect", &shop.tls.to_string(), "-servername", NAME, version]);
            openssl.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = openssl.spawn().expect("this test needs openssl");
            let mut stdin = child.stdin.take().expect("piped");
            // The answer, after which sessions of TLS 1.3 are there.
            stdin
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                .expect("it reads");
            let mut said = String::new();
            child.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
            drop(stdin);
            child.wait().expect("it ends");
            said
        };
        let path = session.to_str().expect("UTF-8");
        assert!(talk(["-sess_out", path]).contains("New, "), "{version}");
        let said = talk(["-sess_in", path]);
        assert!(said.contains("Reused, "), "{version}: {said}");
    }
    assert_eq!(shop.server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_are_taken_with_no_request_lost() {
    let shop = serve();
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // Connections that go on, and handshakes of clients that believe anybody.
    let askers: Vec<_> = (0..4)
        .map(|n| {
            let builder = shop.builder(&shop.root).tls_danger_accept_invalid_certs(true);
            let builder = if n % 2 == 0 { builder } else { builder.pool_max_idle_per_host(0).http1_only() };
            let client = builder.build().expect("a client");
            let (stop, asked, url) = (Arc::clone(&stop), Arc::clone(&asked), shop.url("/healthz"));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get(&url).send().await.expect("no request is lost");
                    assert_eq!(answer.status(), 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let is_shown = async |root: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while shop.client(root).get(shop.url("/healthz")).send().await.is_err() {
            assert!(Instant::now() < deadline, "the new certificate is not shown\n{}", shop.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    is_shown(&shop.root).await;
    let second = write_pair(&shop.home);
    is_shown(&second).await;
    // A new certificate without its key: what was there is kept, and it is said, once.
    let key = shop.home.dir.path().join("key.pem");
    let kept = std::fs::read(&key).expect("a file");
    let third = write_pair(&shop.home);
    let right = std::fs::read(&key).expect("a file");
    std::fs::write(&key, &kept).expect("written");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !shop.log().contains("the private key is not the certificate's") {
        assert!(Instant::now() < deadline, "{}", shop.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    is_shown(&second).await;
    std::fs::write(&key, right).expect("written");
    is_shown(&third).await;
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.expect("no request is lost");
    }
    println!("{} requests went well meanwhile", asked.load(Ordering::Relaxed));
    assert!(asked.load(Ordering::Relaxed) > 100);
    assert_eq!(shop.server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_slow_to_shake_hands_is_cut_off_and_holds_up_nobody() {
    let shop = serve();
    // Nothing, half a record, and a record that comes byte by byte.
    let begun: [&[u8]; 3] = [b"", &[22, 3, 1, 2, 0, 1, 0], &[22, 3, 1]];
    let slow: Vec<_> = (0..150)
        .map(|n| {
            let mut stream = TcpStream::connect(shop.tls).expect("it listens");
            stream.write_all(begun[n % 3]).expect("it reads");
            stream
        })
        .collect();
    let client = shop.client(&shop.root);
    let began = Instant::now();
    assert_eq!(client.get(shop.url("/healthz")).send().await.expect("an answer").status(), 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it can");
        let ended = stream.read(&mut [0; 64]);
        assert!(
            matches!(ended, Ok(0))
                || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(8)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert_eq!(shop.server.stop(), Some(0));
}

#[test]
fn files_that_are_no_good_are_said_at_the_start() {
    let home = Home::new();
    let file = |name: &str| -> PathBuf { home.dir.path().join(name) };
    let refused = |what: &str| {
        for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["config", "check"]] {
            let said = run(with_files(&home, home.command(words)));
            assert!(said.code == 2 && said.err.contains(what) && said.out.is_empty(), "{what}: {said:?}");
        }
        assert!(!home.path().exists(), "nothing was made");
    };
    refused("cert.pem can't be read: No such file");
    write_pair(&home);
    std::fs::remove_file(file("key.pem")).expect("it is there");
    refused("key.pem can't be read: No such file");
    std::fs::write(file("key.pem"), "hello").expect("written");
    refused("there is no private key in it");
    std::fs::write(file("key.pem"), KeyPair::generate().expect("a key").serialize_pem()).expect("written");
    refused("the private key is not the certificate's");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).expect("names");
    params.not_after = rcgen::date_time_ymd(2020, 2, 3);
    std::fs::write(file("cert.pem"), params.self_signed(&key).expect("a certificate").pem())
        .expect("written");
    std::fs::write(file("key.pem"), key.serialize_pem()).expect("written");
    refused("the certificate has expired, on 2020-02-03");
}
