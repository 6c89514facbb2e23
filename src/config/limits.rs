//! Settings of who is believed, and how much is allowed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::value::list;
use super::{Config, Setting};
use crate::http::{Proxies, ProxyHeader};
use crate::pace::Pace;

impl Setting for Pace {
    fn read(text: &str) -> Result<Self, String> {
        Pace::parse(text).ok_or_else(|| "must be a number and /minute or /hour, such as 300/hour".into())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Proxies {
    fn read(text: &str) -> Result<Self, String> {
        let net = |part: &str| {
            let address = || part.parse::<IpAddr>().map(IpNet::from);
            let said = "must be addresses and nets with commas between them, such as 127.0.0.1,10.0.0.0/8";
            part.parse().or_else(|_| address()).map_err(|_| format!("{said}; {part} is neither"))
        };
        list(text).map(net).collect::<Result<_, _>>().map(Proxies)
    }

    fn show(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

impl Setting for ProxyHeader {
    fn read(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(ProxyHeader::XForwardedFor),
            "forwarded" => Ok(ProxyHeader::Forwarded),
            _ => Err("must be x-forwarded-for or forwarded".into()),
        }
    }

    fn show(&self) -> String {
        match self {
            ProxyHeader::XForwardedFor => "x-forwarded-for".into(),
            ProxyHeader::Forwarded => "forwarded".into(),
        }
    }
}

impl Config {
    /// Most connections at a time: in all, and from one address.
    pub fn connections(&self) -> [usize; 2] {
        [self.server_max_connections.0 as usize, self.server_connections_per_address.0 as usize]
    }
}
