//! The example file, and what is written of settings.

use super::*;

#[test]
fn the_example_file_is_in_step() {
    let file = include_str!("../../config.toml.example");
    assert_eq!(file, Config::example(), "write it anew: cargo run -- config example > config.toml.example");
}

#[test]
fn what_is_written_is_read_again() {
    let name = "Ann's \"Corner\" \\ Shöp\t";
    let text = Config::written(&[("shop.name", name.into()), ("orders.hold_minutes", "90".into())]);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).expect("written");
    let config = Config::load(Some(&path), [], &Flags::default()).expect("a good file");
    assert_eq!((config.shop_name.as_str(), config.orders_hold_minutes.0), (name, 90));
    assert_eq!(config.shop_currency.code(), "USD");
}

#[test]
fn the_example_file_is_good_when_its_defaults_are_switched_on() {
    let text: String = Config::example()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).expect("written");
    let config = Config::load(Some(&path), [], &Flags::default()).expect("a good file");
    assert!(config.shown().iter().all(|(_, _, source)| matches!(source, Source::File { .. })));
}
