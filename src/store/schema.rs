//! Every table there is.

use super::AnyTable;

pub fn tables() -> Vec<&'static dyn AnyTable> {
    vec![
        &super::META,
        &super::COUNTERS,
        &super::ONCE,
        &crate::audit::store::AUDIT,
        &crate::outbox::store::MAILS,
        &crate::accounts::store::USERS,
        &crate::accounts::store::SESSIONS,
        &crate::accounts::store::API_TOKENS,
        &crate::accounts::store::RESETS,
        &crate::accounts::store::KNOWN,
        &crate::inventory::store::STOCK,
        &crate::inventory::store::MOVEMENTS,
        &crate::inventory::store::ALERTS,
        &crate::catalogue::store::PRODUCTS,
        &crate::catalogue::store::CATEGORIES,
        &crate::catalogue::import::record::IMPORTS,
        &crate::catalogue::import::record::TOUCHED,
        &crate::promotions::store::COUPONS,
        &crate::promotions::store::USES,
        &crate::cart::store::CARTS,
        &crate::orders::store::ORDERS,
        &crate::orders::store::INVOICES,
        &crate::orders::store::CREDIT_NOTES,
        &crate::payments::store::PAYMENTS,
        &crate::payments::store::REFUNDS,
        &crate::payments::store::DISPUTES,
        &crate::payments::store::STRAYS,
        &crate::payments::store::EVENTS,
        &crate::privacy::store::ERASURES,
        &crate::reviews::store::REVIEWS,
        &crate::reviews::store::STARS,
        &crate::wishlist::store::WISHES,
        &crate::wishlist::store::TOLD,
        &crate::payments::gateway::test::INTENTS,
        &crate::payments::gateway::test::REFUNDS,
    ]
}
