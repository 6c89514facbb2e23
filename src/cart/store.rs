//! Tables of the cart.

use super::model::{Cart, CartV1, CartV2};
use crate::clock::Time;
use crate::id::UserId;
use crate::store::{Index, Table, record};

record!(Cart as StoredCart: V3, was V1(CartV1), was V2(CartV2));

/// By the day of the last change; those of which it is not known come first.
pub static BY_DAY: Index<UserId, Cart, Time> =
    Index::list("carts.by_day", |cart| vec![cart.changed_on.unwrap_or_default()]);
pub static CARTS: Table<UserId, Cart> = Table::new("carts", &[&BY_DAY]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Record;

    impl From<CartV1> for CartV2 {
        fn from(old: CartV1) -> CartV2 {
            CartV2 { lines: old.lines, changed_on: None }
        }
    }
    record!(CartV2 as StoredCartV2: V2, was V1(CartV1));

    #[test]
    fn a_cart_of_an_earlier_till_has_no_coupon() {
        let old = CartV2 { lines: Vec::new(), changed_on: Some(Time(5)) };
        let now = Cart::decode(&old.encode());
        assert_eq!(now, Some(Cart { lines: Vec::new(), coupon: None, changed_on: Some(Time(5)) }));
    }
}
