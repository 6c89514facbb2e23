//! For each invariant a violation is planted, by changing a record behind the back of its room, and the check names
//! it. The whole shop runs on one thread here: its writer is stepped, its clock and its seed are given.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redb::{Database, DatabaseError};

use super::{check, repair};
use crate::accounts::{KeySource, NewUser, Ring, Role};
use crate::address::Address;
use crate::app::{App, Parts};
use crate::cart;
use crate::catalogue::{self, Draft, Rating, VariantDraft};
use crate::checkout::{self, Attempt, Basket, Cancelling, Pay, Placing};
use crate::clock::{Clock, ManualClock, Time};
use crate::config::Config;
use crate::id::{InvoiceId, MovementId, OrderId, PaymentId, ProductId, ReviewId, UserId, VariantId};
use crate::inventory::Cause;
use crate::inventory::store::{MOVEMENTS, STOCK};
use crate::jobs;
use crate::orders::store::{INVOICES, ORDERS};
use crate::orders::{Fulfilment, Order, PaymentStatus, Status, Tracking};
use crate::outbox::{self, store::BY_CAUSE, store::MAILS};
use crate::payments;
use crate::payments::gateway::test::{Notify, Outcome, PROVIDER, TestGateway};
use crate::payments::store::{EVENTS, PAYMENTS};
use crate::payments::{GatewayEvent, Subject};
use crate::promotions::store::{COUPONS, USES};
use crate::promotions::{self, Code, Coupon, Kind, Terms, Use};
use crate::reviews::store::{REVIEWS, STARS};
use crate::reviews::{Review, Stars};
use crate::store::{COUNTERS, Disk, Reads, StoreError, Table};

struct Memory;

impl Disk for Memory {
    fn open(&self) -> Result<Database, DatabaseError> {
        Database::builder().create_with_backend(redb::backends::InMemoryBackend::new())
    }

    fn name(&self) -> String {
        "memory".into()
    }
}

/// Runs `work` on this thread, and the writer whenever it waits for it.
fn drive<T>(app: &App, work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = work.as_mut().poll(&mut context) {
            return value;
        }
        assert!(app.store.step() > 0, "nothing is left to run, and the work waits");
    }
}

fn code() -> Code {
    "SPRING".parse().expect("a code")
}

fn tenth_off() -> Terms {
    let terms = Terms::new(Kind::Percent("10".parse().expect("a rate")));
    Terms { max_uses: Some(2), max_uses_per_user: Some(2), ..terms }
}

/// A shop with a product, and three orders that carry the same coupon: one is paid, one was cancelled, and of one the
/// hold ran out.
fn shop(seed: u8) -> Arc<App> {
    let clock = Arc::new(ManualClock::at(Time(1_800_000_000_000)));
    let app = App::open(Parts {
        config: Config::defaults(),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        disk: Box::new(Memory),
        seed: [seed; 32],
        keys: KeySource { ring: Ring::given(&[seed; 32], []), file: None },
        threaded: false,
        gateways: Vec::new(),
        mail: None,
        demo: true,
        errors: Arc::default(),
    })
    .expect("it opens");
    let price = app.currency().parse("4.00").expect("an amount");
    let buyer = app.store.write_now(move |tx| {
        let variant = VariantDraft { price, stock: Some(9), ..VariantDraft::default() };
        let draft = Draft { name: "Tea".into(), variants: vec![variant], ..Draft::default() };
        catalogue::create(tx, &draft, &Cause::Import, "test")?;
        let email = "ann@example.com".parse().expect("an address");
        let new = NewUser { email, name: "Ann".into(), role: Role::Customer, password_hash: String::new() };
        promotions::create(tx, &code(), &tenth_off()).expect("it is new");
        Ok::<_, catalogue::CatalogueError>(crate::accounts::create_user(tx, &new).expect("it is new").0)
    });
    let buyer = buyer.expect("done");
    for end in ["paid", "cancelled", "expired"] {
        let charges = app.charges.clone();
        let filled = app.store.write_now(move |tx| {
            cart::add(tx, buyer, ProductId(1), None, 2)?;
            cart::apply_coupon(tx, buyer, "spring", &charges)
        });
        filled.expect("done");
        let placing = Placing {
            basket: Basket::Cart,
            shipping_address: Address::default(),
            billing_address: None,
            note: String::new(),
            total: None,
        };
        let (rules, what) = (app.rules(), Pay::New(Box::new(placing)));
        let gateway = app.gateways.of(PROVIDER).expect("a demo has it");
        let begun =
            drive(&app, app.store.write(move |tx| checkout::pay(tx, buyer, &what, &*gateway, &rules)));
        let Ok(Attempt::Begun(payment)) = begun else { panic!("{begun:?}") };
        let payment = drive(&app, payments::drive(&app, payment)).expect("the gateway is there");
        match end {
            "paid" => {
                let reference = payment.reference.expect("it was made");
                let event =
                    drive(&app, TestGateway::decide(&app.store, &reference, Outcome::Succeed, Notify::Once));
                drive(&app, TestGateway::tell(&app, &reference, event.expect("decided"))).expect("told");
            }
            "cancelled" => {
                let what = Cancelling { order: payment.order, staff: None, note: String::new(), key: None };
                drive(&app, checkout::cancel(&app, what)).expect("cancelled");
            }
            _ => {
                clock.advance(Duration::from_secs(2 * 3600));
                drive(&app, jobs::run_due(&app));
            }
        }
    }
    app
}

fn order(app: &App, id: u64) -> Order {
    app.store.read(|tx| ORDERS.expect(tx, &OrderId(id))).expect("it is there")
}

/// Plants `change` in a fresh shop, and wants `invariant` named about `subject`.
fn plant(
    invariant: &str,
    subject: &str,
    change: impl Fn(&mut crate::store::WriteTx) -> Result<(), StoreError> + Send + 'static,
) {
    let app = shop(1);
    app.store.write_now(change).expect("planted");
    let found = check(&app).expect("it reads");
    assert!(
        found.iter().any(|f| f.invariant == invariant && f.subject == subject),
        "{invariant} {subject}: {found:?}"
    );
}

/// Changes an order's record and nothing else.
fn plant_in_order(invariant: &str, id: u64, change: impl Fn(&mut Order) + Send + 'static) {
    plant(invariant, &format!("order {id}"), move |tx| {
        let mut order = ORDERS.expect(tx, &OrderId(id))?;
        change(&mut order);
        ORDERS.put(tx, &OrderId(id), &order)
    });
}

#[test]
fn a_shop_that_nobody_tampered_with_has_no_findings() {
    let app = shop(1);
    assert_eq!(check(&app).expect("it reads"), []);
    let ends: Vec<_> = (1..=3).map(|id| (order(&app, id).status, order(&app, id).payment_status)).collect();
    let (paid, unpaid) = (PaymentStatus::Paid, PaymentStatus::Unpaid);
    assert_eq!(ends, [(Status::Processing, paid), (Status::Cancelled, unpaid), (Status::Cancelled, unpaid)]);
}

#[test]
fn the_same_seed_and_clock_make_the_same_shop() {
    let dump = |seed| {
        let app = shop(seed);
        let payment = app.store.read(|tx| PAYMENTS.expect(tx, &PaymentId(1))).expect("it is there");
        (format!("{:?}", order(&app, 1)), payment.nonce, app.store.seq().expect("it reads"))
    };
    assert_eq!(dump(1), dump(1));
    assert_ne!(dump(1).1, dump(2).1);
}

#[test]
fn stock_that_is_not_its_movements_is_i1() {
    plant("I1", "variant 1", |tx| {
        let mut stock = STOCK.expect(tx, &VariantId(1))?;
        stock.quantity += 1;
        STOCK.put(tx, &VariantId(1), &stock)
    });
    plant("I1", "movement 2", |tx| {
        let mut movement = MOVEMENTS.expect(tx, &MovementId(2))?;
        movement.delta -= 20;
        MOVEMENTS.put(tx, &MovementId(2), &movement)
    });
}

#[test]
fn totals_that_do_not_add_up_are_i2() {
    plant_in_order("I2", 1, |order| order.total.minor += 1);
    plant_in_order("I2", 1, |order| order.lines[0].total.minor -= 1);
    plant_in_order("I2", 1, |order| order.lines[0].discount.minor += 1);
    plant_in_order("I2", 1, |order| order.lines[0].discount.minor = 801);
    plant_in_order("I2", 1, |order| order.tax.minor = -1);
}

#[test]
fn stock_that_an_order_does_not_hold_is_i3() {
    plant_in_order("I3", 1, |order| order.lines[0].quantity += 1);
    plant_in_order("I3", 1, |order| order.status = Status::Cancelled);
    plant_in_order("I3", 2, |order| order.status = Status::Pending);
}

#[test]
fn units_that_are_sent_twice_or_never_are_i3() {
    let parcel =
        |id, units| Fulfilment { id, lines: vec![(1, units)], tracking: Tracking::default(), at: Time(1) };
    plant_in_order("I3", 1, move |order| order.fulfilments = vec![parcel(1, 2), parcel(2, 1)]);
    plant_in_order("I3", 1, move |order| order.fulfilments = vec![parcel(2, 1)]);
    plant_in_order("I3", 1, move |order| order.fulfilments = vec![parcel(1, 2)]);
    plant_in_order("I3", 1, |order| order.lines[0].withdrawn = 3);
    plant_in_order("I3", 1, |order| {
        order.status = Status::Shipped;
        order.lines[0].withdrawn = 1;
    });
}

#[test]
fn money_that_does_not_add_up_is_i4() {
    plant_in_order("I4", 1, |order| order.payment_status = PaymentStatus::Unpaid);
    plant("I4", "order 1", |tx| {
        let mut payment = PAYMENTS.expect(tx, &PaymentId(1))?;
        payment.captured.minor -= 1;
        PAYMENTS.put(tx, &PaymentId(1), &payment)
    });
    plant("I4", "order 2", |tx| {
        let mut payment = PAYMENTS.expect(tx, &PaymentId(2))?;
        payment.captured = payment.amount;
        PAYMENTS.put(tx, &PaymentId(2), &payment)
    });
    plant("I4", "payment 3", |tx| ORDERS.delete(tx, &OrderId(3)));
}

#[test]
fn invoices_that_are_missing_or_out_of_order_are_i6() {
    plant("I6", "order 1", |tx| INVOICES.delete(tx, &InvoiceId(1)));
    plant("I6", "invoice 1", |tx| {
        let mut invoice = INVOICES.expect(tx, &InvoiceId(1))?;
        invoice.total.minor += 100;
        INVOICES.put(tx, &InvoiceId(1), &invoice)
    });
    plant("I6", "invoices", |tx| COUNTERS.put(tx, &"invoices".to_owned(), &2));
    plant("I6", "invoice 3", |tx| {
        let invoice = INVOICES.expect(tx, &InvoiceId(1))?;
        INVOICES.delete(tx, &InvoiceId(1))?;
        INVOICES.put(tx, &InvoiceId(3), &invoice)
    });
}

#[test]
fn coupons_that_are_used_too_often_or_miscounted_are_i7() {
    let change = |change: fn(&mut Coupon)| {
        plant("I7", "coupon SPRING", move |tx| {
            let mut coupon = COUPONS.expect(tx, &code())?;
            change(&mut coupon);
            COUPONS.put(tx, &code(), &coupon)
        });
    };
    change(|coupon| coupon.used = 2);
    change(|coupon| coupon.terms.max_uses = Some(0));
    change(|coupon| coupon.terms.max_uses_per_user = Some(0));
    plant("I7", "coupon SPRING", |tx| COUPONS.delete(tx, &code()));
    plant("I7", "coupon SPRING", |tx| USES.delete(tx, &(code(), UserId(1))));
    plant("I7", "coupon SPRING", |tx| USES.put(tx, &(code(), UserId(2)), &Use { coupon: code(), times: 1 }));
    plant("I7", "coupon SPRING", |tx| {
        let mut order = ORDERS.expect(tx, &OrderId(1))?;
        order.coupon_code = None;
        ORDERS.put(tx, &OrderId(1), &order)
    });
    plant("I7", "coupon OTHER", |tx| {
        let mut order = ORDERS.expect(tx, &OrderId(1))?;
        order.coupon_code = "other".parse().ok();
        ORDERS.put(tx, &OrderId(1), &order)
    });
}

#[test]
fn ratings_that_are_not_those_of_the_visible_reviews_are_i8() {
    let reviewed = |change: fn(&mut crate::store::WriteTx) -> Result<(), StoreError>| {
        plant("I8", "product 1", move |tx| {
            let review = Review {
                product: ProductId(1),
                user: UserId(1),
                rating: 4,
                title: String::new(),
                comment: String::new(),
                is_hidden: false,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            let id = ReviewId(tx.next_number("reviews")?);
            REVIEWS.put(tx, &id, &review)?;
            STARS.put(tx, &ProductId(1), &Stars([0, 0, 0, 1, 0]))?;
            catalogue::rate(tx, ProductId(1), Rating { sum: 4, count: 1 })?;
            change(tx)
        });
    };
    reviewed(|tx| catalogue::rate(tx, ProductId(1), Rating { sum: 5, count: 1 }));
    reviewed(|tx| STARS.put(tx, &ProductId(1), &Stars([0, 0, 0, 0, 1])));
    reviewed(|tx| REVIEWS.delete(tx, &ReviewId(1)));
    reviewed(|tx| {
        let review = REVIEWS.expect(tx, &ReviewId(1))?;
        REVIEWS.put(tx, &ReviewId(1), &Review { is_hidden: true, ..review })
    });
    reviewed(|tx| {
        let review = REVIEWS.expect(tx, &ReviewId(1))?;
        REVIEWS.put(tx, &ReviewId(1), &Review { rating: 3, ..review })
    });
}

#[test]
fn moves_that_the_machine_lacks_are_i9() {
    plant_in_order("I9", 1, |order| order.status = Status::Completed);
    plant_in_order("I9", 1, |order| order.history.truncate(1));
    plant_in_order("I9", 1, |order| order.history.clear());
}

/// The orders, without their indexes: what is put here is not entered anywhere.
static BARE: Table<OrderId, Order> = Table::new("orders", &[]);

fn plant_in_index(tx: &mut crate::store::WriteTx) -> Result<(), StoreError> {
    let mut order = ORDERS.expect(tx, &OrderId(1))?;
    order.email = "somebody@example.com".parse().expect("an address");
    BARE.put(tx, &OrderId(1), &order)
}

fn plant_in_counter(tx: &mut crate::store::WriteTx) -> Result<(), StoreError> {
    COUNTERS.put(tx, &"orders".to_owned(), &2)
}

#[test]
fn indexes_and_counters_that_disagree_are_i5_and_can_be_made_anew() {
    plant("I5", "orders OrderId(1)", plant_in_index);
    plant("I5", "counter orders", plant_in_counter);
    let app = shop(1);
    app.store.write_now(|tx| plant_in_index(tx).and_then(|()| plant_in_counter(tx))).expect("planted");
    assert_eq!(app.store.write_now(repair).expect("done"), 3, "an entry too many, one missing, one counter");
    assert_eq!(check(&app).expect("it reads"), []);
    assert_eq!(app.store.write_now(repair).expect("done"), 0);
}

#[test]
fn a_row_that_does_not_decode_is_i5() {
    static TEXTS: Table<OrderId, String> = Table::new("orders", &[]);
    plant("I5", "orders OrderId(2)", |tx| TEXTS.put(tx, &OrderId(2), &"no order".to_owned()));
}

#[test]
fn what_is_taken_in_twice_or_never_asked_after_is_i10() {
    plant("I10", "payment 2", |tx| {
        let mut payment = PAYMENTS.expect(tx, &PaymentId(2))?;
        payment.status = payments::Status::RequiresPayment;
        payment.next_look_at = None;
        PAYMENTS.put(tx, &PaymentId(2), &payment)
    });
    plant("I10", "payment 2", |tx| {
        for id in [1, 2] {
            let mut payment = PAYMENTS.expect(tx, &PaymentId(id))?;
            payment.charge = Some("ch_1".into());
            PAYMENTS.put(tx, &PaymentId(id), &payment)?;
        }
        Ok(())
    });
    plant("I10", "event evt_1", |tx| {
        let event = GatewayEvent {
            provider: "stripe".into(),
            kind: "payment_intent.succeeded".into(),
            subject: Subject::Payment("pi_1".into()),
            received_at: tx.now(),
            next_try_at: None,
            tries: 0,
        };
        EVENTS.put(tx, &("stripe".to_owned(), "evt_1".to_owned()), &event)
    });
}

#[test]
fn whoever_was_erased_and_is_still_there_is_i11() {
    let erasure = || crate::privacy::store::Erasure { at: Time(0), by: "operator".into(), address: None };
    plant("I11", "user 1", move |tx| crate::privacy::store::ERASURES.put(tx, &UserId(1), &erasure()));
}

#[test]
fn a_cause_that_nobody_is_mailed_of_is_i10() {
    let forget = |cause: outbox::Cause| {
        move |tx: &mut crate::store::WriteTx| {
            let id = BY_CAUSE.find(tx, &cause.key())?.expect("it was posted");
            MAILS.delete(tx, &id)
        }
    };
    plant("I10", "order 2", forget(outbox::Cause::OrderReceived(OrderId(2))));
    plant("I10", "order 1", forget(outbox::Cause::OrderPaid(OrderId(1))));
    plant("I10", "order 3", forget(outbox::Cause::OrderCancelled(OrderId(3))));
}
