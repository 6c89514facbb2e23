//! Asking gateways about many things, so that one that does not answer holds up no other's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use super::drive::DriveError;
use super::gateway::GatewayError;

/// How many things of one provider are asked about at a time.
const AT_ONCE: usize = 8;

/// Whether an error says that the gateway can't be asked at all now.
pub fn is_down(error: &DriveError) -> bool {
    matches!(
        error,
        DriveError::Gateway(GatewayError::Timeout | GatewayError::Failed(_) | GatewayError::Denied(_))
    )
}

/// Does `work` for everything, each provider's things beside the others'. Work that ends with `true` found its gateway
/// down: what of that provider was not begun by then is left for the next time.
pub async fn beside<K, T, W>(items: Vec<(String, K)>, work: impl Fn(K) -> W) -> Vec<T>
where
    W: Future<Output = (T, bool)>,
{
    let mut by_provider: BTreeMap<String, Vec<K>> = BTreeMap::new();
    for (provider, item) in items {
        by_provider.entry(provider).or_default().push(item);
    }
    let all = by_provider.into_values().map(|items| async {
        let is_down = AtomicBool::new(false);
        let one = |item| {
            let begun = (!is_down.load(Ordering::Relaxed)).then(|| work(item));
            let is_down = &is_down;
            async move {
                let (worked, down) = begun?.await;
                is_down.fetch_or(down, Ordering::Relaxed);
                Some(worked)
            }
        };
        stream::iter(items)
            .map(one)
            .buffer_unordered(AT_ONCE)
            .filter_map(async |worked| worked)
            .collect::<Vec<_>>()
            .await
    });
    join_all(all).await.into_iter().flatten().collect()
}
