//! Reports: figures about the shop, read from what the other rooms keep. Nothing is kept here.

pub mod admin;
pub mod audit;
