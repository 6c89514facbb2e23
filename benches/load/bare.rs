//! What till is measured against in the same run: a hyper server that sends the same bytes, a redb loop that commits
//! the same rows, and nothing but syncs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use redb::{Database, TableDefinition};
use till::cart::CartError;
use till::checkout::{Basket, PlaceError};
use till::id::{ProductId, UserId};
use till::store::{Direction, Reads, Span, StoreError, schema};

use crate::client::Answer;
use crate::support::{self, Bench};

/// An answer's headers and body.
type Sample = (Vec<(HeaderName, HeaderValue)>, Bytes);

/// Leaves answers where [`serve`] finds them.
pub fn keep(dir: &Path, answers: &[Answer]) {
    fs::create_dir_all(dir).expect("a directory");
    for (n, answer) in answers.iter().enumerate() {
        let both = [&answer.head[..], &answer.body[..]].concat();
        fs::write(dir.join(n.to_string()), both).expect("written");
    }
}

fn sample(bytes: &[u8]) -> Sample {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&bytes[..end]).expect("heads are text");
    let headers = head.lines().skip(1).map(|line| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.parse().expect("a name"), value.parse().expect("a value"))
    });
    // hyper writes these by itself.
    let headers = headers.filter(|(name, _)| name != "content-length" && name != "date").collect();
    (headers, Bytes::copy_from_slice(&bytes[end + 4..]))
}

/// The how manyth answer is sent next.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Answers whatever is asked with one of the answers in `dir` after the other.
pub fn serve(dir: &Path) {
    let samples: Vec<_> = fs::read_dir(dir)
        .expect("it is there")
        .map(|entry| sample(&fs::read(entry.expect("it is there").path()).expect("it is there")))
        .collect();
    let samples: &'static [Sample] = samples.leak();
    let answer = |_request| async {
        let (headers, body) = &samples[NEXT.fetch_add(1, Ordering::Relaxed) % samples.len()];
        let mut answer = http::Response::new(Full::new(body.clone()));
        for (name, value) in headers {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
        Ok::<_, Infallible>(answer)
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("listening on http://{}", listener.local_addr().expect("it listens"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("it is TCP");
            tokio::spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                drop(server.serve_connection(TokioIo::new(stream), service_fn(answer)).await);
            });
        }
    });
}

/// Every row of a shop's file, by table and key.
type Rows = BTreeMap<&'static str, BTreeMap<Vec<u8>, Vec<u8>>>;

/// What a commit did: table, key, and the value that is there now, if any.
type Writes = Vec<(&'static str, Vec<u8>, Option<Vec<u8>>)>;

fn rows(shop: &Bench) -> Rows {
    let read = |tx: &till::store::ReadTx| {
        let mut rows = Rows::new();
        for table in schema::tables() {
            for name in table.index_names().into_iter().chain([table.name()]) {
                let rows = rows.entry(name).or_default();
                tx.scan_raw(name, Span::all(Direction::Up), &mut |key, value| {
                    rows.insert(key.to_vec(), value.to_vec());
                    ControlFlow::Continue(())
                })?;
            }
        }
        Ok::<_, StoreError>(rows)
    };
    shop.app.store.read(read).expect("it is read")
}

fn difference(before: &Rows, after: &Rows) -> Writes {
    let mut writes = Writes::new();
    for (name, rows) in after {
        let old = &before[name];
        let put = rows.iter().filter(|(key, value)| old.get(*key) != Some(value));
        writes.extend(put.map(|(key, value)| (*name, key.clone(), Some(value.clone()))));
        let gone = old.keys().filter(|key| !rows.contains_key(*key));
        writes.extend(gone.map(|key| (*name, key.clone(), None)));
    }
    writes
}

/// What a shop's checkouts write: `batch` buyers at a time put something into their carts, in one commit, and order
/// it, in another.
pub struct Checkouts {
    before: Rows,
    commits: Vec<Writes>,
    batch: usize,
}

/// Checks out `pairs` times with each of `batch` buyers, and notes which rows each commit changed.
pub fn checkouts(shop: &Bench, batch: usize, pairs: usize) -> Checkouts {
    let buyers = support::buyers(&shop.app, batch);
    let before = rows(shop);
    let (mut last, mut commits) = (before.clone(), Vec::new());
    for pair in 0..pairs {
        let product = |n: usize| shop.products[(pair * batch + n) * 7919 % shop.products.len()];
        together(shop, &buyers, |n, buyer| add(shop, buyer, product(n)));
        let added = rows(shop);
        commits.push(difference(&last, &added));
        together(shop, &buyers, |_, buyer| order(shop, buyer));
        last = rows(shop);
        commits.push(difference(&added, &last));
    }
    Checkouts { before, commits, batch }
}

type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Has all of them act in one commit.
fn together<'a>(shop: &'a Bench, buyers: &[UserId], act: impl Fn(usize, UserId) -> Waiting<'a>) {
    let mut waiting: Vec<_> = buyers.iter().enumerate().map(|(n, buyer)| act(n, *buyer)).collect();
    for one in &mut waiting {
        assert!(one.as_mut().now_or_never().is_none());
    }
    assert_eq!(shop.app.store.step(), buyers.len());
    for one in waiting {
        one.now_or_never().expect("the commit is done");
    }
}

fn add(shop: &Bench, buyer: UserId, product: ProductId) -> Waiting<'_> {
    let act = move |tx: &mut till::store::WriteTx| till::cart::add(tx, buyer, product, None, 1);
    Box::pin(shop.app.store.write::<_, CartError>(act).map(|added| assert!(added.is_ok(), "{added:?}")))
}

fn order(shop: &Bench, buyer: UserId) -> Waiting<'_> {
    let placing = support::placing(Basket::Cart);
    let rules = shop.app.rules();
    let act =
        move |tx: &mut till::store::WriteTx| till::checkout::place(tx, buyer, &placing, &rules, |_| Ok(()));
    Box::pin(shop.app.store.write::<_, PlaceError>(act).map(|placed| assert!(placed.is_ok(), "{placed:?}")))
}

impl Checkouts {
    /// Rows and bytes that a checkout writes.
    pub fn each(&self) -> (f64, f64) {
        let all = self.commits.iter().flatten();
        let (mut rows, mut bytes) = (0.0, 0.0);
        for (_, key, value) in all {
            rows += 1.0;
            bytes += (key.len() + value.as_ref().map_or(0, Vec::len)) as f64;
        }
        let checkouts = (self.commits.len() / 2 * self.batch) as f64;
        (rows / checkouts, bytes / checkouts)
    }

    /// How many checkouts a second bare redb commits, with the settings that till runs it with.
    pub fn in_bare_redb(&self, dir: &Path, cache: usize) -> f64 {
        let path = dir.join("bare.redb");
        let _ = fs::remove_file(&path);
        let db = Database::builder().set_cache_size(cache).create(&path).expect("a file");
        let table = |name| TableDefinition::<&[u8], &[u8]>::new(name);
        let filling = db.begin_write().expect("it begins");
        for (name, rows) in &self.before {
            let mut open = filling.open_table(table(name)).expect("a table");
            for (key, value) in rows {
                open.insert(&key[..], &value[..]).expect("it is written");
            }
        }
        filling.commit().expect("it is committed");
        let began = Instant::now();
        for writes in &self.commits {
            let mut commit = db.begin_write().expect("it begins");
            commit.set_quick_repair(true);
            for rows in writes.chunk_by(|a, b| a.0 == b.0) {
                let mut open = commit.open_table(table(rows[0].0)).expect("a table");
                for (_, key, value) in rows {
                    match value {
                        Some(value) => drop(open.insert(&key[..], &value[..]).expect("it is written")),
                        None => drop(open.remove(&key[..]).expect("it is written")),
                    }
                }
            }
            commit.commit().expect("it is committed");
        }
        (self.commits.len() / 2 * self.batch) as f64 / began.elapsed().as_secs_f64()
    }
}

/// How often a second four kilobytes come to the disk, each with a sync of its own.
pub fn syncs(dir: &Path, span: Duration) -> f64 {
    let path = dir.join("syncs");
    let mut file = fs::File::create(&path).expect("a file");
    file.write_all(&vec![0; 1 << 20]).expect("written");
    file.sync_all().expect("synced");
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < span {
        let page = [count as u8; 4096];
        file.write_all_at(&page, u64::from(count % 256) * 4096).expect("written");
        file.sync_data().expect("synced");
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}
