//! Records as earlier versions of till wrote them. They are read for ever, and rewritten when touched.

use serde::{Deserialize, Serialize};

use super::credit::CreditNote;
use super::invoice::{Invoice, Seller};
use super::lifecycle::Status;
use super::model::{Fulfilment, Moved, Order, OrderLine, PaymentStatus, RefundNote, Tracking};
use crate::accounts::Email;
use crate::address::Address;
use crate::catalogue::Choice;
use crate::clock::Time;
use crate::id::{InvoiceId, OrderId, ProductId, RefundId, UserId, VariantId};
use crate::money::Money;

/// Before there were coupons.
#[derive(Clone, Serialize, Deserialize)]
struct OrderLineV1 {
    id: u64,
    product: ProductId,
    variant: VariantId,
    sku: Option<String>,
    name: String,
    options: Vec<Choice>,
    unit_price: Money,
    quantity: u32,
    total: Money,
    tax: Money,
    restocked: u32,
}

impl From<OrderLineV1> for OrderLine {
    fn from(old: OrderLineV1) -> OrderLine {
        OrderLine {
            id: old.id,
            product: old.product,
            variant: old.variant,
            sku: old.sku,
            name: old.name,
            options: old.options,
            unit_price: old.unit_price,
            quantity: old.quantity,
            total: old.total,
            discount: old.total.currency.zero(),
            tax: old.tax,
            restocked: old.restocked,
            // Which they are, is seen in the order.
            withdrawn: 0,
        }
    }
}

fn lines(old: Vec<OrderLineV1>) -> Vec<OrderLine> {
    old.into_iter().map(OrderLine::from).collect()
}

/// Before there were coupons.
#[derive(Clone, Serialize, Deserialize)]
pub struct OrderV1 {
    number: String,
    user: UserId,
    email: Email,
    status: Status,
    payment_status: PaymentStatus,
    lines: Vec<OrderLineV1>,
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    coupon_code: Option<String>,
    shipping_address: Address,
    billing_address: Option<Address>,
    note: String,
    fulfilments: Vec<Fulfilment>,
    refunds: Vec<RefundNote>,
    history: Vec<Moved>,
    hold_until: Option<Time>,
    hold_extended: bool,
    paid_at: Option<Time>,
    created_at: Time,
    updated_at: Time,
}

impl From<OrderV1> for Order {
    fn from(old: OrderV1) -> Order {
        let mut order = Order {
            number: old.number,
            user: old.user,
            email: old.email,
            status: old.status,
            payment_status: old.payment_status,
            lines: lines(old.lines),
            subtotal: old.subtotal,
            discount: old.discount,
            shipping: old.shipping,
            tax: old.tax,
            total: old.total,
            // There were none.
            coupon_code: None,
            shipping_address: old.shipping_address,
            billing_address: old.billing_address,
            note: old.note,
            fulfilments: old.fulfilments,
            refunds: old.refunds,
            history: old.history,
            hold_until: old.hold_until,
            hold_extended: old.hold_extended,
            paid_at: old.paid_at,
            created_at: old.created_at,
            updated_at: old.updated_at,
        };
        parcels(&mut order);
        order
    }
}

/// An order went out in one parcel, and not always was one written down.
fn parcels(order: &mut Order) {
    let sent = order.history.iter().find(|moved| moved.status == Status::Shipped).map(|moved| moved.at);
    let lines = || order.lines.iter().map(|line| (line.id, line.quantity)).collect::<Vec<_>>();
    match sent {
        // It said how it would be sent, and was not.
        None => order.fulfilments.clear(),
        Some(at) if order.fulfilments.is_empty() => {
            let (id, lines, tracking) = (1, lines(), Tracking::default());
            order.fulfilments.push(Fulfilment { id, lines, tracking, at });
        }
        Some(_) => {
            let all = lines();
            for parcel in order.fulfilments.iter_mut().filter(|parcel| parcel.lines.is_empty()) {
                parcel.lines.clone_from(&all);
            }
        }
    }
    for at in 0..order.lines.len() {
        let (line, restocked) = (order.lines[at].id, order.lines[at].restocked);
        order.withdraw(line, restocked);
    }
}

/// Before there were coupons.
#[derive(Clone, Serialize, Deserialize)]
pub struct InvoiceV1 {
    order: OrderId,
    order_number: String,
    issued_at: Time,
    seller: Seller,
    email: String,
    billing_address: Address,
    shipping_address: Address,
    lines: Vec<OrderLineV1>,
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    payment_method: String,
}

impl From<InvoiceV1> for Invoice {
    fn from(old: InvoiceV1) -> Invoice {
        Invoice {
            order: old.order,
            order_number: old.order_number,
            issued_at: old.issued_at,
            seller: old.seller,
            email: old.email,
            billing_address: old.billing_address,
            shipping_address: old.shipping_address,
            lines: lines(old.lines),
            subtotal: old.subtotal,
            discount: old.discount,
            coupon_code: None,
            shipping: old.shipping,
            tax: old.tax,
            total: old.total,
            payment_method: old.payment_method,
        }
    }
}

/// Before credit notes said what they are for.
#[derive(Clone, Serialize, Deserialize)]
pub struct CreditNoteV1 {
    order: OrderId,
    invoice: InvoiceId,
    refund: RefundId,
    amount: Money,
    reason: String,
    at: Time,
}

impl From<CreditNoteV1> for CreditNote {
    fn from(old: CreditNoteV1) -> CreditNote {
        CreditNote {
            order: old.order,
            invoice: old.invoice,
            refund: old.refund,
            amount: old.amount,
            tax: None,
            lines: Vec::new(),
            reason: old.reason,
            at: old.at,
            // There were none.
            corrects: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Record, record};

    record!(OrderV1 as StoredOrderV1: V1);
    record!(InvoiceV1 as StoredInvoiceV1: V1);
    record!(CreditNoteV1 as StoredCreditNoteV1: V1);

    fn cents(minor: i64) -> Money {
        Money { minor, currency: "USD".parse().expect("a known code") }
    }

    fn line() -> OrderLineV1 {
        OrderLineV1 {
            id: 1,
            product: ProductId(2),
            variant: VariantId(3),
            sku: Some("TEA".into()),
            name: "Tea".into(),
            options: Vec::new(),
            unit_price: cents(400),
            quantity: 2,
            total: cents(800),
            tax: cents(80),
            restocked: 1,
        }
    }

    fn has_no_discount(line: &OrderLine) {
        assert_eq!((line.sku.as_deref(), line.total, line.discount), (Some("TEA"), cents(800), cents(0)));
        assert_eq!((line.tax, line.restocked), (cents(80), 1));
    }

    fn order() -> OrderV1 {
        OrderV1 {
            number: "1001".into(),
            user: UserId(7),
            email: "ann@example.com".parse().expect("an address"),
            status: Status::Processing,
            payment_status: PaymentStatus::Paid,
            lines: vec![line()],
            subtotal: cents(800),
            discount: cents(0),
            shipping: cents(490),
            tax: cents(80),
            total: cents(1370),
            coupon_code: None,
            shipping_address: Address::default(),
            billing_address: None,
            note: "ring twice".into(),
            fulfilments: Vec::new(),
            refunds: Vec::new(),
            history: Vec::new(),
            hold_until: None,
            hold_extended: false,
            paid_at: Some(Time(5)),
            created_at: Time(4),
            updated_at: Time(6),
        }
    }

    #[test]
    fn a_parcel_of_an_earlier_till_holds_what_was_sent() {
        let parcel = |lines| Fulfilment { id: 1, lines, tracking: Tracking::default(), at: Time(7) };
        let moved = |status| Moved { status, at: Time(7), by: String::new(), note: String::new() };
        let read = |old: OrderV1| Order::decode(&old.encode()).expect("it is read");
        // While it was processing, somebody said how it would be sent.
        let waiting = read(OrderV1 { fulfilments: vec![parcel(vec![(1, 2)])], ..order() });
        assert_eq!((waiting.fulfilments.as_slice(), waiting.to_send()), ([].as_slice(), vec![(1, 1)]));
        for parcels in [vec![], vec![parcel(vec![])], vec![parcel(vec![(1, 2)])]] {
            let (status, history) = (Status::Shipped, vec![moved(Status::Shipped)]);
            let sent = read(OrderV1 { status, history, fulfilments: parcels, ..order() });
            assert_eq!((sent.sent(1), sent.lines[0].withdrawn), (2, 0));
        }
    }

    #[test]
    fn an_order_of_an_earlier_till_has_no_discount_on_its_lines() {
        let now = Order::decode(&order().encode()).expect("it is read");
        has_no_discount(&now.lines[0]);
        assert_eq!(
            (now.lines[0].withdrawn, now.to_send()),
            (1, vec![(1, 1)]),
            "what is on the shelf is not sent"
        );
        assert_eq!((now.total, now.paid_at, now.note.as_str()), (cents(1370), Some(Time(5)), "ring twice"));
        assert_eq!(Order::decode(&now.encode()), Some(now), "and rewritten as it is now");
    }

    #[test]
    fn a_credit_note_of_an_earlier_till_is_for_an_amount() {
        let old = CreditNoteV1 {
            order: OrderId(1),
            invoice: InvoiceId(2),
            refund: RefundId(3),
            amount: cents(500),
            reason: "late".into(),
            at: Time(5),
        };
        let now = CreditNote::decode(&old.encode()).expect("it is read");
        assert_eq!((now.refund, now.amount, now.tax, now.corrects), (RefundId(3), cents(500), None, None));
        assert_eq!(CreditNote::decode(&now.encode()), Some(now), "and rewritten as it is now");
    }

    #[test]
    fn an_invoice_of_an_earlier_till_has_no_coupon() {
        let old = InvoiceV1 {
            order: OrderId(1),
            order_number: "1001".into(),
            issued_at: Time(5),
            seller: Seller::default(),
            email: "ann@example.com".into(),
            billing_address: Address::default(),
            shipping_address: Address::default(),
            lines: vec![line()],
            subtotal: cents(800),
            discount: cents(0),
            shipping: cents(490),
            tax: cents(80),
            total: cents(1370),
            payment_method: "stripe".into(),
        };
        let now = Invoice::decode(&old.encode()).expect("it is read");
        has_no_discount(&now.lines[0]);
        assert_eq!((&now.coupon_code, now.total), (&None, cents(1370)));
        assert_eq!(Invoice::decode(&now.encode()), Some(now), "and rewritten as it is now");
    }
}
