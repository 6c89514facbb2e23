//! What is mailed, to whom, when, and what becomes of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use till::accounts::Role;
use till::mail::{Connection, Letter, Transport, Undelivered};
use till::outbox::{Cause, State};
use till::page::Page;

use crate::support::{PASSWORD, Person, Shop};

/// What the mail server does with letters.
#[derive(Clone, Debug, PartialEq)]
enum Mood {
    Takes,
    Down,
    Busy,
    Refuses,
}

/// A mail server that remembers, and has moods.
pub struct Post {
    taken: Mutex<Vec<Letter>>,
    mood: Mutex<Mood>,
}

impl Post {
    pub fn new() -> Arc<Post> {
        Arc::new(Post { taken: Mutex::default(), mood: Mutex::new(Mood::Takes) })
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The way to it.
    pub fn transport(self: &Arc<Post>) -> Arc<dyn Transport> {
        Arc::new(To(Arc::clone(self)))
    }

    /// What came since this was asked last.
    pub fn came(&self) -> Vec<Letter> {
        std::mem::take(&mut self.taken.lock().unwrap())
    }

    #[track_caller]
    fn subjects(&self) -> Vec<String> {
        let mut subjects: Vec<_> = self.came().into_iter().map(|letter| letter.subject).collect();
        subjects.sort();
        subjects
    }
}

/// The transport that a shop is given: the post's other end.
struct To(Arc<Post>);

#[async_trait]
impl Transport for To {
    async fn connect(&self) -> Result<Box<dyn Connection>, String> {
        let mood = self.0.mood.lock().unwrap().clone();
        if mood == Mood::Down {
            return Err("connection refused".into());
        }
        Ok(Box::new(OnLine(Arc::clone(&self.0), mood)))
    }
}

struct OnLine(Arc<Post>, Mood);

#[async_trait]
impl Connection for OnLine {
    async fn send(&mut self, letter: &Letter) -> Result<String, Undelivered> {
        match self.1 {
            Mood::Refuses => Err(Undelivered::Refused(format!("550 <{}>: no such mailbox", letter.to[0]))),
            Mood::Busy => Err(Undelivered::Later("450 try later".into())),
            _ => {
                self.0.taken.lock().unwrap().push(letter.clone());
                Ok("250 taken".into())
            }
        }
    }

    fn is_open(&self) -> bool {
        true
    }

    async fn close(&mut self) {}
}

pub async fn shop(post: &Arc<Post>, settings: &[(&'static str, &str)]) -> Shop {
    let mut all = vec![("server.public_url", "https://shop.example.com"), ("shop.name", "Corner")];
    all.extend(settings);
    Shop::with_mail(&all, Arc::new(To(Arc::clone(post)))).await
}

/// The token at the end of the link in a letter.
fn token(letter: &Letter) -> String {
    let at = letter.text.find("?token=").expect("a link") + "?token=".len();
    letter.text[at..].split_whitespace().next().expect("a token").to_owned()
}

async fn mails(admin: &Person<'_>, query: &str) -> Vec<Value> {
    let listed = admin.get(&format!("/api/admin/mails/{query}")).await.status(200);
    listed.json["results"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn an_order_is_mailed_from_its_placing_to_its_refund_each_once() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let admin = shop.admin().await;
    let tea = shop.product("Oolong <b>", "4.00", 10).await;
    let ann = shop.buyer().await;
    let order = ann.ordered(tea.id, 2).await;
    shop.run_jobs().await;
    let received = post.came();
    assert_eq!(received.len(), 1);
    let [letter] = &received[..] else { panic!("{received:?}") };
    let names = |letter: &Letter| ["Ann Lee", "1 High Street"].map(|words| letter.text.contains(words));
    assert_eq!(
        names(letter),
        [false; 2],
        "a stranger's words to an address that is not proven: {}",
        letter.text
    );
    assert_eq!(letter.to[0].as_str(), ann.email);
    assert_eq!(letter.subject, "We have your order 1001");
    assert!(
        letter.text.contains("2 x Oolong <b>: 8.00") && letter.text.contains("not paid yet"),
        "{}",
        letter.text
    );
    assert!(letter.html.contains("Oolong &lt;b&gt;") && !letter.html.contains("<b>"), "{}", letter.html);
    let html = letter.html.replace("&#x2f;", "/");
    assert!(html.contains("href=\"https://shop.example.com/orders/1\""), "{html}");

    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "decline"})).await.status(200);
    for _ in 0..3 {
        ann.get(&format!("/api/payment/{payment}/")).await.status(200);
        shop.run_jobs().await;
        shop.later(Duration::from_secs(61));
    }
    assert_eq!(post.subjects(), ["The payment of your order 1001 did not go through"]);
    ann.decides(payment, json!({"outcome": "succeed"})).await.status(200);
    shop.run_jobs().await;
    let paid = post.came();
    assert_eq!((paid.len(), paid[0].subject.as_str()), (1, "Your order 1001 is paid"));
    assert_eq!(names(&paid[0]), [true; 2], "{}", paid[0].text);
    assert_eq!(paid[0].attachments[0].name, "INV-000001.pdf");
    assert!(paid[0].attachments[0].content.starts_with(b"%PDF-"));

    let path = format!("/api/admin/orders/{order}/");
    let tracking = json!({"carrier": "DHL", "number": "JD 01", "url": "https://example.com/JD01"});
    admin.patch(&path, json!({"tracking": tracking})).await.status(200);
    admin.patch(&path, json!({"tracking": {"carrier": "DHL", "number": "JD02"}})).await.status(200);
    shop.run_jobs().await;
    let shipped = post.came();
    assert_eq!((shipped.len(), shipped[0].subject.as_str()), (1, "Your order 1001 is on its way"));
    assert!(shipped[0].text.contains("Sent with DHL, number JD02"), "{}", shipped[0].text);
    assert!(shipped[0].text.contains("2 x Oolong <b>"), "{}", shipped[0].text);

    admin.post(&format!("{path}refund/"), json!({"amount": "1.50", "reason": "late"})).await;
    shop.run_jobs().await;
    shop.run_jobs().await;
    assert_eq!(post.subjects(), ["1.50 USD of your order 1001 went back to you"]);

    let other = ann.ordered(tea.id, 1).await;
    ann.asks(Method::POST, &format!("/api/orders/{other}/cancel/")).send().await.status(200);
    shop.run_jobs().await;
    assert_eq!(post.subjects(), ["We have your order 1002", "Your order 1002 is cancelled"]);
    shop.run_jobs().await;
    assert_eq!(post.subjects(), [""; 0]);
    assert!(mails(&admin, "").await.iter().all(|mail| mail["state"] == "sent"));
}

#[tokio::test]
async fn each_parcel_is_told_and_again_when_it_is_known_how_it_is_sent() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let (tea, ann, staff) = (shop.product("Tea", "4.00", 10).await, shop.buyer().await, shop.staff().await);
    let order = ann.bought(tea.id, 3).await;
    let path = format!("/api/admin/orders/{order}/");
    let told = async || -> Letter {
        shop.run_jobs().await;
        let came = post.came();
        let of_parcels = came.into_iter().filter(|letter| letter.subject.ends_with("is on its way"));
        let [told] = <[Letter; 1]>::try_from(of_parcels.collect::<Vec<_>>()).expect("one");
        told
    };
    let first = json!({"lines": [{"line_id": 1, "quantity": 1}], "carrier": "DHL", "number": "JD01"});
    staff.post(&format!("{path}fulfilments/"), first).await.status(201);
    let part = told().await;
    assert!(part.text.contains("a part of your order") && part.text.contains("1 x Tea"), "{}", part.text);
    assert!(part.text.contains("Follow it: https://") && part.text.contains("JD01"), "{}", part.text);
    staff.patch(&path, json!({"status": "shipped"})).await.status(200);
    let rest = told().await;
    assert!(rest.text.contains("2 x Tea") && !rest.text.contains("Sent with"), "{}", rest.text);
    assert!(!rest.text.contains("a part of"), "{}", rest.text);
    staff.patch(&path, json!({"tracking": {"carrier": "UPS", "number": "1Z9"}})).await.status(200);
    let tracked = told().await;
    assert!(
        tracked.text.contains("2 x Tea") && tracked.text.contains("Sent with UPS, number 1Z9"),
        "{}",
        tracked.text
    );
    staff.patch(&path, json!({"tracking": {"carrier": "UPS", "number": "1Z8"}})).await.status(200);
    shop.run_jobs().await;
    assert!(post.came().is_empty(), "a corrected number is on the order's page");
}

#[tokio::test]
async fn a_server_that_is_down_or_busy_delays_mails_and_nothing_else() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let (tea, ann, admin) = (shop.product("Tea", "4.00", 10).await, shop.buyer().await, shop.admin().await);
    post.is(Mood::Down);
    ann.ordered(tea.id, 1).await;
    shop.run_jobs().await;
    let waiting = &mails(&admin, "?state=waiting").await[0];
    assert_eq!((&waiting["tries"], &waiting["last_said"]), (&json!(1), &json!("connection refused")));
    ann.ordered(tea.id, 1).await;
    shop.run_jobs().await;
    let tries: Vec<_> =
        mails(&admin, "?state=waiting").await.iter().map(|mail| mail["tries"].clone()).collect();
    assert_eq!(tries, [1, 0], "the server is left alone for a moment");
    post.is(Mood::Busy);
    shop.later(Duration::from_secs(120));
    shop.run_jobs().await;
    for mail in mails(&admin, "?state=waiting").await {
        assert_eq!(mail["last_said"], "450 try later");
    }
    post.is(Mood::Takes);
    shop.later(Duration::from_secs(600));
    shop.run_jobs().await;
    assert_eq!(post.came().len(), 2);
    assert_eq!(mails(&admin, "?state=waiting").await.len(), 0);
}

#[tokio::test]
async fn the_same_mail_has_the_same_id_at_every_try_and_is_given_up_after_three_days() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let (tea, ann, admin) = (shop.product("Tea", "4.00", 10).await, shop.buyer().await, shop.admin().await);
    ann.bought(tea.id, 1).await;
    let shown = admin.get("/api/admin/mails/1/").await.status(200).json;
    post.is(Mood::Busy);
    let mut hours = 0;
    let given_up = || shop.app.store.read(|tx| till::outbox::count(tx, State::GivenUp, 9)).expect("readable");
    while given_up() < 2 {
        shop.run_jobs().await;
        shop.later(Duration::from_mins(30));
        hours += 1;
        assert!(hours < 400, "it is never given up");
    }
    assert!((60 * 2..110 * 2).contains(&hours), "{hours} half hours");
    post.is(Mood::Takes);
    let admin = shop.admin().await;
    for mail in mails(&admin, "?state=given_up").await {
        let path = format!("/api/admin/mails/{}/retry/", mail["id"]);
        admin.post(&path, json!({})).await.status(200);
    }
    shop.run_jobs().await;
    let ids: Vec<_> = post.came().into_iter().map(|letter| letter.message_id).collect();
    assert!(ids.contains(&shown["message_id"].as_str().expect("text").to_owned()), "{ids:?}");
    let audit = admin.get("/api/admin/audit/?act=mail").await.status(200).json;
    assert_eq!(audit["results"][0]["act"], "mail.retry");
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_given_up_at_once_and_the_address_is_not_kept() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let (tea, ann, admin) = (shop.product("Tea", "4.00", 10).await, shop.buyer().await, shop.admin().await);
    post.is(Mood::Refuses);
    ann.ordered(tea.id, 1).await;
    shop.run_jobs().await;
    let given_up = &mails(&admin, "?state=given_up").await[0];
    assert_eq!(
        (&given_up["tries"], &given_up["last_said"]),
        (&json!(1), &json!("550 <the recipient>: no such mailbox"))
    );
    let ready = admin.get("/readyz").await.status(200).json;
    assert_eq!(ready["mail"], json!({"sends": true, "waiting": 0, "given_up": 1}));
    admin.get("/api/admin/mails/?state=lost").await.faults(&["state"]);
    admin.get("/api/admin/mails/99/").await.refused(404, "not_found");
    admin.post("/api/admin/mails/99/retry/", json!({})).await.refused(404, "not_found");
    admin.post("/api/admin/mails/test/", json!({"to": "x@example.com"})).await.refused(502, "mail_error");
    post.is(Mood::Takes);
    let tried = admin.post("/api/admin/mails/test/", json!({"to": "x@example.com"})).await.status(200);
    assert_eq!(tried.json, json!({"sent": true, "said": "250 taken"}));
    assert_eq!(post.came()[0].to[0].as_str(), "x@example.com");
}

#[tokio::test]
async fn without_a_mail_server_mails_are_kept_to_be_read_then_given_up_then_forgotten() {
    let shop = Shop::open().await;
    let (tea, ann, admin) = (shop.product("Tea", "4.00", 10).await, shop.buyer().await, shop.admin().await);
    ann.bought(tea.id, 1).await;
    shop.run_jobs().await;
    assert_eq!(mails(&admin, "?state=waiting").await.len(), 2);
    let shown = admin.get("/api/admin/mails/2/").await.status(200).json;
    assert_eq!(shown["subject"], "Your order 1001 is paid");
    assert_eq!(shown["to"], json!([ann.email]));
    shop.later(Duration::from_hours(73));
    shop.run_jobs().await;
    let admin = shop.admin().await;
    let given_up = mails(&admin, "?state=given_up").await;
    assert_eq!((given_up.len(), &given_up[0]["last_said"]), (2, &json!("no mail server is set up")));
    shop.later(Duration::from_hours(24 * 30 + 1));
    shop.run_jobs().await;
    let admin = shop.admin().await;
    assert_eq!(mails(&admin, "").await.len(), 0);
}

#[tokio::test]
async fn a_forgotten_password_is_chosen_anew_once_by_whoever_gets_the_mail() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let ann = shop.named("ann@example.com", Role::Customer).await;
    let ask = async |email: &str| {
        let asked = shop.request(Method::POST, "/api/auth/password/reset/").json(&json!({"email": email}));
        let answer = asked.send().await.status(202).text;
        // What it left to be written is written by then.
        shop.get("/readyz").await.status(200);
        shop.run_jobs().await;
        answer
    };
    let confirm = async |token: &str, password: &str| {
        let body = json!({"token": token, "new_password": password});
        shop.request(Method::POST, "/api/auth/password/reset/confirm/").json(&body).send().await
    };
    let known = ask(" Ann@Example.com ").await;
    assert_eq!(known, ask("nobody@example.com").await);
    let first = post.came();
    assert_eq!((first.len(), first[0].to[0].as_str()), (1, "ann@example.com"));
    ask("ann@example.com").await;
    assert!(post.came().is_empty(), "one a minute");
    assert!(first[0].text.contains("Hello,"), "no name before the address is proven: {}", first[0].text);
    shop.later(Duration::from_secs(61));
    ask("ann@example.com").await;
    let second = post.came();
    let good = token(&first[0]);
    assert_eq!(token(&second[0]), good, "whoever asks again spoils no link");
    for _ in 0..50 {
        shop.later(Duration::from_secs(60));
        ask("ann@example.com").await;
    }
    assert_eq!(post.came().len(), 3, "five an hour");
    confirm(&good, "short").await.faults(&["new_password"]);
    confirm(&good[..good.len() - 2], "another good one").await.refused(422, "link_invalid");
    confirm(&good, "another good one").await.status(204);
    confirm(&good, "another good one").await.refused(422, "link_invalid");
    ann.get("/api/auth/me/").await.refused(401, "token_invalid");
    let log_in = async |password: &str| {
        let body = json!({"email": "ann@example.com", "password": password});
        shop.request(Method::POST, "/api/auth/login/").json(&body).send().await
    };
    log_in(PASSWORD).await.refused(401, "invalid_credentials");
    let me = log_in("another good one").await.status(200);
    assert_eq!(me.json["user"]["email_verified"], true, "whoever got the mail has the address");

    shop.later(Duration::from_secs(61));
    ask("ann@example.com").await;
    let open = token(&post.came()[0]);
    // Whoever changes their password has nothing left in a mailbox that changes it back.
    let access = me.json["access"].as_str().unwrap();
    let change = json!({"current_password": "another good one", "new_password": "one more good one"});
    let changing = shop.request(Method::POST, "/api/auth/password/").token(access).json(&change);
    changing.send().await.status(204);
    confirm(&open, "yet another one").await.refused(422, "link_invalid");

    shop.later(Duration::from_secs(61));
    ask("ann@example.com").await;
    let late = token(&post.came()[0]);
    shop.later(Duration::from_secs(3601));
    confirm(&late, "yet another one").await.refused(422, "link_invalid");
    shop.request(Method::POST, "/api/auth/password/reset/")
        .json(&json!({"email": "ann"}))
        .send()
        .await
        .faults(&["email"]);
}

#[tokio::test]
async fn a_link_that_runs_out_before_it_is_sent_is_not_sent_and_no_administrator_sees_one() {
    let post = Post::new();
    let shop = shop(&post, &[("mail.reset_url", "https://example.com/new?t=1&token=")]).await;
    let admin = shop.admin().await;
    post.is(Mood::Down);
    let asked = json!({"email": admin.email});
    shop.request(Method::POST, "/api/auth/password/reset/").json(&asked).send().await.status(202);
    shop.get("/readyz").await.status(200);
    let made =
        admin.post("/api/admin/tokens/", json!({"name": "t", "scopes": ["mails:read"]})).await.status(201);
    let secret = made.json["secret"].as_str().expect("a secret");
    let by_token = shop.request(Method::GET, "/api/admin/mails/1/").token(secret).send().await;
    for masked in [by_token, admin.get("/api/admin/mails/1/").await] {
        let text = masked.status(200).json["text"].as_str().expect("text").to_owned();
        assert!(text.contains("https://example.com/new?t=1&token=********\n"), "{text}");
    }
    shop.later(Duration::from_hours(2));
    post.is(Mood::Takes);
    shop.run_jobs().await;
    assert!(post.came().is_empty());
    let cancelled = &mails(&admin, "?state=cancelled").await[0];
    assert!(cancelled["last_said"].as_str().expect("text").contains("ran out"), "{cancelled}");
    assert!(admin.get("/api/admin/mails/1/").await.status(200).json["senseless"].is_string());
}

#[tokio::test]
async fn an_address_is_proven_by_the_link_that_was_sent_to_it() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let body = json!({"email": "ann@example.com", "password": PASSWORD, "name": "Ann"});
    let registered = shop.request(Method::POST, "/api/auth/register/").json(&body).send().await.status(201);
    assert_eq!(registered.json["user"]["email_verified"], false);
    let access = registered.json["access"].as_str().expect("a token").to_owned();
    let resend = async || {
        shop.request(Method::POST, "/api/auth/verify/resend/").token(&access).send().await.status(202);
        shop.run_jobs().await;
        post.came()
    };
    shop.run_jobs().await;
    let first = post.came();
    assert_eq!(first.len(), 1);
    assert!(!first[0].text.contains("eve@"), "{}", first[0].text);
    assert!(resend().await.is_empty(), "one a minute");
    shop.later(Duration::from_secs(61));
    assert_eq!(resend().await.len(), 1);
    let verify = async |token: &str| {
        shop.request(Method::POST, "/api/auth/verify/").json(&json!({"token": token})).send().await
    };
    let good = token(&first[0]);
    verify(&good[1..]).await.refused(422, "link_invalid");
    verify("x").await.refused(422, "link_invalid");
    verify(&good).await.status(204);
    verify(&good).await.status(204);
    let me = shop.request(Method::GET, "/api/auth/me/").token(&access).send().await.status(200);
    assert_eq!(me.json["email_verified"], true);
    shop.later(Duration::from_secs(61));
    assert!(resend().await.is_empty(), "it is proven");
    shop.later(Duration::from_hours(72));
    verify(&good).await.refused(422, "link_invalid");
}

#[tokio::test]
async fn what_got_low_is_told_to_the_administrators_in_one_mail_an_hour() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let (boss, staff) = (shop.named("boss@example.com", Role::Admin).await, shop.staff().await);
    let mut products = Vec::new();
    for n in 0..3 {
        let body = json!({"name": format!("Tea {n}"), "price": "4", "sku": format!("T-{n}"),
                          "stock_quantity": 5, "low_stock_threshold": 2});
        products.push(shop.product_of(body).await);
    }
    let set = async |n: usize, stock: i64| {
        let body = json!({"variant_id": products[n].variant, "set": stock, "reason": "counted"});
        staff.post("/api/admin/inventory/adjust/", body).await.status(200);
    };
    for (n, stock) in [(0, 1), (1, 2), (2, 0), (2, 9)] {
        set(n, stock).await;
    }
    shop.run_jobs().await;
    assert!(post.came().is_empty(), "more may follow");
    shop.later(Duration::from_mins(6));
    shop.run_jobs().await;
    let told = post.came();
    assert_eq!((told.len(), told[0].to[0].as_str()), (1, boss.email.as_str()));
    assert_eq!(told[0].subject, "Low stock: Tea 0 and 1 more");
    assert!(told[0].text.contains("1 left of Tea 0, SKU T-0 (low at 2)"), "{}", told[0].text);
    set(2, 1).await;
    shop.later(Duration::from_mins(30));
    shop.run_jobs().await;
    assert!(post.came().is_empty(), "one an hour");
    shop.later(Duration::from_mins(31));
    shop.run_jobs().await;
    assert_eq!(post.subjects(), ["Low stock: Tea 2"]);
}

#[tokio::test]
async fn who_is_to_be_told_of_the_shop_can_be_set() {
    let post = Post::new();
    let shop = shop(&post, &[("mail.admin_to", "a@example.com, b@example.com")]).await;
    shop.admin().await;
    let body = json!({"name": "Tea", "price": "4", "stock_quantity": 5, "low_stock_threshold": 4});
    let (tea, ann) = (shop.product_of(body).await, shop.buyer().await);
    ann.bought(tea.id, 2).await;
    shop.later(Duration::from_mins(6));
    shop.run_jobs().await;
    let told = post.came().into_iter().find(|letter| letter.subject == "Low stock: Tea").expect("told");
    assert_eq!(
        told.to.iter().map(till::accounts::Email::as_str).collect::<Vec<_>>(),
        ["a@example.com", "b@example.com"]
    );
}

#[tokio::test]
async fn somebody_who_was_erased_is_written_to_no_more() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let (tea, admin) = (shop.product("Tea", "4.00", 10).await, shop.admin().await);
    let ann = shop.named("ann@example.com", Role::Customer).await;
    post.is(Mood::Down);
    let order = ann.ordered(tea.id, 1).await;
    let payment = ann.begins_to_pay(order).await;
    ann.decides(payment, json!({"outcome": "decline"})).await.status(200);
    shop.run_jobs().await;
    shop.later(Duration::from_mins(10));
    post.is(Mood::Refuses);
    shop.run_jobs().await;
    post.is(Mood::Down);
    ann.asks(Method::POST, &format!("/api/orders/{order}/cancel/")).send().await.status(200);
    let bob = shop.named("bob@example.com", Role::Customer).await;
    bob.ordered(tea.id, 1).await;
    assert!(mails(&admin, "?state=given_up").await.iter().any(|mail| mail["last_said"] != ""));
    let erased = ann.asks(Method::DELETE, "/api/auth/me/").json(&json!({"password": PASSWORD})).send().await;
    erased.status(204);
    let all = shop.app.store.read(|tx| till::outbox::page(tx, None, Page { number: 1, size: 100 }));
    for (_, mail) in all.expect("readable").items {
        let of_bob = mail.state == State::Waiting;
        assert!(of_bob || mail.last_said.is_empty(), "{mail:?}");
        if let Cause::PaymentFailed { said, .. } = mail.cause {
            assert_eq!(said, "");
        }
    }
    post.is(Mood::Takes);
    shop.later(Duration::from_mins(10));
    shop.run_jobs().await;
    let came = post.came();
    assert!(came.len() == 1 && came[0].to[0].as_str() == "bob@example.com", "{came:?}");
}

#[tokio::test]
async fn an_outage_is_counted_once_however_many_mails_wait() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let (tea, ann, admin) = (shop.product("Tea", "4.00", 10).await, shop.buyer().await, shop.admin().await);
    post.is(Mood::Down);
    for _ in 0..6 {
        ann.ordered(tea.id, 1).await;
    }
    shop.run_jobs().await;
    let waiting = mails(&admin, "?state=waiting").await;
    assert_eq!(waiting.iter().filter_map(|mail| mail["tries"].as_u64()).sum::<u64>(), 1);
    post.is(Mood::Takes);
    shop.later(Duration::from_secs(5));
    shop.run_jobs().await;
    assert_eq!(post.came().len(), 5);
}

#[tokio::test]
async fn a_mail_that_can_not_be_made_does_not_hold_up_the_others() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let (tea, ann, admin) = (shop.product("Tea", "4.00", 10).await, shop.buyer().await, shop.admin().await);
    let lost = Cause::LowStock { at: till::clock::Time(0), variants: vec![till::id::VariantId(99)], more: 0 };
    shop.app.store.write_now(move |tx| till::outbox::post(tx, lost.clone())).expect("written");
    shop.later(Duration::from_secs(1));
    ann.ordered(tea.id, 1).await;
    shop.run_jobs().await;
    assert_eq!(post.came().len(), 1);
    let waiting = &mails(&admin, "?state=waiting").await[0];
    assert_eq!((&waiting["kind"], &waiting["tries"]), (&json!("low_stock"), &json!(1)));
    assert!(waiting["last_said"].as_str().expect("text").contains("can't be made"), "{waiting}");
}

#[tokio::test]
async fn who_wishes_for_what_is_back_is_written_to_once() {
    let post = Post::new();
    let shop = shop(&post, &[]).await;
    let tea = shop.product("Tea", "4.00", 0).await;
    let (ann, bob) = (shop.buyer().await, shop.named("bob@example.com", Role::Customer).await);
    for person in [&ann, &bob] {
        person.post("/api/wishlist/", json!({"product_id": tea.id})).await.status(201);
    }
    let erased = bob.asks(Method::DELETE, "/api/auth/me/").json(&json!({"password": PASSWORD})).send().await;
    erased.status(204);
    let staff = shop.staff().await;
    let stock = |units: u64| staff.patch("/api/products/tea/", json!({"stock_quantity": units}));
    stock(3).await.status(200);
    for _ in 0..3 {
        shop.run_jobs().await;
        shop.later(Duration::from_mins(1));
    }
    let told = post.came();
    let [letter] = &told[..] else { panic!("{told:?}") };
    assert_eq!((letter.to[0].as_str(), letter.subject.as_str()), (ann.email.as_str(), "Tea is back"));
    assert!(letter.text.contains("on your wishlist, is in stock again for 4.00 USD"), "{}", letter.text);
    // Before the mail goes out it is gone again: then there is nothing to tell.
    post.is(Mood::Down);
    stock(0).await.status(200);
    stock(1).await.status(200);
    shop.run_jobs().await;
    stock(0).await.status(200);
    post.is(Mood::Takes);
    shop.later(Duration::from_hours(1));
    shop.run_jobs().await;
    assert!(post.came().is_empty());
    assert_eq!(mails(&shop.admin().await, "?state=cancelled").await[0]["kind"], "back_in_stock");
}
