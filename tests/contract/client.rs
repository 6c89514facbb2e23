//! A client whose types are generated from the description: they compile, and a customer shops with them.

use std::fs;

use crate::node::{home, node, run};
use crate::shop::{CUSTOMER, Shop};
use crate::support::till;

#[test]
fn a_generated_client_walks_from_login_to_the_invoice() {
    let home = home();
    let mut openapi = till();
    openapi.arg("openapi");
    fs::write(home.join("openapi.json"), run(openapi)).expect("target can be written");
    let mut generate = node("node_modules/openapi-typescript/bin/cli.js");
    generate.args(["openapi.json", "--output", "api.d.ts"]);
    run(generate);
    run(node("node_modules/typescript/bin/tsc"));

    let shop = Shop::open();
    let mut client = node("built/client.js");
    client.args([&shop.server.base, CUSTOMER, &shop.password]);
    print!("{}", run(client));
    shop.close();
}
