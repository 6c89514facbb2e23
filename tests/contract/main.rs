//! The API's description put to use by others, against the real binary: a browser on the page that shows it, a
//! client generated from it, and Schemathesis, which holds every answer against it.
//!
//! Needs Node.js 20 with npm, Chromium, Python 3 with venv, and the network at the first run.

mod browser;
mod client;
mod node;
mod schemathesis;
mod shop;
#[expect(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/support.rs"]
mod support;
