//! Reviews: written once by each, counted in the product's rating, watched over by staff.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, Shop, number};

impl Person<'_> {
    async fn reviews(&self, product: u64, rating: u64) -> Answer {
        self.post(&format!("/api/products/{product}/reviews/"), json!({"rating": rating})).await
    }
}

async fn rating(shop: &Shop, product: u64) -> Value {
    shop.get(&format!("/api/products/{product}/")).await.status(200).json["rating"].clone()
}

#[tokio::test]
async fn a_review_is_written_once_and_counts_at_once() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let (ann, bob) = (shop.buyer().await, shop.buyer().await);
    let path = format!("/api/products/{}/reviews/", tea.id);
    let empty = shop.get(&path).await.status(200).json;
    let none = json!({"1": 0, "2": 0, "3": 0, "4": 0, "5": 0});
    assert_eq!(empty, json!({"count": 0, "next": null, "previous": null, "results": [], "stars": none}));

    let seen = shop.get(&format!("/api/products/{}/", tea.id)).await.status(200);
    let said = json!({"rating": 4, "title": "Fine", "comment": "Of good taste.\nOnce more!"});
    let written = ann.post(&path, said).await.status(201);
    let id = number(&written.json["id"]);
    assert_eq!(written.header("location"), format!("{path}{id}/"));
    assert_eq!(
        written.json,
        json!({
            "id": id, "product_id": tea.id, "user": {"id": ann.id, "name": "Test Person"}, "rating": 4, "title": "Fine",
            "comment": "Of good taste.\nOnce more!", "verified_purchase": false,
            "created_at": "2026-11-23T10:00:00.000Z", "updated_at": "2026-11-23T10:00:00.000Z"})
    );
    assert!(!written.text.contains(&ann.email));
    ann.reviews(tea.id, 5).await.refused(409, "already_reviewed");
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 4.0, "count": 1}));
    let now = shop.get(&format!("/api/products/{}/", tea.id)).await.status(200);
    assert_ne!(seen.header("etag"), now.header("etag"));
    assert_eq!(seen.json["version"], now.json["version"], "nobody edited the product");

    bob.reviews(tea.id, 5).await.status(201);
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 4.5, "count": 2}));
    shop.later(Duration::from_secs(5));
    let one = format!("{path}{id}/");
    let changed = ann.patch(&one, json!({"rating": 1, "title": ""})).await.status(200).json;
    assert_eq!(
        [&changed["rating"], &changed["title"], &changed["comment"], &changed["updated_at"]],
        [&json!(1), &json!(""), &json!("Of good taste.\nOnce more!"), &json!("2026-11-23T10:00:05.000Z")]
    );
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 3.0, "count": 2}));
    bob.patch(&one, json!({"rating": 5})).await.refused(403, "permission_denied");
    bob.delete(&one).await.refused(403, "permission_denied");
    ann.patch(&format!("/api/products/999/reviews/{id}/"), json!({"rating": 5}))
        .await
        .refused(404, "not_found");
    let mug = shop.product("Mug", "4.00", 10).await;
    ann.patch(&format!("/api/products/{}/reviews/{id}/", mug.id), json!({})).await.refused(404, "not_found");

    ann.delete(&one).await.status(204);
    ann.delete(&one).await.refused(404, "not_found");
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 5.0, "count": 1}));
    ann.reviews(tea.id, 2).await.status(201);
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 3.5, "count": 2}));

    for (body, faults) in [
        (json!({}), &["rating"][..]),
        (json!({"rating": 6, "title": "x".repeat(201), "stars": 1}), &["rating", "stars", "title"]),
        (json!({"rating": 4.5, "comment": "x".repeat(5001)}), &["comment", "rating"]),
        (json!({"rating": 0}), &["rating"]),
        (json!({"rating": "5"}), &["rating"]),
    ] {
        shop.buyer().await.post(&path, body).await.faults(faults);
    }
}

#[tokio::test]
async fn who_bought_it_is_told_from_who_did_not() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4.00", 10).await, shop.product("Mug", "9.00", 10).await);
    let ann = shop.buyer().await;
    let is_verified = async |product: u64| -> bool {
        let list = shop.get(&format!("/api/products/{product}/reviews/")).await.status(200).json;
        list["results"][0]["verified_purchase"].as_bool().unwrap()
    };
    let order = ann.ordered(tea.id, 1).await;
    assert_eq!(ann.reviews(tea.id, 5).await.status(201).json["verified_purchase"], false, "it is not paid");
    ann.reviews(mug.id, 5).await.status(201);
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    assert!(is_verified(tea.id).await && !is_verified(mug.id).await);
    let other = ann.bought(mug.id, 1).await;
    assert!(is_verified(mug.id).await);
    ann.asks(Method::POST, &format!("/api/orders/{other}/cancel/")).send().await.status(200);
    assert!(is_verified(tea.id).await && !is_verified(mug.id).await, "the money went back");
}

#[tokio::test]
async fn reviews_are_listed_by_time_and_by_rating_page_by_page() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    for stars in [3, 5, 1, 5, 4] {
        shop.buyer().await.reviews(tea.id, stars).await.status(201);
    }
    let list = async |query: &str| -> Vec<(u64, u64)> {
        let list =
            shop.get(&format!("/api/products/{}/reviews/{query}", tea.json["slug"].as_str().unwrap())).await;
        let list = list.status(200).json;
        assert_eq!(
            (&list["count"], &list["stars"]),
            (&json!(5), &json!({"1": 1, "2": 0, "3": 1, "4": 1, "5": 2}))
        );
        let results = list["results"].as_array().unwrap().iter();
        results.map(|review| (number(&review["id"]), number(&review["rating"]))).collect()
    };
    assert_eq!(list("").await, [(5, 4), (4, 5), (3, 1), (2, 5), (1, 3)]);
    assert_eq!(list("?ordering=created_at").await, [(1, 3), (2, 5), (3, 1), (4, 5), (5, 4)]);
    assert_eq!(list("?ordering=-rating").await, [(4, 5), (2, 5), (5, 4), (1, 3), (3, 1)]);
    assert_eq!(list("?ordering=rating&page_size=2&page=2").await, [(5, 4), (2, 5)]);
    assert_eq!(list("?page_size=2&page=3").await, [(1, 3)]);
    let path = format!("/api/products/{}/reviews/", tea.id);
    shop.get(&format!("{path}?page=2")).await.refused(404, "page_not_found");
    shop.get(&format!("{path}?ordering=stars")).await.faults(&["ordering"]);
    let next = shop.get(&format!("{path}?page_size=2&ordering=rating")).await.json["next"].clone();
    assert!(next.as_str().unwrap().ends_with("ordering=rating&page=2"), "{next}");
}

#[tokio::test]
async fn products_are_listed_by_what_reviews_make_of_them() {
    let shop = Shop::open().await;
    let (tea, mug, cup) = (
        shop.product("Tea", "4", 1).await,
        shop.product("Mug", "4", 1).await,
        shop.product("Cup", "4", 1).await,
    );
    let people = [shop.buyer().await, shop.buyer().await, shop.buyer().await];
    // 3.67 is shown as 3.7, and 3.33 as 3.3.
    for (n, person) in people.iter().enumerate() {
        person.reviews(tea.id, [3, 4, 4][n]).await.status(201);
        person.reviews(mug.id, [3, 3, 4][n]).await.status(201);
    }
    let list = async |query: &str| -> Vec<u64> {
        let list = shop.get(&format!("/api/products/?{query}")).await.status(200).json;
        list["results"].as_array().unwrap().iter().map(|product| number(&product["id"])).collect()
    };
    assert_eq!(list("ordering=-rating").await, [tea.id, mug.id, cup.id]);
    assert_eq!(list("min_rating=3.7").await, [tea.id], "as it is shown");
    assert_eq!(list("min_rating=3.8").await, Vec::<u64>::new());
    assert_eq!(list("min_rating=0&ordering=rating").await, [mug.id, tea.id]);
    people[0].reviews(cup.id, 5).await.status(201);
    assert_eq!(list("ordering=-rating").await, [cup.id, tea.id, mug.id]);
}

#[tokio::test]
async fn staff_hide_show_and_delete_reviews() {
    let shop = Shop::open().await;
    let (tea, mug) = (shop.product("Tea", "4.00", 10).await, shop.product("Mug", "4.00", 10).await);
    let (ann, bob, staff) = (shop.buyer().await, shop.buyer().await, shop.staff().await);
    let good = number(&ann.reviews(tea.id, 5).await.status(201).json["id"]);
    let bad = number(&bob.reviews(tea.id, 1).await.status(201).json["id"]);
    bob.reviews(mug.id, 2).await.status(201);
    let path = format!("/api/admin/reviews/{bad}/");
    let hidden = staff.patch(&path, json!({"is_hidden": true})).await.status(200).json;
    assert_eq!(hidden["is_hidden"], true);
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 5.0, "count": 1}));
    let list = shop.get(&format!("/api/products/{}/reviews/", tea.id)).await.json;
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(1), &json!(good)));
    assert!(list["results"][0].get("is_hidden").is_none());
    // Its writer may change it, which does not bring it back; and may not write another.
    bob.patch(&format!("/api/products/{}/reviews/{bad}/", tea.id), json!({"rating": 2})).await.status(200);
    bob.reviews(tea.id, 5).await.refused(409, "already_reviewed");
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 5.0, "count": 1}));

    let ids = async |query: String| -> Vec<u64> {
        let list = staff.get(&format!("/api/admin/reviews/{query}")).await.status(200).json;
        let ids: Vec<_> =
            list["results"].as_array().unwrap().iter().map(|review| number(&review["id"])).collect();
        assert_eq!(list["count"], ids.len());
        ids
    };
    assert_eq!(ids(String::new()).await, [3, 2, 1]);
    assert_eq!(ids("?is_hidden=true".into()).await, [bad]);
    assert_eq!(ids("?is_hidden=false".into()).await, [3, good]);
    assert_eq!(ids(format!("?product_id={}", tea.id)).await, [bad, good]);
    assert_eq!(ids(format!("?product_id={}&is_hidden=false", tea.id)).await, [good]);
    assert_eq!(ids(format!("?user_id={}", bob.id)).await, [3, bad]);
    assert_eq!(ids(format!("?user_id={}&product_id={}", bob.id, mug.id)).await, [3]);
    staff.get("/api/admin/reviews/?product_id=x").await.faults(&["product_id"]);

    staff.patch(&path, json!({"is_hidden": false})).await.status(200);
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 3.5, "count": 2}));
    staff.delete(&path).await.status(204);
    staff.get(&path).await.refused(404, "not_found");
    staff.delete(&format!("/api/products/{}/reviews/{good}/", tea.id)).await.status(204);
    assert_eq!(rating(&shop, tea.id).await, json!({"average": null, "count": 0}));
    let admin = shop.admin().await;
    let trail = admin.get(&format!("/api/admin/audit/?subject=review:{bad}")).await.status(200).json;
    let acts: Vec<_> =
        trail["results"].as_array().unwrap().iter().map(|entry| entry["act"].clone()).collect();
    assert_eq!(acts, ["review.delete", "review.change", "review.change"]);
    staff.patch("/api/admin/reviews/3/", json!({})).await.faults(&["is_hidden"]);
}

#[tokio::test]
async fn reviews_go_and_come_with_their_product_and_stay_when_their_writer_is_gone() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let (ann, bob, staff, admin) =
        (shop.buyer().await, shop.buyer().await, shop.staff().await, shop.admin().await);
    let path = format!("/api/products/{}/reviews/", tea.id);
    let id = number(&ann.reviews(tea.id, 5).await.status(201).json["id"]);
    bob.reviews(tea.id, 4).await.status(201);
    // What customers do not see, they do not review.
    staff.patch(&format!("/api/products/{}/", tea.id), json!({"is_active": false})).await.status(200);
    shop.get(&path).await.refused(404, "not_found");
    shop.buyer().await.reviews(tea.id, 3).await.refused(404, "not_found");
    assert_eq!(staff.get(&path).await.status(200).json["count"], 2);
    staff.patch(&format!("/api/products/{}/", tea.id), json!({"is_active": true})).await.status(200);

    admin.patch(&format!("/api/admin/users/{}/", bob.id), json!({"is_active": false})).await.status(200);
    bob.reviews(tea.id, 3).await.refused(401, "token_invalid");
    assert_eq!(shop.get(&path).await.status(200).json["count"], 2);
    admin.post(&format!("/api/admin/users/{}/erase/", ann.id), json!({})).await;
    let list = shop.get(&format!("{path}?ordering=created_at")).await.status(200).json;
    assert_eq!((&list["results"][0]["id"], &list["results"][0]["user"]["name"]), (&json!(id), &json!("")));

    staff.delete(&format!("/api/products/{}/", tea.id)).await.status(204);
    shop.get(&path).await.refused(404, "not_found");
    staff.delete(&format!("/api/admin/reviews/{id}/")).await.status(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_reviews_at_once_are_all_counted_and_of_one_person_one() {
    let shop = Shop::open().await;
    let tea = shop.product("Tea", "4.00", 10).await;
    let people = futures_util::future::join_all((0..30).map(|_| shop.buyer())).await;
    let writes = people
        .iter()
        .enumerate()
        .flat_map(|(n, person)| (0..3).map(move |_| person.reviews(tea.id, n as u64 % 5 + 1)));
    let answers = futures_util::future::join_all(writes).await;
    let written = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    assert_eq!(written, 30);
    assert_eq!(rating(&shop, tea.id).await, json!({"average": 3.0, "count": 30}));
}
