//! Backups: one consistent snapshot in one file, taken while the shop sells; read back, tried out, restored.

pub mod bucket;
pub mod crypt;
mod digest;
pub mod format;
pub mod http;
mod keeping;
mod make;
mod restore;
pub mod shelf;
mod unpack;

pub use format::{Backup, BackupError, Header, MAGIC};
pub use keeping::{Keeping, Schedule};
pub use make::{Standing, clear_away, make, standing};
pub use restore::{Done, Place, RestoreError, restore};
pub use unpack::{Trial, open_alone, unpack};
