//! Files of products, as CSV in both forms and as JSON lines: whatever is in one, the shop takes it in or says what is
//! wrong; and what it took in it hands out in a file that, taken in again, changes nothing.
//!
//! An input is `csv` or `lines` and a query on a line, and a file.

use serde_json::Value;

use super::shop::{self, Shop, Who};
use super::text::line;

const PATH: &str = "/api/admin/products/import/";

pub fn run(data: &[u8]) {
    let (how, file) = line(data);
    let how = String::from_utf8_lossy(how);
    let (format, query) = how.split_once('?').unwrap_or((&how, ""));
    let media_type = if format == "lines" { "application/x-ndjson" } else { "text/csv" };
    shop::with(|shop| {
        let came = import(shop, media_type, query, file);
        if !shop.has_changed() {
            return;
        }
        shop.check();
        if came["imported"] != Value::Null || came["id"] != Value::Null {
            for (form, media_type) in [("csv", "text/csv"), ("jsonl", "application/x-ndjson")] {
                let target = format!("/api/admin/products/export/?format={form}");
                let file = shop.ask(Who::Operator, "GET", &target, &[], b"").body;
                let again = import(shop, media_type, "dry_run=true", &file);
                let same = ["created", "updated", "failed"].iter().all(|count| again[count] == 0);
                assert!(same, "{again}\n{}", String::from_utf8_lossy(&file));
            }
        }
    });
}

fn import(shop: &Shop, media_type: &str, query: &str, file: &[u8]) -> Value {
    let headers: [(&str, &[u8]); 1] = [("content-type", media_type.as_bytes())];
    let came = shop.ask(Who::Operator, "POST", &format!("{PATH}?{query}"), &headers, file);
    // Which may be lines about how far it is, and then the report.
    let last = came.body.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    last.and_then(|line| serde_json::from_slice(line).ok()).unwrap_or_default()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let export = |form: &str| {
        let target = format!("/api/admin/products/export/?format={form}");
        shop::with(|shop| shop.ask(Who::Operator, "GET", &target, &[], b"").body)
    };
    let shopify = include_bytes!("../fixtures/shopify-apparel.csv");
    let few: Vec<u8> = shopify.split_inclusive(|byte| *byte == b'\n').take(6).flatten().copied().collect();
    let latin = b"name;sku;price;stock_quantity\nCaf\xE9;C;4,00;3\n";
    vec![
        [b"csv?\n", export("csv").as_slice()].concat(),
        [b"csv?mode=create&skip_bad=true\n", export("csv").as_slice()].concat(),
        [b"lines?\n", export("jsonl").as_slice()].concat(),
        [b"csv?skip_bad=true\n", few.as_slice()].concat(),
        [b"csv?\n", latin.as_slice()].concat(),
        b"csv?\nname,sku,price,stock_quantity,description,category,tags\n'=Tea,NEW,4.00,3,\"a\nb\",Drinks,\"a|b\"\n".to_vec(),
    ]
}
