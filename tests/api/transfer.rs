//! Export and import at size: what goes out comes in unchanged, an import that was cut short goes on, and one that
//! was a mistake is put back.

use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Shop, number};

async fn send(staff: &Person<'_>, query: &str, media_type: &str, file: impl Into<Vec<u8>>) -> Answer {
    let asking = staff.asks(Method::POST, &format!("/api/admin/products/import/{query}"));
    asking.body(media_type, file.into()).send().await
}

async fn import(staff: &Person<'_>, query: &str, file: impl Into<Vec<u8>>) -> Value {
    send(staff, query, "text/csv", file).await.status(200).json
}

async fn export(staff: &Person<'_>, format: &str) -> String {
    staff.get(&format!("/api/admin/products/export/?format={format}")).await.status(200).text
}

fn counts(report: &Value) -> [u64; 5] {
    ["rows", "created", "updated", "unchanged", "failed"].map(|name| report[name].as_u64().expect("a figure"))
}

/// Products that make trouble in files.
async fn troublesome(shop: &Shop) {
    for body in [
        json!({"name": "=1+1", "price": "1.50", "sku": "+SKU", "tags": ["@home", "a, b", "\"q\"", " blank "]}),
        json!({"name": "-5 degrees", "price": "2", "description": "\"quoted\", with\r\nline breaks;\nand\ttabs "}),
        json!({"name": "@home", "price": "3", "category": "=Cats", "image_url": "https://example.com/a.jpg",
            "images": ["https://example.com/b.jpg", "https://example.com/c.jpg"], "weight_grams": 250}),
        json!({"name": "'=already", "price": "4", "slug": "Capital_Slug", "low_stock_threshold": null}),
        json!({"name": " blanks ", "price": "0.01", "compare_at_price": "9.99", "stock_quantity": 0, "is_active": false}),
        json!({"name": "Crème brûlée 🍮 שוקולד", "price": "5", "description": "  ", "stock_quantity": 1_000_000_000}),
        json!({"name": "Shirt", "price": "20", "options": [{"name": "Size", "values": ["S", "M", "=XL"]},
            {"name": "-Colour", "values": ["Red", "Blue, dark"]}, {"name": "3", "values": ["x"]},
            {"name": "4", "values": ["y"]}, {"name": "5", "values": ["z"]}], "variants": [
            {"sku": "S1", "options": {"Size": "=XL", "-Colour": "Red", "3": "x", "4": "y", "5": "z"}, "stock_quantity": 5},
            {"options": {"Size": "S", "-Colour": "Blue, dark", "3": "x", "4": "y", "5": "z"}, "price": "21",
             "compare_at_price": "30", "image_url": "https://example.com/s.jpg"}]}),
    ] {
        shop.product_of(body).await;
    }
}

#[tokio::test]
async fn what_is_exported_changes_nothing_when_it_is_imported() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    troublesome(&shop).await;
    let (csv, lines) = (export(&staff, "csv").await, export(&staff, "jsonl").await);
    for formula in ["=1+1", "-5 degrees", "@home", "+SKU", "=Cats", "=XL", "-Colour"] {
        assert!(
            !csv.contains(&format!(",{formula}")) && csv.contains(&format!("'{formula}")),
            "{formula} in {csv}"
        );
    }
    let products =
        async || staff.get("/api/products/?page_size=100&ordering=created_at").await.json["results"].clone();
    let before = products().await;
    assert_eq!(counts(&import(&staff, "", csv.clone()).await), [8, 0, 0, 8, 0]);
    let read = send(&staff, "", "application/x-ndjson", lines.clone()).await.status(200).json;
    assert_eq!(counts(&read), [8, 0, 0, 8, 0]);
    assert_eq!(products().await, before);
    assert_eq!(staff.get("/api/admin/products/imports/").await.json["count"], 0, "nothing was changed");

    // The same in other clothes: a byte order mark and Windows line ends, semicolons, tabs.
    for separator in [b',', b';', b'\t'] {
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let mut writer = csv::WriterBuilder::new();
        let mut writer = writer
            .delimiter(separator)
            .terminator(csv::Terminator::CRLF)
            .from_writer(b"\xEF\xBB\xBF".to_vec());
        writer.write_record(reader.headers().unwrap()).unwrap();
        for record in reader.records() {
            writer.write_record(&record.unwrap()).unwrap();
        }
        let report = import(&staff, "", writer.into_inner().unwrap()).await;
        assert_eq!(counts(&report), [8, 0, 0, 8, 0], "{separator}");
        assert_eq!(report["notes"].as_array().unwrap().len(), usize::from(separator != b','));
    }
}

#[tokio::test]
async fn an_export_fills_an_empty_shop_with_the_same() {
    let shop = Shop::open().await;
    troublesome(&shop).await;
    let staff = shop.staff().await;
    for (format, media_type) in [("csv", "text/csv"), ("jsonl", "application/x-ndjson")] {
        let file = export(&staff, format).await;
        let other = Shop::open().await;
        let others = other.staff().await;
        let report = send(&others, "?mode=create", media_type, file.clone()).await.status(200).json;
        assert_eq!(counts(&report), [8, 8, 0, 0, 0]);
        if format == "csv" {
            assert_eq!(export(&others, format).await, file);
        }
        let strip = |products: Value| -> Vec<Value> {
            let strip = |mut product: Value| {
                for variant in product["variants"].as_array_mut().unwrap() {
                    variant["id"] = Value::Null;
                }
                // CSV has no place for values that no variant has.
                if format == "csv" {
                    product["options"] = Value::Null;
                }
                for name in ["id", "created_at", "updated_at", "version"] {
                    product[name] = Value::Null;
                }
                product
            };
            products.as_array().unwrap().iter().cloned().map(strip).collect()
        };
        let all = "/api/products/?page_size=100&ordering=name";
        assert_eq!(
            strip(staff.get(all).await.json["results"].take()),
            strip(others.get(all).await.json["results"].take())
        );
    }
}

#[tokio::test]
async fn a_latin_1_file_is_recognised_and_said() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let report = import(&staff, "", &b"handle;name;price\nc;Cr\xE8me br\xFBl\xE9e \x80;4,50\n"[..]).await;
    assert_eq!(counts(&report), [1, 1, 0, 0, 0]);
    assert!(report["notes"][0].as_str().unwrap().contains("Latin-1"), "{report}");
    let made = shop.get("/api/products/c/").await.json;
    assert_eq!((&made["name"], &made["price"]), (&json!("Crème brûlée €"), &json!("4.50")));
}

#[tokio::test]
async fn only_what_the_file_has_is_touched_and_empty_is_not_missing() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let body = json!({"name": "Tea", "slug": "tea", "price": "5", "sku": "T1", "stock_quantity": 7,
        "category": "Drinks", "tags": ["green"], "description": "fine", "weight_grams": 100, "compare_at_price": "6"});
    shop.product_of(body).await;
    let tea = async || shop.get("/api/products/tea/").await.json;
    import(&staff, "", "handle,price\ntea,5.50\n").await;
    let now = tea().await;
    assert_eq!(
        (&now["price"], &now["category"], &now["tags"]),
        (&json!("5.50"), &json!("Drinks"), &json!(["green"]))
    );
    let cells = "handle,price,category,tags,description,weight_grams,compare_at_price,stock_quantity,name\ntea,,,,,,,,\n";
    assert_eq!(counts(&import(&staff, "", cells).await), [1, 0, 1, 0, 0]);
    let now = tea().await;
    assert_eq!(
        [&now["category"], &now["tags"], &now["description"], &now["weight_grams"], &now["compare_at_price"]],
        [&Value::Null, &json!([]), &json!(""), &Value::Null, &Value::Null],
        "an empty cell empties what can be empty"
    );
    assert_eq!(
        [&now["price"], &now["name"], &now["stock_quantity"], &now["sku"]],
        [&json!("5.50"), &json!("Tea"), &json!(7), &json!("T1")],
        "and leaves alone what can't"
    );
    let line = r#"{"slug": "tea", "category": "Hot", "stock_quantity": 9}"#;
    let report = send(&staff, "", "application/x-ndjson", line).await.status(200).json;
    assert_eq!(counts(&report), [1, 0, 1, 0, 0]);
    let now = tea().await;
    assert_eq!(
        [&now["category"], &now["stock_quantity"], &now["price"]],
        [&json!("Hot"), &json!(9), &json!("5.50")]
    );
    let moved = staff.get("/api/admin/inventory/movements/").await.json["results"][0].clone();
    assert_eq!(
        [&moved["cause"], &moved["import_id"], &moved["delta"]],
        [&json!("import"), &report["id"], &json!(2)]
    );
}

#[tokio::test]
async fn json_lines_are_read_and_their_faults_told_by_line_and_field() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let file = concat!(
        r#"{"name": "Tea", "slug": "tea", "price": 5.25, "stock_quantity": 3}"#,
        "\r\n\n",
        r#"{"name": "Shirt", "slug": "shirt", "variants": [{"options": {"Size": "S"}, "price": "1"}, {"options": {"Size": "M"}, "price": "2"}]}"#,
        "\n",
        r#"{"name": "No price", "slug": "none"}"#,
        "\n",
        r#"{"name": "Bad", "slug": "bad", "price": "1.999", "colour": "red", "variants": [{"price": -1}]}"#,
        "\n",
        "{not json\n",
        r#"{"slug": "tea", "price": "9", "stock_quantity": 2, "variants": [{"price": "8", "stock_quantity": 1}]}"#,
        "\n",
    );
    let refused = send(&staff, "", "application/x-ndjson", file).await.refused(422, "import_refused").json;
    assert_eq!(counts(&refused), [7, 0, 0, 3, 4]);
    let told: Vec<_> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["line"].clone(), e["column"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!(4), json!("price")),
            (json!(5), json!("colour")),
            (json!(5), json!("price")),
            (json!(5), json!("variants.0.price")),
            (json!(6), json!("")),
            (json!(7), json!("price")),
            (json!(7), json!("stock_quantity"))
        ]
    );
    let report = send(&staff, "?skip_bad=true", "application/x-ndjson", file).await.status(200).json;
    assert_eq!(counts(&report), [7, 3, 0, 0, 4]);
    assert_eq!(shop.get("/api/products/tea/").await.json["price"], "5.25");
    assert_eq!(shop.get("/api/products/shirt/").await.json["variants"][1]["price"], "2.00");
}

#[tokio::test]
async fn bad_rows_are_left_out_when_that_is_asked_for() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    shop.product_of(json!({"name": "Old", "slug": "old", "price": "1", "sku": "O", "description": "kept", "options": [{"name": "Size",
        "values": ["S"]}], "variants": [{"options": {"Size": "S"}, "sku": "OS"}]})).await;
    let file = "handle,name,description,price,sku,option1_name,option1_value\n\
        good,Good,,1,G,,\n\
        new,New,,dear,N1,Size,S\n\
        new,,,2,N2,,M\n\
        old,Older,gone,x,OS,Size,S\n\
        old,,,3,OM,,M\n\
        twice,Twice,,1,G,,\n";
    let report = import(&staff, "?skip_bad=true", file).await;
    // The new product has lost the row that begins it; the old one its own fields, but not its other variant.
    assert_eq!(counts(&report), [6, 2, 0, 0, 4]);
    let lines: Vec<_> =
        report["errors"].as_array().unwrap().iter().map(|error| number(&error["line"])).collect();
    assert_eq!(lines, [3, 4, 5, 7]);
    let old = shop.get("/api/products/old/").await.json;
    assert_eq!(
        (&old["name"], &old["description"], &old["variants"][1]["sku"]),
        (&json!("Old"), &json!("kept"), &json!("OM"))
    );
    shop.get("/api/products/new/").await.status(404);
}

#[tokio::test]
async fn rows_of_a_product_may_stand_apart() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let file = "handle,name,price,sku,option1_name,option1_value\n\
        shirt,Shirt,1,A,Size,S\n\
        ,Alone,1,B,,\n\
        mug,Mug,2,C,,\n\
        shirt,,3,D,,M\n\
        alone,Named so,2,E,,\n";
    assert_eq!(counts(&import(&staff, "", file).await), [5, 5, 0, 0, 0]);
    assert_eq!(shop.get("/api/products/shirt/").await.json["variants"].as_array().unwrap().len(), 2);
    assert_eq!(shop.get("/api/products/alone/").await.json["name"], "Named so");
    assert_eq!(shop.get("/api/products/alone-2/").await.json["name"], "Alone");
    assert_eq!(counts(&import(&staff, "", "sku,stock_quantity\nD,4\nC,1\nA,2\n").await), [3, 0, 3, 0, 0]);
}

#[tokio::test]
async fn an_import_is_put_back_and_nothing_else_is() {
    let shop = Shop::open().await;
    let (staff, buyer) = (shop.staff().await, shop.buyer().await);
    let tea = shop.product_of(json!({"name": "Tea", "slug": "tea", "price": "5", "sku": "T", "stock_quantity": 10, "tags": ["a"]})).await;
    shop.product_of(json!({"name": "Mug", "slug": "mug", "price": "9", "sku": "M", "stock_quantity": 3}))
        .await;
    shop.product_of(json!({"name": "Cup", "slug": "cup", "price": "2", "category": "Cups", "options": [{"name": "Size", "values": ["S"]}],
        "variants": [{"options": {"Size": "S"}, "sku": "CS", "stock_quantity": 1}]})).await;
    let before = export(&staff, "csv").await;
    let categories = shop.get("/api/categories/").await.text;
    let file = "handle,name,price,sku,stock_quantity,category,option1_name,option1_value\n\
        tea,Fine Tea,6,T,50,Tea,,\n\
        mug,Mug,8,M,1,,,\n\
        cup,Cup,2,CS,1,Cups,Size,S\n\
        cup,,3,CM,4,,,M\n\
        pot,Pot,30,P,2,,,\n";
    let first = import(&staff, "", file).await;
    assert_eq!(counts(&first), [5, 2, 2, 1, 0]);
    let undo =
        async |id: &Value| staff.post(&format!("/api/admin/products/imports/{id}/undo/"), json!({})).await;
    let undone = undo(&first["id"]).await.status(200).json;
    assert_eq!(
        (&undone["restored"], &undone["archived"], &undone["left"]),
        (&json!(3), &json!(1), &json!([]))
    );
    assert_eq!(export(&staff, "csv").await, before);
    assert_eq!(shop.get("/api/categories/").await.text, categories);
    undo(&first["id"]).await.refused(409, "import_not_undoable");
    undo(&json!(99)).await.refused(404, "not_found");

    // What came after the import stays: sales, and what somebody changed by hand.
    let second = import(&staff, "", file).await;
    buyer.bought(tea.id, 2).await;
    staff.patch("/api/products/tea/", json!({"price": "7"})).await.status(200);
    staff
        .post("/api/admin/inventory/adjust/", json!({"variant_id": 2, "set": 0, "reason": "broken"}))
        .await
        .status(200);
    let undone = undo(&second["id"]).await.status(200).json;
    let told: Vec<_> =
        undone["left"].as_array().unwrap().iter().map(|left| left["message"].as_str().unwrap()).collect();
    assert_eq!(told, ["variant 1: price was changed since"]);
    let tea = shop.get("/api/products/tea/").await.json;
    assert_eq!(
        (&tea["name"], &tea["price"], &tea["stock_quantity"]),
        (&json!("Tea"), &json!("7.00"), &json!(8))
    );
    assert_eq!(shop.get("/api/products/mug/").await.json["stock_quantity"], 2);
    let moved = staff.get("/api/admin/inventory/movements/?variant_id=1").await.json["results"][0].clone();
    assert_eq!(
        [&moved["cause"], &moved["import_id"], &moved["delta"]],
        [&json!("import_undo"), &second["id"], &json!(-40)]
    );

    // Units that are gone can't be taken back.
    let third = import(&staff, "", "sku,stock_quantity\nM,20\n").await;
    staff
        .post("/api/admin/inventory/adjust/", json!({"variant_id": 2, "set": 1, "reason": "broken"}))
        .await
        .status(200);
    let undone = undo(&third["id"]).await.status(200).json;
    assert!(undone["left"][0]["message"].as_str().unwrap().contains("17 of the units"), "{undone}");
    assert_eq!(shop.get("/api/products/mug/").await.json["stock_quantity"], 0);
}

/// Holds up the writer, so that nothing is committed until it is let go on.
struct Parked(std::sync::mpsc::Sender<()>);

impl Parked {
    async fn writer(shop: &Shop) -> Parked {
        let (let_go, wait) = std::sync::mpsc::channel::<()>();
        let (begun, is_begun) = tokio::sync::oneshot::channel();
        let (wait, begun) = (std::sync::Mutex::new(wait), std::sync::Mutex::new(Some(begun)));
        shop.app.store.write_later(move |_| {
            if let Some(begun) = begun.lock().unwrap().take() {
                let _ = begun.send(());
                let _ = wait.lock().unwrap().recv();
            }
            Ok(())
        });
        is_begun.await.expect("the writer gets to it");
        Parked(let_go)
    }

    fn go_on(self) {
        drop(self.0);
    }
}

/// Begins an import and waits until it is being applied.
async fn begin(
    shop: &Shop,
    staff: &Person<'_>,
    query: &str,
    file: String,
) -> (impl futures_util::Stream<Item = String> + Unpin + use<>, String) {
    let asked = till::http::outgoing().build().unwrap();
    let asked =
        asked.post(format!("{}/api/admin/products/import/{query}", shop.base)).bearer_auth(&staff.access);
    let asked = asked.header("Content-Type", "text/csv").header("Accept", "application/x-ndjson").body(file);
    let lines = asked.send().await.unwrap().bytes_stream();
    let mut lines = lines.map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap()).boxed();
    let mut seen = String::new();
    while !seen.contains("importing") {
        seen.push_str(&lines.next().await.expect("more"));
    }
    (lines, seen)
}

fn many(rows: usize) -> String {
    let mut file = String::from("handle,name,price,sku,stock_quantity\n");
    for n in 0..rows {
        file.push_str(&format!("item-{n},Item {n},{}.50,SKU-{n},{}\n", n % 90, n % 7));
    }
    file
}

#[tokio::test]
async fn an_import_that_was_cut_short_goes_on_where_it_stopped() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let file = many(3000);
    // The shop is asked to stop while the next commit can't be made.
    let (mut lines, mut seen) = begin(&shop, &staff, "?mode=create", file.clone()).await;
    let parked = Parked::writer(&shop).await;
    shop.app.stopping.store(true, Ordering::Relaxed);
    parked.go_on();
    while let Some(piece) = lines.next().await {
        seen.push_str(&piece);
    }
    shop.app.stopping.store(false, Ordering::Relaxed);
    let end: Value = serde_json::from_str(seen.lines().last().unwrap()).unwrap();
    assert_eq!((&end["status"], &end["body"]["code"]), (&json!(503), &json!("import_stopped")), "{end}");
    let stopped = staff.get("/api/admin/products/imports/1/").await.status(200).json;
    assert_eq!(stopped["running"], false);
    assert_eq!(stopped["state"], "unfinished", "{stopped}");
    let done = number(&stopped["done"]);
    assert!(done < 3000);
    assert_eq!(shop.get("/api/products/").await.json["count"], done);

    send(&staff, "?resume=true", "text/csv", file.clone()).await.refused(409, "nothing_to_resume");
    send(&staff, "?resume=true&mode=create", "text/csv", many(2999)).await.refused(409, "nothing_to_resume");
    let lines = "application/x-ndjson";
    send(&staff, "?resume=true&mode=create", lines, file.clone()).await.refused(409, "nothing_to_resume");
    send(&staff, "?resume=true&mode=create&dry_run=true", "text/csv", file.clone())
        .await
        .faults(&["dry_run"]);
    let report = send(&staff, "?resume=true&mode=create", "text/csv", file.clone()).await.status(200).json;
    assert_eq!((counts(&report), &report["id"]), ([3000, 3000, 0, 0, 0], &json!(1)));
    assert_eq!(shop.get("/api/products/").await.json["count"], 3000);
    send(&staff, "?resume=true&mode=create", "text/csv", file).await.refused(409, "nothing_to_resume");
    let undone = staff.post("/api/admin/products/imports/1/undo/", json!({})).await.status(200).json;
    assert_eq!((&undone["archived"], &undone["left"]), (&json!(3000), &json!([])));
    assert_eq!(shop.get("/api/products/").await.json["count"], 0);
}

#[tokio::test]
async fn a_change_of_the_last_moment_costs_its_rows_and_no_others() {
    let shop = Shop::open().await;
    let (staff, buyer) = (shop.staff().await, shop.buyer().await);
    let tea = shop
        .product_of(json!({"name": "Tea", "slug": "tea", "price": "4", "sku": "T", "stock_quantity": 10}))
        .await;
    let mug = shop
        .product_of(json!({"name": "Mug", "slug": "mug", "price": "4", "sku": "M", "stock_quantity": 10}))
        .await;
    let file = format!("{}tea,Tea,5,T,10\nmug,Mug,5,M,30\n", many(3000));
    let (mut lines, mut seen) = begin(&shop, &staff, "", file).await;
    // The file was found good, and now somebody takes a SKU that comes late in it, and others buy.
    staff.post("/api/products/", json!({"name": "Thief", "price": "1", "sku": "SKU-2999"})).await.status(201);
    buyer.ordered(tea.id, 1).await;
    buyer.ordered(mug.id, 2).await;
    while let Some(piece) = lines.next().await {
        seen.push_str(&piece);
    }
    let end: Value = serde_json::from_str(seen.lines().last().unwrap()).unwrap();
    assert_eq!((&end["stage"], &end["status"]), (&json!("end"), &json!(200)), "{end}");
    assert_eq!(counts(&end["body"]), [3002, 2999, 2, 0, 1]);
    let error = &end["body"]["errors"][0];
    assert_eq!(error["line"], 3001);
    assert!(error["message"].as_str().unwrap().contains("SKU-2999 belongs to"), "{error}");
    // What was sold since the file was checked stays sold.
    assert_eq!((shop.stock_of(tea.id).await, shop.stock_of(mug.id).await), (9, 28));
}

#[tokio::test]
async fn there_is_one_import_at_a_time_and_its_key_leads_to_it() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let ask = || {
        let asking = staff.asks(Method::POST, "/api/admin/products/import/").header("Idempotency-Key", "k");
        asking.body("text/csv", many(2000)).send()
    };
    let begun = tokio::spawn({
        let asked =
            till::http::outgoing().build().unwrap().post(format!("{}/api/admin/products/import/", shop.base));
        let asked = asked
            .bearer_auth(&staff.access)
            .header("Content-Type", "text/csv")
            .header("Idempotency-Key", "k");
        asked.body(many(2000)).send()
    });
    while staff.get("/api/admin/products/imports/").await.json["count"] == 0 {
        tokio::task::yield_now().await;
    }
    let parked = Parked::writer(&shop).await;
    send(&staff, "", "text/csv", "handle,name,price\na,A,1\n").await.refused(409, "import_running");
    staff.post("/api/admin/products/imports/1/undo/", json!({})).await.refused(409, "import_running");
    send(&staff, "?dry_run=true", "text/csv", "handle,name,price\na,A,1\n").await.status(200);
    begun.abort();
    parked.go_on();
    let again = loop {
        let answer = ask().await;
        if answer.status != 409 {
            break answer.status(200);
        }
    };
    assert_eq!((counts(&again.json), &again.json["id"]), ([2000, 2000, 0, 0, 0], &json!(1)));
    assert_eq!(ask().await.status(200).header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn what_an_import_changed_is_kept_for_a_month() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let report = import(&staff, "", many(300)).await;
    shop.later(std::time::Duration::from_hours(31 * 24));
    shop.run_jobs().await;
    let staff = shop.staff().await;
    let undo = staff.post(&format!("/api/admin/products/imports/{}/undo/", report["id"]), json!({})).await;
    undo.refused(409, "import_not_undoable");
    assert_eq!(shop.get("/api/products/").await.json["count"], 300);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let file = "handle,name,price,stock_quantity\ntea,Tea,1,5\n";
    for n in 0..20 {
        let file = file.replace("tea", &format!("tea{n}"));
        let ask = || {
            let asking = staff
                .asks(Method::POST, "/api/admin/products/import/")
                .header("Idempotency-Key", &format!("k{n}"));
            asking.body("text/csv", file.clone()).send()
        };
        // The client hangs up at some moment.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(500 * n), ask()).await;
        let again = loop {
            let answer = ask().await;
            if answer.json["code"] != "import_running" && answer.json["code"] != "idempotency_in_progress" {
                break answer.status(200).json;
            }
        };
        assert_eq!(counts(&again), [1, 1, 0, 0, 0]);
    }
    assert_eq!(shop.get("/api/products/").await.json["count"], 20);
}

#[tokio::test]
async fn a_sorted_or_filtered_export_clears_nothing() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    troublesome(&shop).await;
    staff
        .patch(
            "/api/products/shirt/",
            json!({"description": "precious", "category": "Clothes", "tags": ["a"]}),
        )
        .await
        .status(200);
    let file = export(&staff, "csv").await;
    let mut records: Vec<_> =
        csv::Reader::from_reader(file.as_bytes()).into_records().map(Result::unwrap).collect();
    let header = csv::Reader::from_reader(file.as_bytes()).headers().unwrap().clone();
    let write = |records: &[csv::StringRecord]| {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&header).unwrap();
        for record in records {
            writer.write_record(record).unwrap();
        }
        writer.into_inner().unwrap()
    };
    records.reverse();
    assert_eq!(counts(&import(&staff, "", write(&records)).await), [8, 0, 0, 8, 0]);
    records.retain(|record| record[0] == *"shirt" && record[1].is_empty());
    assert_eq!((records.len(), counts(&import(&staff, "", write(&records)).await)), (1, [1, 0, 0, 1, 0]));
    assert_eq!(export(&staff, "csv").await, file);
}

#[tokio::test]
async fn files_that_were_cut_off_are_refused() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let body = json!({"name": "Tea", "slug": "tea", "price": "5", "description": "fine", "sku": "T"});
    shop.product_of(body).await;
    let short = import_refused(&staff, "handle,name,price,description\r\na,A,1,x\r\n\r\ntea,Te").await;
    assert_eq!(
        (&short["errors"][0]["line"], &short["errors"][0]["message"]),
        (&json!(4), &json!("the row has 2 cells, the header 4"))
    );
    for open in [
        "handle,name,price\na,A,1\nb,\"B,1\nc,C,1\n",
        "handle,name,price,description\na,A,1,\"x\"\"\nb,B,1,y\n",
    ] {
        let asked = staff
            .asks(Method::POST, "/api/admin/products/import/?skip_bad=true")
            .body("text/csv", open)
            .send()
            .await;
        let text = asked.faults(&["file"]).text;
        let line = if open.contains("description") { "line 2" } else { "line 3" };
        assert!(text.contains("never closed") && text.contains(line), "{text}");
    }
    for whole in [
        "handle,name,price\na,A,\"1\"",
        "handle,name,price\na,\"A \"\"x\"\"\",1\n",
        "handle,name,price\na,5\" tin,1",
    ] {
        import(&staff, "?dry_run=true", whole).await;
    }
    assert_eq!(shop.get("/api/products/tea/").await.json["description"], "fine");
}

async fn import_refused(staff: &Person<'_>, file: &str) -> Value {
    send(staff, "", "text/csv", file).await.refused(422, "import_refused").json
}

#[tokio::test]
async fn faults_are_told_by_the_line_that_an_editor_shows() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    for ends in ["\n", "\r\n"] {
        let rows = [
            "handle,name,price",
            "a,A,1",
            "",
            "b,\"B",
            "with a break\",x",
            "c,C,x",
            "d,\"D\n\",2",
            "e,E,x",
            "f,F,x",
        ];
        let refused = import_refused(&staff, &rows.join(ends)).await;
        let lines: Vec<_> =
            refused["errors"].as_array().unwrap().iter().map(|error| number(&error["line"])).collect();
        assert_eq!(lines, [4, 6, 9, 10], "{ends:?}");
    }
}

#[tokio::test]
async fn an_import_to_create_changes_nothing_that_is_there() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    troublesome(&shop).await;
    let before = export(&staff, "csv").await;
    for file in [
        "handle,name\nshirt,New name\n",
        "handle,image_url\nshirt,https://example.com/x.jpg\n",
        "handle,name,price,option1_name,option1_value\nshirt,Shirt,1,Size,New\n",
        "sku,price\nS1,5\n",
    ] {
        let refused =
            send(&staff, "?mode=create", "text/csv", file).await.refused(422, "import_refused").json;
        assert!(
            refused["errors"][0]["message"].as_str().unwrap().contains("in the shop already"),
            "{refused}"
        );
    }
    assert_eq!(export(&staff, "csv").await, before);
    let picture = import(&staff, "", "handle,image_url\nshirt,https://example.com/x.jpg\n").await;
    assert_eq!(counts(&picture), [1, 0, 1, 0, 0]);
}

#[tokio::test]
async fn options_are_told_by_name_in_whatever_order() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let file = "handle,name,price,option1_name,option1_value,option2_name,option2_value\n\
        shirt,Shirt,1,Size,S,Colour,Red\nshirt,,2,,M,,Red\n";
    import(&staff, "", file).await;
    let line =
        r#"{"slug": "shirt", "variants": [{"options": {"Colour": "Red", "Size": "M"}, "price": "3"}]}"#;
    let report = send(&staff, "", "application/x-ndjson", line).await.status(200).json;
    assert_eq!(counts(&report), [1, 0, 1, 0, 0]);
    let turned = "handle,price,option1_name,option1_value,option2_name,option2_value\n\
        shirt,4,Colour,Red,Size,S\nshirt,5,,Blue,,S\n";
    assert_eq!(counts(&import(&staff, "", turned).await), [2, 1, 1, 0, 0]);
    let shirt = shop.get("/api/products/shirt/").await.json;
    let told: Vec<_> = shirt["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (&v["options"]["Size"], &v["options"]["Colour"], &v["price"]))
        .collect();
    let [s, m, red, blue] = [json!("S"), json!("M"), json!("Red"), json!("Blue")];
    assert_eq!(told, [(&s, &red, &json!("4.00")), (&m, &red, &json!("3.00")), (&s, &blue, &json!("5.00"))]);
    for (file, said) in [
        ("handle,price,option1_name,option1_value\nshirt,4,Size,S\n", "has the options"),
        ("handle,price,option1_value\nshirt,4,S\n", "a value is wanted for each"),
        ("handle,price,option1_value,option2_value,option3_value\nshirt,4,S,Red,x\n", "for no other"),
        ("name,sku,price\nNameless,,1\n", "needs a handle or a SKU"),
    ] {
        let refused = import_refused(&staff, file).await;
        assert!(refused["errors"][0]["message"].as_str().unwrap().contains(said), "{refused}");
    }
    let twice = concat!(r#"{"slug": "shirt", "name": "One"}"#, "\n", r#"{"slug": "shirt", "name": "Two"}"#);
    let refused = send(&staff, "", "application/x-ndjson", twice).await.refused(422, "import_refused").json;
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("is on line 1 too"), "{refused}");
}

#[tokio::test]
async fn what_could_not_be_put_back_can_be_tried_again() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let tea = shop
        .product_of(json!({"name": "Tea", "slug": "tea", "price": "5", "sku": "OLD", "stock_quantity": 1}))
        .await;
    let report = import(&staff, "", "handle,sku,description,stock_quantity\ntea,NEW,better,5\n").await;
    let thief = shop.product_of(json!({"name": "Thief", "price": "1", "sku": "OLD"})).await;
    let undo = format!("/api/admin/products/imports/{}/undo/", report["id"]);
    let undone = staff.post(&undo, json!({})).await.status(200).json;
    assert_eq!((&undone["restored"], &undone["left_count"]), (&json!(0), &json!(1)), "{undone}");
    staff.patch(&format!("/api/products/{}/", thief.id), json!({"sku": null})).await.status(200);
    let undone = staff.post(&undo, json!({})).await.status(200).json;
    assert_eq!((&undone["restored"], &undone["left_count"]), (&json!(1), &json!(0)), "{undone}");
    let now = shop.get("/api/products/tea/").await.json;
    assert_eq!(
        [&now["sku"], &now["description"], &now["stock_quantity"]],
        [&json!("OLD"), &json!(""), &json!(1)]
    );
    staff.post(&undo, json!({})).await.refused(409, "import_not_undoable");
    drop(tea);
}

#[tokio::test]
async fn faults_that_quote_the_file_are_cut_short() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let key = "k".repeat(300_000);
    let bad = format!("{{\"{key}\": 1}}\n").repeat(5);
    let file = format!("{bad}{{\"slug\": \"tea\", \"name\": \"Tea\", \"price\": 1}}\n");
    let answer = send(&staff, "?skip_bad=true", "application/x-ndjson", file).await.status(200);
    assert_eq!(counts(&answer.json), [6, 1, 0, 0, 5]);
    assert!(answer.text.len() < 10_000);
    let column = format!("handle,{key}\na,b\n");
    assert!(send(&staff, "", "text/csv", column).await.faults(&["file"]).text.len() < 1000);
    let crowd = format!("handle\n{}", "x\n".repeat(1001));
    assert!(
        send(&staff, "?skip_bad=true", "text/csv", crowd)
            .await
            .faults(&["file"])
            .text
            .contains("more than 1000 rows")
    );
    let endless = format!("handle,name\nx,\"{}\n", "y".repeat(3 << 20));
    assert!(send(&staff, "", "text/csv", endless).await.faults(&["file"]).text.contains("left open"));
}

#[tokio::test]
async fn a_variant_has_one_stock_in_a_file() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    shop.product_of(json!({"name": "Mug", "slug": "mug", "price": "1", "sku": "MUG", "stock_quantity": 5}))
        .await;
    for file in [
        concat!(r#"{"slug": "mug", "stock_quantity": 10}"#, "\n", r#"{"sku": "MUG", "stock_quantity": 10}"#),
        concat!(
            r#"{"slug": "x", "slug": "mug", "stock_quantity": 10}"#,
            "\n",
            r#"{"sku": "mug", "stock_quantity": 7}"#
        ),
    ] {
        let refused =
            send(&staff, "", "application/x-ndjson", file).await.refused(422, "import_refused").json;
        assert_eq!(counts(&refused), [2, 0, 0, 1, 1]);
        assert!(refused["errors"][0]["message"].as_str().unwrap().contains("is on line 1 too"), "{refused}");
        let report = send(&staff, "?skip_bad=true", "application/x-ndjson", file).await.status(200).json;
        assert_eq!(report["failed"], 1);
    }
    assert_eq!(shop.get("/api/products/mug/").await.json["stock_quantity"], 10);
}

#[tokio::test]
async fn lines_at_the_limit_cost_none_of_their_neighbours() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    for more in [0, 1, 2] {
        let head = r#"{"slug": "long", "name": "Long", "price": "1", "tags": [""#;
        let long = format!("{head}{}\"]}}", "x".repeat((1 << 20) - head.len() - 4 + more));
        let file = format!("{long}\n{{\"slug\": \"next\", \"name\": \"Next\", \"price\": \"x\"}}\n");
        let refused =
            send(&staff, "", "application/x-ndjson", file).await.refused(422, "import_refused").json;
        let lines: Vec<_> =
            refused["errors"].as_array().unwrap().iter().map(|error| number(&error["line"])).collect();
        assert_eq!((counts(&refused), lines), ([2, 0, 0, 0, 2], vec![1, 2]), "{more}");
    }
}
