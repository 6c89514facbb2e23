//! The architecture, as `lib.rs` tells it: where redb, warp and bincode may stand, and which way rooms point.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the shop, in the order of who may know whom: each may name those before it.
const ROOMS: &[&str] = &[
    "audit",
    "outbox",
    "accounts",
    "inventory",
    "catalogue",
    "promotions",
    "cart",
    "orders",
    "payments",
    "checkout",
    "reviews",
    "wishlist",
    "reports",
    "mail",
    "privacy",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Every source file: its path below `src` and its text.
fn all() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    let read = |path: PathBuf| {
        (
            path.strip_prefix(&src).expect("below").display().to_string(),
            fs::read_to_string(&path).expect("UTF-8"),
        )
    };
    found.into_iter().map(read).collect()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn the_store_alone_knows_redb_and_one_file_knows_bincode() {
    for (path, text) in all() {
        let names = |word: &str| code(&text).any(|line| line.contains(word));
        let is_test = path.ends_with("/tests.rs");
        assert!(!names("redb::") || path.starts_with("store/") || is_test, "{path} names redb");
        assert!(!names("bincode::") || path == "store/codec.rs", "{path} names bincode");
        assert!(!names("warp::") || path == "http/listener.rs", "{path} names warp");
    }
}

#[test]
fn rooms_name_only_the_rooms_before_them() {
    for (path, text) in all() {
        let Some(own) = ROOMS.iter().position(|room| path.starts_with(&format!("{room}/"))) else { continue };
        for later in &ROOMS[own + 1..] {
            let named = code(&text).find(|line| line.contains(&format!("crate::{later}")));
            assert_eq!(named, None, "{path} knows {later}, which comes after it");
        }
    }
}

#[test]
fn the_machine_knows_the_rooms_only_where_they_are_listed() {
    for (path, text) in all() {
        let is_machine = path.starts_with("http/") || path.starts_with("store/");
        if !is_machine
            || ["http/mod.rs", "http/health.rs", "store/schema.rs", "store/tests.rs"].contains(&path.as_str())
        {
            continue;
        }
        for room in ROOMS {
            let named = code(&text).find(|line| line.contains(&format!("crate::{room}")));
            assert_eq!(named, None, "{path} knows {room}");
        }
    }
}

#[test]
fn rules_and_records_know_no_transport() {
    for (path, text) in all() {
        let is_rule = ["/model.rs", "/lifecycle.rs", "/totals.rs"].iter().any(|end| path.ends_with(end));
        if is_rule {
            for word in ["http::", "WriteTx", "reqwest", "tokio"] {
                let named = code(&text).find(|line| line.contains(word) && !line.contains("http::Faults"));
                assert_eq!(named, None, "{path} names {word}");
            }
        }
    }
}

#[test]
fn files_have_one_subject() {
    for (path, text) in all() {
        let lines = text.lines().count();
        assert!(lines <= 500, "{path} has {lines} lines");
    }
}
