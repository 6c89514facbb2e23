//! till: a whole online shop in one binary.
//!
//! The rooms, in the order of who may know whom: a room calls those above it, never one below.
//!
//! - [`money`], [`clock`], [`id`], [`page`], [`pace`], [`hex`], [`address`], [`advice`], [`cells`], [`described`],
//!   [`meters`]: the words that every room uses.
//! - [`audit`], [`outbox`], [`accounts`], [`inventory`], [`catalogue`], [`promotions`], [`cart`], [`orders`],
//!   [`payments`], [`checkout`], [`reviews`], [`wishlist`], [`reports`], [`mail`], [`privacy`]: the shop.
//! - [`check`] looks at all of it; [`jobs`] is what happens on a clock; [`backup`] makes
//!   copies, seals them, takes them elsewhere and back; [`upkeep`] keeps the file small.
//! - [`certs`] has the certificate that the shop is known by over HTTPS.
//! - [`telemetry`] is how whoever watches over the shop is told, [`metrics`] the figures that they are told.
//! - [`http`] and [`store`] are the machine underneath. They know the rooms only where `http/mod.rs` mounts them
//!   and `store/schema.rs` lists their tables.
//! - [`app`] puts the shop together, [`config`] says how, [`demo`] fills one to try things out, [`cli`] is the
//!   operator's way in.
//!
//! A read goes listener → route → limits → one read transaction → bytes. A write goes listener → route → validation → an
//! act, run by the store's one writer in a durable commit shared with whatever else waits → answer.

pub mod accounts;
pub mod address;
pub mod advice;
pub mod app;
pub mod audit;
pub mod backup;
pub mod cart;
pub mod catalogue;
pub mod cells;
pub mod certs;
pub mod check;
pub mod checkout;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod described;
pub mod hex;
pub mod http;
pub mod id;
pub mod inventory;
pub mod jobs;
pub mod mail;
pub mod meters;
pub mod metrics;
pub mod money;
pub mod orders;
pub mod outbox;
pub mod pace;
pub mod page;
pub mod payments;
pub mod privacy;
pub mod promotions;
pub mod reports;
pub mod reviews;
pub mod store;
pub mod telemetry;
pub mod upkeep;
pub mod wishlist;
