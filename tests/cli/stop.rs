//! Stopping as an operator does: what is answered is kept, what was begun is answered, and nobody holds it up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::shoppers::{compare, open_shop, seeded};
use crate::support::{Home, Server};

const ROUNDS: usize = 10;
/// The stop is asked for within this time of the load's begin.
const LOAD: Duration = Duration::from_millis(300);
/// What the shop gives requests that run, and what it takes beside.
const DRAIN: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_answers_what_was_begun_and_keeps_what_was_answered() {
    let mut random = seeded();
    let (home, mut clients) = open_shop(&mut random).await;
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let server = home.serve();
        // What was not answered was not begun: without being asked again, it must have done nothing.
        for client in &mut clients {
            client.open = None;
        }
        compare(&server.base, &mut clients).await;
        let running: Vec<_> = clients
            .drain(..)
            .map(|client| tokio::spawn(client.shop_until_it_is_gone(server.base.clone())))
            .collect();
        tokio::time::sleep(LOAD.mul_f64(random.random())).await;
        let asked = Instant::now();
        let code = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
        longest = longest.max(asked.elapsed());
        assert_eq!(code, Some(0));
        for client in running {
            clients.push(client.await.unwrap());
        }
    }
    let server = home.serve();
    for client in &mut clients {
        (client.open, client.repeated) = (None, 0);
    }
    compare(&server.base, &mut clients).await;
    assert!(longest < SOON, "a stop took {longest:?}");
    let answered: usize = clients.iter().map(|client| client.answered.len()).sum();
    println!("{ROUNDS} rounds, {answered} requests answered; the longest stop took {longest:?}");
    assert!(answered > 5 * ROUNDS, "only {answered} requests were answered");
}

/// Connects and says `head`.
fn say(server: &Server, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.base.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// A login whose body never comes whole. It runs when this returns.
fn half_a_request(server: &Server) -> TcpStream {
    let head = "POST /api/auth/login/ HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n\
                Content-Length: 1000\r\n\r\n";
    let mut stream = say(server, head);
    let mut said = [0; 12];
    // The shop says that it reads the body.
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 100");
    stream.write_all(b"{\"email\": ").unwrap();
    stream
}

#[test]
fn nobody_holds_up_a_stop_beyond_the_time_for_it() {
    let home = Home::new();
    let description = "x".repeat(4000);
    let rows = (0..3000).map(|n| format!("item-{n},Item {n},4,SKU-{n},{description}\n"));
    let csv = format!("handle,name,price,sku,description\n{}", rows.collect::<String>());
    home.run_with(&["product", "import", "-"], &csv).ok();
    let scopes = ["token", "create", "--name", "reader", "--scopes", "products:read", "--json"];
    let token = home.run(&scopes).json()["secret"].as_str().expect("a secret").to_owned();
    let server = home.serve();
    let _writes = half_a_request(&server);
    let export = format!(
        "GET /api/admin/products/export/ HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut reads = say(&server, &export);
    let mut said = [0; 12];
    reads.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 200");
    let asked = Instant::now();
    assert_eq!(server.stop(), Some(0));
    let took = asked.elapsed();
    assert!(took + SOON > DRAIN && took < DRAIN + SOON, "it took {took:?}");
}

#[test]
fn connections_on_which_nothing_runs_do_not_hold_up_a_stop() {
    let server = Home::new().serve();
    let _silent = say(&server, "");
    let mut kept = say(&server, "GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n");
    let mut said = [0; 12];
    kept.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 200");
    let asked = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
}

#[test]
fn who_has_just_come_or_was_just_answered_is_heard_once_more_and_told_to_close() {
    let mut server = Home::new().serve();
    let request = "GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n";
    let mut kept = say(&server, request);
    let mut said = [0; 2000];
    assert!(kept.read(&mut said).unwrap() > 0);
    let new = say(&server, "");
    // It is accepted.
    std::thread::sleep(Duration::from_millis(100));
    let asked = Instant::now();
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(200));
    for mut client in [kept, new] {
        client.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200") && said.contains("connection: close"), "{said}");
    }
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
}

#[test]
fn a_second_signal_stops_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT")] {
        let home = Home::new();
        let mut server = home.serve();
        let _hangs = half_a_request(&server);
        let asked = Instant::now();
        server.signal(first);
        std::thread::sleep(Duration::from_millis(200));
        assert!(server.child.try_wait().unwrap().is_none(), "the first lets requests that run finish");
        server.signal(second);
        assert_eq!(server.child.wait().unwrap().code(), Some(1));
        assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
        home.run(&["check"]).ok();
    }
}

/// What the service manager is told until a line that begins with `end`.
fn told(manager: &UnixDatagram, end: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let from = Instant::now();
    while !lines.iter().any(|line| line.starts_with(end)) {
        assert!(from.elapsed() < DRAIN, "no {end}: {lines:?}");
        let mut message = [0; 4096];
        let size = manager.recv(&mut message).unwrap_or_else(|error| panic!("no {end}: {error}; {lines:?}"));
        lines.extend(std::str::from_utf8(&message[..size]).unwrap().lines().map(str::to_owned));
    }
    lines
}

#[test]
fn a_service_manager_is_told_of_the_start_the_stop_and_that_the_shop_lives() {
    let home = Home::new();
    let socket = home.dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000");
    let server = Server::start(command);
    let begin = told(&manager, "READY=1");
    assert!(begin.iter().any(|line| line.starts_with("EXTEND_TIMEOUT_USEC=")), "{begin:?}");
    assert!(begin.contains(&format!("STATUS=listening on {}", server.base)), "{begin:?}");
    let from = Instant::now();
    for _ in 0..5 {
        told(&manager, "WATCHDOG=1");
    }
    let took = from.elapsed();
    assert!(took > Duration::from_millis(600) && took < SOON, "five signs of life in {took:?}");
    assert_eq!(server.stop(), Some(0));
    let end = told(&manager, "STOPPING=1");
    assert!(!end.iter().any(|line| line == "READY=1"), "{end:?}");

    // A watchdog that waits for another process.
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000").env("WATCHDOG_PID", "1");
    let server = Server::start(command);
    told(&manager, "READY=1");
    assert_eq!(server.stop(), Some(0));
    let end = told(&manager, "STOPPING=1");
    assert!(!end.iter().any(|line| line == "WATCHDOG=1"), "{end:?}");
}
