//! The page on which the API is read and tried out.

use reqwest::Method;

use crate::support::Shop;

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_runs_only_files_of_its_own() {
    let shop = Shop::open().await;
    let page = shop.get("/api/docs/").await.status(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("x-frame-options"), "DENY");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.text.contains("http:") && !page.text.contains("https:"), "{}", page.text);
    // With and without the slash it is one page, so what it names begins at the root.
    assert_eq!(shop.get("/api/docs").await.status(200).text, page.text);
    let named: Vec<_> = page.text.split(['"', '\'']).filter(|part| part.starts_with("/api/docs/")).collect();
    assert_eq!(named.len(), 3, "{}", page.text);
    for name in named {
        let file = shop.get(name).await.status(200);
        let is_style = std::path::Path::new(name).extension().is_some_and(|ending| ending == "css");
        let media_type = if is_style { "text/css" } else { "text/javascript" };
        assert_eq!(file.header("content-type"), format!("{media_type}; charset=utf-8"));
        assert_eq!(file.header("x-content-type-options"), "nosniff");
    }
    for name in ["swagger-ui.css.gz", "..%2Fdocs.rs", "init.js%00", "LICENSE"] {
        shop.get(&format!("/api/docs/{name}")).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn files_are_sent_packed_to_those_who_take_that_and_not_sent_twice() {
    let shop = Shop::open().await;
    let path = "/api/docs/swagger-ui.css";
    let ask = |name: &'static str, value: &str| shop.request(Method::GET, path).header(name, value).send();
    let plain = ask("Accept-Encoding", "identity").await.status(200);
    assert!(plain.text.contains(".swagger-ui") && plain.header("content-encoding").is_empty());
    let packed = ask("Accept-Encoding", "br, gzip").await.status(200);
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "Accept-Encoding"));
    let length = |answer: &crate::support::Answer| answer.header("content-length").parse::<usize>().unwrap();
    assert!(length(&packed) < length(&plain) / 5, "{} of {}", length(&packed), length(&plain));
    assert_ne!(packed.header("etag"), plain.header("etag"), "they are two representations");
    assert_eq!(plain.header("cache-control"), "no-cache");
    let again = ask("If-None-Match", plain.header("etag")).await.status(304);
    assert!(again.text.is_empty());
}
