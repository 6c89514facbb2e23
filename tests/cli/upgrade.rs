//! Data files and backups that earlier tills wrote.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Home, repository};

fn shops() -> PathBuf {
    repository().join("tests/fixtures/shops")
}

/// A stopped shop whose data file is the fixture.
fn shop_of(file: &str) -> Home {
    let home = Home::new();
    std::fs::create_dir(home.path()).expect("it is new");
    std::fs::copy(shops().join(file), home.path().join("till.redb")).expect("copied");
    home
}

/// Each line as JSON, without the links that are made anew each time.
fn lines(text: &str) -> Vec<Value> {
    let read = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line.as_object_mut().expect("an object").remove("invoice_url");
        let notes = line["refunds"].as_array_mut().into_iter().flatten();
        for note in notes.filter_map(|refund| refund["credit_notes"].as_array_mut()).flatten() {
            note.as_object_mut().expect("an object").remove("url");
        }
        line
    };
    text.lines().map(read).collect()
}

/// What is asked of a shop, by the name of the file with the answer.
const ASKED: &[(&str, &str)] = &[
    ("order", "order export --format jsonl"),
    ("product", "product export --format jsonl"),
    ("payment", "payment list --json --limit 0"),
    ("stock", "stock movements T-1 --json"),
    ("coupon", "coupon list --json"),
    ("review", "review list --json"),
    ("mail", "mail list --json --limit 0"),
    ("audit", "audit list --json --limit 0"),
];

/// The commands say of a shop what was written down when its file was made.
fn says_what_it_held(format: &str, home: &Home) {
    let answers = std::fs::read_dir(shops().join(format)).expect("a directory");
    for answer in answers.map(|entry| entry.expect("readable").path()) {
        let name = answer.file_stem().and_then(|name| name.to_str()).expect("a name");
        let (_, command) = ASKED.iter().find(|(asked, _)| *asked == name).expect("somebody asks for it");
        let words: Vec<_> = command.split(' ').collect();
        let expected = std::fs::read_to_string(&answer).expect("a fixture");
        let said = lines(&home.run(&words).ok().out);
        for (line, expected) in said.iter().zip(lines(&expected)) {
            assert_eq!(*line, expected, "{format}: {command}");
        }
        assert_eq!(said.len(), expected.lines().count(), "{format}: {command}");
    }
    home.run(&["check"]).ok();
}

#[test]
fn a_file_of_each_format_holds_what_it_held() {
    for format in ["format-3", "format-4"] {
        says_what_it_held(format, &shop_of(&format!("{format}.redb")));
    }
}

#[test]
fn a_backup_of_each_format_restores_what_it_held() {
    for format in ["format-3", "format-4"] {
        let home = Home::new();
        let file = shops().join(format!("{format}.backup"));
        home.run(&["restore", &file.display().to_string()]).ok();
        says_what_it_held(format, &home);
    }
}

#[test]
fn before_an_older_file_is_brought_up_to_date_a_copy_is_kept_that_its_own_till_can_open() {
    let home = shop_of("format-1.redb");
    home.run(&["check"]).ok();
    let kept = home.path().join("till.redb.format-1");
    let (old, now) = (std::fs::read(&kept).expect("kept"), std::fs::read(home.path().join("till.redb")));
    assert_ne!(old, now.expect("it is there"));
    // It is the old format still: opened once more, it would be brought up to date again.
    let again = Home::new();
    std::fs::create_dir(again.path()).expect("it is new");
    std::fs::copy(&kept, again.path().join("till.redb")).expect("copied");
    again.run(&["check"]).ok();
    assert!(again.path().join("till.redb.format-1").exists());
    // The second time there is nothing to do.
    std::fs::remove_file(&kept).expect("removed");
    home.run(&["check"]).ok();
    assert!(!kept.exists());
}

#[test]
fn an_upgrade_can_be_told_not_to_copy_and_not_to_take_place() {
    let home = shop_of("format-1.redb");
    let run = |upgrade: &str| {
        let output =
            home.command(&["order", "list"]).env("TILL_DATA__UPGRADE", upgrade).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, said) = run("refuse");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("format 1") && said.contains("data.upgrade"), "{said}");
    let (code, said) = run("direct");
    assert_eq!(code, Some(0), "{said}");
    assert!(!home.path().join("till.redb.format-1").exists());
    assert_eq!(run("never").0, Some(2));
}
