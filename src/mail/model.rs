//! The nouns of mail.

use async_trait::async_trait;

use crate::accounts::Email;
use crate::clock::Time;
use crate::orders::{Carriers, Seller};

/// How the shop's mails speak.
#[derive(Clone, Debug)]
pub struct Voice {
    pub seller: Seller,
    /// An address, or a name with an address in angle brackets.
    pub from: String,
    /// Who gets the administrators' mails; empty: all of them.
    pub admins: Vec<Email>,
    /// Who has pages where parcels can be followed.
    pub carriers: Carriers,
    pub shop_url: String,
    /// An order's id is added.
    pub order_url: String,
    /// A token is added.
    pub reset_url: String,
    /// A token is added.
    pub verify_url: String,
}

/// A mail as it goes out.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The same at every try: whoever gets it twice can tell.
    pub message_id: String,
    pub from: String,
    pub to: Vec<Email>,
    /// When its cause took place.
    pub date: Time,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub attachments: Vec<Attachment>,
}

#[derive(Clone, Debug)]
pub struct Attachment {
    pub name: String,
    pub content_type: &'static str,
    pub content: Vec<u8>,
}

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// For good: this letter, or all it is to.
    Refused(String),
    /// For now; or nobody knows whether it was taken.
    Later(String),
}

/// A mail server that listens.
#[async_trait]
pub trait Connection: Send {
    /// Hands a letter over; what the server said to it. One that goes to several is delivered when any of them takes it.
    async fn send(&mut self, letter: &Letter) -> Result<String, Undelivered>;
    /// Whether another letter can follow.
    fn is_open(&self) -> bool;
    async fn close(&mut self);
}
