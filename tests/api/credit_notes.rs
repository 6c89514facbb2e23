//! Credit notes: what goes back of an invoice, on papers that never change.

use reqwest::Method;
use serde_json::json;

use crate::support::Shop;

#[tokio::test]
async fn a_refund_by_lines_has_its_note_in_every_form() {
    let shop =
        Shop::with(&[("tax.percent", "19"), ("shipping.flat", "5"), ("shop.name", "Tea & Sons")]).await;
    let tea = shop
        .product_of(json!({"name": "<i>Tea</i>", "price": "10", "sku": "T-1", "stock_quantity": 9}))
        .await;
    let (ann, bob, admin) = (shop.buyer().await, shop.buyer().await, shop.admin().await);
    let order = ann.bought(tea.id, 3).await;
    let path = format!("/api/orders/{order}/credit-notes/");
    assert_eq!(ann.get(&path).await.status(200).json["count"], 0);
    let to_refund = format!("/api/admin/orders/{order}/refund/");
    let refund = |body| admin.post(&to_refund, body);
    let lines = json!({"lines": [{"line_id": 1, "quantity": 2}], "reason": "too bitter"});
    let shown = refund(lines).await.status(201).json;
    let linked = &shown["refunds"][0]["credit_notes"][0];
    assert_eq!((&linked["number"], &linked["kind"]), (&json!("CN-000001"), &json!("credit_note")));
    let note = ann.get(&format!("{path}CN-000001/")).await.status(200).json;
    for (name, value) in json!({"number": "CN-000001", "kind": "credit_note", "corrects": null,
        "invoice_number": "INV-000001", "order_id": order, "net": "20.00", "tax": "3.80", "total": "23.80",
        "reason": "too bitter", "refund_id": 1,
        "items": [{"line_id": 1, "sku": "T-1", "name": "<i>Tea</i>", "quantity": 2, "net": "20.00"}]})
    .as_object()
    .unwrap()
    {
        assert_eq!(&note[name], value, "{name}");
    }
    // All that is left: the last unit, the shipping, and the rest of the tax.
    refund(json!({})).await.status(201);
    let list = admin.get(&path).await.status(200).json;
    let rest = &list["results"][1];
    assert_eq!(
        (&rest["net"], &rest["tax"], &rest["total"]),
        (&json!("15.00"), &json!("1.90"), &json!("16.90"))
    );
    assert_eq!(ann.get(&format!("{path}2/")).await.status(200).json, *rest);

    let link = linked["url"].as_str().unwrap().strip_prefix(&shop.base).expect("an absolute link").to_owned();
    let page = shop.get(&link).await.status(200);
    for text in
        ["Credit note", "CN-000001", "Tea &amp; Sons", "&lt;i&gt;Tea", "Invoice INV-000001", "23.80 USD"]
    {
        assert!(page.text.contains(text), "{text} is not in the page");
    }
    shop.get(&link.replace("CN-000001", "CN-000002")).await.refused(403, "link_invalid");
    let pdf = ann.asks(Method::GET, &format!("{path}1/")).header("Accept", "application/pdf").send().await;
    let pdf = pdf.status(200);
    assert!(pdf.text.starts_with("%PDF-"));
    assert_eq!(pdf.header("content-disposition"), "inline; filename=\"CN-000001.pdf\"");

    // It is nobody else's, and no other order's.
    let other = ann.bought(tea.id, 1).await;
    for path in [&path, &format!("{path}1/")] {
        bob.get(path).await.refused(404, "not_found");
    }
    for bad in ["CN-000003", "CN-", "0", "x"] {
        ann.get(&format!("{path}{bad}/")).await.refused(404, "not_found");
    }
    ann.get(&format!("/api/orders/{other}/credit-notes/1/")).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_refund_by_sum_gives_back_its_share_of_the_tax() {
    let shop = Shop::with(&[("tax.percent", "7.7")]).await;
    let tea = shop.product("Tea", "3.33", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = ann.bought(tea.id, 3).await;
    let to_refund = format!("/api/admin/orders/{order}/refund/");
    let refund = |body| admin.post(&to_refund, body);
    for body in [json!({"amount": "1"}), json!({"lines": [{"line_id": 1, "quantity": 1}]}), json!({})] {
        refund(body).await.status(201);
    }
    let notes = ann.get(&format!("/api/orders/{order}/credit-notes/")).await.json;
    let cents = |name: &str| -> Vec<i64> {
        let notes = notes["results"].as_array().unwrap().iter();
        notes.map(|note| note[name].as_str().unwrap().replace('.', "").parse().unwrap()).collect()
    };
    assert_eq!(cents("total").iter().sum::<i64>(), 999 + 77);
    assert_eq!(cents("tax"), [7, 26, 44], "all of the tax, and no more");
}

#[tokio::test]
async fn money_that_was_never_invoiced_has_no_note() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4", 9).await;
    let (ann, admin) = (shop.buyer().await, shop.admin().await);
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    let _ = ann.decides(payment, json!({"outcome": "succeed"})).await;
    shop.run_jobs().await;
    assert_eq!(admin.get(&format!("/api/orders/{order}/credit-notes/")).await.json["count"], 0);
}
