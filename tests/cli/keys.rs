//! Signing keys: in the file of the data directory and in the settings, over restarts and kills.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};

use crate::shoppers::seeded;
use crate::support::{Home, Server};

async fn status(server: &Server, token: &str) -> u16 {
    let http = till::http::outgoing().build().unwrap();
    let asked = http.get(format!("{}/api/auth/me/", server.base)).bearer_auth(token);
    asked.send().await.unwrap().status().as_u16()
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let http = till::http::outgoing().build().unwrap();
    let asked = http.post(format!("{}{path}", server.base)).header("Content-Type", "application/json");
    let answer = asked.body(body.to_string()).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// A new customer's tokens.
async fn register(server: &Server, email: &str) -> (String, String) {
    let body = json!({"email": email, "password": "correct horse battery"});
    let made = post(server, "/api/auth/register/", body).await;
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    (text("access"), text("refresh"))
}

#[tokio::test]
async fn a_key_of_before_is_taken_over_and_outlives_its_replacement() {
    let home = Home::new();
    home.run(&["user", "create", "--email", "a@example.com", "--role", "admin", "--generate"]).ok();
    let path = home.path().join("signing.key");
    std::fs::write(&path, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef").unwrap();
    let server = home.serve();
    let (access, _) = register(&server, "ann@example.com").await;
    let before = home.run(&["keys", "list", "--json"]).ok().out;
    let made = home.run(&["keys", "rotate", "--json"]).json();
    assert_eq!(status(&server, &access).await, 200);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let listed = home.run(&["keys", "list", "--json"]).ok().out;
    let keys: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let before: Value = serde_json::from_str(&before).unwrap();
    assert_eq!((&keys[0]["id"], &keys[1]["id"]), (&made["id"], &before["id"]));
    assert!(keys[1]["good_until"].is_string() && keys[0]["good_until"].is_null(), "{keys:?}");
    let server = home.serve();
    assert_eq!(status(&server, &access).await, 200);
    assert!(home.run(&["keys", "rotate", "--revoke"]).err.contains("--yes"));
    home.run(&["keys", "rotate", "--revoke", "--yes"]).ok();
    assert_eq!(status(&server, &access).await, 401);
    assert!(home.run(&["audit", "list"]).ok().out.contains("key.rotate"));
}

#[tokio::test]
async fn a_kill_while_the_key_is_changed_leaves_a_shop_whose_tokens_are_good() {
    let mut random = seeded();
    let home = Home::new();
    home.run(&["user", "create", "--email", "a@example.com", "--role", "admin", "--generate"]).ok();
    let mut tokens = Vec::new();
    for round in 0..12 {
        let server = home.serve();
        tokens.push(register(&server, &format!("ann{round}@example.com")).await.0);
        let mut rotating = home.command(&["keys", "rotate"]);
        let mut rotating = rotating.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(40).mul_f64(random.random())).await;
        server.kill();
        rotating.wait().unwrap();
        let server = home.serve();
        for token in &tokens {
            assert_eq!(status(&server, token).await, 200, "after round {round}");
        }
        assert_eq!(server.stop(), Some(0));
    }
    home.run(&["check"]).ok();
}

#[tokio::test]
async fn a_key_of_the_settings_is_replaced_by_way_of_the_old_ones() {
    let home = Home::new();
    let (old, new) = ("the old key of the settings, long enough", "the new key of the settings as well");
    let old = old.replace(',', "");
    let serve = |settings: &[(&str, &str)]| {
        let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.envs(settings.iter().copied());
        Server::start(command)
    };
    let server = serve(&[("TILL_AUTH__SIGNING_KEY", &old)]);
    let (access, refresh) = register(&server, "ann@example.com").await;
    let refused = home.run(&["keys", "rotate"]);
    assert!(refused.code == 1 && refused.err.contains("auth.signing_keys_old"), "{}", refused.err);
    assert_eq!(server.stop(), Some(0));
    assert!(!home.path().join("signing.key").exists());

    let server = serve(&[("TILL_AUTH__SIGNING_KEY", new), ("TILL_AUTH__SIGNING_KEYS_OLD", &old)]);
    assert_eq!(status(&server, &access).await, 200);
    let next = post(&server, "/api/auth/token/refresh/", json!({"refresh": refresh})).await;
    assert_eq!(server.stop(), Some(0));

    let server = serve(&[("TILL_AUTH__SIGNING_KEY", new)]);
    assert_eq!(status(&server, &access).await, 401);
    assert_eq!(status(&server, next["access"].as_str().unwrap()).await, 200);
}
