//! The fake gateways, tried out: what they answer is judged by the gateways' published descriptions.

#[path = "../support/mod.rs"]
mod support;

mod paypal;
mod spec;
mod stripe;
