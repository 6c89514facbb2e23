//! Mail: what stands in the outbox is made into letters and handed to the shop's mail server.
//!
//! - A cause is mailed at least once: a letter that the server took is sent again only where a crash came between its
//!   word and our commit, and then under the same `Message-ID`.
//! - A letter is made when it goes out, from the records as they are then. One that makes no sense any more is not sent.
//! - A server that is down, slow or says no delays mails, and nothing else.

pub mod admin;
mod check;
mod compose;
mod facts;
mod low;
mod model;
mod retry;
mod send;
mod smtp;
mod templates;

pub use check::check;
pub use model::{Attachment, Connection, Letter, Undelivered, Voice};
pub use send::{HELPERS, Mailer, help_send, send_due};
pub use smtp::{Server, Smtp, Transport, sender};
pub use templates::{BUILT_IN, Rendered, Templates};
