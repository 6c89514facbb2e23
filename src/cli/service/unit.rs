//! What systemd is told: the text of the units, made from the settings.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config::Config;

/// Where things are on a server that the service is installed on.
pub const BINARY: &str = "/usr/local/bin/till";
pub const CONFIG_DIR: &str = "/etc/till";
pub const CONFIG: &str = "/etc/till/config.toml";
/// The settings that others took the place of.
pub const PREVIOUS: &str = "/etc/till/config.toml.previous";
pub const DATA: &str = "/var/lib/till";
pub const SERVICE: &str = "/etc/systemd/system/till.service";
pub const SOCKET: &str = "/etc/systemd/system/till.socket";
pub const SYSUSERS: &str = "/etc/sysusers.d/till.conf";
/// The user and group that the shop runs as.
pub const USER: &str = "till";

/// What `systemd-sysusers` makes the user from.
pub const USERS: &str =
    "# Written by `till service install`.\nu till - \"till, an online shop\" /var/lib/till\n";

/// Directories that a service which is kept from others' files does not see, or sees another one of.
const UNSEEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// The units of a shop with certain settings.
pub struct Units {
    pub service: String,
    pub socket: String,
    /// Directories beside [`DATA`] that the shop writes to.
    pub places: Vec<PathBuf>,
}

impl Units {
    /// # Errors
    /// What in the settings a service can't have.
    pub fn of(config: &Config) -> Result<Units, String> {
        let places = places(config)?;
        let addresses = addresses(config);
        if let Some(address) = addresses.iter().find(|address| address.port() == 0) {
            return Err(format!(
                "server.listen is {address}, a port that is picked anew at each start; a service has a fixed one"
            ));
        }
        let listens: Vec<_> = addresses.iter().map(listen_stream).collect();
        let writes: Vec<_> =
            places.iter().map(|place| format!("ReadWritePaths={}\n", quoted(place))).collect();
        // A volume that is not mounted is no place for a new shop.
        let mounts: Vec<_> =
            places.iter().map(|place| format!("RequiresMountsFor={}\n", quoted(place))).collect();
        Ok(Units {
            service: include_str!("till.service")
                .replace("{mounts}\n", &mounts.concat())
                .replace("{binary}", BINARY)
                .replace("{config}", CONFIG)
                .replace("{places}\n", &format!("{}\n", writes.concat())),
            socket: include_str!("till.socket")
                .replace("{config}", CONFIG)
                .replace("{addresses}", &listens.join("\n")),
            places,
        })
    }
}

/// Where the shop is reached over the network.
pub fn addresses(config: &Config) -> Vec<SocketAddr> {
    config.doors().into_iter().map(|(_, _, address)| address).collect()
}

/// All addresses are a port alone: then systemd does without IPv6 where there is none.
fn listen_stream(address: &SocketAddr) -> String {
    match address.ip() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => format!("ListenStream={}", address.port()),
        _ => format!("ListenStream={address}"),
    }
}

/// Where the shop writes, beside its own directory, and whether a service can.
fn places(config: &Config) -> Result<Vec<PathBuf>, String> {
    let backup = config.backup_to.as_str();
    let is_dir = !backup.is_empty() && !backup.contains("://");
    let named =
        [("data.dir", Some(config.data_dir.as_path())), ("backup.to", is_dir.then(|| Path::new(backup)))];
    let mut places = Vec::new();
    for (key, dir) in named {
        let Some(dir) = dir else { continue };
        if dir.is_relative() {
            return Err(format!("{key} is {}; a service needs a whole path, such as {DATA}", dir.display()));
        }
        if UNSEEN.iter().any(|unseen| dir.starts_with(unseen)) {
            return Err(format!(
                "{key} is {}, which a service does not see: it is kept from {}",
                dir.display(),
                UNSEEN.join(", ")
            ));
        }
        if !dir.starts_with(DATA) && !places.iter().any(|place| dir.starts_with(place)) {
            places.push(dir.to_owned());
        }
    }
    Ok(places)
}

/// A path as systemd reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A settings file that says where the data is: where it is silent about that, [`DATA`].
pub fn with_data_dir(text: &str) -> String {
    let line = format!("dir = \"{DATA}\"");
    let header = text.lines().position(|line| line.trim() == "[data]");
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    match header {
        Some(at) => lines.insert(at + 1, line),
        None => lines.extend([String::new(), "[data]".into(), line]),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    fn units_of(settings: &str) -> Result<Units, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.toml");
        std::fs::write(&file, settings).expect("written");
        Units::of(&Config::load(Some(&file), [], &Flags::default()).expect("good settings"))
    }

    #[test]
    fn the_service_may_write_where_the_settings_say_that_it_writes() {
        let own = units_of("[data]\ndir = \"/var/lib/till\"\n").expect("good");
        assert!(own.places.is_empty() && !own.service.contains("ReadWritePaths"), "{}", own.service);
        let other = "[data]\ndir = \"/mnt/a b\"\n[backup]\nto = \"/mnt/usb 100%\"\n";
        let other = units_of(other).expect("good").service;
        for line in ["ReadWritePaths=\"/mnt/a b\"\n", "ReadWritePaths=\"/mnt/usb 100%%\"\n"] {
            assert!(other.contains(line), "{other}");
        }
        let bucket = "[data]\ndir = \"/mnt/shop\"\n[backup]\nto = \"s3://bucket/shop\"\n";
        assert_eq!(units_of(bucket).expect("good").places, [PathBuf::from("/mnt/shop")]);
    }

    #[test]
    fn each_door_has_a_socket() {
        let settings = "[data]\ndir = \"/srv\"\n[https]\ndomain = \"shop.example.com\"\n\
                        [server]\nops_listen = \"127.0.0.1:9180\"\n";
        let socket = units_of(settings).expect("good").socket;
        let listens: Vec<_> = socket.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
        assert_eq!(listens, ["443", "80", "127.0.0.1:9180"]);
    }

    #[test]
    fn what_a_service_can_not_have_is_refused() {
        for (settings, said) in [
            ("", "data.dir is ./till-data"),
            ("[data]\ndir = \"/home/ann/shop\"\n", "data.dir is /home/ann/shop"),
            ("[data]\ndir = \"/srv\"\n[backup]\nto = \"/tmp/x\"\n", "backup.to is /tmp/x"),
            ("[data]\ndir = \"/srv\"\n[server]\nlisten = \"127.0.0.1:0\"\n", "server.listen"),
        ] {
            let refused = units_of(settings).err().expect("refused");
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn a_settings_file_that_is_silent_is_told_where_the_data_is() {
        for text in [
            Config::example(),
            "[shop]\nname = \"A\"\n".into(),
            "[data]\ncache_mb = 8\n".into(),
            String::new(),
        ] {
            let told = with_data_dir(&text);
            let dir = tempfile::tempdir().expect("a directory");
            let file = dir.path().join("config.toml");
            std::fs::write(&file, &told).expect("written");
            let config = Config::load(Some(&file), [], &Flags::default()).expect(&told);
            assert_eq!(config.data_dir, Path::new(DATA), "{told}");
        }
    }
}
