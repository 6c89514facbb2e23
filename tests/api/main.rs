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
mod cart;
mod catalogue;
mod conventions;
mod coupons;
mod credit_notes;
mod gateways;
mod import;
mod inventory;
mod mail;
mod operations;
mod orders;
mod parcels;
mod payments;
mod privacy;
mod races;
mod refunds;
mod reports;
mod reviews;
mod tokens;
mod transfer;
mod wishlist;
