//! The page in a real browser, and where its files are from.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::node;
use crate::shop::{CUSTOMER, Shop};
use crate::support::repository;

#[test]
fn a_customer_logs_in_and_orders_on_the_page() {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    assert!(
        Path::new(&chromium).exists(),
        "this test needs Chromium (Debian: chromium); CHROMIUM says where another one is"
    );
    let shop = Shop::open();
    let shots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("docs");
    let mut command = node::node("browser.js");
    command.args([&shop.server.base, CUSTOMER, &shop.password, &chromium]).arg(&shots);
    print!("{}", node::run(command));
    shop.close();
}

/// With `UPDATE_SWAGGER_UI=1` the files are taken from the package anew.
#[test]
fn swagger_ui_is_that_of_the_pinned_package() {
    let package = node::home().join("node_modules/swagger-ui-dist");
    let ours = repository().join("src/http/docs");
    let update = std::env::var_os("UPDATE_SWAGGER_UI").is_some();
    for name in
        ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-bundle.js.LICENSE.txt", "LICENSE", "NOTICE"]
    {
        let theirs = std::fs::read(package.join(name)).expect("it is in the package");
        let is_packed = ours.join(format!("{name}.gz")).exists();
        let file = ours.join(if is_packed { format!("{name}.gz") } else { name.to_owned() });
        if update {
            let mut packer = GzEncoder::new(Vec::new(), Compression::best());
            packer.write_all(&theirs).expect("in memory");
            let packed = packer.finish().expect("in memory");
            std::fs::write(&file, if is_packed { &packed } else { &theirs }).expect("it can be written");
        }
        let mut have = std::fs::read(&file).expect("it is there");
        if is_packed {
            let mut plain = Vec::new();
            GzDecoder::new(&have[..]).read_to_end(&mut plain).expect("it was packed");
            have = plain;
        }
        assert!(have == theirs, "{} is not that of the package", file.display());
    }
}
