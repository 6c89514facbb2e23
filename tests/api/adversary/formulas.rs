//! Formulas in the files that staff open in a spreadsheet (OWASP, CSV injection).

use serde_json::{Value, json};

use crate::support::{Person, Shop};

/// What spreadsheets take for a formula, and what hides one from a check at the beginning of the cell.
const FORMULAS: &[&str] = &[
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "=cmd|' /C calc'!A0",
    "\t=1+1",
    " =1+1",
    "\n=1+1",
    "'=1+1",
    "''=1+1",
    "\u{FF1D}1+1",
    "\u{FF0B}1",
    "\u{FF0D}1",
    "\u{FF20}SUM(1)",
    "\u{A0}=1",
    "\u{3000}=1",
    "a\n=1+1",
    "a,=1+1",
    "a\";=1+1",
    "-",
    "=",
    "\"=1+1\"",
    "%0A=1",
    "|calc",
    "\u{FEFF}=1",
    "\u{200B}=1",
];

/// Whether a spreadsheet could take a cell for a formula.
fn is_formula(cell: &str) -> bool {
    let hidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{FEFF}' | '\u{200B}');
    let bare = cell.trim_start_matches(hidden);
    let is_number = bare.parse::<f64>().is_ok();
    !is_number && bare.starts_with(['=', '+', '-', '@', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}'])
}

/// The cells of a file, its header too.
fn cells(file: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file.as_bytes());
    let rows = reader.records().map(|row| row.expect("a row"));
    rows.flat_map(|row| row.iter().map(str::to_owned).collect::<Vec<_>>()).collect()
}

async fn import(staff: &Person<'_>, query: &str, file: String) -> Value {
    let path = format!("/api/admin/products/import/{query}");
    staff.asks(reqwest::Method::POST, &path).body("text/csv", file).send().await.status(200).json
}

#[tokio::test]
async fn no_cell_of_a_products_file_is_a_formula_and_each_comes_back_as_it_was() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let mut made = 0;
    for (n, text) in FORMULAS.iter().enumerate() {
        let body = json!({
            "name": text, "description": text, "category": format!("{text}c"), "tags": [text, format!("{text}2")],
            "options": [{"name": text, "values": [text]}],
            "variants": [{"sku": format!("{text}{n}"), "price": "1.00", "stock_quantity": 1, "options": {*text: *text}}],
        });
        let answer = staff.post("/api/products/", body).await;
        // What is not fit to be a name at all is refused; a description takes every text.
        if answer.status.as_u16() != 201 {
            answer.refused(422, "validation_error");
            let body = json!({"name": "Plain", "description": text, "price": "1.00"});
            staff.post("/api/products/", body).await.status(201);
        }
        made += 1;
    }
    let file = staff.get("/api/admin/products/export/?format=csv").await.status(200).text;
    let found: Vec<_> = cells(&file).into_iter().filter(|cell| is_formula(cell)).collect();
    assert!(found.is_empty(), "{found:?}");
    let report = import(&staff, "", file.clone()).await;
    assert_eq!((&report["unchanged"], &report["rows"]), (&json!(made), &json!(made)), "{report}");
    // Into another shop, where all of it is new, they come as they were.
    let other = Shop::open().await;
    let there = other.staff().await;
    assert_eq!(import(&there, "", file.clone()).await["created"], made);
    let again = there.get("/api/admin/products/export/?format=csv").await.status(200).text;
    assert_eq!(again, file);
}

#[tokio::test]
async fn no_cell_of_an_orders_file_or_of_the_audit_trail_is_a_formula() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let tea = shop.product("=Tea", "4.00", 100).await;
    let ann = shop.buyer().await;
    for text in FORMULAS {
        ann.puts_in_cart(tea.id, 1).await.status(201);
        let mut address = json!({"name": text, "line1": text, "line2": text, "city": text, "region": text,
            "postal_code": "=1", "country": "GB", "phone": "+44 1"});
        let placed = ann.post("/api/orders/", json!({"shipping_address": address, "note": text})).await;
        if placed.status.as_u16() != 201 {
            placed.refused(422, "validation_error");
            for name in ["name", "line1", "line2", "city", "region"] {
                address[name] = json!("-x");
            }
            ann.post("/api/orders/", json!({"shipping_address": address, "note": text})).await.status(201);
        }
        admin.patch(&format!("/api/products/{}/", tea.id), json!({"name": format!("={text}")})).await;
    }
    for path in ["/api/admin/orders/export/?format=csv", "/api/admin/audit/export/?format=csv"] {
        let file = admin.get(path).await.status(200).text;
        let found: Vec<_> = cells(&file).into_iter().filter(|cell| is_formula(cell)).collect();
        assert!(found.is_empty(), "{path}: {found:?}");
    }
}
