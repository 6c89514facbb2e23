//! The README's walk, as a newcomer pastes it.

use std::process::Command;

use crate::support::{Home, repository};

/// The shell blocks of the README that stand between these two comments.
fn walk(readme: &str) -> String {
    let between = readme.split("<!-- walk -->").nth(1).expect("the walk is marked");
    let mut script = String::from("set -e\n");
    for block in between.split("```sh\n").skip(1) {
        script.push_str(block.split("```").next().expect("blocks end"));
    }
    script
}

#[test]
fn the_walk_from_login_to_invoice_works_as_printed() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("there is a README");
    let home = Home::new();
    std::fs::create_dir_all(home.path()).unwrap();
    let server = home.serve();
    let script = walk(&readme)
        .replace("http://127.0.0.1:8080", &server.base)
        .replace("./target/release/till", env!("CARGO_BIN_EXE_till"))
        .replace("tests/fixtures", repository().join("tests/fixtures").to_str().unwrap());
    let pasted = Command::new("bash")
        .args(["-c", &script])
        .current_dir(home.dir.path())
        .env("TILL_DATA_DIR", home.path())
        .output()
        .expect("bash and curl are there");
    let (out, err) = (String::from_utf8_lossy(&pasted.stdout), String::from_utf8_lossy(&pasted.stderr));
    assert!(pasted.status.success(), "{script}\n{out}\n{err}");
    let page =
        std::fs::read_to_string(home.dir.path().join("invoice.html")).expect("the walk ends with an invoice");
    assert!(page.contains("INV-000001") && page.contains("Ocean Blue Shirt"), "{page}\n{out}");
    assert!(out.contains("\"stock_quantity\":0"), "the stock fell: {out}");
    home.run(&["check"]).ok();
    assert_eq!(server.stop(), Some(0));
}
