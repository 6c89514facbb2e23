//! All that the shop holds on a person.

use schemars::JsonSchema;
use serde::Serialize;

use super::dealings;
use crate::accounts::{self, KnownView, SessionView, UserView};
use crate::app::App;
use crate::cart;
use crate::clock::Time;
use crate::id::{MailId, OrderId, UserId};
use crate::orders::{self, CreditNoteView, InvoiceView, OrderView};
use crate::outbox::store::MAILS;
use crate::outbox::{self, State};
use crate::payments::{self, AdminView, PaymentError};
use crate::reviews::{self, ReviewView};
use crate::store::{ReadTx, Reads, StoreError};
use crate::wishlist::{self, WishView};

/// All that the shop holds on a person.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PersonalData")]
pub struct Export {
    exported_at: Time,
    user: UserView,
    /// Where they are logged in.
    sessions: Vec<SessionView>,
    /// From where they have logged in. Which places these are is not kept.
    known_places: Vec<KnownView>,
    cart: Vec<cart::Line>,
    orders: Vec<OrderExport>,
    reviews: Vec<ReviewView>,
    wishlist: Vec<WishView>,
    mails: Vec<MailExport>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PersonalOrder")]
struct OrderExport {
    #[serde(flatten)]
    order: OrderView,
    /// Null until it is paid.
    invoice: Option<InvoiceView>,
    credit_notes: Vec<CreditNoteView>,
    payments: Vec<AdminView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PersonalMail")]
struct MailExport {
    kind: &'static str,
    state: State,
    created_at: Time,
}

/// `base` is what links begin with.
pub fn export(app: &App, tx: &ReadTx, id: UserId, base: &str) -> Result<Export, PaymentError> {
    let theirs = dealings::of(tx, id)?;
    let orders = theirs.orders.iter().map(|order| of_order(app, tx, *order, base));
    let orders = orders.collect::<Result<Vec<_>, _>>()?;
    let mut mails = outbox::to(tx, &theirs)?;
    mails.sort_unstable();
    Ok(Export {
        exported_at: tx.now(),
        user: UserView::new(id, accounts::get(tx, id)?),
        sessions: accounts::sessions(tx, id)?,
        known_places: accounts::known_places(tx, id)?,
        cart: cart::get(tx, id)?.lines,
        orders,
        reviews: reviews::own(tx, id)?,
        wishlist: wishlist::all(tx, id)?,
        mails: mails.into_iter().map(|mail| of_mail(tx, mail)).collect::<Result<Vec<_>, _>>()?,
    })
}

fn of_mail(tx: &ReadTx, id: MailId) -> Result<MailExport, StoreError> {
    let mail = MAILS.expect(tx, &id)?;
    Ok(MailExport { kind: mail.cause.kind(), state: mail.state, created_at: mail.created_at })
}

fn of_order(app: &App, tx: &ReadTx, id: OrderId, base: &str) -> Result<OrderExport, PaymentError> {
    let order = orders::get(tx, id)?;
    let (invoice, credit_notes) = match orders::invoice_of(tx, id) {
        Ok((number, invoice)) => {
            let notes = orders::credit_notes(tx, id)?;
            let notes = notes.iter().map(|(number, note)| note.view(*number, &invoice)).collect();
            (Some(invoice.view(number)), notes)
        }
        Err(orders::OrderError::InvoiceNotReady) => (None, Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let payments = payments::of_order(tx, id)?.into_iter();
    let payments = payments.map(|(id, payment)| payments::admin_view(tx, id, &payment));
    Ok(OrderExport {
        order: orders::http::view(app, base, tx, id, order)?,
        invoice,
        credit_notes,
        payments: payments.collect::<Result<_, StoreError>>()?,
    })
}
