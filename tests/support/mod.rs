//! A Stripe and a PayPal of the tests' own: they keep state, are strict about what they are sent, and let a test play
//! the customer, the dashboard and the network.

// Each test target uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod fault;
pub mod paypal;
pub mod serve;
pub mod spec;
pub mod stripe;
