//! [Schemathesis](https://schemathesis.io) makes requests of the description, good ones and bad ones, and holds every
//! answer against it: with no token, and with one of each role.

use std::process::Command;

use serde_json::{Value, json};

use crate::shop::{ADMIN, CUSTOMER, Shop};
use crate::support::{python, repository};

/// Whose token a run has.
struct Asker {
    token: String,
    /// What the run must not end: it would go on with a token that is none.
    own: Vec<(&'static str, String)>,
}

impl Asker {
    async fn user(shop: &Shop, email: &str) -> Asker {
        let token = shop.log_in(email).await;
        let me = shop.ask("GET", "/api/auth/me/", &token, &Value::Null).await;
        Asker { token, own: vec![("OWN_USER", me["id"].to_string())] }
    }
}

/// `SCHEMATHESIS_EXAMPLES` are tried of each operation, from `SCHEMATHESIS_SEED`.
fn hold_against_the_description(shop: Shop, asker: Option<&Asker>) {
    let dir = repository().join("tests/contract/schemathesis");
    let requirements = dir.join("requirements.txt");
    let requirements = requirements.to_str().expect("UTF-8");
    let python = python("schemathesis", "schemathesis", &["--requirement", requirements]);
    let said = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let (seed, examples) = (said("SCHEMATHESIS_SEED", "7"), said("SCHEMATHESIS_EXAMPLES", "10"));
    println!("SCHEMATHESIS_SEED={seed} SCHEMATHESIS_EXAMPLES={examples}");

    let mut command = Command::new(python.with_file_name("schemathesis"));
    command.arg("--config-file").arg(dir.join("schemathesis.toml")).arg("run");
    command.arg(format!("{}/api/openapi.json", shop.server.base));
    command.args(["--no-color", "--seed", &seed, "--max-examples", &examples]);
    if let Some(Asker { token, own }) = asker {
        command
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .envs(own.iter().map(|(k, v)| (*k, v)));
    }
    command.env("SCHEMATHESIS_HOOKS", dir.join("hooks.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    let run = command.current_dir(shop.home.dir.path()).output().expect("it runs");
    let out = String::from_utf8_lossy(&run.stdout);
    println!("{out}");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    shop.close();
}

#[test]
fn with_no_token() {
    hold_against_the_description(Shop::open(), None);
}

#[tokio::test]
async fn with_a_customers_token() {
    let shop = Shop::open();
    let customer = Asker::user(&shop, CUSTOMER).await;
    hold_against_the_description(shop, Some(&customer));
}

#[tokio::test]
async fn with_a_staff_members_token() {
    let shop = Shop::open();
    let admin = shop.log_in(ADMIN).await;
    let staff = "staff@example.com";
    let new = json!({"email": staff, "password": shop.password, "role": "staff"});
    shop.ask("POST", "/api/admin/users/", &admin, &new).await;
    let staff = Asker::user(&shop, staff).await;
    hold_against_the_description(shop, Some(&staff));
}

#[tokio::test]
async fn with_an_administrators_token() {
    let shop = Shop::open();
    let admin = Asker::user(&shop, ADMIN).await;
    hold_against_the_description(shop, Some(&admin));
}

#[tokio::test]
async fn with_an_api_token() {
    let shop = Shop::open();
    let admin = Asker::user(&shop, ADMIN).await;
    let new = json!({"name": "contract", "scopes": ["all"]});
    let made = shop.ask("POST", "/api/admin/tokens/", &admin.token, &new).await;
    let mut own = admin.own;
    own.push(("OWN_TOKEN", made["id"].to_string()));
    let token = made["secret"].as_str().expect("it is shown once").to_owned();
    hold_against_the_description(shop, Some(&Asker { token, own }));
}
