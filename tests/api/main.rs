//! The contract, over HTTP on the real listener. Each test has a shop of its own, and when that is dropped the
//! check behind `till check` runs over it.

#[path = "../support/mod.rs"]
mod fakes;
mod support;

mod accounts;
mod adversary;
mod audit;
mod authorisation;
mod backup;
mod card_testing;
mod cart;
mod catalogue;
mod compression;
mod conventions;
mod cors;
mod coupons;
mod credit_notes;
mod described;
mod docs;
mod errors;
mod gateways;
mod headers;
mod import;
mod inventory;
mod jwt;
mod keys;
mod limits;
mod mail;
mod metrics;
mod once;
mod operations;
mod orders;
mod parcels;
mod payments;
mod privacy;
mod races;
mod refunds;
mod reports;
mod reviews;
mod samples;
mod tokens;
mod traces;
mod transfer;
mod wishlist;
