//! Importing products from CSV.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Shop};

/// Shopify's own demo store, as it exports it.
const APPAREL: &str = include_str!("../fixtures/shopify-apparel.csv");

async fn import(staff: &Person<'_>, query: &str, file: impl Into<Vec<u8>>) -> Answer {
    let asking = staff.asks(Method::POST, &format!("/api/admin/products/import/{query}"));
    asking.body("text/csv", file.into()).send().await
}

fn counts(report: &Value) -> [u64; 5] {
    ["rows", "created", "updated", "unchanged", "failed"].map(|name| report[name].as_u64().expect("a figure"))
}

fn errors(report: &Value) -> Vec<(u64, &str, &str)> {
    let errors = report["errors"].as_array().expect("errors").iter();
    errors
        .map(|e| (e["line"].as_u64().unwrap(), e["column"].as_str().unwrap(), e["message"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn shopifys_file_is_recognised_and_the_same_file_again_changes_nothing() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let dry = import(&staff, "?dry_run=true", APPAREL).await.status(200).json;
    assert_eq!(counts(&dry), [22, 22, 0, 0, 0]);
    assert_eq!(shop.get("/api/products/").await.json["count"], 0, "a dry run changes nothing");
    assert_eq!(counts(&import(&staff, "", APPAREL).await.status(200).json), [22, 22, 0, 0, 0]);
    assert_eq!(shop.get("/api/products/").await.json["count"], 20);
    let top = shop.get("/api/products/classic-varsity-top/").await.status(200).json;
    assert_eq!(top["options"], json!([{"name": "Size", "values": ["Small", "Medium", "Large"]}]));
    assert_eq!(
        (&top["price"], &top["stock_quantity"], &top["tags"]),
        (&json!("60.00"), &json!(3), &json!(["women"]))
    );
    let shirt = shop.get("/api/products/ocean-blue-shirt/").await.status(200).json;
    assert_eq!(
        (&shirt["options"], &shirt["sku"], &shirt["variants"][0]["options"]),
        (&json!([]), &Value::Null, &json!({}))
    );
    let movements = || async { staff.get("/api/admin/inventory/movements/").await.json["count"].as_u64() };
    let before = movements().await;
    assert_eq!(counts(&import(&staff, "", APPAREL).await.status(200).json), [22, 0, 0, 22, 0]);
    assert_eq!(movements().await, before);
    let changed = APPAREL.replace(",deny,manual,50,", ",deny,manual,55,");
    let report = import(&staff, "", changed).await.status(200).json;
    let [rows, created, updated, unchanged, failed] = counts(&report);
    assert_eq!((rows, created, failed, updated + unchanged), (22, 0, 0, 22));
    assert!(updated > 0);
    import(&staff, "?mode=create", APPAREL).await.refused(422, "import_refused");
}

#[tokio::test]
async fn tills_own_columns_are_read() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let file = "\u{feff}handle,name,category,tags,price,compare_at_price,sku,stock_quantity,option1_name,option1_value,is_active\r\n\
        sencha,\"Sencha, first flush\",Tea,\"green, japan\",8.90,10,TEA-1,12,,,true\r\n\
        shirt,Shirt,Apparel,,20,,SH-S,3,Size,S,yes\r\n\
        shirt,,,,22,,SH-M,0,,M,\r\n";
    assert_eq!(counts(&import(&staff, "", file).await.status(200).json), [3, 3, 0, 0, 0]);
    let tea = shop.get("/api/products/sencha/").await.json;
    for (name, value) in
        json!({"name": "Sencha, first flush", "category": "Tea", "tags": ["green", "japan"], "price": "8.90",
        "compare_at_price": "10.00", "sku": "TEA-1", "stock_quantity": 12})
        .as_object()
        .unwrap()
    {
        assert_eq!(&tea[name], value, "{name}");
    }
    assert_eq!(shop.get("/api/products/shirt/").await.json["variants"][1]["sku"], "SH-M");
    // The SKU is the key, and only the columns that are there are touched.
    let report = import(&staff, "", "sku,stock_quantity\nTEA-1,5\nSH-M,0\n").await.status(200).json;
    assert_eq!(counts(&report), [2, 0, 1, 1, 0]);
    let tea = shop.get("/api/products/sencha/").await.json;
    assert_eq!(
        (&tea["stock_quantity"], &tea["name"], &tea["price"]),
        (&json!(5), &json!("Sencha, first flush"), &json!("8.90"))
    );
    let ledger = staff
        .get(&format!("/api/admin/inventory/movements/?variant_id={}", tea["variants"][0]["id"]))
        .await
        .json;
    assert_eq!(
        (&ledger["results"][0]["cause"], &ledger["results"][0]["delta"]),
        (&json!("import"), &json!(-7))
    );
}

#[tokio::test]
async fn bad_rows_are_told_and_nothing_is_applied() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    shop.product_of(json!({"name": "Old", "price": "1", "sku": "OLD"})).await;
    let file = "handle,name,price,sku,stock_quantity\n\
        good,Good,1.00,G-1,5\n\
        dear,Dear,1.999,D-1,5\n\
        ,Handless,2,,x\n\
        123,Digits,2,,1\n\
        none,,2,N-1,1\n\
        free,Free,,F-1,1\n\
        again,Again,1,G-1,1\n\
        long,Long,1,L-1,1,extra\n\
        old,Taken,-1,OLD,1\n";
    let report = import(&staff, "", file).await.refused(422, "import_refused").json;
    assert_eq!(counts(&report), [9, 0, 0, 1, 8]);
    let lines: Vec<_> = errors(&report).iter().map(|(line, column, _)| (*line, *column)).collect();
    assert_eq!(
        lines,
        [
            (3, "price"),
            (4, "stock_quantity"),
            (5, "handle"),
            (6, "name"),
            (7, "price"),
            (8, "sku"),
            (9, ""),
            (10, "price")
        ]
    );
    assert_eq!(shop.get("/api/products/").await.json["count"], 1);
    let dry = import(&staff, "?dry_run=true", file).await.refused(422, "import_refused").json;
    assert_eq!(counts(&dry), counts(&report));
}

#[tokio::test]
async fn files_that_can_not_be_read_are_said_plainly() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    for (file, said) in [
        (&b"name,price\nTea,1\n"[..], "handle or sku"),
        (b"handle,name,prise\nt,Tea,1\n", "did you mean price?"),
        (b"handle,name,name\nt,Tea,1\n", "there twice"),
        (b"", "is empty"),
        (b"{\"name\": \"Tea\"}", "not known"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"\xFF\xFEh\0a\0", "UTF-16"),
    ] {
        let answer = import(&staff, "", file).await.faults(&["file"]);
        assert!(answer.text.contains(&said.replace('"', "\\\"")), "{}", answer.text);
    }
    let report = import(&staff, "", &b"handle,name,price\nt,T\xFFea,1\ng,Gr\xC3\xBCn,1\n"[..])
        .await
        .refused(422, "import_refused")
        .json;
    assert_eq!(errors(&report), [(2, "name", "is not UTF-8; save the file as CSV in UTF-8")]);
    let asking = staff.asks(Method::POST, "/api/admin/products/import/").body("application/pdf", "x");
    asking.send().await.refused(415, "unsupported_media_type");
    import(&staff, "?mode=replace", "handle\n").await.faults(&["mode"]);
    import(&staff, "?dryrun=true", "handle\n").await.faults(&["dryrun"]);
    assert_eq!(counts(&import(&staff, "", "handle,name,price\n\n").await.status(200).json), [0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_row_that_only_adds_a_picture_counts_with_its_product() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let file = "Handle,Title,Option1 Name,Option1 Value,Variant Price,Variant Inventory Qty,Image Src\n\
        mug,Mug,Title,Default Title,9,4,https://example.com/1.jpg\n\
        mug,,,,,,https://example.com/2.jpg\n";
    assert_eq!(counts(&import(&staff, "", file).await.status(200).json), [1, 1, 0, 0, 0]);
    let mug = shop.get("/api/products/mug/").await.json;
    assert_eq!(
        (&mug["image_url"], &mug["images"]),
        (&json!("https://example.com/1.jpg"), &json!(["https://example.com/2.jpg"]))
    );
    assert_eq!(counts(&import(&staff, "", file).await.status(200).json), [1, 0, 0, 1, 0]);
}

#[tokio::test]
async fn an_import_under_a_key_is_done_once() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let ask = |file: &'static str| {
        let asking = staff.asks(Method::POST, "/api/admin/products/import/").header("Idempotency-Key", "i1");
        asking.body("text/csv", file).send()
    };
    let file = "handle,name,price,stock_quantity\ntea,Tea,1,5\n";
    let (first, again) = (ask(file).await.status(200), ask(file).await.status(200));
    assert_eq!((first.text, again.header("idempotency-replayed")), (again.text.clone(), "true"));
    ask("handle,name,price\nmug,Mug,1\n").await.refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_large_file_is_imported_whole() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let mut file = String::from("handle,name,price,sku,stock_quantity,category\n");
    for n in 0..3000 {
        file.push_str(&format!("item-{n},Item {n},{}.50,SKU-{n},{},Cat {}\n", n % 90, n % 7, n % 12));
    }
    assert_eq!(counts(&import(&staff, "", file.clone()).await.status(200).json), [3000, 3000, 0, 0, 0]);
    assert_eq!(counts(&import(&staff, "", file).await.status(200).json), [3000, 0, 0, 3000, 0]);
    assert_eq!(shop.get("/api/products/?category=cat-3&in_stock=false").await.json["count"], 35);
}

#[tokio::test]
async fn a_picture_row_may_come_first_and_its_faults_count() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let head = "Handle,Title,Option1 Name,Option1 Value,Variant Price,Variant Inventory Qty,Image Src\n";
    let file = format!("{head}mug,,,,,,https://example.com/1.jpg\nmug,Mug,Title,Default Title,9,4,\n");
    assert_eq!(counts(&import(&staff, "", file).await.status(200).json), [1, 1, 0, 0, 0]);
    assert_eq!(shop.get("/api/products/mug/").await.json["name"], "Mug");
    for bad in [
        "cup,,,,,,https://example.com/1.jpg\n",
        "cup,,,,,,https://example.com/1.jpg,extra\n",
        "cup,,,,,,nowhere\n",
    ] {
        let report = import(&staff, "", format!("{head}{bad}")).await.refused(422, "import_refused").json;
        let [rows, created, updated, unchanged, failed] = counts(&report);
        assert_eq!((rows, failed), (created + updated + unchanged + failed, 1), "{bad}");
    }
    assert_eq!(shop.get("/api/products/").await.json["count"], 1);
}

#[tokio::test]
async fn names_do_not_take_the_handles_that_the_file_gives() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let file = "handle,name,price,sku\n,Foo,1,A\nfoo,Other,2,B\n";
    assert_eq!(counts(&import(&staff, "", file).await.status(200).json), [2, 2, 0, 0, 0]);
    assert_eq!(shop.get("/api/products/foo/").await.json["name"], "Other");
    assert_eq!(shop.get("/api/products/foo-2/").await.json["name"], "Foo");
}

#[tokio::test]
async fn a_product_has_only_so_many_variants() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    let mut file = String::from("handle,name,price,option1_name,option1_value\n");
    for n in 0..251 {
        file.push_str(&format!("big,Big,1,Size,{n}\n"));
    }
    let report = import(&staff, "", file).await.refused(422, "import_refused").json;
    assert!(report["errors"][0]["message"].as_str().unwrap().contains("at most 250"), "{report}");
}

#[tokio::test]
async fn a_sku_under_another_handle_overwrites_nothing() {
    let shop = Shop::open().await;
    let staff = shop.staff().await;
    import(&staff, "", "handle,name,price,sku\ntea,Tea,5,T1\n").await.status(200);
    let file = "handle,name,price,sku\ncoffee,Coffee,9,T1\n";
    let report = import(&staff, "", file).await.refused(422, "import_refused").json;
    assert_eq!(errors(&report), [(2, "handle", "is coffee, but the SKU T1 belongs to the product tea")]);
    assert_eq!(shop.get("/api/products/tea/").await.json["name"], "Tea");
}
