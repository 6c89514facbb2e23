//! The real binary: started, asked, killed, and started again.

mod backup;
mod bucket;
mod commands;
mod crash;
#[path = "../support/mod.rs"]
mod fakes;
mod gateways;
mod keys;
mod mail;
mod readme;
mod sealed;
mod secrets;
mod serve;
mod shoppers;
mod slow;
mod stop;
mod support;
mod terminal;
mod upgrade;
