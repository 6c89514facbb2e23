//! Where the shop listens, and who else does.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::super::healthcheck::reached_at;
use super::patient::Patient;
use crate::advice::{Advice, error, ok, warning};

pub async fn look(patient: &Patient) -> Vec<Advice> {
    let mut found = Vec::new();
    for (_, setting, address) in patient.config().doors() {
        found.push(listener(setting, address, patient).await);
    }
    found
}

async fn listener(setting: &str, address: SocketAddr, patient: &Patient) -> Advice {
    if address.port() == 0 {
        return ok(format!("{setting} picks a free port"));
    }
    let holders = holders_of(address.port());
    // A service's socket is open in systemd, too.
    let is_kept = holders.iter().any(|(process, _)| *process == SYSTEMD);
    let holder = holders.into_iter().find(|(process, _)| *process != SYSTEMD);
    if patient.is_running {
        if TcpStream::connect(reached_at(address)).await.is_err() {
            return warning(
                format!(
                    "the shop runs, and nobody listens on {address} ({setting}): it was started with another"
                ),
                "restart it, if that is not meant",
            );
        }
        return match (holder, patient.process) {
            (Some((other, name)), Some(own)) if other != own => error(
                format!("not the shop but {name} ({other}) listens on {address} ({setting})"),
                "stop it, or have the shop listen elsewhere",
            ),
            _ => ok(format!("the shop listens on {address}")),
        };
    }
    if is_kept && holder.is_none() {
        return ok(format!("systemd listens on {address} for the shop"));
    }
    match TcpListener::bind(address).await {
        Ok(_) => ok(format!("{address} is free")),
        Err(fault) if fault.kind() == ErrorKind::AddrInUse => {
            let who =
                holder.map_or("another program".into(), |(process, name)| format!("{name} ({process})"));
            error(
                format!("{who} listens on {address} ({setting})"),
                "stop it, or have the shop listen elsewhere",
            )
        }
        Err(fault) if fault.kind() == ErrorKind::PermissionDenied => warning(
            format!("this user may not listen on {address} ({setting})"),
            "`till service install` gives the shop the right to; or have it listen on a port from 1024 on",
        ),
        Err(fault) => error(
            format!("the shop can't listen on {address} ({setting}): {fault}"),
            "have it listen on an address of this machine",
        ),
    }
}

/// Process 1, where it is systemd that started the shop.
const SYSTEMD: i32 = 1;

/// Which processes listen on a TCP port, as far as we may see.
fn holders_of(port: u16) -> Vec<(i32, String)> {
    let sockets: Vec<_> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|table| listening(table, port)).collect();
    let is_it = |link: &fs::DirEntry| {
        let target = fs::read_link(link.path()).unwrap_or_default();
        sockets.iter().any(|inode| target.as_os_str() == format!("socket:[{inode}]").as_str())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holder = |entry: fs::DirEntry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        fs::read_dir(entry.path().join("fd")).ok()?.flatten().find(is_it)?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((process, name.trim().to_owned()))
    };
    processes.filter_map(holder).collect()
}

/// The inode of the socket that listens on a port, in one of the kernel's tables (proc(5)).
fn listening(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let text = fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let own = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
        (own == port && *fields.get(3)? == LISTEN).then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}
