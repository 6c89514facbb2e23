//! Hosting platforms: they tell a program its port, and some begin each start with a new disk, where a shop would lose
//! every order; so it does not start there, unless it backs itself up to elsewhere.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FsWord, statfs};

use super::backup::kept_in;
use super::{CliError, Global};
use crate::advice::{Advice, error, ok, warning};
use crate::app::DATA_FILE;
use crate::backup::shelf::Shelf;
use crate::config::{Config, Source};

/// What statfs(2) says of file systems in memory, and of a container's own layer.
const TMPFS: FsWord = 0x0102_1994;
const RAMFS: FsWord = 0x8584_58f6;
const OVERLAY: FsWord = 0x794c_7630;

/// A platform whose machines get a new disk with each start.
#[derive(Debug)]
struct Platform {
    name: &'static str,
    /// The environment variable that is set there, and elsewhere not.
    known_by: &'static str,
    /// How a disk is had there that stays, if one is to be had.
    disk: Option<&'static str>,
}

const PLATFORMS: &[Platform] = &[
    Platform { name: "Heroku", known_by: "DYNO", disk: None },
    Platform { name: "Cloud Run", known_by: "K_SERVICE", disk: None },
    Platform { name: "Render", known_by: "RENDER", disk: Some("add a disk to the service") },
    Platform { name: "Fly.io", known_by: "FLY_APP_NAME", disk: Some("create a volume and mount it") },
    Platform {
        name: "Railway",
        known_by: "RAILWAY_PROJECT_ID",
        disk: Some("attach a volume to the service"),
    },
    Platform {
        name: "ECS (Fargate, App Runner)",
        known_by: "ECS_CONTAINER_METADATA_URI_V4",
        disk: Some("run the shop on EC2 with an EBS volume"),
    },
];

/// What a data directory is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// A file system of its own, as attached disks have.
    Attached,
    /// The machine's own disk.
    Root,
    /// The layer of a container, which goes with it.
    Layer,
    Memory,
}

impl Ground {
    fn name(self) -> &'static str {
        match self {
            Ground::Attached => "on a disk of its own",
            Ground::Root => "on the machine's disk",
            Ground::Layer => "in the container's own layer",
            Ground::Memory => "in memory",
        }
    }

    /// Of a directory, or of where it will be made.
    fn of(dir: &Path) -> io::Result<Ground> {
        let absolute = std::path::absolute(dir)?;
        let there = absolute.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
        let device = |path: &Path| path.metadata().map(|about| about.dev());
        let kind = statfs(there)?.f_type;
        Ok(match () {
            () if kind == TMPFS || kind == RAMFS => Ground::Memory,
            () if device(there).ok() != device(Path::new("/")).ok() => Ground::Attached,
            () if kind == OVERLAY => Ground::Layer,
            () => Ground::Root,
        })
    }
}

impl Platform {
    /// What to do about a disk that does not stay.
    fn instead(&self) -> String {
        match self.disk {
            Some(disk) => format!("{disk}, and set data.dir (TILL_DATA_DIR) to where it is mounted"),
            None => format!("{} has none that stays, so a shop that sells is better elsewhere", self.name),
        }
    }
}

/// What to do about a directory that goes with its container.
const ELSEWHERE: &str = "Put data.dir on a disk or a volume";

/// The platform that this runs on, if it is one, and what the data directory is on.
fn place(config: &Config) -> io::Result<(Option<&'static Platform>, Ground)> {
    let platform = PLATFORMS.iter().find(|platform| std::env::var_os(platform.known_by).is_some());
    Ok((platform, Ground::of(&config.data_dir)?))
}

/// Whether the shop's own backups go to where its disk is not.
fn is_kept_elsewhere(config: &Config) -> bool {
    config.schedule().is_some() && config.backup_to.starts_with("s3://")
}

/// What the doctor says of the platform, and of what can't be seen from a machine of its own there.
pub fn examine(config: &Config, is_running: bool) -> Vec<Advice> {
    let (platform, ground) = match place(config) {
        Ok(found) => found,
        Err(fault) => {
            return vec![error(format!("{}: {fault}", config.data_dir.display()), "look at the file system")];
        }
    };
    let dir = config.data_dir.display();
    let Some(platform) = platform else {
        let says = || format!("{dir} is {}: all of the shop is lost with it", ground.name());
        return if is_lost(None, ground) { vec![warning(says(), ELSEWHERE)] } else { Vec::new() };
    };
    let name = platform.name;
    let empties = format!("{name} begins each start with an empty disk, and {dir} is on it");
    let mut found = vec![match () {
        () if !is_lost(Some(platform), ground) => ok(format!("on {name}, {dir} is on a disk that stays")),
        () if is_kept_elsewhere(config) => {
            warning(format!("{empties}: what came after the last backup is lost then"), platform.instead())
        }
        () => error(format!("{empties}: `till serve` does not start a shop there"), platform.instead()),
    }];
    if !is_running {
        found.push(warning(
            format!(
                "this may be another machine of {name}'s than the one that serves the shop: then its data, ports and \
                 memory are not looked at, but this machine's"
            ),
            "run `till doctor --url https://…` with an API token, too",
        ));
    }
    found
}

/// Whether what is written there may be gone after the next start.
fn is_lost(platform: Option<&Platform>, ground: Ground) -> bool {
    match platform {
        Some(platform) => platform.disk.is_none() || ground != Ground::Attached,
        None => matches!(ground, Ground::Memory | Ground::Layer),
    }
}

/// Says so when the platform, and nobody else, has said where the shop listens.
pub fn tell_port(config: &Config) {
    let told = Source::Environment("PORT".into());
    if let Some((_, address, _)) =
        config.shown().into_iter().find(|(key, _, source)| *key == "server.listen" && **source == told)
    {
        tracing::info!(address, "listens where $PORT says, on all addresses");
    }
}

/// Refuses to open a shop whose disk is known to be a new one at the next start, unless it backs itself up to a bucket;
/// then what can still be lost is said loudly. Nothing is restored by itself: between the last backup and the end of the
/// old disk orders and invoices were made whose numbers would be given out again, and only a person can look after them.
pub async fn may_start(config: &Config) -> Result<(), CliError> {
    let dir = config.data_dir.display();
    let (platform, ground) = place(config).map_err(|error| CliError::failed(format!("{dir}: {error}")))?;
    if !is_lost(platform, ground) {
        return Ok(());
    }
    let Some(platform) = platform else {
        tracing::warn!("{dir} is {}: all of the shop is lost with it. {ELSEWHERE}", ground.name());
        return Ok(());
    };
    let name = platform.name;
    if !is_kept_elsewhere(config) {
        let instead = platform.instead();
        return Err(CliError::failed(format!(
            "{name} begins each start with an empty disk, and {dir} is on it: every order, payment and invoice would be \
             lost.\nInstead: {instead}.\nTo try the shop out there, have it back itself up to a bucket (backup.daily_at \
             and backup.to = s3://BUCKET/PREFIX), or run `till serve --demo`."
        )));
    }
    if !config.data_dir.join(DATA_FILE).exists() {
        is_new(config, name).await?;
    }
    tracing::warn!(
        "{name} begins each start with an empty disk: whatever came after the backup of {} (UTC) IS LOST THEN. This is \
         for trying the shop out, not for selling",
        config.backup_daily_at
    );
    Ok(())
}

/// Refuses to go on with an old backup on a disk that is emptied, where a newer one is kept: a start that names a backup
/// once would take the shop back to it each time.
pub fn may_restore(file: &Path, config: &Config, global: &Global) -> Result<(), CliError> {
    let (platform, ground) = place(config)?;
    let own = file.parent().filter(|place| *place == Path::new(config.backup_to.trim_end_matches('/')));
    let (Some(platform), Some(own)) = (platform.filter(|_| is_lost(platform, ground)), own) else {
        return Ok(());
    };
    let kept = kept_in(own, global)?;
    match kept.first().filter(|last| Some(last.name.as_ref()) != file.file_name()) {
        Some(last) => Err(CliError::failed(format!(
            "{} is not the newest backup there, which is of {}: on {}, what came in between would be lost. `till restore \
             --latest` takes the newest; --force takes this one",
            file.display(),
            last.created_at,
            platform.name
        ))),
        None => Ok(()),
    }
}

/// Whether a shop may begin here: not where another one's backups are waiting to be restored.
async fn is_new(config: &Config, platform: &str) -> Result<(), CliError> {
    let to = config.backup_to.trim_end_matches('/');
    let listed = match Shelf::of(config) {
        Ok(shelf) => shelf.list().await,
        Err(error) => Err(error),
    };
    let kept = listed.map_err(|error| {
        CliError::failed(format!("can't find out whether a shop was here before: {error}"))
    })?;
    let Some(last) = kept.first() else { return Ok(()) };
    Err(CliError::failed(format!(
        "the disk is empty, as at each start on {platform}, and {to} has backups of a shop, the last of {}. To go on with \
         it: `till restore --latest`, on the same disk, before `till serve`. For a new shop choose another prefix in \
         backup.to.",
        last.created_at
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_on_a_platform_stays_on_an_attached_disk_alone() {
        let named = |name: &str| PLATFORMS.iter().find(|platform| platform.name == name);
        let lost = |name: &str| {
            [Ground::Attached, Ground::Root, Ground::Layer, Ground::Memory]
                .map(|ground| is_lost(named(name), ground))
        };
        assert_eq!(lost("Heroku"), [true, true, true, true]);
        assert_eq!(lost("Render"), [false, true, true, true]);
        assert_eq!(lost("a machine of one's own"), [false, false, true, true]);
    }

    #[test]
    fn what_a_directory_is_on_is_told_before_it_is_made() {
        assert_eq!(Ground::of(Path::new("/dev/shm/till/data")).expect("statfs"), Ground::Memory);
        let proc = Ground::of(Path::new("/proc/self")).expect("statfs");
        assert_eq!(proc, Ground::Attached);
    }
}
