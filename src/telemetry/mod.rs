//! What whoever watches over the shop is told of it. Nothing in here holds up the shop: what can't be told is dropped, and
//! counted.

mod asked;
mod errors;
pub mod http;
mod log;
pub mod otlp;
mod outlet;
mod panics;
mod post;
mod recent;
mod report;
mod rollbar;
mod scrub;
mod sentry;
mod told;
pub mod trace;

use std::sync::LazyLock;

pub use asked::{Asked, Asker, Finished, aside, on_behalf};
pub use errors::Errors;
pub use log::start as start_log;
pub use panics::watch as watch_panics;
pub use post::{Post, retry_after};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Which till this is: `till@VERSION`, and the revision where whoever built it said so (`TILL_REVISION`).
static RELEASE: LazyLock<String> = LazyLock::new(|| match option_env!("TILL_REVISION") {
    Some(revision) => format!("till@{VERSION}+{revision}"),
    None => format!("till@{VERSION}"),
});
