//! The shop's figures, its orders as files, and the API's description.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Shop;

#[tokio::test]
async fn figures_count_what_was_placed_paid_and_given_back() {
    let shop = Shop::open().await;
    let (staff, admin, buyer) = (shop.staff().await, shop.admin().await, shop.buyer().await);
    let tea = shop.product("Tea", "4.00", 100).await;
    let mug = shop.product("Mug", "9.50", 6).await;
    buyer.bought(tea.id, 3).await;
    shop.later(Duration::from_hours(23));
    buyer.ordered(tea.id, 1).await;
    let cancelled = buyer.ordered(tea.id, 50).await;
    buyer.post(&format!("/api/orders/{cancelled}/cancel/"), json!({})).await.status(200);
    let order = buyer.bought(mug.id, 2).await;
    let refund = format!("/api/admin/orders/{order}/refund/");
    admin.post(&refund, json!({"amount": "4.50"})).await.status(201);
    let stats = staff.get("/api/admin/stats/?days=7").await.status(200).json;
    let figures = |orders: u64, paid: u64, sales: &str, refunded: &str| json!({"orders": orders, "paid": paid, "sales": sales, "refunded": refunded});
    assert_eq!(stats["total"], figures(3, 2, "31.00", "4.50"));
    let days = stats["days"].as_array().expect("days");
    let day = |day: &Value| json!({"date": day["date"], "orders": day["orders"], "sales": day["sales"]});
    assert_eq!(days.len(), 7);
    assert_eq!(day(&days[0]), json!({"date": "2026-11-24", "orders": 2, "sales": "19.00"}));
    assert_eq!(day(&days[1]), json!({"date": "2026-11-23", "orders": 1, "sales": "12.00"}));
    let status = json!({"pending": 1, "processing": 2, "shipped": 0, "completed": 0, "cancelled": 1});
    assert_eq!(stats["orders_by_status"], status);
    let best: Vec<_> =
        stats["best_sellers"].as_array().unwrap().iter().map(|b| (&b["name"], &b["quantity"])).collect();
    assert_eq!(best, [(&json!("Tea"), &json!(3)), (&json!("Mug"), &json!(2))]);
    // 96 of tea and 4 mugs.
    assert_eq!(stats["stock"], json!({"variants": 2, "units": 100, "value": "422.00"}));
    assert_eq!(
        (&stats["low_stock"]["count"], &stats["low_stock"]["items"][0]["name"]),
        (&json!(1), &json!("Mug"))
    );
    let today = staff.get("/api/admin/stats/?days=1").await.status(200).json;
    assert_eq!(today["total"], figures(2, 1, "19.00", "4.50"));
    for days in ["0", "367", "x"] {
        staff.get(&format!("/api/admin/stats/?days={days}")).await.faults(&["days"]);
    }
}

#[tokio::test]
async fn orders_are_exported_a_row_for_each_line() {
    let shop = Shop::open().await;
    let (staff, buyer) = (shop.staff().await, shop.buyer().await);
    let tea =
        shop.product_of(json!({"name": "=Tea", "price": "4.00", "sku": "@T", "stock_quantity": 9})).await;
    let mug = shop.product("Mug", "9.50", 9).await;
    buyer.puts_in_cart(tea.id, 2).await.status(201);
    buyer.bought(mug.id, 1).await;
    shop.later(Duration::from_hours(1));
    buyer.ordered(mug.id, 1).await;
    let get = async |query: &str| staff.get(&format!("/api/admin/orders/export/{query}")).await.status(200);
    let csv = get("").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"orders.csv\"");
    assert_eq!(csv.header("x-total-count"), "3");
    let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        rows[row][header.iter().position(|column| column == name).unwrap()].to_owned()
    };
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (cell(0, "name"), cell(0, "sku"), cell(0, "line_total")),
        ("'=Tea".into(), "'@T".into(), "8.00".into())
    );
    assert_eq!((cell(1, "order_id"), cell(1, "total_price")), (cell(0, "order_id"), "17.50".into()));
    assert_eq!((cell(2, "payment_status"), cell(2, "quantity")), ("unpaid".into(), "1".into()));
    let lines = get("?format=jsonl&payment_status=paid").await;
    let order: Value = serde_json::from_str(lines.text.trim()).unwrap();
    assert_eq!((&order["total_price"], order["items"].as_array().unwrap().len()), (&json!("17.50"), 2));
    assert_eq!(get("?created_after=2026-11-23T10:30:00Z").await.text.lines().count(), 2);
    staff.get("/api/admin/orders/export/?format=xml").await.faults(&["format"]);
    staff.get("/api/admin/orders/export/?page=1").await.faults(&["page"]);
}

#[tokio::test]
async fn the_description_has_every_route_there_is() {
    let shop = Shop::open().await;
    let document = shop.get("/api/openapi.json").await.status(200).json;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (verb, path) in till::http::operations() {
        let operation = &document["paths"][path][verb.to_lowercase()];
        let id =
            operation["operationId"].as_str().unwrap_or_else(|| panic!("{verb} {path} is not described"));
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        let parameters = operation["parameters"].as_array().expect("parameters");
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, path.matches('{').count(), "{verb} {path}");
    }
    let verbs = document["paths"].as_object().unwrap().values().map(|verbs| verbs.as_object().unwrap().len());
    assert_eq!(verbs.sum::<usize>(), ids.len());
}
