//! Backups and restores as operators do them.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::bucket::Moto;
use crate::support::{Home, Said, till};

/// A shop with a few products and an account.
fn shop() -> Home {
    let home = Home::new();
    home.run_with(
        &["product", "import", "-"],
        "handle,name,price,sku,stock_quantity\ntea,Tea,4,T-1,10\nmug,Mug,9,M-1,3\n",
    )
    .ok();
    home
}

/// The stdout of a shop's product list.
fn products(home: &Home) -> String {
    home.run(&["product", "export", "--format", "jsonl"]).ok().out
}

/// Runs a command without a shop of its own, in `dir`.
fn run_in(dir: &Path, words: &[&str], envs: &[(&str, &str)]) -> Said {
    let output = till().args(words).current_dir(dir).envs(envs.iter().copied()).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn a_running_shops_backup_is_restored_elsewhere() {
    let home = shop();
    let server = home.serve();
    let made = home.run(&["backup", "create"]).ok().out;
    let file = home.dir.path().join(made.trim());
    assert!(made.starts_with("till-") && file.is_file(), "{made}");
    let verified = home.run(&["backup", "verify", made.trim(), "--deep"]).ok().out;
    assert!(verified.contains("a backup of shop") && verified.contains("every page"), "{verified}");
    let checked = home.run(&["check", made.trim(), "--json"]).json();
    assert_eq!(
        (&checked["ok"], checked["backup"]["tables"]["products"].as_u64()),
        (&Value::Bool(true), Some(2))
    );

    let path = file.display().to_string();
    let refused = home.run(&["restore", &path]);
    assert!(refused.code == 1 && refused.err.contains("stop it first"), "{refused:?}");
    assert_eq!(home.run(&["check", "--deep"]).code, 1, "its file is in use");
    assert_eq!(server.stop(), Some(0));

    home.run(&["stock", "adjust", "T-1", "--set", "99", "--reason", "counted"]).ok();
    let later = products(&home);
    let refused = home.run(&["restore", &path]);
    assert!(refused.code == 1 && refused.err.contains("--force"), "{refused:?}");
    assert_eq!(products(&home), later, "nothing was changed");

    let restored = home.run(&["restore", &path, "--force"]).ok();
    let aside =
        restored.err.lines().find_map(|line| line.strip_prefix("what was there before: ")).expect("it says");
    let elsewhere = Home::new();
    elsewhere.run(&["restore", &path]).ok();
    assert_eq!(products(&home), products(&elsewhere));
    assert_ne!(products(&home), later);
    // What was there before is a shop, too.
    let before = Home::new();
    std::fs::create_dir(before.path()).expect("it is new");
    std::fs::copy(aside, before.path().join("till.redb")).expect("it was kept");
    assert_eq!(products(&before), later);
    home.run(&["check", "--deep"]).ok();
    let kept: Vec<_> =
        std::fs::read_dir(home.path()).expect("there").flatten().map(|entry| entry.file_name()).collect();
    assert!(kept.iter().all(|name| !name.to_string_lossy().starts_with(".till")), "{kept:?}");
}

#[test]
fn what_is_no_whole_backup_is_refused_and_changes_nothing() {
    let home = shop();
    let dir = home.dir.path();
    home.run(&["backup", "create", "--out", "good"]).ok();
    let good = std::fs::read(dir.join("good")).expect("it was made");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (name, bytes) in [
        ("cut", &good[..good.len() - 7]),
        ("flipped", &flipped),
        ("empty", &[]),
        ("other", b"PK\x03\x04 a spreadsheet"),
    ] {
        std::fs::write(dir.join(name), bytes).expect("written");
        for words in [&["backup", "verify", name][..], &["restore", name, "--force"]] {
            let said = home.run(words);
            assert!(said.code == 1 && said.err.contains(name), "{words:?}: {said:?}");
        }
    }
    assert_eq!(home.run(&["backup", "verify", "nowhere"]).code, 1);
    assert!(products(&home).contains("Tea"));
    home.run(&["check", "--deep"]).ok();
}

#[test]
fn a_pipe_and_a_passphrase_will_do() {
    let home = shop();
    let mut create = home.command(&["backup", "create", "--out", "-", "--quiet"]);
    let mut create = create.stdout(Stdio::piped()).spawn().expect("it runs");
    let elsewhere = Home::new();
    let mut restore = elsewhere.command(&["restore", "-"]);
    restore.stdin(create.stdout.take().expect("piped"));
    assert!(restore.status().expect("it ends").success() && create.wait().expect("it ends").success());
    assert_eq!(products(&elsewhere), products(&home));

    let mut words = std::fs::File::create(home.dir.path().join("words")).expect("made");
    words.write_all(b"four words of mine\n").expect("written");
    let made = home.run(&["backup", "create", "--passphrase-file", "words"]).ok().out;
    assert!(made.trim().ends_with(".backup.age"), "{made}");
    let closed = home.run(&["backup", "verify", made.trim()]);
    assert!(closed.code == 1 && closed.err.contains("--passphrase-file"), "{closed:?}");
    home.run(&["backup", "verify", made.trim(), "--passphrase-file", "words"]).ok();
    let output = home.command(&["check", made.trim()]).env("TILL_BACKUP__PASSPHRASE", "other words").output();
    let said = String::from_utf8(output.expect("it runs").stderr).expect("UTF-8");
    assert!(said.contains("passphrase is wrong"), "{said}");
}

#[test]
fn a_backup_waits_for_the_one_that_is_being_made() {
    let home = shop();
    let server = home.serve();
    let make =
        || home.command(&["backup", "create", "--keep"]).stderr(Stdio::piped()).spawn().expect("it runs");
    let making: Vec<_> = (0..4).map(|_| make()).collect();
    for one in making {
        let output = one.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn backups_go_to_a_bucket_and_come_back() {
    let moto = Moto::start();
    let home = shop();
    let [key, secret] = moto.key("owner");
    let base = moto.base.clone();
    let mut envs = vec![
        ("TILL_BACKUP__S3_ENDPOINT", base.as_str()),
        ("AWS_ACCESS_KEY_ID", key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ("TILL_BACKUP__DAILY_AT", "00:00"),
        ("TILL_BACKUP__TO", "s3://shop-backups/kept"),
        ("TILL_BACKUP__PASSPHRASE", "four words of mine"),
    ];
    let data = home.path().display().to_string();
    let run = |words: &[&str], envs: &[(&str, &str)]| {
        let words: Vec<_> = words.iter().copied().chain(["--data-dir", &data]).collect();
        run_in(home.dir.path(), &words, envs)
    };
    let made = run(&["backup", "create", "--out", "s3://shop-backups/by-hand"], &envs).ok().out;
    assert!(made.starts_with("s3://shop-backups/by-hand/till-"), "{made}");
    run(&["backup", "verify", made.trim()], &envs).ok();

    // The shop's own: proven, encrypted, read back.
    run(&["backup", "create", "--keep"], &envs).ok();
    let listed = run(&["backup", "list", "--json"], &envs).ok().out;
    let kept: Value = serde_json::from_str(listed.trim()).expect("one line of JSON");
    assert_eq!(kept["encrypted"], true);
    let there = run(&["backup", "list", "s3://shop-backups/kept"], &envs).ok().out;
    let name = kept["name"].as_str().expect("text");
    assert!(there.contains(name), "{there}");

    let elsewhere = Home::new();
    let place = elsewhere.path().display().to_string();
    let url = format!("s3://shop-backups/kept/{name}");
    run_in(home.dir.path(), &["restore", &url, "--data-dir", &place], &envs).ok();
    assert_eq!(products(&elsewhere), products(&home));

    envs.retain(|(name, _)| *name != "AWS_SECRET_ACCESS_KEY");
    envs.push(("AWS_SECRET_ACCESS_KEY", "not the secret"));
    let refused = run(&["backup", "create", "--out", "s3://shop-backups/by-hand"], &envs);
    assert!(refused.code == 1 && refused.err.contains("s3_secret_key"), "{refused:?}");
    let gone = run(&["backup", "verify", "s3://shop-backups/kept/nothing"], &envs);
    assert_eq!(gone.code, 1);
}
