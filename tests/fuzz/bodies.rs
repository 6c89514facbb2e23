//! Bodies of every route that is written: whatever is sent, the shop does it or says what is wrong, and what it did has
//! left everything true that must be.
//!
//! An input is `POST /path/` on a line, and a body.

use std::sync::LazyLock;

use super::shop::{self, Who};
use super::text::{filled, line, pick};

/// Every route that takes a body. Files and events have targets of their own; what is done with the data file as a whole
/// has no body to speak of, and needs a disk.
static ROUTES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let others = ["/products/import/", "/webhook/", "/backup", "/compact/"];
    let routes = till::http::operations().into_iter();
    routes
        .filter(|(verb, path)| *verb != "GET" && !others.iter().any(|other| path.contains(other)))
        .flat_map(|(verb, path)| filled(path).map(move |path| format!("{verb} {path}")))
        .collect()
});

pub fn run(data: &[u8]) {
    let (route, body) = line(data);
    let route = pick(&ROUTES, route, |route| route.as_bytes());
    let (verb, path) = route.split_once(' ').expect("a verb and a path");
    let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
    shop::with(|shop| {
        let came = shop.ask(Who::Customer, verb, path, &headers, body);
        if came.status == 401 || came.status == 403 {
            shop.ask(Who::Operator, verb, path, &headers, body);
        }
        if shop.has_changed() {
            shop.check();
        }
    });
}

pub fn seeds() -> Vec<Vec<u8>> {
    let all = r#"{"email":"bob@example.com","password":"correct horse","name":"Bob","price":"4.00","quantity":1,"code":"NEW"}"#;
    let mut seeds: Vec<Vec<u8>> = ROUTES
        .iter()
        .filter(|route| !route.contains("/2/") && !route.contains("/3/"))
        .flat_map(|route| [format!("{route}\n{{}}"), format!("{route}\n{all}")])
        .map(String::into_bytes)
        .collect();
    seeds.extend(SAMPLES.iter().map(|sample| sample.as_bytes().to_vec()));
    seeds
}

/// What is done when it is right.
const SAMPLES: &[&str] = &[
    "POST /api/auth/register/\n{\"email\":\"bob@example.com\",\"password\":\"correct horse battery\",\"name\":\"Bob\"}",
    "POST /api/auth/password/\n{\"current_password\":\"correct horse\",\"new_password\":\"correct horse battery staple\"}",
    "POST /api/wishlist/2/move-to-cart/\n{\"variant_id\":2,\"quantity\":1}",
    "PATCH /api/auth/me/\n{\"name\":\"Ann Lee\"}",
    "POST /api/auth/password/reset/\n{\"email\":\"ann@example.com\"}",
    "POST /api/products/\n{\"name\":\"Mug\",\"sku\":\"MUG\",\"price\":\"9.50\",\"stock_quantity\":3,\"description\":\"blue\",\"category\":\"Drinks\",\"tags\":[\"new\"],\"images\":[\"https://example.com/a.png\"],\"is_active\":true,\"weight_grams\":20}",
    "POST /api/products/\n{\"name\":\"Hat\",\"options\":[{\"name\":\"Size\",\"values\":[\"S\",\"M\"]}],\"variants\":[{\"sku\":\"H-S\",\"price\":\"2\",\"stock_quantity\":1,\"options\":{\"Size\":\"S\"},\"compare_at_price\":\"3\",\"image_url\":null}]}",
    "PUT /api/products/1/\n{\"name\":\"Tea\",\"sku\":\"TEA\",\"price\":\"5.00\",\"stock_quantity\":4}",
    "PATCH /api/products/1/\n{\"price\":\"5.00\",\"stock_quantity\":4,\"is_active\":false}",
    "POST /api/products/2/reviews/\n{\"rating\":4,\"title\":\"Nice\",\"comment\":\"Fits\"}",
    "PATCH /api/products/1/reviews/1/\n{\"rating\":1}",
    "PATCH /api/admin/reviews/1/\n{\"is_hidden\":true}",
    "POST /api/cart/\n{\"product_id\":1,\"variant_id\":1,\"quantity\":2}",
    "PUT /api/cart/3/\n{\"quantity\":3}",
    "POST /api/cart/coupon/\n{\"code\":\"FEW\"}",
    "POST /api/wishlist/\n{\"product_id\":1,\"variant_id\":1}",
    "POST /api/orders/\n{\"shipping_address\":{\"name\":\"Ann Lee\",\"line1\":\"1 High Street\",\"line2\":\"\",\"city\":\"Leeds\",\"region\":\"\",\"postal_code\":\"LS1 1AA\",\"country\":\"GB\",\"phone\":\"\"},\"billing_address\":null,\"note\":\"ring\"}",
    "POST /api/payment/\n{\"order_id\":2,\"provider\":\"test\"}",
    "POST /api/payment/\n{\"items\":[{\"product_id\":1,\"quantity\":1}],\"shipping_address\":{\"name\":\"Ann\",\"line1\":\"1\",\"city\":\"Leeds\",\"postal_code\":\"LS1\",\"country\":\"GB\"}}",
    "POST /api/payment/test/1/\n{\"outcome\":\"succeed\",\"notify\":\"twice\"}",
    "PATCH /api/admin/orders/1/\n{\"status\":\"cancelled\",\"note\":\"sent\",\"tracking\":{\"carrier\":\"ups\",\"number\":\"1\"}}",
    "POST /api/admin/orders/1/fulfilments/\n{\"lines\":[{\"line_id\":1,\"quantity\":1}],\"carrier\":\"dhl\",\"number\":\"123\",\"url\":\"https://example.com/t\"}",
    "POST /api/admin/orders/2/mark-paid/\n{\"method\":\"cash\",\"reference\":\"R1\"}",
    "POST /api/admin/orders/1/refund/\n{\"reason\":\"broken\",\"restock\":true,\"lines\":[{\"line_id\":1,\"quantity\":1}]}",
    "POST /api/admin/users/\n{\"email\":\"bob@example.com\",\"name\":\"Bob\",\"role\":\"staff\",\"password\":\"correct horse battery\"}",
    "PATCH /api/admin/users/1/\n{\"role\":\"staff\",\"is_active\":false}",
    "POST /api/admin/coupons/\n{\"code\":\"SPRING\",\"kind\":\"amount\",\"value\":\"5.00\",\"min_subtotal\":\"1.00\",\"max_uses\":3,\"max_uses_per_user\":1,\"starts_at\":\"2026-01-01T00:00:00Z\",\"ends_at\":\"2027-01-01T00:00:00Z\",\"categories\":[\"drinks\"],\"is_active\":true}",
    "PATCH /api/admin/coupons/FEW/\n{\"value\":10}",
    "POST /api/admin/inventory/adjust/\n{\"variant_id\":1,\"delta\":-2,\"reason\":\"broken\"}",
    "POST /api/admin/tokens/\n{\"name\":\"k\",\"scopes\":[\"orders:read\"],\"expires_at\":\"2027-01-01T00:00:00Z\"}",
    "POST /api/admin/payments/reconcile/\n{\"after_restore\":true}",
];
