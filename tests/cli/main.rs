//! The real binary: started, asked, killed, and started again.

mod commands;
mod crash;
mod readme;
mod serve;
mod support;
mod terminal;
