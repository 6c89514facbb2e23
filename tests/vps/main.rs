//! A server with systemd, from empty to a shop that sells, is upgraded and goes back: Debian in a container.
//!
//! It needs root, `debootstrap` and `systemd-nspawn` (Debian: systemd-container), and the network at the first run.

mod machine;
mod service;
#[expect(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/support.rs"]
mod support;
