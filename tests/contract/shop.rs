//! The shop that is asked: a demo, whose people have a new password each time.

use serde_json::{Value, json};

use crate::support::{Home, Server};

pub const ADMIN: &str = "admin@example.com";
pub const CUSTOMER: &str = "ada@example.com";

pub struct Shop {
    pub home: Home,
    pub server: Server,
    pub password: String,
}

impl Shop {
    pub fn open() -> Shop {
        let home = Home::new();
        let mut command = home.command(&["serve", "--demo", "--listen", "127.0.0.1:0"]);
        // Who is logged in stays so, and asks as much as it takes.
        command.env("TILL_AUTH__ACCESS_MINUTES", "1440").env("TILL_LIMITS__ENABLED", "false");
        let mut server = Server::start(command);
        let said = server.lines_to("  coupon");
        let password =
            said.lines().find(|line| line.contains(ADMIN)).and_then(|line| line.split(' ').next_back());
        let password = password.unwrap_or_else(|| panic!("no password in {said}")).to_owned();
        Shop { home, server, password }
    }

    /// Asks with a token, or without one if it is empty; the answer must be a success.
    pub async fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> Value {
        let client = till::http::outgoing().build().expect("a client");
        let method = method.parse().expect("a method");
        let mut request = client.request(method, format!("{}{path}", self.server.base));
        if !token.is_empty() {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if !body.is_null() {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("it answers");
        let status = answer.status();
        let text = answer.text().await.expect("whole");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// An access token of one of the demo's people.
    pub async fn log_in(&self, email: &str) -> String {
        let login = json!({"email": email, "password": self.password});
        let user = self.ask("POST", "/api/auth/login/", "", &login).await;
        user["access"].as_str().expect("a token").to_owned()
    }

    /// Stops it, and holds what it leaves against the shop's rules.
    pub fn close(self) {
        assert_eq!(self.server.stop(), Some(0));
        self.home.run(&["check"]).ok();
    }
}
