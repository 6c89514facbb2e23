//! Payments: the journal comes first.
//!
//! - A payment attempt is written down, with its idempotency key, before any call goes out; a call whose
//!   outcome is unknown is made again with the same key.
//! - Whatever is learned, from whomever, ends in [`settle`], which is idempotent and only moves forward.
//! - An order has one live payment at most. Captured money belongs to an order or is on its way back (I4).
//! - A live payment that is to end is first journalled as *closing*; only when the gateway says that it is
//!   cancelled does what it was closed for take place.
//! - What a gateway tells by itself is a hint: its object, fetched, is the truth.

pub mod admin;
mod beside;
mod cards;
mod check;
mod disputes;
mod drive;
mod erase;
mod events;
mod failed;
pub mod gateway;
pub mod http;
mod lifecycle;
mod list;
mod model;
mod old;
mod once;
mod ops;
mod reconcile;
pub mod report;
mod restored;
mod returned;
mod settle;
pub mod stopped;
pub(crate) mod store;
mod strays;
mod sweep;
mod unfinished;
mod view;
pub mod webhook;

pub use cards::{Cards, NotAdmitted, is_known_customer};
pub use check::check;
pub use disputes::may_send;
pub use drive::{DriveError, drive, drive_refund, look, look_at_refunds};
pub use erase::{erase, is_under_way};
pub use events::{forget_events, receive, work_events};
pub use failed::{failed, settle_by_hand, try_again};
pub use lifecycle::Status;
pub use model::{
    Closing, Disputed, GatewayEvent, NOTHING_TO_PAY, Payment, PaymentError, Refund, Subject, Told, Why,
};
pub use ops::{
    NewRefund, begin, begin_anew, begin_refund, close, get, get_refund, left_of, live_of, may_refund,
    of_order, pay_by_hand, record_nothing_to_pay, refund_rest, refunds_of,
};
pub use reconcile::{reconcile, reconcile_all, warn_of_switched_off};
pub use restored::{Restored, confirm, mark, restored};
pub use returned::settle_refund;
pub use settle::{Terms, give_up, settle};
pub use stopped::{forget_stopped, note_stopped};
pub use sweep::look_around;
pub use unfinished::{Open, open, open_refunds, waiting_events};
pub use view::{AdminView, admin_view};
