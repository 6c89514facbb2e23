//! What templates are told of orders and their like.

use minijinja::{Value, context};

use super::model::Voice;
use crate::address::Address;
use crate::catalogue::Choice;
use crate::clock::Time;
use crate::id::OrderId;
use crate::money::Money;
use crate::orders::{Order, OrderLine, Status};
use crate::promotions::Code;

/// A time as people read it.
pub fn at(time: Time) -> String {
    let text = time.to_string();
    format!("{} {} UTC", &text[..10], &text[11..16])
}

/// Nothing where there is nothing to say.
fn unless_zero(money: Money) -> Option<String> {
    (!money.is_zero()).then(|| money.to_string())
}

pub fn options(choices: &[Choice]) -> String {
    let named: Vec<_> = choices.iter().map(|choice| format!("{}: {}", choice.option, choice.value)).collect();
    named.join(", ")
}

fn lines(address: &Address) -> Vec<String> {
    let city = format!("{} {}", address.postal_code, address.city);
    let all = [&address.name, &address.line1, &address.line2, &city, &address.region, &address.country];
    all.into_iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

pub fn shop(voice: &Voice) -> Value {
    let address: Vec<String> = voice.seller.address.lines().map(|line| line.trim().to_owned()).collect();
    context! { name => &voice.seller.name, address => address, url => &voice.shop_url }
}

/// So many units of a line.
pub fn item(line: &OrderLine, quantity: u32) -> Value {
    context! {
        name => &line.name,
        options => options(&line.options),
        sku => line.sku.clone(),
        quantity => quantity,
        unit_price => line.unit_price.to_string(),
        total => line.total.to_string(),
    }
}

pub fn order(id: OrderId, order: &Order, voice: &Voice) -> Value {
    let items: Vec<Value> = order.lines.iter().map(|line| item(line, line.quantity)).collect();
    let pay_by = order.hold_until.filter(|_| order.status == Status::Pending);
    context! {
        number => &order.number,
        date => order.created_at.date(),
        url => format!("{}{id}", voice.order_url),
        customer => &order.shipping_address.name,
        items => items,
        subtotal => order.subtotal.to_string(),
        discount => unless_zero(order.discount),
        coupon => order.coupon_code.as_ref().map(Code::as_str),
        shipping => unless_zero(order.shipping),
        tax => unless_zero(order.tax),
        total => order.total.to_string(),
        currency => order.total.currency.code(),
        address => lines(&order.shipping_address),
        pay_by => pay_by.map(at),
        was_paid => order.paid_at.is_some() && !order.total.is_zero(),
    }
}

/// One mail of each kind as it might be: what the shop's own templates are tried with.
pub fn examples() -> Vec<(&'static str, Value)> {
    let shop = context! {
        name => "Ann's <Teas>", address => vec!["1 High Street".to_owned()], url => "https://shop.example.com",
    };
    let item = context! {
        name => "Oolong & more", options => "Size: M", sku => Some("TEA-1".to_owned()), quantity => 2,
        unit_price => "4.00", total => "8.00", low_at => 5,
    };
    let order = context! {
        number => "1001", date => "2026-11-23", url => "https://shop.example.com/orders/1", customer => "Ann Lee",
        items => vec![item.clone()], subtotal => "8.00", discount => Some("1.00".to_owned()),
        coupon => Some("SPRING".to_owned()), shipping => Some("3.00".to_owned()), tax => Some("0.80".to_owned()),
        total => "10.80", currency => "USD", address => vec!["Ann Lee".to_owned(), "1 High Street".to_owned()],
        pay_by => Some("2026-11-23 11:00 UTC".to_owned()), was_paid => true,
    };
    let parcel = context! {
        is_part => true, items => vec![item.clone()], carrier => "DHL", number => "123",
        url => Some("https://track.example.com/123".to_owned()),
    };
    let user = context! { name => "Ann Lee", email => "ann@example.com" };
    let refund = context! {
        id => 1, amount => "4.00", currency => "USD", reason => "broken", is_surplus => false, provider => "stripe",
        said => Some("no funds".to_owned()), again_at => None::<String>,
    };
    let link = "https://shop.example.com/reset?token=abc";
    let until = "2026-11-23 11:00 UTC";
    let product = context! {
        name => "Oolong", options => "Size: M", price => "4.00", currency => "USD",
        url => "https://shop.example.com/products/oolong",
    };
    let stray = context! {
        provider => "stripe", reference => "pi_1", amount => "4.00", currency => "USD", waits => true,
    };
    let dispute = context! {
        provider => "stripe", reference => "dp_1", amount => "4.00", currency => "USD", reason => "fraudulent",
        stand => "open", due_by => Some(until.to_owned()),
    };
    let payment = context! { id => 1, provider => "stripe", reference => "pi_1" };
    let all = vec![
        ("order_received", context! { order => &order }),
        ("order_paid", context! { order => &order }),
        ("payment_failed", context! { order => &order, said => "Your card was declined." }),
        ("order_shipped", context! { order => &order, parcel => parcel }),
        ("order_cancelled", context! { order => &order, reason => "not paid in time" }),
        ("order_refunded", context! { order => &order, refund => &refund }),
        ("password_reset", context! { user => &user, link => link, until => until }),
        ("verify_address", context! { user => &user, link => link, until => until }),
        ("back_in_stock", context! { user => &user, product => product }),
        ("low_stock", context! { items => vec![item], count => 3, more => 2 }),
        ("refund_failed", context! { order => &order, refund => &refund }),
        ("stray_money", context! { stray => stray }),
        ("dispute", context! { order => &order, dispute => dispute }),
        ("wrong_amount", context! { order => &order, payment => payment }),
        ("backup_failed", context! { at => until, said => "the disk is full" }),
        ("trial", context! {}),
    ];
    all.into_iter().map(|(kind, facts)| (kind, context! { shop => &shop, ..facts })).collect()
}
