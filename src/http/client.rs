//! Who is at the other end: the address that a request comes from, also where proxies hand it on. What a proxy says
//! counts only if it is one of the shop's own (`server.trusted_proxies`): anybody can write these headers.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(pub Vec<IpNet>);

impl Proxies {
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// Where the proxies write whom they speak for. One of the two, because a proxy passes on what it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto` and `X-Forwarded-Host`.
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// What one client is: an IPv4 address, or the first 64 bits of an IPv6 address, of which a household has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net(IpAddr);

impl Net {
    pub fn of(address: IpAddr) -> Net {
        Net(masked(address, 32, 64))
    }

    /// The network around it, which names nobody: the first 24 bits of an IPv4 address, 48 of an IPv6 one.
    pub fn surroundings(self) -> String {
        let bits = if self.0.is_ipv4() { 24 } else { 48 };
        format!("{}/{bits}", masked(self.0, 24, 48))
    }
}

fn masked(address: IpAddr, v4: u8, v6: u8) -> IpAddr {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { v4 } else { v6 };
    IpNet::new(address, bits).map_or(address, |net| net.network())
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// What the client asked for, as the proxy says: `http` or `https`, and the host.
    pub scheme: Option<&'static str>,
    pub host: Option<String>,
    /// The peer says that it speaks for others, and is not believed.
    pub is_unknown_proxy: bool,
}

impl Client {
    /// Goes from the peer back over the proxies that are believed: the first address that is none of theirs.
    pub fn of(peer: IpAddr, headers: &HeaderMap, proxies: &Proxies, header: ProxyHeader) -> Client {
        let mut client =
            Client { address: peer.to_canonical(), scheme: None, host: None, is_unknown_proxy: false };
        if !proxies.has(peer) {
            client.is_unknown_proxy = headers.contains_key(X_FORWARDED_FOR);
            return client;
        }
        for hop in hops(headers, header).into_iter().rev() {
            // The proxy that wrote this is believed, so what it says of the request is, too.
            client.scheme = hop.scheme.or(client.scheme);
            client.host = hop.host.or(client.host);
            let Some(address) = hop.address else { break };
            client.address = address.to_canonical();
            if !proxies.has(address) {
                break;
            }
        }
        client
    }

    pub fn net(&self) -> Net {
        Net::of(self.address)
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What one proxy says of whom it was asked by.
#[derive(Default)]
struct Hop {
    /// None: hidden, or no address.
    address: Option<IpAddr>,
    scheme: Option<&'static str>,
    host: Option<String>,
}

/// What the proxies say, the nearest last.
fn hops(headers: &HeaderMap, header: ProxyHeader) -> Vec<Hop> {
    match header {
        ProxyHeader::Forwarded => {
            let mut hops = Vec::new();
            for value in values(headers, http::header::FORWARDED) {
                match split(&value, ',') {
                    Some(elements) => hops.extend(elements.into_iter().map(forwarded)),
                    None => hops.push(Hop::default()),
                }
            }
            hops
        }
        ProxyHeader::XForwardedFor => {
            let mut hops = Vec::new();
            for value in values(headers, X_FORWARDED_FOR) {
                hops.extend(value.split(',').map(|text| Hop { address: address(text), ..Hop::default() }));
            }
            // These two are not lists: the last is what the nearest proxy wrote.
            if let Some(nearest) = hops.last_mut() {
                let last = |name| {
                    let value = values(headers, name).last()?;
                    value.rsplit(',').next().map(str::to_owned)
                };
                nearest.scheme = last(X_FORWARDED_PROTO).as_deref().and_then(scheme);
                nearest.host = last(X_FORWARDED_HOST).as_deref().and_then(host);
            }
            hops
        }
    }
}

/// What is no text stands for itself alone: what a client makes up must not hide what a proxy adds to it.
fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Cow<'_, str>> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// One element of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded(element: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(element, ';').unwrap_or_default() {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.address = address(value),
            "proto" => hop.scheme = scheme(value),
            "host" => hop.host = host(value),
            _ => {}
        }
    }
    hop
}

/// Splits at `separator`, but not within quotes. `None`: a quote is open at the end, so that it can't be told who wrote
/// what of it.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let mut is_quoted = false;
    let parts = text.split(|c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    });
    let parts = parts.collect();
    (!is_quoted).then_some(parts)
}

/// An address, maybe with a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']')?.0.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    text.parse().ok().or_else(|| text.rsplit_once(':')?.0.parse().ok())
}

fn scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|known| text.trim().eq_ignore_ascii_case(known))
}

fn host(text: &str) -> Option<String> {
    Some(text.trim()).filter(|host| is_host(host)).map(str::to_owned)
}

/// Whether it can stand in a link.
pub fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, header: ProxyHeader, headers: &[(&'static str, &str)]) -> Client {
        let nets = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8:1::/48"].map(|net| net.parse().expect("a net"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        Client::of(peer.parse().expect("an address"), &map, &Proxies(nets.into()), header)
    }

    #[test]
    fn what_a_client_makes_up_does_not_hide_what_a_proxy_adds() {
        let open = ("forwarded", "for=6.6.6.6;x=\", for=198.51.100.1");
        let seen_by = seen("10.1.2.3", ProxyHeader::Forwarded, &[open]).address.to_string();
        assert_eq!(seen_by, "10.1.2.3", "the quote is open, so nobody is believed");
        let mut map = HeaderMap::new();
        let odd = http::HeaderValue::from_bytes(b"6.6.6.6\xff, 198.51.100.1").expect("a value");
        map.append("x-forwarded-for", odd);
        let proxies = Proxies([("10.0.0.0/8").parse().expect("a net")].into());
        let client =
            Client::of("10.1.2.3".parse().expect("an address"), &map, &proxies, ProxyHeader::XForwardedFor);
        assert_eq!(client.address.to_string(), "198.51.100.1");
    }

    #[test]
    fn only_proxies_of_the_shop_are_believed() {
        let of = |peer: &str, said: &[&str]| {
            let said: Vec<_> = said.iter().map(|value| ("x-forwarded-for", *value)).collect();
            seen(peer, ProxyHeader::XForwardedFor, &said).address.to_string()
        };
        assert_eq!(of("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "anybody can write that");
        assert_eq!(of("10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(of("10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            of("10.1.2.3", &["6.6.6.6, 198.51.100.1"]),
            "198.51.100.1",
            "the first is the client's own word"
        );
        assert_eq!(of("10.1.2.3", &["6.6.6.6, 198.51.100.1, 192.0.2.7"]), "198.51.100.1");
        assert_eq!(of("10.1.2.3", &["6.6.6.6", "198.51.100.1:4711", "192.0.2.7"]), "198.51.100.1");
        assert_eq!(of("10.1.2.3", &["192.0.2.7"]), "192.0.2.7", "a proxy that asks itself");
        assert_eq!(
            of("10.1.2.3", &["6.6.6.6, what, 192.0.2.7"]),
            "192.0.2.7",
            "what is no address ends the way"
        );
        assert_eq!(of("::ffff:10.1.2.3", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("2001:db8:1::5", &["[2001:db8:9:8:7::1]:80"]), "2001:db8:9:8:7::1");
        assert!(
            seen("203.0.113.9", ProxyHeader::XForwardedFor, &[("x-forwarded-for", "1.1.1.1")])
                .is_unknown_proxy
        );
    }

    #[test]
    fn the_header_that_is_not_chosen_says_nothing() {
        let said = [
            ("x-forwarded-for", "6.6.6.6"),
            ("forwarded", "for=\"[2001:db8::1]:47\";Proto=HTTPS;host=shop.example"),
        ];
        let client = seen("10.1.2.3", ProxyHeader::Forwarded, &said);
        assert_eq!(client.address.to_string(), "2001:db8::1");
        assert_eq!((client.scheme, client.host.as_deref()), (Some("https"), Some("shop.example")));
        assert_eq!(seen("10.1.2.3", ProxyHeader::XForwardedFor, &said).address.to_string(), "6.6.6.6");
        let chain = [(
            "forwarded",
            "for=6.6.6.6;by=\"a,b;c\", for=198.51.100.1 ;proto=http, for=192.0.2.7;proto=https",
        )];
        let client = seen("10.1.2.3", ProxyHeader::Forwarded, &chain);
        assert_eq!((client.address.to_string().as_str(), client.scheme), ("198.51.100.1", Some("http")));
        assert_eq!(
            seen("10.1.2.3", ProxyHeader::Forwarded, &[("forwarded", "for=_hidden")]).address.to_string(),
            "10.1.2.3"
        );
    }

    #[test]
    fn scheme_and_host_are_taken_from_the_nearest_proxy_where_they_are_sane() {
        let said = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-proto", "ftp, https"),
            ("x-forwarded-host", "shop.example:8443"),
        ];
        let client = seen("10.1.2.3", ProxyHeader::XForwardedFor, &said);
        assert_eq!((client.scheme, client.host.as_deref()), (Some("https"), Some("shop.example:8443")));
        let client = seen("203.0.113.9", ProxyHeader::XForwardedFor, &said);
        assert_eq!((client.scheme, client.host), (None, None));
        let said = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-host", "a/../b?<script>")];
        assert_eq!(seen("10.1.2.3", ProxyHeader::XForwardedFor, &said).host, None);
    }

    #[test]
    fn a_client_is_an_address_or_a_household() {
        let net = |text: &str| Net::of(text.parse().expect("an address"));
        assert_eq!(net("2001:db8:1:2:3:4:5:6"), net("2001:db8:1:2::9"));
        assert_ne!(net("2001:db8:1:2::"), net("2001:db8:1:3::"));
        assert_eq!(net("2001:db8:1:2:3::").to_string(), "2001:db8:1:2::/64");
        assert_eq!(net("2001:db8:1:2:3::").surroundings(), "2001:db8:1::/48");
        assert_eq!(net("::ffff:198.51.100.77").surroundings(), "198.51.100.0/24");
        assert_eq!(net("198.51.100.77").to_string(), "198.51.100.77");
    }
}
