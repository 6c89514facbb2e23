//! Every command, on the running shop and on the stopped one: the same output, the same refusals.

use serde_json::json;

use crate::support::{Home, Said, repository, till};

const APPAREL: &str = "tests/fixtures/shopify-apparel.csv";

/// A shop with somebody and something in it, and an order that is paid.
async fn stocked() -> Home {
    let home = Home::new();
    home.run_with(
        &["user", "create", "--email", "ann@example.com", "--role", "customer", "--password-stdin"],
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
    let login = json!({"email": "ann@example.com", "password": "a fine password"});
    let login = client
        .post(format!("{}/api/auth/login/", server.base))
        .header("Content-Type", "application/json")
        .body(login.to_string());
    let login: serde_json::Value =
        serde_json::from_slice(&login.send().await.unwrap().bytes().await.unwrap()).unwrap();
    let token = login["access"].as_str().unwrap();
    let address = json!({"name": "Ann", "line1": "1 High Street", "city": "Leeds", "country": "GB"});
    let items = json!([{"product_id": 1, "quantity": 1}]);
    let payment = call("/api/payment/", token, json!({"items": items, "shipping_address": address})).await;
    let paid =
        call(&format!("/api/payment/test/{}/", payment["id"]), token, json!({"outcome": "succeed"})).await;
    assert_eq!(paid["status"], "succeeded");
    assert_eq!(server.stop(), Some(0));
    home
}

#[tokio::test]
async fn commands_say_the_same_to_a_running_and_to_a_stopped_shop() {
    let home = stocked().await;
    let apparel = repository().join(APPAREL);
    let apparel = apparel.to_str().unwrap();
    let invoice = home.dir.path().join("invoice.html");
    let commands: &[&[&str]] = &[
        &["user", "list"],
        &["user", "list", "--json"],
        &["user", "create", "--email", "ann@example.com", "--role", "staff", "--generate"],
        &["user", "create", "--email", "nobody", "--role", "king", "--generate"],
        &["product", "list", "--limit", "3"],
        &["product", "list", "--search", "varsity", "--json"],
        &["product", "import", apparel, "--dry-run"],
        &["product", "import", apparel],
        &["product", "import", apparel, "--json"],
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
    ];
    let run_all = |home: &Home| -> Vec<Said> { commands.iter().map(|words| home.run(words)).collect() };
    let twin = home.twin();
    let stopped = run_all(&twin);
    let server = home.serve();
    let running = run_all(&home);
    for ((words, one), other) in commands.iter().zip(stopped).zip(running) {
        // Signed links hold a moment, and the port of whoever answers.
        let plain = |text: &str| text.split("invoice_url").next().unwrap_or_default().to_owned();
        let without_log = |text: &str| {
            text.lines()
                .filter(|line| !line.contains(" WARN ") && !line.contains(" INFO "))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(
            (one.code, plain(&one.out)),
            (other.code, plain(&other.out)),
            "{words:?}\n{}\n{}",
            one.err,
            other.err
        );
        assert_eq!(without_log(&one.err), without_log(&other.err), "{words:?}");
    }
    home.run(&["order", "set-status", "1", "shipped", "--note", "by post"]).ok();
    home.run(&["order", "invoice", "1", "--out", invoice.to_str().unwrap()]).ok();
    assert!(std::fs::read_to_string(invoice).unwrap().contains("INV-000001"));
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
        &[],
    ] {
        assert_eq!(till().args(words).output().unwrap().status.code(), Some(2), "{words:?}");
    }
    for words in [
        &["help"][..],
        &["--help"],
        &["order", "--help"],
        &["product", "import", "--help"],
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
    assert_eq!(bad.code, 1);
    assert!(
        bad.err.contains("config.toml:2: shop.nam is not a setting; did you mean shop.name?"),
        "{}",
        bad.err
    );
    assert_eq!(home.run(&["serve"]).code, 1, "a shop does not start on settings that are wrong");
    let missing = home.run(&["config", "check", "--config", "elsewhere.toml"]);
    assert!(missing.code == 1 && missing.err.contains("elsewhere.toml can't be read"), "{}", missing.err);
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
    let login = json!({"email": "boss@example.com", "password": "a fine password"}).to_string();
    let client = till::http::outgoing().build().unwrap();
    let login = client
        .post(format!("{}/api/auth/login/", server.base))
        .header("Content-Type", "application/json")
        .body(login);
    let login: serde_json::Value =
        serde_json::from_slice(&login.send().await.unwrap().bytes().await.unwrap()).unwrap();
    let remote = |token: &str| {
        till().args(["user", "list", "--json", "--url", &server.base, "--token", token]).output().unwrap()
    };
    let listed = remote(login["access"].as_str().unwrap());
    assert!(
        listed.status.success() && String::from_utf8_lossy(&listed.stdout).contains("boss@example.com"),
        "{listed:?}"
    );
    let refused = remote("nonsense");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--token"), "{refused:?}");
}
