//! Clients that are slow, greedy, or many, against the real program: the shop goes on for all others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Home, Server};

/// A shop with one product and the limits that it ships with, but for these settings.
fn shop(home: &Home, settings: &[(&str, &str)]) -> (Server, SocketAddr) {
    home.run_with(&["product", "import", "-"], "handle,name,price,sku,stock_quantity\ntea,Tea,4,T-1,9\n")
        .ok();
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env_remove("TILL_LIMITS__ENABLED");
    for (name, value) in settings {
        command.env(format!("TILL_{name}"), value);
    }
    let server = Server::start(command);
    let address = server.base.strip_prefix("http://").expect("a URL").parse().expect("an address");
    (server, address)
}

fn raise_open_files() {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: files.maximum, ..files };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all)
        .expect("a process may ask for what it may have");
}

/// Asks for the product list on a new connection, until `stop`; how often it was answered, and the longest wait.
async fn lists(base: String, stop: Arc<AtomicBool>) -> (usize, Duration) {
    let client = till::http::outgoing().timeout(Duration::from_secs(30)).build().expect("a client");
    let (mut answered, mut longest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = client.get(format!("{base}/api/products/")).send().await.expect("the shop answers");
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.expect("it is whole").contains("Tea"));
        longest = longest.max(began.elapsed());
        answered += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (answered, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_slow_connections_leave_the_list_answering_and_are_cut_off() {
    const SLOW: usize = 2000;
    raise_open_files();
    let home = Home::new();
    // All come from here; the places of one address are another test's.
    let (server, address) = shop(&home, &[("SERVER__CONNECTIONS_PER_ADDRESS", "3000")]);
    let cut = Arc::new(AtomicUsize::new(0));
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it is accepted");
        // A third says nothing, a third a part of a head now and then, a third a body.
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"GET /api/products/ HTTP/1.1\r\nHost: x\r\n").await.expect("it is taken"),
            _ => {
                let head = b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                    Content-Length: 1000\r\n\r\n";
                stream.write_all(head).await.expect("it is taken");
            }
        }
        let cut = Arc::clone(&cut);
        slow.push(tokio::spawn(async move {
            let (mut from, mut to) = stream.split();
            let drip = async {
                while n % 3 > 0 && to.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                std::future::pending::<()>().await;
            };
            let ended = async {
                let mut said = [0; 4096];
                while !matches!(from.read(&mut said).await, Ok(0) | Err(_)) {}
            };
            tokio::select! { () = drip => {}, () = ended => {} }
            cut.fetch_add(1, Ordering::Relaxed);
        }));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn(lists(server.base.clone(), Arc::clone(&stop)));
    // Heads are given ten seconds, bodies thirty and what their bytes are worth.
    let deadline = Instant::now() + Duration::from_secs(60);
    while cut.load(Ordering::Relaxed) < SLOW && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (answered, longest) = asking.await.expect("it asked");
    let cut = cut.load(Ordering::Relaxed);
    println!("{cut} of {SLOW} were cut off; beside them {answered} lists, the slowest after {longest:?}");
    assert_eq!(cut, SLOW);
    assert!(answered > 100, "{answered}");
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_leaves_the_list_answering() {
    let home = Home::new();
    // Without the limits: as if it came from everywhere.
    let (server, _) =
        shop(&home, &[("LIMITS__LOGINS", "1000000/minute"), ("LIMITS__WRONG_PASSWORDS", "100")]);
    let stop = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn(lists(server.base.clone(), Arc::clone(&stop)));
    let client = till::http::outgoing().timeout(Duration::from_secs(60)).build().expect("a client");
    let until = Instant::now() + Duration::from_secs(8);
    let flood = (0..100).map(|n: usize| {
        let (client, url) = (client.clone(), format!("{}/api/auth/login/", server.base));
        async move {
            let mut answers = 0;
            while Instant::now() < until {
                let body = json!({"email": format!("a{n}-{answers}@example.com"), "password": "guess guess"});
                let asked =
                    client.post(&url).header("Content-Type", "application/json").body(body.to_string());
                let status = asked.send().await.expect("it is answered").status().as_u16();
                assert!([401, 503, 429].contains(&status), "{status}");
                answers += 1;
            }
            answers
        }
    });
    let logins: usize = futures_util::future::join_all(flood).await.into_iter().sum();
    stop.store(true, Ordering::Relaxed);
    let (answered, longest) = asking.await.expect("it asked");
    println!(
        "{logins} logins in 8 s from 100 clients; beside them {answered} lists, the slowest after {longest:?}"
    );
    assert!(answered > 40, "{answered}");
}

#[test]
fn one_address_takes_no_more_than_its_places_and_is_told_so() {
    let home = Home::new();
    let (server, address) = shop(&home, &[("SERVER__CONNECTIONS_PER_ADDRESS", "5")]);
    let held: Vec<_> = (0..5).map(|_| TcpStream::connect(address).expect("it is accepted")).collect();
    let mut said = String::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    // The five are counted once the shop has accepted them.
    while !said.starts_with("HTTP/1.1 503") {
        assert!(Instant::now() < deadline, "{said}");
        let mut one_more = TcpStream::connect(address).expect("it is accepted");
        one_more.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        said.clear();
        let _ = one_more.read_to_string(&mut said);
    }
    let (head, body) = said.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("Retry-After: 5"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["code"], "too_many_connections");
    drop(held);
    // The operator has places of their own, and the places of who left are free.
    home.run(&["product", "list"]).ok();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ask(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .starts_with("HTTP/1.1 200")
    {
        assert!(Instant::now() < deadline);
    }
    drop(server);
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it is accepted");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(request).expect("it is taken");
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    said
}

#[test]
fn a_body_that_is_far_too_large_is_refused_where_the_client_can_read_it() {
    let home = Home::new();
    let (_server, address) = shop(&home, &[]);
    for (length, framing) in [(4 << 20, "plain"), (4 << 20, "chunked"), (12 << 20, "plain")] {
        let mut stream = TcpStream::connect(address).expect("it is accepted");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let head = "POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let length_line = match framing {
            "plain" => format!("Content-Length: {length}"),
            _ => "Transfer-Encoding: chunked".to_owned(),
        };
        stream.write_all(format!("{head}{length_line}\r\n\r\n").as_bytes()).expect("it is taken");
        // As most clients do: all of it first, then a look at the answer.
        let piece = vec![b' '; 64 << 10];
        for _ in 0..length / piece.len() {
            if framing == "chunked" {
                stream.write_all(b"10000\r\n").expect("the connection stands");
            }
            stream.write_all(&piece).expect("the connection stands");
            if framing == "chunked" {
                stream.write_all(b"\r\n").expect("the connection stands");
            }
        }
        if framing == "chunked" {
            stream.write_all(b"0\r\n\r\n").expect("the connection stands");
        }
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("the answer comes whole, and then an orderly end");
        assert!(said.starts_with("HTTP/1.1 413"), "{framing}: {said}");
        assert!(said.contains("body_too_large"), "{framing}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_an_answer_is_cut_off() {
    let home = Home::new();
    let (server, address) = shop(&home, &[("LIMITS__ENABLED", "false")]);
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it is accepted");
    // More answers than the buffers between us hold.
    let asked = tokio::spawn(async move {
        let request = b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
        let began = Instant::now();
        while stream.write_all(&request).await.is_ok() {}
        began.elapsed()
    });
    let took =
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it is cut off").expect("it asked");
    println!("cut off after {took:?}");
    assert!(took > Duration::from_secs(20), "it is given some time: {took:?}");
    assert_eq!(server.stop(), Some(0));
}
