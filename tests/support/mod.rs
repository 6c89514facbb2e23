//! Those whom the shop talks to, of the tests' own: a Stripe and a PayPal that keep state, are strict about what they are
//! sent, and let a test play the customer, the dashboard and the network; a Sentry and a Rollbar; and a receiver of
//! telemetry.

// Each test target uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod fault;
pub mod otlp;
pub mod paypal;
pub mod serve;
pub mod sinks;
pub mod spec;
pub mod stripe;
