//! The outbox: mails that are to go out, written in the commit of what they tell of.
//!
//! - A cause has one mail, however often it is posted.
//! - A mail holds what it is about, as ids: neither address nor text. Whoever is erased from the shop is in no mail.
//! - A mail that waits is due at some time; one that does not was sent, given up for all to see, or had lost its sense.
//!
//! Room `mail` makes letters of them and sends them.

mod model;
mod ops;
pub mod store;

pub use model::{Addressee, Cause, Mail, State};
pub use ops::{
    begin, cancel, complete_since, count, due, due_before, forget, get, give_up, oldest_waiting, page, post,
    put_off, scrub, send_again, sent, to,
};
