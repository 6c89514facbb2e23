//! Starting the shop anew, and watching how it comes up.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use tokio::net::UnixStream;

use super::super::client::{Payload, Shop};
use super::super::output::Output;
use super::super::stopped;
use super::place::FileId;
use crate::config::Config;
use crate::http::find_socket;

/// How long a shop has to stay ready to be taken for well.
const STEADY: Duration = Duration::from_secs(2);
/// How long what runs may take to stop: more than its requests have to end.
const END: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);

/// The shop as it is just now.
pub struct Seen {
    pub pid: i32,
    /// The program that it runs.
    pub runs: Option<FileId>,
    pub is_ready: bool,
    pub version: String,
}

/// Why a new start came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The program is not what runs, and whether it is any good was not seen.
    #[error("{0}")]
    NotStarted(String),
    #[error("{0}")]
    NotWell(String),
}

/// What starts the shop anew, and for how long it is waited for.
pub struct Watch<'a> {
    pub config: &'a Config,
    /// A command for the shell; none for systemd.
    pub restart: Option<&'a str>,
    pub patience: Duration,
    pub out: &'a Output,
}

impl Watch<'_> {
    /// Looks at the shop by its operator's socket; none where nobody answers.
    pub async fn look(&self) -> Option<Seen> {
        tokio::time::timeout(LOOK, self.try_to_look()).await.ok()?
    }

    async fn try_to_look(&self) -> Option<Seen> {
        // Who listens is who made the socket.
        let stream = UnixStream::connect(find_socket(&self.config.data_dir)).await.ok()?;
        let pid = stream.peer_cred().ok()?.pid()?;
        drop(stream);
        let shop = Shop::running(&self.config.data_dir).await.ok()??;
        let answered = shop.send(Method::GET, "/readyz", Payload::None).await.ok()?;
        let version = answered.json()["version"].as_str().unwrap_or_default().to_owned();
        let runs = FileId::of(Path::new(&format!("/proc/{pid}/exe"))).ok();
        Some(Seen { pid, runs, is_ready: answered.status == 200, version })
    }

    /// Starts the shop anew, and waits until it is ready and runs `program`.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn restart(&self, program: &Path) -> Result<Seen, Trouble> {
        let before = self.look().await.map(|seen| seen.pid);
        let child = self.begin().map_err(Trouble::NotWell)?;
        self.wait(program, child, before).await
    }

    /// Has what runs ended, by starting what can't run in its place.
    pub async fn end(&self) -> Result<(), String> {
        let mut child = self.begin()?;
        let until = Instant::now() + END;
        while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let _ = child.kill();
        let _ = child.wait();
        Ok(())
    }

    fn begin(&self) -> Result<Child, String> {
        let words = match self.restart {
            Some(line) => ["sh", "-c", line],
            None => ["systemctl", "restart", "till.service"],
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        // Stdout is for the outcome.
        if let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() {
            command.stdout(stderr);
        }
        command.spawn().map_err(|error| format!("the restart failed: {error}"))
    }

    /// Waits until the shop is ready, and runs `program`. `before`: the process that served it then.
    async fn wait(&self, program: &Path, child: Child, before: Option<i32>) -> Result<Seen, Trouble> {
        use Trouble::NotWell;
        let mut restarting = Some(child);
        let wanted = FileId::of(program).map_err(|error| NotWell(error.to_string()))?;
        let mut progress = self.out.progress();
        let (since, mut well): (_, Option<(i32, Instant)>) = (Instant::now(), None);
        let mut interrupted = std::pin::pin!(stopped());
        let outcome = loop {
            progress.at("waiting", since.elapsed().as_secs(), 0, false);
            match restarting.as_mut().map(Child::try_wait) {
                Some(Ok(Some(status))) if !status.success() => {
                    break Err(NotWell(format!("the restart failed: {status}")));
                }
                Some(Ok(Some(_)) | Err(_)) => restarting = None,
                _ => {}
            }
            let seen = tokio::select! {
                seen = self.look() => seen,
                () = &mut interrupted => break Err(NotWell("it was interrupted".into())),
            };
            let of_another = seen.as_ref().filter(|seen| seen.is_ready && seen.runs != Some(wanted));
            let of_another = of_another.map(|seen| seen.pid);
            match seen {
                Some(seen) if seen.is_ready && seen.runs == Some(wanted) => match well {
                    Some((pid, since)) if pid == seen.pid => {
                        if since.elapsed() >= STEADY {
                            break Ok(seen);
                        }
                    }
                    _ => well = Some((seen.pid, Instant::now())),
                },
                _ => well = None,
            }
            if since.elapsed() > self.patience && well.is_none() {
                let seconds = self.patience.as_secs();
                break Err(match of_another {
                    None => NotWell(format!("it was not ready within {seconds} seconds")),
                    Some(pid) if before == Some(pid) => Trouble::NotStarted(format!(
                        "process {pid} still serves the shop, as before; look at what --restart does"
                    )),
                    Some(pid) => Trouble::NotStarted(format!(
                        "process {pid} serves the shop, and runs another program; --binary names the one that is run"
                    )),
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        progress.end();
        if let (Err(_), Some(child)) = (&outcome, &mut restarting) {
            let _ = child.kill();
            let _ = child.wait();
        }
        outcome
    }
}
