//! Asking a gateway about many things.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};

use super::drive::DriveError;
use super::gateway::GatewayError;

/// How many things a gateway is asked about at a time.
const AT_ONCE: usize = 8;

/// Whether an error says that the gateway can't be asked at all now.
pub fn is_down(error: &DriveError) -> bool {
    matches!(
        error,
        DriveError::Gateway(GatewayError::Timeout | GatewayError::Down(_) | GatewayError::Denied(_))
    )
}

/// Does `work` for everything, some at a time. Work that ends with `true` found its gateway down: what was not begun
/// by then is left for the next time, and not among the results.
pub async fn beside<K, T, W>(items: Vec<K>, work: impl Fn(K) -> W) -> Vec<T>
where
    W: Future<Output = (T, bool)>,
{
    let is_down = &AtomicBool::new(false);
    let one = |item| {
        let begun = (!is_down.load(Ordering::Relaxed)).then(|| work(item));
        async move {
            let (worked, down) = begun?.await;
            is_down.fetch_or(down, Ordering::Relaxed);
            Some(worked)
        }
    };
    let all = stream::iter(items).map(one).buffer_unordered(AT_ONCE);
    all.filter_map(async |worked| worked).collect().await
}
