//! Who may do what: every operation of the API's description, tried by everybody. A new route can't be forgotten here.

use reqwest::Method;
use serde_json::{Value, json};
use till::accounts::Scope;
use till::money::Currency;

use crate::support::{Answer, Person, Shop, address, number};

/// Who may use an operation at all.
#[derive(Clone, Copy, PartialEq, Debug)]
enum For {
    Everybody,
    Users,
    Staff,
    Admins,
}

/// An operation, as the description has it.
struct Operation {
    method: Method,
    path: String,
    who: For,
    /// What an API token needs; without one it is for people alone.
    scope: Option<String>,
    /// A body that it takes.
    body: Option<Value>,
}

/// What everybody may use. An operation that is open without standing here fails the test.
const OPEN: &[&str] = &[
    "GET /api/categories/",
    "GET /api/docs/",
    "GET /api/docs/{file}",
    "GET /api/openapi.json",
    "GET /api/products/",
    "GET /api/products/{id}/",
    "GET /api/products/{id}/reviews/",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "POST /api/auth/login/",
    "POST /api/auth/logout/",
    "POST /api/auth/password/reset/",
    "POST /api/auth/password/reset/confirm/",
    "POST /api/auth/register/",
    "POST /api/auth/token/refresh/",
    "POST /api/auth/verify/",
    "POST /api/payment/webhook/",
    "POST /api/payment/webhook/paypal/",
];

impl Operation {
    fn all() -> Vec<Operation> {
        let document = till::http::openapi("USD".parse::<Currency>().expect("a currency"));
        let mut all = Vec::new();
        for (path, verbs) in document["paths"].as_object().expect("paths") {
            for (verb, described) in verbs.as_object().expect("verbs") {
                all.push(Operation::of(verb, path, described));
            }
        }
        all
    }

    fn of(verb: &str, path: &str, described: &Value) -> Operation {
        let ways = described["security"].as_array().expect("who may is said");
        let needs = ways.iter().find_map(|way| way["bearer"].as_array()).filter(|needs| !needs.is_empty());
        let role = needs.map(|needs| needs[0].as_str().expect("a role"));
        Operation {
            method: verb.to_uppercase().parse().expect("a method"),
            path: path.to_owned(),
            who: match role {
                None => For::Everybody,
                Some("customer") => For::Users,
                Some("staff") => For::Staff,
                Some("admin") => For::Admins,
                Some(role) => panic!("{role} is no role"),
            },
            scope: needs.and_then(|needs| Some(needs.get(1)?.as_str()?.to_owned())),
            body: described["requestBody"]["content"]["application/json"].get("example").cloned(),
        }
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with names in it that nothing has.
    fn of_nothing(&self) -> String {
        let name = |part: &str| if part.starts_with('{') { "987654321".to_owned() } else { part.to_owned() };
        self.path.split('/').map(name).collect::<Vec<_>>().join("/")
    }

    async fn asked(&self, shop: &Shop, path: &str, body: &Value, token: Option<&str>) -> Answer {
        let mut asking = shop.request(self.method.clone(), path);
        if self.method != Method::GET && self.method != Method::DELETE {
            asking = asking.json(body);
        }
        match token {
            Some(token) => asking.token(token).send().await,
            None => asking.send().await,
        }
    }
}

#[test]
fn what_is_open_to_everybody_is_known() {
    let all = Operation::all();
    let mut open: Vec<_> =
        all.iter().filter(|operation| operation.who == For::Everybody).map(Operation::name).collect();
    open.sort();
    assert_eq!(open, OPEN);
    // All that is routed is described, and the other way round.
    let mut described: Vec<_> = all.iter().map(Operation::name).collect();
    let mut routed: Vec<_> =
        till::http::operations().into_iter().map(|(verb, path)| format!("{verb} {path}")).collect();
    described.sort();
    routed.sort();
    assert_eq!(described, routed);
}

#[tokio::test]
async fn nobody_gets_further_than_they_may() {
    let shop = Shop::open().await;
    let (buyer, staff, admin) = (shop.buyer().await, shop.staff().await, shop.admin().await);
    let body = json!({"x": 1});
    for operation in Operation::all() {
        let (place, path) = (operation.name(), operation.of_nothing());
        let nobody = operation.asked(&shop, &path, &body, None).await;
        if operation.who == For::Everybody {
            let is_refused = [401, 403].contains(&nobody.status.as_u16());
            assert!(!is_refused || nobody.json["code"] == "token_invalid", "{place}");
        } else {
            let nobody = nobody.refused(401, "not_authenticated");
            assert_eq!(nobody.header("www-authenticate"), "Bearer", "{place}");
            operation.asked(&shop, &path, &body, Some("not.a.token")).await.refused(401, "token_invalid");
        }
        for (person, role) in [(&buyer, For::Users), (&staff, For::Staff), (&admin, For::Admins)] {
            let answer = operation.asked(&shop, &path, &body, Some(&person.access)).await;
            let may = operation.who as u8 <= role as u8;
            assert_eq!(answer.status.as_u16() == 403, !may, "{place} as {role:?}: {}", answer.text);
            assert!(answer.status.as_u16() < 500, "{place} as {role:?}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_token_gets_as_far_as_its_scopes() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let token = async |scopes: &[&str]| -> String {
        let wanted = json!({"name": "test", "scopes": scopes});
        let made = admin.post("/api/admin/tokens/", wanted).await.status(201);
        made.json["secret"].as_str().expect("a secret").to_owned()
    };
    let all = token(&["all"]).await;
    let body = json!({"x": 1});
    for operation in Operation::all().iter().filter(|operation| operation.who != For::Everybody) {
        let (place, path) = (operation.name(), operation.of_nothing());
        let Some(scope) = operation.scope.as_deref() else {
            assert_eq!(operation.who, For::Users, "{place} is for staff, so a token must be able to do it");
            operation.asked(&shop, &path, &body, Some(&all)).await.refused(403, "permission_denied");
            continue;
        };
        let others = Scope::EACH.iter().map(|(scope, _)| scope.as_str());
        let twin = scope.replace(":read", ":write").parse::<Scope>();
        let twin = twin.map_or_else(|_| scope.to_owned(), |twin| twin.to_string());
        let others: Vec<_> =
            others.filter(|other| *other != "all" && *other != scope && *other != twin).collect();
        let other = token(&others).await;
        let refused = operation.asked(&shop, &path, &body, Some(&other)).await;
        let refused = refused.refused(403, "permission_denied");
        assert!(refused.text.contains(scope), "{place}: {}", refused.text);
        for good in [&token(&[scope]).await, &token(&[&twin]).await, &all] {
            let answer = operation.asked(&shop, &path, &body, Some(good)).await;
            assert!(![401, 403].contains(&answer.status.as_u16()), "{place}: {}", answer.text);
            assert!(answer.status.as_u16() < 500, "{place}: {}", answer.text);
        }
    }
}

/// One of everything that a customer can own.
struct Belongings {
    product: u64,
    review: u64,
    line: u64,
    order: u64,
    note: String,
    payment: u64,
}

impl Belongings {
    async fn of(ann: &Person<'_>, admin: &Person<'_>) -> Belongings {
        let product = ann.shop.product("Assam", "4.00", 50).await.id;
        let order = ann.bought(product, 2).await;
        let back = json!({"lines": [{"line_id": 1, "quantity": 1}]});
        admin.post(&format!("/api/admin/orders/{order}/refund/"), back).await.status(201);
        ann.shop.run_jobs().await;
        let notes = ann.get(&format!("/api/orders/{order}/credit-notes/")).await.status(200).json;
        let reviews = format!("/api/products/{product}/reviews/");
        let review = number(&ann.post(&reviews, json!({"rating": 4})).await.status(201).json["id"]);
        let payments = ann.get(&format!("/api/orders/{order}/")).await.status(200);
        assert_eq!(payments.json["payment_status"], "partially_refunded");
        let unpaid = ann.ordered(product, 1).await;
        let payment = ann.begins_to_pay(unpaid).await;
        ann.post("/api/wishlist/", json!({"product_id": product})).await.status(201);
        let line = number(&ann.puts_in_cart(product, 3).await.status(201).json["id"]);
        let note = notes["results"][0]["number"].as_str().expect("a number").to_owned();
        Belongings { product, review, line, order, note, payment }
    }

    /// The path of an operation with these in it; `None` where it names nothing that is somebody's.
    fn path(&self, path: &str) -> Option<String> {
        let named = |part: &str| match part {
            "{id}" if path.starts_with("/api/products/") => self.product.to_string(),
            "{id}" if path.starts_with("/api/cart/") => self.line.to_string(),
            "{id}" if path.starts_with("/api/orders/") => self.order.to_string(),
            "{id}" if path.starts_with("/api/payment/") => self.payment.to_string(),
            "{product}" => self.product.to_string(),
            "{review}" => self.review.to_string(),
            "{number}" => self.note.clone(),
            part if part.starts_with('{') => panic!("whose is {part} in {path}?"),
            part => part.to_owned(),
        };
        path.contains('{').then(|| path.split('/').map(named).collect::<Vec<_>>().join("/"))
    }

    /// What can be seen of them by their owner.
    async fn seen(&self, ann: &Person<'_>) -> Vec<Value> {
        let mut seen = Vec::new();
        for path in ["/api/cart/", "/api/wishlist/", "/api/orders/", "/api/auth/me/"] {
            seen.push(ann.get(path).await.status(200).json);
        }
        seen.push(ann.get(&format!("/api/payment/{}/", self.payment)).await.status(200).json);
        seen.push(ann.get(&format!("/api/products/{}/reviews/", self.product)).await.status(200).json);
        seen
    }
}

/// Bodies that name somebody else's: what the path does not say.
fn naming(mine: &Belongings) -> Vec<(&'static str, Value)> {
    vec![
        ("/api/payment/", json!({"order_id": mine.order})),
        ("/api/orders/", json!({"payment_id": mine.payment, "shipping_address": address()})),
    ]
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there() {
    let shop = Shop::open().await;
    let (ann, bob, admin) = (shop.buyer().await, shop.buyer().await, shop.admin().await);
    let anns = Belongings::of(&ann, &admin).await;
    let before = anns.seen(&ann).await;
    let mut tried = 0;
    for operation in Operation::all().iter().filter(|operation| operation.who == For::Users) {
        let Some(path) = anns.path(&operation.path) else { continue };
        let place = operation.name();
        if operation.path == "/api/products/{id}/reviews/" {
            // The product is everybody's.
            continue;
        }
        let body = operation.body.clone().unwrap_or_else(|| json!({}));
        let answer = operation.asked(&shop, &path, &body, Some(&bob.access)).await;
        // Whose a review is everybody sees.
        let status = if operation.path.contains("{review}") { 403 } else { 404 };
        assert_eq!(answer.status, status, "{place}: {}", answer.text);
        tried += 1;
    }
    assert!(tried >= 14, "{tried} operations name what is somebody's");
    for (path, body) in naming(&anns) {
        bob.post(path, body).await.refused(404, "not_found");
    }
    assert_eq!(anns.seen(&ann).await, before, "nothing was changed");
}
