//! From what stands in the outbox to a letter.

use minijinja::{Value, context};

use super::facts::{self, at};
use super::model::{Attachment, Letter, Voice};
use super::templates::Templates;
use crate::accounts::{self, Email, Keys, User, store::ADMINS, store::USERS};
use crate::address::Address;
use crate::catalogue;
use crate::clock::Time;
use crate::id::{MailId, OrderId, PaymentId, ProductId, RefundId, UserId, VariantId};
use crate::inventory;
use crate::orders::{self, Order, Status, store::ORDERS};
use crate::outbox::{Cause, Mail};
use crate::payments::store::{DISPUTES, PAYMENTS, REFUNDS, STRAYS};
use crate::payments::{self, PaymentError};
use crate::store::{Reads, StoreError};

/// What letters are made with.
pub struct Desk<'a> {
    pub voice: &'a Voice,
    pub templates: &'a Templates,
    pub keys: &'a Keys,
    /// This shop's own id.
    pub shop: &'a str,
    /// Whether links show the secrets that make them work.
    pub shows_secrets: bool,
}

/// What became of it.
pub enum Composed {
    Letter(Box<Letter>),
    /// It would make no sense; why.
    Senseless(&'static str),
}

/// The inside of a letter, before it has words.
struct Draft {
    to: Vec<Email>,
    facts: Value,
    attachments: Vec<Attachment>,
}

/// A draft, or why there is none.
type Drafted = Result<Draft, &'static str>;

const GONE: &str = "what it is about is not there any more";
const NOBODY: &str = "there is nobody to send it to";
/// What stands in the place of a secret.
const MASK: &str = "********";

/// Makes the letter of a mail, from the records as they are now.
pub fn compose(tx: &impl Reads, desk: &Desk<'_>, id: MailId, mail: &Mail) -> Result<Composed, StoreError> {
    let draft = match draft(tx, desk, &mail.cause)? {
        Ok(draft) => draft,
        Err(why) => return Ok(Composed::Senseless(why)),
    };
    let to: Vec<Email> = draft.to.into_iter().filter(|to| !to.is_nobodys()).collect();
    if to.is_empty() {
        return Ok(Composed::Senseless(NOBODY));
    }
    // What tells it from the mail of another shop, and from one that had this id before a restore.
    let own = format!("{id}.{}.{}", mail.created_at.0, desk.shop);
    let letter = write(desk, &own, mail.cause.kind(), &draft.facts, mail.created_at, to, draft.attachments);
    Ok(Composed::Letter(Box::new(letter)))
}

/// A letter that tells of nothing, to try the mail server with.
pub fn trial(desk: &Desk<'_>, to: Email, now: Time, nonce: &str) -> Letter {
    write(desk, &format!("trial.{nonce}"), "trial", &context! {}, now, vec![to], Vec::new())
}

fn write(
    desk: &Desk<'_>,
    own: &str,
    kind: &str,
    facts: &Value,
    date: Time,
    to: Vec<Email>,
    attachments: Vec<Attachment>,
) -> Letter {
    let whole = context! { shop => facts::shop(desk.voice), ..facts };
    let words = desk.templates.render(kind, &whole);
    let from = desk.voice.from.clone();
    let domain = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain.trim_end_matches('>'));
    Letter {
        message_id: format!("<{own}@{domain}>"),
        from,
        to,
        date,
        subject: words.subject,
        text: words.text,
        html: words.html,
        attachments,
    }
}

fn draft(tx: &impl Reads, desk: &Desk<'_>, cause: &Cause) -> Result<Drafted, StoreError> {
    let voice = desk.voice;
    match cause {
        Cause::OrderReceived(id) => of_order(tx, voice, *id, |_| Ok(context! {})),
        Cause::OrderPaid(id) => paid(tx, voice, *id),
        Cause::PaymentFailed { payment, said, .. } => failed(tx, voice, *payment, said),
        Cause::Shipped { order, parcel, tracked } => {
            of_order(tx, voice, *order, |order| shipped(order, *parcel, *tracked, voice))
        }
        Cause::OrderCancelled(id) => of_order(tx, voice, *id, |order| {
            let reason = order.history.last().map(|moved| moved.note.clone()).unwrap_or_default();
            Ok(context! { reason => reason })
        }),
        Cause::Refunded(id) => refunded(tx, voice, *id),
        Cause::PasswordReset { user, asked_at } => {
            let made = accounts::reset_token(tx, desk.keys, *user, *asked_at)?;
            linked(tx, *user, &voice.reset_url, made, desk.shows_secrets)
        }
        Cause::VerifyAddress { user, asked_at } => {
            let made = accounts::proof_token(tx, desk.keys, *user, *asked_at)?;
            linked(tx, *user, &voice.verify_url, made, desk.shows_secrets)
        }
        Cause::BackInStock { user, product, variant, .. } => back(tx, voice, *user, *product, *variant),
        Cause::LowStock { variants, more, .. } => low(tx, voice, variants, *more),
        Cause::RefundFailed(id) => refund_failed(tx, voice, *id),
        Cause::Stray { provider, reference } => stray(tx, voice, provider, reference),
        Cause::Disputed { provider, reference, stand } => disputed(tx, voice, provider, reference, stand),
        Cause::WrongAmount(id) => wrong_amount(tx, voice, *id),
        Cause::BackupFailed { at: time, said } => {
            to_admins(tx, voice, context! { at => at(*time), said => said })
        }
    }
}

/// To whoever ordered.
fn of_order(
    tx: &impl Reads,
    voice: &Voice,
    id: OrderId,
    more: impl FnOnce(&Order) -> Result<Value, &'static str>,
) -> Result<Drafted, StoreError> {
    let theirs = |order: &Order| !orders::is_nobodys(order);
    let Some(mut order) = ORDERS.get(tx, &id)?.filter(theirs) else { return Ok(Err(GONE)) };
    let is_proven = USERS.get(tx, &order.user)?.is_some_and(|user| user.verified_at.is_some());
    if !is_proven && order.paid_at.is_none() {
        // As with names: what nobody paid for must not carry a stranger's words to an address.
        order.shipping_address = Address::default();
    }
    Ok(more(&order).map(|more| Draft {
        to: vec![order.email.clone()],
        facts: context! { order => facts::order(id, &order, voice), ..more },
        attachments: Vec::new(),
    }))
}

/// To whoever runs the shop.
fn to_admins(tx: &impl Reads, voice: &Voice, facts: Value) -> Result<Drafted, StoreError> {
    let mut to = voice.admins.clone();
    if to.is_empty() {
        for id in ADMINS.all(tx, &0)? {
            to.push(USERS.expect(tx, &id)?.email);
        }
    }
    Ok(Ok(Draft { to, facts, attachments: Vec::new() }))
}

/// To whoever runs the shop, about an order.
fn about_order(tx: &impl Reads, voice: &Voice, id: OrderId, more: Value) -> Result<Drafted, StoreError> {
    let Some(order) = ORDERS.get(tx, &id)? else { return Ok(Err(GONE)) };
    to_admins(tx, voice, context! { order => facts::order(id, &order, voice), ..more })
}

fn to_user(tx: &impl Reads, id: UserId, facts: impl FnOnce(Value) -> Value) -> Result<Drafted, StoreError> {
    let Some(user) = USERS.get(tx, &id)?.filter(|user| user.is_active) else { return Ok(Err(GONE)) };
    let User { email, name, verified_at, .. } = user;
    // Anybody can register somebody else's address, with a name that says what they like.
    let name = if verified_at.is_some() { name } else { String::new() };
    let facts = facts(context! { name => name, email => email.as_str() });
    Ok(Ok(Draft { to: vec![email], facts, attachments: Vec::new() }))
}

fn paid(tx: &impl Reads, voice: &Voice, id: OrderId) -> Result<Drafted, StoreError> {
    let Ok((number, invoice)) = orders::invoice_of(tx, id) else { return Ok(Err(GONE)) };
    let drafted = of_order(tx, voice, id, |_| Ok(context! {}))?;
    Ok(drafted.map(|mut draft| {
        let name = format!("{}.pdf", orders::invoice_number(number));
        let content = orders::papers::invoice_pdf(number, &invoice);
        draft.attachments.push(Attachment { name, content_type: "application/pdf", content });
        draft
    }))
}

fn failed(tx: &impl Reads, voice: &Voice, id: PaymentId, said: &str) -> Result<Drafted, StoreError> {
    let Some(payment) = PAYMENTS.get(tx, &id)? else { return Ok(Err(GONE)) };
    of_order(tx, voice, payment.order, |order| {
        if order.status == Status::Pending {
            Ok(context! { said => said })
        } else {
            Err("the order was paid or cancelled since")
        }
    })
}

fn shipped(order: &Order, parcel: u64, tracked: bool, voice: &Voice) -> Result<Value, &'static str> {
    let found = order.fulfilments.iter().find(|found| found.id == parcel).ok_or(GONE)?;
    let tracking = voice.carriers.linked(&found.tracking, &order.shipping_address);
    if !tracked && !tracking.carrier.is_empty() {
        return Err("how it is sent is known by now, which is told by itself");
    }
    let line = |id: u64| order.lines.iter().find(|line| line.id == id);
    let items: Vec<Value> =
        found.lines.iter().filter_map(|(id, units)| Some(facts::item(line(*id)?, *units))).collect();
    Ok(context! {
        parcel => context! {
            is_part => order.status == Status::Processing, items => items, carrier => tracking.carrier,
            number => tracking.number, url => tracking.url,
        },
    })
}

fn refunded(tx: &impl Reads, voice: &Voice, id: RefundId) -> Result<Drafted, StoreError> {
    let Some(refund) = REFUNDS.get(tx, &id)? else { return Ok(Err(GONE)) };
    if refund.status != orders::RefundStatus::Succeeded {
        return Ok(Err("the money did not stay there"));
    }
    let told = context! {
        amount => refund.amount.to_string(), currency => refund.amount.currency.code(), reason => refund.reason,
        is_surplus => refund.is_surplus,
    };
    of_order(tx, voice, refund.order, |_| Ok(context! { refund => told }))
}

/// To a user, with a link that is good for a while.
fn linked(
    tx: &impl Reads,
    user: UserId,
    url: &str,
    made: Option<(String, Time)>,
    shows_secrets: bool,
) -> Result<Drafted, StoreError> {
    let Some((token, until)) = made else {
        return Ok(Err("its link was used, ran out, or there is a newer one"));
    };
    let token = if shows_secrets { &token } else { MASK };
    let link = format!("{url}{token}");
    to_user(tx, user, |user| context! { user => user, link => link, until => at(until) })
}

fn back(
    tx: &impl Reads,
    voice: &Voice,
    user: UserId,
    product: ProductId,
    variant: VariantId,
) -> Result<Drafted, StoreError> {
    let offered = catalogue::offer(tx, product, variant)?.filter(|(.., stock)| stock.quantity > 0);
    let Some((product, variant, _)) = offered else { return Ok(Err("it is gone again")) };
    let told = context! {
        options => facts::options(&product.choices(&variant)),
        price => variant.price.to_string(),
        currency => variant.price.currency.code(),
        url => format!("{}/products/{}", voice.shop_url, product.slug),
        name => product.name,
    };
    to_user(tx, user, |user| context! { user => user, product => told })
}

fn low(tx: &impl Reads, voice: &Voice, variants: &[VariantId], more: u64) -> Result<Drafted, StoreError> {
    let mut items = Vec::new();
    for variant in variants {
        let stock = inventory::stock_of(tx, *variant)?;
        // What was filled up meanwhile is no news.
        let Some(low_at) = stock.low_at.filter(|_| stock.is_low()) else { continue };
        let named = catalogue::describe(tx, *variant)?;
        let options: Vec<_> =
            named.options.iter().map(|(option, value)| format!("{option}: {value}")).collect();
        items.push(context! {
            name => named.name, options => options.join(", "), sku => named.sku, quantity => stock.quantity, low_at => low_at,
        });
    }
    if items.is_empty() {
        return Ok(Err("nothing of it is low any more"));
    }
    let count = items.len() as u64 + more;
    to_admins(tx, voice, context! { items => items, more => more, count => count })
}

fn refund_failed(tx: &impl Reads, voice: &Voice, id: RefundId) -> Result<Drafted, StoreError> {
    let Some(refund) = REFUNDS.get(tx, &id)? else { return Ok(Err(GONE)) };
    if refund.status != orders::RefundStatus::Failed {
        return Ok(Err("the money went back after all"));
    }
    let again_at = match payments::failed(tx) {
        Ok(all) => all.into_iter().find(|failed| failed.id == id).and_then(|failed| failed.again_at),
        Err(PaymentError::Store(error)) => return Err(error),
        Err(_) => None,
    };
    let told = context! {
        id => id.0, amount => refund.amount.to_string(), currency => refund.amount.currency.code(),
        provider => refund.provider, said => refund.last_error.map(|told| told.message), again_at => again_at.map(at),
    };
    about_order(tx, voice, refund.order, context! { refund => told })
}

fn stray(tx: &impl Reads, voice: &Voice, provider: &str, reference: &str) -> Result<Drafted, StoreError> {
    let Some(stray) = STRAYS.get(tx, &(provider.to_owned(), reference.to_owned()))? else {
        return Ok(Err(GONE));
    };
    let waits = stray.status == orders::RefundStatus::Pending && stray.next_look_at.is_none();
    let told = context! {
        provider => provider, reference => reference, amount => stray.amount.to_string(),
        currency => stray.amount.currency.code(), waits => waits,
    };
    to_admins(tx, voice, context! { stray => told })
}

fn disputed(
    tx: &impl Reads,
    voice: &Voice,
    provider: &str,
    reference: &str,
    stand: &str,
) -> Result<Drafted, StoreError> {
    let Some(dispute) = DISPUTES.get(tx, &(provider.to_owned(), reference.to_owned()))? else {
        return Ok(Err(GONE));
    };
    if dispute.stand.as_str() != stand {
        return Ok(Err("it stands otherwise by now, which is told by itself"));
    }
    let told = context! {
        provider => provider, reference => reference, stand => stand, amount => dispute.amount.to_string(),
        currency => dispute.amount.currency.code(), reason => dispute.reason, due_by => dispute.due_by.map(at),
    };
    about_order(tx, voice, dispute.order, context! { dispute => told })
}

fn wrong_amount(tx: &impl Reads, voice: &Voice, id: PaymentId) -> Result<Drafted, StoreError> {
    let Some(payment) = PAYMENTS.get(tx, &id)? else { return Ok(Err(GONE)) };
    let told = context! {
        id => id.0, provider => payment.provider, reference => payment.reference.unwrap_or_default(),
    };
    about_order(tx, voice, payment.order, context! { payment => told })
}
