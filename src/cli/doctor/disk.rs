//! Room on the disk, and how fast it is.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::patient::{Here, Patient};
use super::size;
use crate::advice::{Advice, error, ok, warning};
use crate::app::DATA_FILE;

/// How the file that is written to try the disk is called, to its first letters.
pub const TRIAL: &str = ".till-doctor-";
/// Below this a shop soon stands still (bytes).
const LEAST: u64 = 256 << 20;
/// How many writes are timed, and for how long at most.
const WRITES: usize = 24;
const LONGEST: Duration = Duration::from_secs(5);
/// A write that takes longer than this to be safe is felt: a commit waits for two.
const SLOW: Duration = Duration::from_millis(20);

pub fn look(patient: &Patient) -> Vec<Advice> {
    let dir = &patient.config().data_dir;
    // Before the shop is begun, its directory's own place will do.
    let there = dir.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("."));
    let mut found = vec![room(there, dir)];
    if there == dir || matches!(patient.shop, Here::None) {
        found.push(speed(there));
    }
    found
}

fn room(there: &Path, dir: &Path) -> Advice {
    let stat = match rustix::fs::statvfs(there) {
        Ok(stat) => stat,
        Err(fault) => return error(format!("{}: {fault}", there.display()), "look at the file system"),
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let file = dir.join(DATA_FILE).metadata().map_or(0, |file| file.len());
    let says = format!("{} are free for {}, and the data file has {}", size(free), dir.display(), size(file));
    if stat.f_files > 0 && stat.f_favail == 0 {
        return error(
            "the file system has no more room for files (inodes)",
            "delete files that nobody needs",
        );
    }
    if free < LEAST {
        return error(says, "make room: the shop turns read-only when the disk is full");
    }
    if free < file.saturating_add(file / 4) {
        return warning(
            says,
            "make room: compaction, upgrades and backups each need as much again for a while",
        );
    }
    ok(says)
}

/// How long it takes until a small write is safe.
fn speed(there: &Path) -> Advice {
    let timed = || -> std::io::Result<Vec<Duration>> {
        let mut file = tempfile::Builder::new().prefix(TRIAL).tempfile_in(there)?;
        let (mut all, begun) = (Vec::new(), Instant::now());
        while all.len() < WRITES && begun.elapsed() < LONGEST {
            let at = Instant::now();
            file.write_all(&[0x5a; 4096])?;
            file.as_file().sync_data()?;
            all.push(at.elapsed());
        }
        all.sort();
        Ok(all)
    };
    let all = match timed() {
        Ok(all) => all,
        Err(fault) => {
            return error(
                format!("nothing can be written to {}: {fault}", there.display()),
                "see that the file system is not read-only or full, and belongs to the shop's user",
            );
        }
    };
    let millis = |span: Duration| format!("{:.1} ms", span.as_secs_f64() * 1000.0);
    let (median, worst) = (all[all.len() / 2], all[all.len() - 1]);
    let says = format!("a synced write of 4 KiB takes {}, at worst {}", millis(median), millis(worst));
    if median > SLOW {
        return warning(
            says,
            "put the data on a local SSD, or stop what else keeps the disk busy: each order waits for it",
        );
    }
    ok(says)
}
