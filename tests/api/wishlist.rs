//! Wishlists, and the mails that go out when what is wished for is back.

use reqwest::Method;
use serde_json::{Value, json};
use till::id::{UserId, VariantId};
use till::outbox::{self, Cause};
use till::page::Page;

use crate::support::{Answer, Person, Product, Shop, number};

impl Person<'_> {
    async fn wishes(&self, product: u64) -> Answer {
        self.post("/api/wishlist/", json!({"product_id": product})).await
    }

    /// The ids of the products on the list.
    async fn wishlist(&self) -> Vec<u64> {
        let list = self.get("/api/wishlist/").await.status(200).json;
        let ids: Vec<_> =
            list["results"].as_array().unwrap().iter().map(|wish| number(&wish["product_id"])).collect();
        assert_eq!(list["count"], ids.len());
        ids
    }
}

impl Shop {
    async fn stocks(&self, product: &Product, quantity: u64) {
        let path = format!("/api/products/{}/", product.id);
        self.staff().await.patch(&path, json!({"stock_quantity": quantity})).await.status(200);
    }

    /// Who was told that which variant is back, in the order of the mails.
    async fn told(&self) -> Vec<(u64, u64)> {
        self.run_jobs().await;
        let page = Page { number: 1, size: 1000 };
        let mails = self.app.store.read(|tx| outbox::page(tx, None, page)).expect("it reads");
        let back = mails.items.into_iter().rev().filter_map(|(_, mail)| match mail.cause {
            Cause::BackInStock { user: UserId(user), variant: VariantId(variant), .. } => {
                Some((user, variant))
            }
            _ => None,
        });
        back.collect()
    }
}

#[tokio::test]
async fn wishes_are_kept_once_and_shown_newest_first() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4.00", 0).await, shop.product("Mug", "9.00", 3).await);
    let shirt = shop
        .product_of(json!({"name": "Shirt", "price": "20", "variants": [
            {"options": {"Size": "S"}, "price": "22", "sku": "S-S"}, {"options": {"Size": "M"}, "sku": "S-M", "stock_quantity": 2}]}))
        .await;
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    let wish = ann.wishes(tea.id).await.status(201).json;
    assert_eq!((&wish["product_id"], &wish["variant_id"]), (&json!(tea.id), &json!(null)));
    assert_eq!(wish["added_at"], "2026-11-23T10:00:00.000Z");
    let (name, is_there) = (&wish["product"]["name"], &wish["product"]["in_stock"]);
    assert_eq!((name, is_there), (&json!("Tea"), &json!(false)));
    shop.later(std::time::Duration::from_secs(1));
    let any = ann.wishes(shirt.id).await.status(201).json["product"].clone();
    assert_eq!(
        [&any["price"], &any["sku"], &any["options"], &any["in_stock"]],
        [&json!("20.00"), &json!(null), &json!({}), &json!(true)]
    );
    shop.later(std::time::Duration::from_secs(1));
    ann.wishes(mug.id).await.status(201);
    assert_eq!(ann.wishes(tea.id).await.status(200).json["added_at"], "2026-11-23T10:00:00.000Z");
    // Once it is there, it can be said which one is meant.
    let small = shirt.variant;
    let body = json!({"product_id": shirt.id, "variant_id": small});
    let one = ann.post("/api/wishlist/", body).await.status(200).json;
    assert_eq!((&one["variant_id"], &one["product"]["sku"]), (&json!(small), &json!("S-S")));
    assert_eq!(ann.wishes(shirt.id).await.status(200).json["variant_id"], small);
    assert_eq!((ann.wishlist().await, bob.wishlist().await), (vec![mug.id, shirt.id, tea.id], vec![]));

    ann.wishes(999).await.faults(&["product_id"]);
    let body = json!({"product_id": shirt.id, "variant_id": tea.variant});
    ann.post("/api/wishlist/", body).await.faults(&["variant_id"]);
    ann.post("/api/wishlist/", json!({"variant": 1})).await.faults(&["product_id", "variant"]);
    bob.delete(&format!("/api/wishlist/{}/", tea.id)).await.refused(404, "not_found");
    ann.delete(&format!("/api/wishlist/{}/", mug.id)).await.status(204);
    ann.delete(&format!("/api/wishlist/{}/", mug.id)).await.refused(404, "not_found");

    // What goes out of the shop is still on the list.
    shop.staff().await.delete(&format!("/api/products/{}/", tea.id)).await.status(204);
    let body = json!({"variants": [{"options": {"Size": "M"}}]});
    shop.staff().await.patch(&format!("/api/products/{}/", shirt.id), body).await.status(200);
    let list = ann.get("/api/wishlist/").await.status(200).json;
    let products: Vec<_> = list["results"].as_array().unwrap().iter().map(|wish| &wish["product"]).collect();
    assert_eq!(products, [&json!(null), &json!(null)], "the size is gone, and so is the tea");
    let path = format!("/api/wishlist/{}/move-to-cart/", tea.id);
    ann.asks(Method::POST, &path).send().await.refused(409, "product_unavailable");
    ann.delete(&format!("/api/wishlist/{}/", tea.id)).await.status(204);
    assert_eq!(ann.wishlist().await, [shirt.id]);
}

#[tokio::test]
async fn a_wish_moves_into_the_cart_in_one_step() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 2).await;
    let shirt = shop
        .product_of(json!({"name": "Shirt", "price": "20", "variants": [
            {"options": {"Size": "S"}, "stock_quantity": 2}, {"options": {"Size": "M"}, "stock_quantity": 2}]}))
        .await;
    let ann = shop.buyer().await;
    ann.wishes(tea.id).await.status(201);
    ann.wishes(shirt.id).await.status(201);
    let path = |product: &Product| format!("/api/wishlist/{}/move-to-cart/", product.id);
    ann.post(&path(&tea), json!({"quantity": 3})).await.refused(409, "insufficient_stock");
    assert_eq!(ann.wishlist().await.len(), 2, "what was refused changed nothing");
    let line = ann.asks(Method::POST, &path(&tea)).send().await.status(201);
    assert_eq!((&line.json["quantity"], &line.json["product"]["name"]), (&json!(1), &json!("Tea")));
    assert!(line.header("location").starts_with("/api/cart/"));
    ann.asks(Method::POST, &path(&tea)).send().await.refused(404, "not_found");
    ann.asks(Method::POST, &path(&shirt)).send().await.faults(&["variant_id"]);
    ann.post(&path(&shirt), json!({"quantity": 0, "size": "S"})).await.faults(&["quantity", "size"]);
    let body = json!({"variant_id": shirt.json["variants"][1]["id"], "quantity": 2});
    let again = ann.asks(Method::POST, &path(&shirt)).header("Idempotency-Key", "move").json(&body);
    again.send().await.status(201);
    let again = ann.asks(Method::POST, &path(&shirt)).header("Idempotency-Key", "move").json(&body);
    assert_eq!(again.send().await.status(201).header("idempotency-replayed"), "true");
    assert_eq!(ann.get("/api/cart/").await.json["item_count"], 3);
    assert_eq!(ann.wishlist().await, Vec::<u64>::new());
}

#[tokio::test]
async fn who_wishes_for_what_is_back_is_told_once_each_time() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4.00", 0).await, shop.product("Mug", "4.00", 1).await);
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    ann.wishes(tea.id).await.status(201);
    bob.wishes(tea.id).await.status(201);
    bob.wishes(mug.id).await.status(201);
    assert_eq!(shop.told().await, []);
    shop.stocks(&tea, 5).await;
    let both = [(ann.id, tea.variant), (bob.id, tea.variant)];
    assert_eq!(shop.told().await, both);
    shop.stocks(&tea, 9).await;
    assert_eq!(shop.told().await, both, "more of it is no news");
    // Sold out, and back with a cancelled order.
    let order = ann.ordered(mug.id, 1).await;
    shop.later(std::time::Duration::from_secs(60));
    assert_eq!(shop.told().await, both);
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    assert_eq!(shop.told().await[2..], [(bob.id, mug.variant)]);
    // Whoever wished meanwhile, or does no more, is told or not the next time.
    let eve = shop.buyer().await;
    eve.wishes(tea.id).await.status(201);
    ann.delete(&format!("/api/wishlist/{}/", tea.id)).await.status(204);
    assert_eq!(shop.told().await.len(), 3);
    shop.stocks(&tea, 0).await;
    shop.later(std::time::Duration::from_secs(60));
    shop.stocks(&tea, 1).await;
    assert_eq!(shop.told().await[3..], [(bob.id, tea.variant), (eve.id, tea.variant)]);
    // Back and gone again before anybody looked.
    shop.stocks(&tea, 0).await;
    shop.later(std::time::Duration::from_secs(60));
    shop.stocks(&tea, 1).await;
    shop.stocks(&tea, 0).await;
    assert_eq!(shop.told().await.len(), 5);
    // What nobody can buy is no news either, and is none once it can be seen.
    let hide = |is_active: bool| json!({"stock_quantity": 3, "is_active": is_active});
    let staff = shop.staff().await;
    staff.patch(&format!("/api/products/{}/", tea.id), hide(false)).await.status(200);
    assert_eq!(shop.told().await.len(), 5);
    staff.patch(&format!("/api/products/{}/", tea.id), hide(true)).await.status(200);
    assert_eq!(shop.told().await.len(), 5);
}

#[tokio::test]
async fn a_wish_for_one_variant_is_for_that_one_and_a_wish_for_any_is_for_the_first() {
    let shop = Shop::open().await;
    let shirt = shop
        .product_of(json!({"name": "Shirt", "price": "20", "variants": [
            {"options": {"Size": "S"}}, {"options": {"Size": "M"}}, {"options": {"Size": "L"}}]}))
        .await;
    let sizes: Vec<u64> = (0..3).map(|n| number(&shirt.json["variants"][n]["id"])).collect();
    let (any, small, large) = (shop.buyer().await, shop.buyer().await, shop.buyer().await);
    any.wishes(shirt.id).await.status(201);
    for (who, size) in [(&small, sizes[0]), (&large, sizes[2])] {
        who.post("/api/wishlist/", json!({"product_id": shirt.id, "variant_id": size})).await.status(201);
    }
    let staff = shop.staff().await;
    let set = async |variants: &[(u64, u64)]| {
        let variants: Vec<Value> = sizes
            .iter()
            .map(|id| match variants.iter().find(|(size, _)| size == id) {
                Some((_, stock)) => json!({"id": id, "stock_quantity": stock}),
                None => json!({"id": id}),
            })
            .collect();
        let options = ["S", "M", "L"];
        let variants: Vec<Value> = variants
            .into_iter()
            .zip(options)
            .map(|(mut variant, size)| {
                variant["options"] = json!({"Size": size});
                variant
            })
            .collect();
        let path = format!("/api/products/{}/", shirt.id);
        staff.patch(&path, json!({"variants": variants})).await.status(200);
        shop.later(std::time::Duration::from_secs(60));
    };
    // Two come back at once: the product is back once.
    set(&[(sizes[0], 1), (sizes[1], 1)]).await;
    assert_eq!(shop.told().await, [(any.id, sizes[0]), (small.id, sizes[0])]);
    // A third comes to these: it is news to who wants that one.
    set(&[(sizes[2], 1)]).await;
    assert_eq!(shop.told().await[2..], [(large.id, sizes[2])]);
    // All are gone, and one comes back.
    set(&[(sizes[0], 0), (sizes[1], 0), (sizes[2], 0)]).await;
    set(&[(sizes[1], 4)]).await;
    assert_eq!(shop.told().await[3..], [(any.id, sizes[1])]);
}

#[tokio::test]
async fn many_are_told_some_in_each_commit_and_each_once_wherever_it_is_cut_short() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 0).await;
    let mut people = Vec::new();
    for _ in 0..23 {
        let person = shop.buyer().await;
        person.wishes(tea.id).await.status(201);
        people.push((person.id, tea.variant));
    }
    shop.stocks(&tea, 1).await;
    let tell = |limit| shop.app.store.write(move |tx| till::wishlist::tell_of_one(tx, limit));
    assert!(tell(10).await.expect("told"));
    let waiting =
        || shop.app.store.read(|tx| outbox::count(tx, outbox::State::Waiting, 1000)).expect("it reads");
    assert_eq!(waiting(), 10);
    // Somebody who was told is wishing no more, somebody new does; then it is gone, and back.
    assert!(tell(10).await.expect("told"));
    assert_eq!(waiting(), 20);
    assert!(tell(10).await.expect("told") && !tell(10).await.expect("told"));
    assert_eq!(shop.told().await, people);
    shop.stocks(&tea, 0).await;
    shop.later(std::time::Duration::from_secs(60));
    shop.stocks(&tea, 1).await;
    assert!(tell(10).await.expect("told"));
    // Gone and back once more in the middle of it: all are told of that, from the first on.
    shop.stocks(&tea, 0).await;
    shop.later(std::time::Duration::from_secs(60));
    shop.stocks(&tea, 1).await;
    let told = shop.told().await;
    assert_eq!((told.len(), &told[33..]), (23 + 10 + 23, &people[..]));
}

#[tokio::test]
async fn a_wishlist_has_an_end() {
    let shop = Shop::open().await;
    let (ann, tea) = (shop.buyer().await, shop.product("Tea", "4.00", 0).await);
    // By the room's own table: 500 products are a lot to make.
    let filled = shop.app.store.write(move |tx| {
        for n in 0..500 {
            let draft =
                till::catalogue::Draft { name: format!("Tin {n}"), ..till::catalogue::Draft::default() };
            let cause = till::inventory::Cause::Import;
            let (product, _) = till::catalogue::create(tx, &draft, &cause, "test")?;
            till::wishlist::add(tx, UserId(ann.id), product, None).expect("there is room");
        }
        Ok::<_, till::catalogue::CatalogueError>(())
    });
    filled.await.expect("filled");
    ann.wishes(tea.id).await.refused(409, "wishlist_full");
    assert_eq!(ann.get("/api/wishlist/?page_size=100&page=5").await.status(200).json["next"], json!(null));
}
