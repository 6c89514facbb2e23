//! `till init`: the whole dialogue on a terminal, wrong answers included, and all of it from flags.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rexpect::session::{PtySession, spawn_command};
use serde_json::Value;
use till::clock::{Clock, ManualClock, SystemClock};

use crate::fakes::serve::Served;
use crate::fakes::stripe::FakeStripe;
use crate::support::{Home, run};
use crate::terminal::{on_terminal, rest};

/// Answers each question with what stands beside it.
#[track_caller]
fn converse(session: &mut PtySession, lines: &[(&str, &str)]) {
    for (asks, answer) in lines {
        session.exp_string(asks).unwrap_or_else(|error| panic!("{asks}: {error}"));
        session.send_line(answer).expect("it reads");
    }
}

/// The settings of a file, as `till config show` has them.
fn settings(home: &Home) -> Vec<(String, String)> {
    let mut command = home.command(&["config", "show", "--json"]);
    command.env_remove("TILL_PAYMENT__TEST__ENABLED");
    let shown = run(command).ok().out;
    let lines = shown.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    lines.map(|line| (text(&line["setting"]), text(&line["value"]))).collect()
}

#[track_caller]
fn assert_set(home: &Home, wanted: &[(&str, &str)]) {
    let all = settings(home);
    for (key, value) in wanted {
        let (_, found) = all.iter().find(|(own, _)| own == key).unwrap_or_else(|| panic!("no {key}"));
        assert_eq!(found, value, "{key}");
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

/// What is asked, and answered: what is wrong is asked again.
const QUESTIONS: &[(&str, &str)] = &[
    ("What is the shop called? [till] ", "Ann's \"Corner\""),
    ("address", "1 High Street\\nLeeds"),
    ("Which currency", "euros"),
    ("must be", "eur"),
    ("cost? [0] ", "4.999"),
    ("decimals", "4,90"),
    ("sending free", ""),
    ("tax", "19%"),
    ("Its domain", "192.0.2.1"),
    ("must be names", ""),
    ("customers call it", "shop.example.com/"),
    ("listen? [127.0.0.1:8080] ", "here"),
    ("must be ADDRESS:PORT", "8081"),
    ("mail server", "mail.example.com"),
    ("must be smtps://", "smtp://ann:s3cr3t@127.0.0.1:9"),
    ("Whom are mails from", ""),
    ("is missing", "nobody"),
    ("must be an address", "Ann <ann@example.com>"),
    // Nobody listens there.
    ("Try it now? [Y/n] ", ""),
    ("look at host, port", ""),
    ("mail server", ""),
    ("Whom are mails from", ""),
    ("Try it now? [Y/n] ", "n"),
    ("Stripe's secret key", "pk_test_1"),
    ("is a publishable key", "sk_test_s3cr3t"),
    ("webhook endpoint", "whsec_s3cr3t"),
    ("client id of PayPal", ""),
    ("Try it now? [Y/n] ", "n"),
    ("Where are they kept", "shelf"),
    ("each day (UTC)? [03:30, - for none] ", "25:00"),
    ("must be a time of day", "04:15"),
    ("passphrase", "s3cr3t words"),
    ("Try it now? [Y/n] ", "y"),
];

/// The second time round: what was said is what Enter takes.
const THE_SAME_AGAIN: &[(&str, &str)] = &[
    ("[Ann's \"Corner\"] ", "Ann's Teas"),
    ("address", ""),
    ("[EUR] ", ""),
    ("[4.90] ", ""),
    ("sending free", ""),
    ("[19] ", ""),
    ("Its domain", "https://Shop.Example.com/"),
    ("certificate authority", "nobody"),
    ("must", "boss@example.com"),
    ("not shown (nothing: none yet)? [as before, - for none] ", ""),
    ("[Ann <ann@example.com>] ", ""),
    ("Try it now? [Y/n] ", "n"),
    ("[as before, - for none] ", ""),
    ("[as before, - for none] ", ""),
    ("client id of PayPal", ""),
    ("Try it now? [Y/n] ", "n"),
    ("[shelf, - for none] ", ""),
    ("[04:15, - for none] ", ""),
    ("[as before, - for none] ", ""),
    ("Try it now? [Y/n] ", "n"),
    ("Will systemd run the shop", "n"),
    ("e-mail address", "boss@example.com"),
    ("password, not shown", ""),
    ("Write this to config.toml? [Y/n/again] ", "y"),
];

#[test]
fn a_shop_is_set_up_by_answering_questions() {
    let home = Home::new();
    let file = home.dir.path().join("config.toml");
    let mut session = on_terminal(&home, &["init"]);
    converse(&mut session, QUESTIONS);
    session.exp_string("the data's own disk").expect("it says what is not good about that");
    converse(
        &mut session,
        &[
            ("Will systemd run the shop", "n"),
            ("administrator's e-mail address", "boss"),
            ("must", "boss@example.com"),
            ("password, not shown", "password"),
            ("commonest", "a fine password"),
            ("The same again?", "another password"),
            ("that was another one", "a fine password"),
            ("The same again?", "a fine password"),
        ],
    );
    let shown = session.exp_string("Write this to config.toml? [Y/n/again] ").expect("a review");
    assert!(shown.contains("mail.smtp_url = ********") && shown.contains("boss@example.com"), "{shown}");
    assert!(!shown.contains("s3cr3t") && !file.exists() && !home.path().exists(), "{shown}");
    session.send_line("again").expect("it reads");
    converse(&mut session, THE_SAME_AGAIN);
    let (text, code) = rest(session);
    assert!(code == 0 && text.contains("config.toml is written") && text.contains("till doctor"), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
    let password =
        text.split_once("password: ").expect("one was made").1.lines().next().expect("a line").trim();
    assert_eq!((mode(&file), password.len()), (0o600, 20));
    assert_set(
        &home,
        &[
            ("shop.name", "Ann's Teas"),
            ("shop.currency", "EUR"),
            ("shipping.flat", "4.90"),
            ("tax.percent", "19"),
            ("https.domain", "shop.example.com"),
            ("https.acme_email", "boss@example.com"),
            ("server.public_url", ""),
            ("mail.from", "Ann <ann@example.com>"),
            ("mail.smtp_url", "********"),
            ("payment.stripe.secret_key", "********"),
            ("payment.stripe.webhook_secret", "********"),
            ("payment.test.enabled", "false"),
            ("backup.to", "shelf"),
            ("backup.daily_at", "04:15"),
            ("backup.passphrase", "********"),
        ],
    );
    let written = fs::read_to_string(&file).expect("there");
    assert!(written.contains("smtp_url = \"smtp://ann:s3cr3t@127.0.0.1:9\""), "{written}");
    assert!(written.contains("# free_from = \"\""), "{written}");
    let mut listed = home.command(&["user", "list", "--json"]);
    listed.env_remove("TILL_PAYMENT__TEST__ENABLED");
    let listed: Value = serde_json::from_str(&run(listed).ok().out).expect("JSON");
    assert_eq!((&listed["email"], &listed["role"]), (&"boss@example.com".into(), &"admin".into()));
}

/// All but what is asked of mail, payments and backups.
const FLAGS: [&str; 19] = [
    "init",
    "--name",
    "A",
    "--address",
    "B",
    "--currency",
    "EUR",
    "--shipping",
    "0",
    "--tax",
    "0",
    "--public-url",
    "a.example",
    "--listen",
    "81",
    "--test-payments",
    "no",
    "--out",
    "other.toml",
];

#[test]
fn what_was_answered_can_be_taken_back() {
    let home = Home::new();
    let mut session = on_terminal(&home, &FLAGS);
    let mail = "smtp://ann:s3cr3t@127.0.0.1:9";
    let last = [
        ("Stripe's secret key", ""),
        ("client id", ""),
        ("Where are they kept", "shelf"),
        ("each day", "-"),
        ("passphrase", ""),
        ("Try it now? [Y/n] ", "n"),
        ("Will systemd run the shop", "y"),
    ];
    converse(&mut session, &[("mail server", mail), ("Whom are mails from", "ann@example.com")]);
    // A server that does not work keeps nobody.
    converse(&mut session, &[("Try it now? [Y/n] ", "y"), ("Keep it all the same? [y/N] ", "n")]);
    converse(&mut session, &[("none yet)? [as before, - for none] ", "-")]);
    converse(&mut session, &last);
    let review = session.exp_string("Write this to").expect("a review");
    assert!(!review.contains("mail.") && !review.contains("daily_at"), "{review}");
    session.send_line("again").expect("it reads");
    converse(&mut session, &[("mail server", mail), ("Whom are mails from", "ann@example.com")]);
    converse(&mut session, &[("Try it now? [Y/n] ", "n")]);
    converse(&mut session, &[("Stripe's secret key", ""), ("client id", ""), ("[shelf, - for none] ", "-")]);
    converse(&mut session, &[("Will systemd run the shop", "y"), ("Write this to", "again")]);
    converse(&mut session, &[("none yet)? [as before, - for none] ", "-")]);
    converse(&mut session, &[("Stripe's secret key", ""), ("client id", ""), ("Where are they kept", "")]);
    converse(&mut session, &[("Will systemd run the shop", "y"), ("Write this to", "y")]);
    assert_eq!(rest(session).1, 0);
    let written = fs::read_to_string(home.dir.path().join("other.toml")).expect("there");
    assert!(
        written.contains("# smtp_url") && written.contains("# from") && written.contains("# to ="),
        "{written}"
    );
}

#[test]
fn ctrl_c_says_that_nothing_was_written_and_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let mut session = on_terminal(&home, &["init"]);
    session.exp_string("What is the shop called?").expect("it asks");
    session.send_control('c').expect("it reads");
    let (text, code) = rest(session);
    assert!(code == 130 && text.contains("stopped; nothing was written"), "{code} {text}");

    // Where nothing is shown, the terminal is another.
    let till = home.command(&FLAGS);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "\"$0\" \"$@\"; echo \"code $?\"; stty -a"])
        .arg(till.get_program())
        .args(till.get_args());
    shell.current_dir(home.dir.path());
    let mut session = spawn_command(shell, Some(30_000)).expect("a pseudo-terminal");
    session.exp_string("mail server").expect("it asks");
    session.exp_string("? ").expect("it asks");
    session.send_control('c').expect("it reads");
    let (text, _) = rest(session);
    assert!(text.contains("stopped; nothing was written") && text.contains("code 130"), "{text}");
    for word in [" echo", " icanon", "isig"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!home.dir.path().join("other.toml").exists() && !home.path().exists());
}

#[test]
fn who_stops_or_says_no_has_written_nothing() {
    let home = Home::new();
    fs::write(home.dir.path().join("config.toml"), "").expect("written");
    let mut again = on_terminal(&home, &["init"]);
    converse(&mut again, &[("is there already; write it anew? [y/N] ", "")]);
    assert_eq!(rest(again).1, 1);

    let mut stopped = on_terminal(&home, &FLAGS);
    stopped.exp_string("The mail server").expect("it asks what no flag says");
    stopped.send_control('d').expect("it reads");
    let (text, code) = rest(stopped);
    assert!(code == 1 && text.contains("nothing was written"), "{text}");

    let mut refused = on_terminal(&home, &FLAGS);
    converse(
        &mut refused,
        &[
            ("mail server", ""),
            ("Stripe's secret key", ""),
            ("client id", ""),
            ("Where are they kept", ""),
            ("Will systemd run the shop", "y"),
            ("Write this", "n"),
        ],
    );
    let (text, code) = rest(refused);
    assert!(code == 1 && text.contains("nothing was written"), "{text}");
    assert!(!home.dir.path().join("other.toml").exists() && !home.path().exists());
    assert_eq!(fs::read_to_string(home.dir.path().join("config.toml")).expect("there"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_comes_from_flags_and_files_and_is_tried() {
    let home = Home::new();
    let stripe = Served::start(FakeStripe::new(), Arc::new(ManualClock::at(SystemClock.now()))).await;
    for (name, secret) in
        [("key", "sk_test_fake\n"), ("hook", "whsec_s3cr3t"), ("password", "a fine password\n")]
    {
        fs::write(home.dir.path().join(name), secret).expect("written");
    }
    let words = [
        "init",
        "--name",
        "Corner",
        "--currency",
        "eur",
        "--public-url",
        "shop.example.com",
        "--stripe-key-file",
        "key",
        "--stripe-webhook-secret-file",
        "hook",
        "--backup-to",
        "shelf",
        "--backup-passphrase-file",
        "-",
        "--admin",
        "boss@example.com",
        "--admin-password-file",
        "password",
    ];
    let said = home.run_with(&words, "s3cr3t words\n").ok();
    assert!(said.out.contains("config.toml is written\nadministrator boss@example.com\n"), "{said:?}");
    assert!(!said.out.contains("password:"), "{said:?}");
    let file = home.dir.path().join("config.toml");
    assert_eq!(mode(&file), 0o600);
    assert_set(&home, &[("backup.daily_at", "03:30"), ("shop.currency", "EUR"), ("backup.to", "shelf")]);
    let written = fs::read_to_string(&file).expect("there");
    for line in [
        "secret_key = \"sk_test_fake\"\n",
        "passphrase = \"s3cr3t words\"\n",
        "webhook_secret = \"whsec_s3cr3t\"\n",
    ] {
        assert!(written.contains(line), "{line} in {written}");
    }

    // Again: the file only with --yes, and the account that is there stays.
    let refused = home.run(&["init", "--name", "Other"]);
    assert!(refused.code == 1 && refused.err.contains("--yes"), "{}", refused.err);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("ours");
    let again = home
        .run(&["init", "--yes", "--name", "Other", "--currency", "EUR", "--admin", "boss@example.com"])
        .ok();
    assert!(again.out.contains("was there already") && !again.out.contains("password:"), "{again:?}");
    assert_eq!(mode(&file), 0o640);
    assert_set(&home, &[("shop.name", "Other")]);

    // Nothing is written where something is wrong.
    let before = fs::read_to_string(&file).expect("there");
    let try_it = |key: &str| {
        fs::write(home.dir.path().join("key"), key).expect("written");
        let mut command = home.command(&["init", "--yes", "--try", "--stripe-key-file", "key"]);
        command.env_remove("TILL_PAYMENT__TEST__ENABLED").env("TILL_PAYMENT__STRIPE__API_BASE", &stripe.base);
        run(command)
    };
    for (words, wanted) in [
        (&["init", "--yes", "--currency", "JPY", "--shipping", "5.5"][..], "--shipping 5.5: "),
        (&["init", "--yes", "--admin", "nobody"][..], "--admin nobody: "),
        (&["init", "--yes", "--backup-at", "03:30"][..], "--backup-at goes with another flag"),
        (&["init", "--yes", "--stripe-key-file", "none"][..], "none: "),
        (&["init", "--yes", "--stripe-key-file", "password"][..], "--stripe-key-file: must be a secret key"),
    ] {
        let said = home.run(words);
        assert!(
            said.code == (if wanted == "none: " { 1 } else { 2 }) && said.err.contains(wanted),
            "{wanted}: {said:?}"
        );
        assert!(!said.err.contains("a fine password"), "{said:?}");
    }
    let wrong = try_it("sk_test_another");
    assert!(wrong.code == 1 && wrong.err.contains("does not accept"), "{wrong:?}");
    assert_eq!(fs::read_to_string(&file).expect("there"), before);
    let right = try_it("sk_test_fake").ok();
    assert!(right.err.contains("the key is accepted, and a test key"), "{right:?}");
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let home = Home::new();
    let said = home.run(&["init", "--name", "Corner", "--currency", "JPY", "--shipping", "500"]).ok();
    assert!(said.out.contains("config.toml is written") && said.err.contains("till user create"), "{said:?}");
    home.run(&["config", "check"]).ok();
    let server = home.serve();
    let made = home.run(&["init", "--yes", "--currency", "JPY", "--admin", "boss@example.com"]).ok();
    assert!(made.out.contains("password: "), "a running shop takes the account in: {made:?}");
    drop(server);
}
