//! The real binary: started, asked, killed, and started again.

mod acme;
mod backup;
mod bucket;
mod commands;
mod crash;
mod deploy;
mod doctor;
mod errors;
#[path = "../support/mod.rs"]
mod fakes;
mod gateways;
mod https;
mod init;
mod keys;
mod mail;
mod monitoring;
mod pebble;
mod platform;
mod readme;
mod sealed;
mod secrets;
mod serve;
mod settings;
mod shoppers;
mod slow;
mod stop;
mod support;
mod terminal;
mod upgrade;
mod upgrading;
