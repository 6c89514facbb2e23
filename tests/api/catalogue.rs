//! Products, lists and categories.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Shop};

fn names(list: &Answer) -> Vec<&str> {
    list.json["results"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|product| product["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_plain_product_has_one_variant_made_of_its_own_fields() {
    let shop = Shop::open().await;
    let body = json!({"name": "Sencha", "price": 8.9, "sku": "TEA-1", "stock_quantity": 12, "category": "Green Tea",
        "tags": ["green"], "description": "Fresh.", "compare_at_price": "10", "weight_grams": 100,
        "image_url": "https://example.com/a.jpg", "images": ["https://example.com/b.jpg"]});
    let made = shop.staff().await.post("/api/products/", body).await.status(201);
    assert_eq!(made.header("location"), format!("/api/products/{}/", made.json["id"]));
    let product = shop.get("/api/products/sencha/").await.status(200);
    assert_eq!(product.json, made.json);
    assert_eq!(product.header("etag"), made.header("etag"));
    let expected = json!({"price": "8.90", "compare_at_price": "10.00", "currency": "USD", "sku": "TEA-1", "category": "Green Tea",
        "stock_quantity": 12, "in_stock": true, "options": [], "version": 1, "rating": {"average": null, "count": 0}});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&product.json[name], value, "{name}");
    }
    let variant = &product.json["variants"][0];
    assert_eq!(
        (&variant["sku"], &variant["price"], &variant["stock_quantity"]),
        (&json!("TEA-1"), &json!("8.90"), &json!(12))
    );
}

#[tokio::test]
async fn every_field_of_a_product_has_its_limits() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("   ")),
        ("name", json!("x".repeat(201))),
        ("name", json!("nul\u{0}byte")),
        ("price", json!("-1")),
        ("price", json!("1.999")),
        ("price", json!("NaN")),
        ("price", json!("1e3")),
        ("price", json!("1234567890123")),
        ("price", json!(true)),
        ("compare_at_price", json!("0.50")),
        ("stock_quantity", json!(-1)),
        ("stock_quantity", json!(1_000_000_001)),
        ("stock_quantity", json!(1.5)),
        ("stock_quantity", json!("7")),
        ("image_url", json!("ftp://example.com/a.jpg")),
        ("image_url", json!("javascript:alert(1)")),
        ("images", json!(["nope"])),
        ("images", json!("https://example.com/a.jpg")),
        ("tags", json!([""])),
        ("tags", json!((0..51).map(|n| n.to_string()).collect::<Vec<_>>())),
        ("slug", json!("12345")),
        ("slug", json!("a/b")),
        ("sku", json!("")),
        ("sku", json!("x".repeat(101))),
        ("weight_grams", json!(-5)),
        ("low_stock_threshold", json!(-1)),
        ("is_active", json!("yes")),
        ("description", json!("x".repeat(50_001))),
        ("category", json!("!!!")),
        ("options", json!([{"name": ""}])),
        ("colour", json!("red")),
    ] {
        let mut body = json!({"name": "Tea", "price": "1.00"});
        body[field] = value.clone();
        let answer = staff.post("/api/products/", body).await.refused(422, "validation_error");
        let faults = answer.json["errors"].as_object().unwrap();
        assert!(faults.keys().any(|path| path.starts_with(field)), "{field}: {value}: {}", answer.text);
    }
    staff.post("/api/products/", json!({})).await.faults(&["name", "price"]);
    let much = json!({"name": "Tea", "price": "1", "stock_quantity": 1_000_000_001, "variants": []});
    staff.post("/api/products/", much).await.faults(&["stock_quantity"]);
    let both = json!({"price": "-1", "variants": [{"price": 1, "stock_quantity": -1}]});
    staff.post("/api/products/", both).await.faults(&["name", "price", "variants.0.stock_quantity"]);
    assert_eq!(shop.get("/api/products/").await.json["count"], 0);
}

#[tokio::test]
async fn a_product_with_options_shows_its_lowest_price_and_all_its_stock() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let body = json!({"name": "Shirt", "price": "20", "options": [{"name": "Size", "values": ["S", "M"]}, {"name": "Colour"}],
        "variants": [
            {"sku": "S-R", "options": {"Size": "S", "Colour": "Red"}, "stock_quantity": 3},
            {"sku": "M-R", "options": {"Size": "M", "Colour": "Red"}, "price": "18.50", "stock_quantity": 4}]});
    let made = staff.post("/api/products/", body.clone()).await.status(201).json;
    assert_eq!(
        (&made["price"], &made["stock_quantity"], &made["sku"]),
        (&json!("18.50"), &json!(7), &Value::Null)
    );
    assert_eq!(made["options"][1], json!({"name": "Colour", "values": ["Red"]}));
    let bad = |change: Value| {
        let mut body = body.clone();
        body["variants"][0] = change;
        staff.post("/api/products/", body)
    };
    bad(json!({"options": {"Size": "S"}})).await.faults(&["variants.0.options"]);
    bad(json!({"options": {"Size": "M", "Colour": "Red"}})).await.faults(&["variants.1.options"]);
    bad(json!({"options": {"Size": "S", "Colour": "Red", "Fit": "Slim"}}))
        .await
        .faults(&["variants.0.options.Fit"]);
    bad(json!({"options": {"Size": 1, "Colour": "Red"}})).await.faults(&["variants.0.options.Size"]);
    bad(json!({"sku": "S-R", "options": {"Size": "S", "Colour": "Red"}})).await.refused(409, "sku_taken");
    staff
        .post("/api/products/", json!({"name": "X", "variants": [{"options": {"Size": "S"}}]}))
        .await
        .faults(&["price"]);
}

#[tokio::test]
async fn skus_and_slugs_are_unique() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    staff.post("/api/products/", json!({"name": "Tea", "price": "1", "sku": "T-1"})).await.status(201);
    staff
        .post("/api/products/", json!({"name": "Tea", "price": "1", "sku": "t-1"}))
        .await
        .refused(409, "sku_taken");
    let second = staff.post("/api/products/", json!({"name": "Tea", "price": "1"})).await.status(201).json;
    assert_eq!(second["slug"], "tea-2");
    staff
        .post("/api/products/", json!({"name": "Tea", "price": "1", "slug": "tea"}))
        .await
        .refused(409, "slug_taken");
    let digits = staff.post("/api/products/", json!({"name": "2024", "price": "1"})).await.status(201).json;
    assert_eq!(digits["slug"], "product-2024");
    for n in 3..9 {
        let next = staff.post("/api/products/", json!({"name": "Tea", "price": "1"})).await.status(201).json;
        assert_eq!(next["slug"], format!("tea-{n}"));
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_a_put_changes_all() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let tea = shop
        .product_of(json!({"name": "Tea", "price": "4", "sku": "T-1", "tags": ["a"], "stock_quantity": 5}))
        .await;
    let path = format!("/api/products/{}/", tea.id);
    let patched = staff.patch(&path, json!({"price": "5", "description": "New"})).await.status(200).json;
    assert_eq!(
        (&patched["price"], &patched["tags"], &patched["version"]),
        (&json!("5.00"), &json!(["a"]), &json!(2))
    );
    assert_eq!(patched["variants"][0]["id"], tea.variant, "a variant keeps its id");
    let same = staff.patch(&path, json!({"price": "5.00"})).await.status(200).json;
    assert_eq!(same["version"], 2, "what changes nothing is no change");
    let put = staff.put(&path, json!({"name": "Tea", "price": "6"})).await.status(200).json;
    assert_eq!((&put["tags"], &put["sku"], &put["stock_quantity"]), (&json!([]), &Value::Null, &json!(5)));
    staff.put(&path, json!({"name": "Tea"})).await.faults(&["price"]);
    staff.patch(&path, json!({"name": null})).await.faults(&["name"]);
    let read = shop.get(&path).await.json;
    let written = staff.put(&path, read.clone()).await.status(200).json;
    assert_eq!(written, read, "what was read can be written back");
    staff.patch("/api/products/999/", json!({"price": "1"})).await.refused(404, "not_found");
}

#[tokio::test]
async fn variants_can_be_changed_added_and_taken_away() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let shirt = shop
        .product_of(json!({"name": "Shirt", "price": "20", "variants": [
            {"sku": "S", "options": {"Size": "S"}, "stock_quantity": 2}, {"sku": "M", "options": {"Size": "M"}, "stock_quantity": 3}]}))
        .await;
    let path = format!("/api/products/{}/", shirt.id);
    let changed = staff
        .patch(&path, json!({"variants": [{"options": {"Size": "M"}, "price": "25"}, {"options": {"Size": "L"}, "price": "30"}]}))
        .await
        .status(200)
        .json;
    let variants = changed["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 2);
    assert_eq!(
        (&variants[0]["sku"], &variants[0]["stock_quantity"], &variants[0]["id"]),
        (&json!("M"), &json!(3), &shirt.json["variants"][1]["id"])
    );
    assert_eq!(changed["stock_quantity"], 3);
    staff.patch(&path, json!({"stock_quantity": 9})).await.faults(&["stock_quantity"]);
    staff.patch(&path, json!({"price": "1"})).await.faults(&["price"]);
    staff
        .patch(&path, json!({"variants": [{"id": 999, "options": {"Size": "M"}, "price": "1"}]}))
        .await
        .faults(&["variant_id"]);
}

#[tokio::test]
async fn stock_in_a_patch_is_an_adjustment() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let tea = shop.product("Tea", "4", 5).await;
    staff.patch(&format!("/api/products/{}/", tea.id), json!({"stock_quantity": 8})).await.status(200);
    let ledger =
        staff.get(&format!("/api/admin/inventory/movements/?variant_id={}", tea.variant)).await.status(200);
    let moves: Vec<_> =
        ledger.json["results"].as_array().unwrap().iter().map(|m| (&m["delta"], &m["stock_after"])).collect();
    assert_eq!(moves, [(&json!(3), &json!(8)), (&json!(5), &json!(5))]);
}

#[tokio::test]
async fn if_match_makes_sure_that_no_sale_came_between() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let tea = shop.product("Tea", "4", 5).await;
    let path = format!("/api/products/{}/", tea.id);
    let tag = shop.get(&path).await.header("etag").to_owned();
    shop.buyer().await.bought(tea.id, 1).await;
    let change = |tag: String| {
        staff.asks(Method::PATCH, &path).header("If-Match", &tag).json(&json!({"stock_quantity": 5})).send()
    };
    change(tag.clone()).await.refused(412, "version_conflict");
    change(format!("W/{}", shop.get(&path).await.header("etag"))).await.refused(412, "version_conflict");
    staff.asks(Method::DELETE, &path).header("If-Match", &tag).send().await.refused(412, "version_conflict");
    let fresh = shop.get(&path).await.header("etag").to_owned();
    assert_ne!(fresh, tag, "the tag covers the stock");
    assert_eq!(change(fresh).await.status(200).json["stock_quantity"], 5);
}

#[tokio::test]
async fn a_tag_that_is_known_gets_304() {
    let shop = Shop::open().await;
    shop.product("Tea", "4", 5).await;
    for path in ["/api/products/tea/", "/api/products/", "/api/categories/"] {
        let first = shop.get(path).await.status(200);
        let tag = first.header("etag").to_owned();
        let again = shop
            .request(Method::GET, path)
            .header("If-None-Match", &format!("\"other\", W/{tag}"))
            .send()
            .await;
        assert_eq!(
            (again.status.as_u16(), again.text.as_str(), again.header("etag")),
            (304, "", tag.as_str()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_deleted_product_is_gone_for_everybody_but_staff() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let tea = shop.product_of(json!({"name": "Tea", "price": "4", "sku": "T-1", "stock_quantity": 5})).await;
    let ann = shop.buyer().await;
    let order = ann.bought(tea.id, 1).await;
    let path = format!("/api/products/{}/", tea.id);
    staff.delete(&path).await.status(204);
    staff.delete(&path).await.refused(404, "not_found");
    shop.get(&path).await.refused(404, "not_found");
    shop.get("/api/products/tea/").await.refused(404, "not_found");
    assert_eq!(shop.get("/api/products/").await.json["count"], 0);
    assert_eq!(staff.get("/api/products/").await.json["count"], 0);
    assert_eq!(names(&staff.get("/api/products/?archived=true").await), ["Tea"]);
    shop.get("/api/products/?archived=true").await.refused(403, "permission_denied");
    assert_eq!(ann.order(order).await["items"][0]["sku"], "T-1");
    staff.post("/api/products/", json!({"name": "Tea", "price": "4", "sku": "T-1"})).await.status(201);
    let path = format!("/api/orders/{order}/cancel/");
    ann.post(&path, json!({"because": "no"})).await.faults(&["because"]);
    ann.post(&path, json!({})).await.status(200);
}

#[tokio::test]
async fn a_hidden_product_is_seen_by_staff_only() {
    let shop = Shop::open().await;
    let tea =
        shop.product_of(json!({"name": "Tea", "price": "4", "is_active": false, "stock_quantity": 5})).await;
    let path = format!("/api/products/{}/", tea.id);
    shop.get(&path).await.refused(404, "not_found");
    let (ann, staff) = (shop.buyer().await, shop.staff().await);
    ann.puts_in_cart(tea.id, 1).await.faults(&["product_id"]);
    staff.get(&path).await.status(200);
    assert_eq!(staff.get("/api/products/").await.json["count"], 1);
    assert_eq!(ann.get("/api/products/").await.json["count"], 0);
}

#[tokio::test]
async fn lists_are_filtered() {
    let shop = Shop::open().await;
    for (name, price, stock, category, tags, sku) in [
        ("Green Sencha", "8.90", 5, json!("Tea"), json!(["green", "japan"]), "GS-1"),
        ("Black Assam", "6.00", 0, json!("Tea"), json!(["black"]), "BA-1"),
        ("Dark Roast", "12.00", 9, json!("Coffee & Co"), json!(["japan"]), "DR-1"),
        ("Mug", "15.00", 3, Value::Null, json!([]), "MUG-7"),
    ] {
        let body = json!({"name": name, "price": price, "stock_quantity": stock, "category": category, "tags": tags, "sku": sku,
            "description": format!("All about {name}.")});
        shop.product_of(body).await;
    }
    for (query, wanted) in [
        ("category=tea", "Black Assam,Green Sencha"),
        ("category=Tea&category=coffee-co", "Black Assam,Dark Roast,Green Sencha"),
        ("category=none", ""),
        ("in_stock=true", "Dark Roast,Green Sencha,Mug"),
        ("in_stock=false", "Black Assam"),
        ("min_price=8.90&max_price=12", "Dark Roast,Green Sencha"),
        ("min_price=15.01", ""),
        ("tag=japan", "Dark Roast,Green Sencha"),
        ("tag=JAPAN&category=tea", "Green Sencha"),
        ("search=sencha", "Green Sencha"),
        ("search=all+gre", "Green Sencha"),
        ("search=mug-7", "Mug"),
        ("search=japan", "Dark Roast,Green Sencha"),
        ("search=gre%20roast", ""),
        ("search=%20", "Black Assam,Dark Roast,Green Sencha,Mug"),
        ("min_rating=4", ""),
    ] {
        let list = shop.get(&format!("/api/products/?ordering=name&{query}")).await.status(200);
        assert_eq!(names(&list).join(","), wanted, "{query}");
        assert_eq!(list.json["count"], names(&list).len(), "{query}");
    }
    let categories = shop.get("/api/categories/").await.status(200).json;
    let wanted = json!([{"slug": "coffee-co", "name": "Coffee & Co", "product_count": 1}, {"slug": "tea", "name": "Tea", "product_count": 2}]);
    assert_eq!(categories, wanted);
}

#[tokio::test]
async fn query_values_that_are_no_good_are_told() {
    let shop = Shop::open().await;
    for (query, field) in [
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=-1", "page"),
        ("page_size=101", "page_size"),
        ("page_size=0", "page_size"),
        ("min_price=cheap", "min_price"),
        ("max_price=-1", "max_price"),
        ("in_stock=maybe", "in_stock"),
        ("min_rating=6", "min_rating"),
        ("min_rating=-0.5", "min_rating"),
        ("min_rating=1844674407370955162", "min_rating"),
        ("ordering=size", "ordering"),
        ("ordering=--price", "ordering"),
        ("search=%FF", "query"),
    ] {
        shop.get(&format!("/api/products/?{query}")).await.faults(&[field]);
    }
    shop.get("/api/products/?page=2").await.refused(404, "page_not_found");
    shop.get("/api/products/?ordering=stock_quantity").await.refused(403, "permission_denied");
    shop.staff().await.get("/api/products/?ordering=-stock_quantity").await.status(200);
}

#[tokio::test]
async fn orders_break_ties_by_id_and_paging_repeats_and_skips_nothing() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    for n in 0..45 {
        let body = json!({"name": format!("Item {:02}", n / 3), "price": format!("{}", n % 5), "stock_quantity": n % 4});
        staff.post("/api/products/", body).await.status(201);
    }
    for ordering in [
        "price",
        "-price",
        "name",
        "-name",
        "created_at",
        "-created_at",
        "rating",
        "-popularity",
        "stock_quantity",
        "-stock_quantity",
    ] {
        for filter in ["", "&in_stock=true", "&search=item+01"] {
            let mut seen: Vec<(String, u64)> = Vec::new();
            let mut path = Some(format!("/api/products/?page_size=7&ordering={ordering}{filter}"));
            let mut count = 0;
            while let Some(next) = path {
                let list = staff.get(&next).await.status(200);
                for product in list.json["results"].as_array().unwrap() {
                    let key = match ordering.trim_start_matches('-') {
                        "name" => product["name"].as_str().unwrap().to_owned(),
                        "price" => format!("{:0>8}", product["price"].as_str().unwrap()),
                        "stock_quantity" => format!("{:08}", product["stock_quantity"].as_u64().unwrap()),
                        _ => String::new(),
                    };
                    seen.push((key, product["id"].as_u64().unwrap()));
                }
                count = list.json["count"].as_u64().unwrap();
                path = list.json["next"]
                    .as_str()
                    .map(|url| url.strip_prefix(&shop.base).expect("absolute").to_owned());
            }
            assert_eq!(seen.len() as u64, count, "{ordering}{filter}");
            let mut sorted = seen.clone();
            sorted.sort_by(|a, b| {
                let by_key = if ordering.starts_with('-') { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) };
                by_key.then(a.1.cmp(&b.1))
            });
            assert_eq!(seen, sorted, "{ordering}{filter}");
        }
    }
}

#[tokio::test]
async fn popularity_counts_units_in_orders_that_live() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4", 50).await, shop.product("Mug", "9", 50).await);
    let ann = shop.buyer().await;
    ann.bought(mug.id, 2).await;
    let cancelled = ann.ordered(tea.id, 5).await;
    let popular = || async { names(&shop.get("/api/products/?ordering=-popularity").await).join(",") };
    assert_eq!(popular().await, "Tea,Mug");
    ann.asks(Method::POST, &format!("/api/orders/{cancelled}/cancel/")).send().await.status(200);
    assert_eq!(popular().await, "Mug,Tea");
}

#[tokio::test]
async fn money_is_written_in_the_shops_currency() {
    for (currency, price, shown, too_fine) in
        [("JPY", "1999", "1999", "19.5"), ("KWD", "19.99", "19.990", "1.2345")]
    {
        let shop = Shop::with(&[("shop.currency", currency)]).await;
        let tea = shop.product("Tea", price, 5).await;
        assert_eq!((&tea.json["price"], &tea.json["currency"]), (&json!(shown), &json!(currency)));
        let bad = shop.staff().await.post("/api/products/", json!({"name": "x", "price": too_fine})).await;
        bad.faults(&["price"]);
        let order = shop.buyer().await.bought(tea.id, 2).await;
        assert!(order > 0);
    }
}

#[tokio::test]
async fn a_variant_that_is_taken_away_is_not_counted_in_lists() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let shirt = shop
        .product_of(json!({"name": "Shirt", "price": "20", "variants": [
            {"options": {"Size": "S"}, "stock_quantity": 0}, {"options": {"Size": "M"}, "stock_quantity": 7}]}))
        .await;
    let listed = || async { names(&shop.get("/api/products/?in_stock=true").await).join(",") };
    assert_eq!(listed().await, "Shirt");
    let body = json!({"variants": [{"options": {"Size": "S"}}]});
    staff.patch(&format!("/api/products/{}/", shirt.id), body).await.status(200);
    assert_eq!(listed().await, "", "what can't be bought any more is not in stock");
    let ledger = json!({"variant_id": shirt.json["variants"][1]["id"], "delta": 1, "reason": "found one"});
    staff.post("/api/admin/inventory/adjust/", ledger).await.status(200);
    assert_eq!(listed().await, "");
    let body = json!({"variants": [{"options": {"Size": "S"}, "stock_quantity": 2}, {"options": {"Size": "L"}, "price": "20", "stock_quantity": 1}]});
    staff.patch(&format!("/api/products/{}/", shirt.id), body).await.status(200);
    assert_eq!(listed().await, "Shirt");
}

#[tokio::test]
async fn two_variants_never_share_an_id() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let shirt = shop
        .product_of(json!({"name": "Shirt", "price": "20", "variants": [{"sku": "A", "options": {"Size": "S"}, "stock_quantity": 3}]}))
        .await;
    // The known variant becomes M, and S is a new one.
    let body = json!({"variants": [
        {"id": shirt.variant, "sku": "A", "options": {"Size": "M"}}, {"sku": "B", "options": {"Size": "S"}, "price": "20"}]});
    let changed = staff.patch(&format!("/api/products/{}/", shirt.id), body).await.status(200).json;
    let ids: Vec<_> = changed["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variant| variant["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids[0], shirt.variant);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(changed["variants"][1]["stock_quantity"], 0);
}
