//! What a service manager (systemd) is told, where it asks: that the shop runs, that it stops, and that it lives.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState::{ExtendTimeoutUsec, Ready, Status, Stopping, Watchdog};
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::store::{Store, StoreError};

/// How often a start that takes long asks for more time, how much, and for how long at most: a big file that is
/// brought up to date must not be killed, one that hangs must.
const MORE_EVERY: Duration = Duration::from_secs(10);
const MORE: u32 = 30_000_000;
const MORE_TIMES: usize = 360;

/// Something that is told again and again, until this is dropped.
pub struct Telling(JoinHandle<()>);

impl Telling {
    /// Returns when no more is told, and the shop is let go of.
    pub async fn end(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The shop's data is being opened, which may take long.
pub fn starting() -> Telling {
    Telling(tokio::spawn(async {
        for _ in 0..MORE_TIMES {
            tell(&[ExtendTimeoutUsec(MORE), Status("opening the shop's data")]);
            tokio::time::sleep(MORE_EVERY).await;
        }
    }))
}

/// The shop answers. Where there is a watchdog it is kept quiet for as long as the store answers.
pub fn ready(app: &Arc<App>) -> Option<Telling> {
    let status = format!("listening on {}", app.own_url());
    tell(&[Ready, Status(&status)]);
    let every = watchdog_enabled()? / 2;
    let store = Arc::clone(&app.store);
    Some(Telling(tokio::spawn(async move {
        loop {
            answers(&store).await;
            tell(&[Watchdog]);
            tokio::time::sleep(every).await;
        }
    })))
}

pub fn stopping() {
    tell(&[Stopping, Status("stopping: requests that run may finish")]);
}

/// Returns when the writer has taken its turn and a read was made. A disk that fails is an answer, too: a new start
/// would not mend it. An act that writes nothing makes no commit.
async fn answers(store: &Store) {
    let _ = store.write(|_| Ok::<_, StoreError>(())).await;
    let _ = store.seq();
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::warn!(%error, "the service manager can't be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::{FileDisk, Options};

    #[tokio::test]
    async fn a_writer_that_stands_still_is_no_sign_of_life() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Box::new(FileDisk::new(dir.path().join("till.redb"), 1 << 20));
        let options = Options { disk, clock: Arc::new(SystemClock), seed: [1; 32], threaded: false };
        let store = Store::open(options).expect("it opens");
        let commits = store.seq().expect("it reads");
        let mut alive = Box::pin(answers(&store));
        let waited = tokio::time::timeout(Duration::from_millis(50), &mut alive).await;
        assert!(waited.is_err(), "nobody has run what waits");
        store.step();
        alive.await;
        assert_eq!(store.seq().expect("it reads"), commits, "asking costs no commit");
    }
}
