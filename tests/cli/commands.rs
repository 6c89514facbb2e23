//! Every command, on the stopped shop, on the running one by its socket, and on one elsewhere by URL and token: the
//! same output, the same refusals.

use std::process::Command;

use serde_json::json;

use crate::support::{Home, Said, Server, repository, till};

const APPAREL: &str = "tests/fixtures/shopify-apparel.csv";
/// The same from wherever a command runs.
const APPAREL_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/shopify-apparel.csv");

/// A good product, a bad one, and a change of one that is there.
const LINES_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/products.jsonl");

/// What is run, in this order; each is one more thing that the shops must agree on.
const COMMANDS: &[&[&str]] = &[
    &["user", "list"],
    &["user", "list", "--json"],
    &["user", "create", "--email", "ann@example.com", "--role", "staff", "--generate"],
    &["user", "create", "--email", "nobody", "--role", "king", "--generate"],
    &["product", "list", "--limit", "3"],
    &["product", "list", "--search", "varsity", "--json"],
    &["product", "import", APPAREL_FILE, "--dry-run"],
    &["product", "import", APPAREL_FILE],
    &["product", "import", APPAREL_FILE, "--json"],
    &["stock", "adjust", "1", "--set", "7", "--reason", "counted"],
    &["stock", "adjust", "1", "--delta", "-100", "--reason", "gone"],
    &["stock", "adjust", "NO-SUCH-SKU", "--set", "1", "--reason", "x"],
    &["order", "list"],
    &["order", "list", "--status", "processing", "--json"],
    &["order", "list", "--status", "lost"],
    &["order", "show", "1"],
    &["order", "show", "99"],
    &["order", "set-status", "1", "completed"],
    &["order", "invoice", "99", "--out", "-"],
    &["check"],
    &["check", "--json"],
    &["check", "--repair"],
    &["backup", "list"],
    &["backup", "list", "--json"],
    &["user", "show", "ann@example.com"],
    &["user", "show", "99"],
    &["user", "show", "nobody@example.com"],
    &["user", "set-role", "ann@example.com", "staff"],
    &["user", "deactivate", "1"],
    &["user", "activate", "1", "--json"],
    &["product", "show", "classic-varsity-top"],
    &["product", "show", "99"],
    &["product", "archive", "led-high-tops"],
    &["product", "archive", "led-high-tops"],
    &["stock", "low"],
    &["stock", "low", "--json"],
    &["order", "track", "1", "--carrier", "DHL", "--number", "JD01", "--link", "https://example.com/JD01"],
    &["order", "refund", "1", "--amount", "5.00", "--reason", "late"],
    &["order", "refund", "1", "--amount", "999"],
    &["order", "refund", "1", "--amount", "some"],
    &["payment", "refund", "1", "--amount", "1"],
    &["order", "track", "1", "--parcel", "1", "--number", "JD02"],
    &["order", "track", "1", "--parcel", "7", "--number", "JD02"],
    &["order", "track", "1", "--carrier", "DHL", "--number", "JD03", "--line", "1=1"],
    &["order", "track", "1", "--carrier", "DHL", "--number", "JD03", "--line", "1=0"],
    &["order", "carriers"],
    &["order", "show", "1"],
    &["order", "refund", "1", "--line", "1=9"],
    &["order", "credit-notes", "1"],
    &["order", "credit-note", "1", "CN-000001", "--format", "json", "--out", "-"],
    &["order", "credit-note", "1", "CN-000009", "--out", "-"],
    &["payment", "settle-refund", "1", "--reference", "SEPA 17"],
    &["payment", "list"],
    &["payment", "list", "--provider", "test", "--status", "succeeded", "--since", "2026-01-01"],
    &["payment", "list", "--order", "99", "--json"],
    &["payment", "list", "--status", "lost"],
    &["payment", "cancel", "1"],
    &["payment", "show", "99"],
    &["payment", "reconcile"],
    &["payment", "report"],
    &["payment", "report", "--format", "csv"],
    &["payment", "report", "--from", "2026-13-01"],
    &["payment", "cancel", "1", "--force"],
    &["token", "revoke", "99"],
    &["product", "export"],
    &["product", "export", "--format", "jsonl"],
    &["product", "export", "--format", "xml"],
    &["product", "import", LINES_FILE, "--skip-bad"],
    &["product", "import", LINES_FILE, "--mode", "create", "--json"],
    &["product", "import", "--undo", "2", "--json"],
    &["product", "import", "--undo", "2"],
    &["product", "import", LINES_FILE, "--resume", "--skip-bad"],
    &["product", "imports"],
    &["order", "export"],
    &["order", "export", "--status", "pending", "--since", "2026-01-01"],
    &["order", "export", "--since", "yesterday"],
    &["stock", "movements", "1"],
    &["stock", "movements", "NO-SUCH-SKU"],
    &["payment", "show", "1"],
    &["order", "show", "1", "--json"],
    &["stats", "--days", "3"],
    &["stats", "--days", "0"],
    &["mail", "list"],
    &["mail", "list", "--state", "waiting", "--json"],
    &["mail", "list", "--state", "lost"],
    &["mail", "show", "1"],
    &["mail", "show", "2", "--json"],
    &["mail", "show", "1", "--html"],
    &["mail", "show", "99"],
    &["mail", "retry", "1"],
    &["mail", "retry", "--given-up"],
    &["mail", "retry", "99"],
    &["mail", "test", "--to", "ann@example.com"],
    &["mail", "test", "--to", "nobody"],
    &["token", "create", "--name", "", "--scopes", "all"],
    &["coupon", "create", "spring10", "--percent", "10", "--max-uses", "100", "--ends", "2999-01-01"],
    &["coupon", "create", "SPRING10", "--amount", "5.00"],
    &["coupon", "create", "TEE", "--amount", "2.50", "--category", "Shirts", "--min-subtotal", "20"],
    &["coupon", "create", "FREE", "--percent", "101", "--max-uses", "0", "--category", "Nothing"],
    &["coupon", "list"],
    &["coupon", "list", "--json"],
    &["coupon", "show", "Spring10"],
    &["coupon", "show", "nothing"],
    &["coupon", "disable", "spring10"],
    &["coupon", "enable", "spring10", "--json"],
    &["coupon", "list", "--archived"],
    &["review", "list"],
    &["review", "show", "1"],
    &["review", "show", "99"],
    &["review", "hide", "1"],
    &["review", "list", "--hidden", "--product", "1", "--json"],
    &["review", "unhide", "1", "--json"],
    &["review", "list", "--hidden"],
    &["review", "delete", "1"],
    &["review", "delete", "1"],
];

/// A shop with somebody and something in it, and an order that is paid; and an API token.
async fn stocked() -> (Home, String) {
    let home = Home::new();
    home.run_with(
        &["user", "create", "--email", "ann@example.com", "--role", "customer", "--password-stdin"],
        "a fine password\n",
    )
    .ok();
    home.run_with(
        &["user", "create", "--email", "boss@example.com", "--role", "admin", "--password-stdin"],
        "a fine password\n",
    )
    .ok();
    home.run(&["product", "import", repository().join(APPAREL).to_str().unwrap()]).ok();
    let server = home.serve();
    let client = till::http::outgoing().build().unwrap();
    let call = async |path: &str, token: &str, body: serde_json::Value| -> serde_json::Value {
        let request = client.post(format!("{}{path}", server.base)).bearer_auth(token);
        let answer =
            request.header("Content-Type", "application/json").body(body.to_string()).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let token = log_in(&server, "ann@example.com").await;
    let token = token.as_str();
    let address = json!({"name": "Ann", "line1": "1 High Street", "city": "Leeds", "country": "GB"});
    let items = json!([{"product_id": 1, "quantity": 1}]);
    let payment = call("/api/payment/", token, json!({"items": items, "shipping_address": address})).await;
    let paid =
        call(&format!("/api/payment/test/{}/", payment["id"]), token, json!({"outcome": "succeed"})).await;
    assert_eq!(paid["status"], "succeeded");
    let review = json!({"rating": 4, "title": "Fine", "comment": "It fits."});
    assert_eq!(call("/api/products/1/reviews/", token, review).await["verified_purchase"], true);
    assert_eq!(server.stop(), Some(0));
    let made = home.run(&["token", "create", "--name", "laptop", "--scopes", "all", "--json"]).json();
    let token = made["secret"].as_str().expect("a secret").to_owned();
    (home, token)
}

/// The access token of somebody whose password is the one of these tests.
async fn log_in(server: &Server, email: &str) -> String {
    let login = json!({"email": email, "password": "a fine password"}).to_string();
    let request = till::http::outgoing().build().unwrap().post(format!("{}/api/auth/login/", server.base));
    let answer = request.header("Content-Type", "application/json").body(login).send().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    answer["access"].as_str().expect("a token").to_owned()
}

/// The text without the values of this JSON member.
fn masked(text: &str, member: &str) -> String {
    let lead = format!("\"{member}\":\"");
    let mut parts = text.split(&lead);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + &lead + part.split_once('"').map_or("", |(_, rest)| rest))
}

/// The text without the ports that shops listen on, in links whose slashes HTML may have escaped, too.
fn portless(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + "SHOP" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// The text without the moments in it: what is done now is done at another now each time.
fn timeless(text: &str) -> String {
    let is_moment = |at: &[u8]| {
        at.len() >= 19
            && at[..19].iter().zip(b"0000-00-00 00:00:00").all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                b' ' => *byte == b' ' || *byte == b'T',
                like => byte == like,
            })
    };
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if is_moment(rest) {
            out.extend_from_slice(b"NOW");
            let fraction =
                rest[19..].iter().take_while(|byte| byte.is_ascii_digit() || b".Z".contains(byte)).count();
            rest = &rest[19 + fraction..];
        } else {
            out.push(*first);
            rest = more;
        }
    }
    String::from_utf8(out).expect("UTF-8")
}

/// The text without the number of the commit that was looked at: a shop that runs has made some more.
fn uncounted(text: &str) -> String {
    match text.split_once("\"commit\":") {
        Some((head, tail)) => format!("{head}{}", tail.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => text.to_owned(),
    }
}

#[tokio::test]
async fn commands_say_the_same_to_a_stopped_a_running_and_a_remote_shop() {
    let (home, token) = stocked().await;
    let invoice = |name: &str| home.dir.path().join(name);
    let run_all = |home: &Home| -> Vec<Said> { COMMANDS.iter().map(|words| home.run(words)).collect() };
    let (stopped, elsewhere) = (home.twin(), home.twin());
    let by_file = run_all(&stopped);
    let server = home.serve();
    let by_socket = run_all(&home);
    let remote = elsewhere.serve();
    let by_url: Vec<_> = COMMANDS.iter().map(|words| remote.run(&token, words)).collect();
    for (distance, others) in [("by socket", by_socket), ("by URL", by_url)] {
        for ((words, one), other) in COMMANDS.iter().zip(&by_file).zip(others) {
            // Signed links hold a moment, and the address of whoever answers; and who asks is somebody else.
            let plain = |text: &str| {
                let text = uncounted(&masked(&masked(&masked(text, "invoice_url"), "url"), "request_id"));
                timeless(&portless(&text)).replace("token:1 ", "operator").replace("token:1", "operator")
            };
            let place = format!("{words:?} {distance}");
            assert_eq!(
                (one.code, plain(&one.out)),
                (other.code, plain(&other.out)),
                "{place}\n{}\n{}",
                one.err,
                other.err
            );
            assert_eq!(one.err, other.err, "{place}");
        }
    }
    let tokens = |said: Said| said.json()["last_used_at"].is_string();
    assert!(
        !tokens(home.run(&["token", "list", "--json"]))
            && tokens(remote.run(&token, &["token", "list", "--json"]))
    );
    remote.run(&token, &["token", "revoke", "1"]).ok();
    let ended = remote.run(&token, &["token", "list"]);
    assert!(ended.code == 1 && ended.err.contains("revoked"), "{}", ended.err);
    let moves = home.run(&["stock", "movements", "1"]).ok().out;
    assert!(moves.contains("counted") && moves.contains("operator"), "{moves}");
    let reset = home.run(&["user", "reset-password", "ann@example.com", "--generate", "--json"]).json();
    assert_eq!(reset["password"].as_str().unwrap().len(), 20);
    let shown = home.run(&["payment", "show", "1"]).ok().out;
    assert!(shown.contains("succeeded") && shown.contains("captured   50.00"), "{shown}");
    home.run(&["order", "set-status", "1", "shipped", "--note", "by post"]).ok();
    for name in ["invoice.html", "invoice.json", "invoice.pdf"] {
        home.run(&["order", "invoice", "1", "--out", invoice(name).to_str().unwrap()]).ok();
    }
    for name in ["invoice.html", "invoice.json"] {
        assert!(std::fs::read_to_string(invoice(name)).unwrap().contains("INV-000001"));
    }
    let read = Command::new("pdftotext").arg(invoice("invoice.pdf")).arg("-").output();
    let read = read.expect("pdftotext is there: it is part of poppler-utils");
    assert!(String::from_utf8_lossy(&read.stdout).contains("INV-000001"));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(home.run(&["order", "show", "1", "--json"]).json()["status"], "shipped");
}

#[test]
fn a_generated_password_is_printed_and_works() {
    let home = Home::new();
    let made = home
        .run(&["user", "create", "--email", "boss@example.com", "--role", "admin", "--generate", "--json"])
        .json();
    assert_eq!((&made["role"], made["password"].as_str().unwrap().len()), (&json!("admin"), 20));
    let refused = home.run_with(
        &["user", "create", "--email", "x@example.com", "--role", "staff", "--password-stdin"],
        "short\n",
    );
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("password must have 8 to 128"), "{}", refused.err);
    assert_eq!(
        home.run_with(
            &["user", "create", "--email", "x@example.com", "--role", "staff", "--password-stdin"],
            ""
        )
        .code,
        1
    );
}

#[test]
fn bad_rows_are_told_with_line_and_column() {
    let home = Home::new();
    let said = home.run_with(&["product", "import", "-"], "handle,name,price\ntea,Tea,1\nmug,Mug,cheap\n");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("-: line 3, price: must be a decimal number"), "{}", said.err);
    assert!(said.out.contains("2 rows: 0 created, 0 updated, 1 unchanged, 1 failed"), "{}", said.out);
    let missing = home.run(&["product", "import", "no-such-file.csv"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("no-such-file.csv: No such file"), "{}", missing.err);
}

#[test]
fn a_wrong_word_is_wrong_usage_and_suggests_the_right_one() {
    let said = till().arg("serv").output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("serve"), "{said:?}");
    for words in [
        &["order", "show", "x"][..],
        &["stock", "adjust", "A", "--reason", "x"],
        &["user", "create", "--email", "a@b.example", "--role", "staff"],
        &["coupon", "create", "A"],
        &["coupon", "create", "A", "--percent", "5", "--amount", "5"],
        &[],
    ] {
        assert_eq!(till().args(words).output().unwrap().status.code(), Some(2), "{words:?}");
    }
    for words in [
        &["help"][..],
        &["--help"],
        &["order", "--help"],
        &["product", "import", "--help"],
        &["coupon", "create", "--help"],
        &["version"],
        &["completions", "bash"],
    ] {
        assert_eq!(till().args(words).output().unwrap().status.code(), Some(0), "{words:?}");
    }
}

#[test]
fn settings_are_checked_and_shown_masked() {
    let home = Home::new();
    let file = home.dir.path().join("config.toml");
    std::fs::write(
        &file,
        "[shop]\nname = \"Corner\"\n[auth]\nsigning_key = \"0123456789abcdef0123456789abcdef\"\n",
    )
    .unwrap();
    home.run(&["config", "check"]).ok();
    let shown = home.run(&["config", "show"]).ok().out;
    assert!(
        shown.contains("Corner") && shown.contains("config.toml:2") && shown.contains("********"),
        "{shown}"
    );
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
    std::fs::write(&file, "[shop]\nnam = \"Corner\"\n").unwrap();
    let bad = home.run(&["config", "check"]);
    assert_eq!(bad.code, 2);
    assert!(
        bad.err.contains("config.toml:2: shop.nam is not a setting; did you mean shop.name?"),
        "{}",
        bad.err
    );
    assert_eq!(home.run(&["serve"]).code, 2, "a shop does not start on settings that are wrong");
    let missing = home.run(&["config", "check", "--config", "elsewhere.toml"]);
    assert!(missing.code == 2 && missing.err.contains("elsewhere.toml can't be read"), "{}", missing.err);
}

#[test]
fn a_shops_currency_stays() {
    let home = Home::new();
    home.run(&["user", "create", "--email", "a@example.com", "--role", "admin", "--generate"]).ok();
    std::fs::write(home.dir.path().join("config.toml"), "[shop]\ncurrency = \"JPY\"\n").unwrap();
    let refused = home.run(&["user", "list"]);
    assert!(refused.code == 1 && refused.err.contains("Set shop.currency to USD"), "{}", refused.err);
}

#[test]
fn a_command_that_only_looks_begins_no_shop() {
    let home = Home::new();
    for words in
        [&["order", "list"][..], &["check"], &["stock", "adjust", "A", "--set", "1", "--reason", "x"]]
    {
        let said = home.run(words);
        assert!(said.code == 1 && said.err.contains("there is no shop in"), "{words:?} {}", said.err);
    }
    assert!(!home.path().exists());
}

#[test]
fn a_shop_that_can_not_be_reached_is_said() {
    let said = till().args(["user", "list", "--url", "http://127.0.0.1:1"]).output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&said.stderr).contains("the shop at http://127.0.0.1:1 can't be reached"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_shop_elsewhere_is_worked_on_with_a_token() {
    let home = Home::new();
    home.run_with(
        &["user", "create", "--email", "boss@example.com", "--role", "admin", "--password-stdin"],
        "a fine password\n",
    )
    .ok();
    let server = home.serve();
    let listed = server.run(&log_in(&server, "boss@example.com").await, &["user", "list", "--json"]).ok();
    assert!(listed.out.contains("boss@example.com"), "{listed:?}");
    let refused = server.run("nonsense", &["user", "list"]);
    assert!(refused.code == 1 && refused.err.contains("--token"), "{refused:?}");
}
