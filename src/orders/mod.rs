//! Orders as records: lines, totals, status and history, invoices and credit notes.
//!
//! - Totals are fixed when the order is placed, and add up (I2).
//! - A live order holds exactly its quantities; a cancelled one has given them back, once (I3).
//! - `status` moves only along its machine's edges ([`Status::after`]), and each move stands in the history (I9).
//! - A unit is sent once, and not at all when its money went back before.
//! - Invoice and credit-note numbers have no gaps; a paid order has exactly one invoice, which never changes (I6).

pub mod admin;
mod carriers;
mod check;
mod credit;
mod erase;
pub mod export;
pub mod http;
mod invoice;
mod lifecycle;
mod model;
mod old;
mod ops;
pub mod papers;
mod parcel;
mod ship;
pub(crate) mod store;
mod tracking;
mod view;

pub use carriers::{Carrier, CarrierView, Carriers};
pub use check::check;
pub use credit::{CreditNote, CreditNoteView};
pub use erase::{erase, is_nobodys};
pub use invoice::{Invoice, InvoiceView, Seller, number as invoice_number};
pub use lifecycle::{Event, Status};
pub use model::{
    Fulfilment, NewOrder, Order, OrderError, OrderLine, PaymentStatus, RefundNote, RefundStatus, Tracking,
};
pub use ops::{
    Crediting, cancel, credit, credit_notes, extend_hold, get, has_bought, hold_until, invoice as invoice_of,
    note_payment_status, note_refund, place, record_paid, set_note, uncredit, wants,
};
pub use parcel::{GivenBack, units_of};
pub use ship::{Parcel, TakenBack, correct, deliver, send, take_back, withdraw_rest};
pub use view::OrderView;
