//! The ways into the shop: what is behind each, and the socket that it is opened on, bound here or handed in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system keeps until they are accepted; it has a limit of its own.
const BACKLOG: u32 = 4096;

/// What is behind a socket of the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// The shop, in plain HTTP.
    Shop,
    /// The shop, by TLS.
    SecureShop,
    /// Plain HTTP beside HTTPS: it is sent on, and an authority's questions are answered.
    Redirect,
    /// What whoever watches over the process asks for, and nothing else.
    Operations,
}

/// Sockets that whoever started this process had opened already, and that no door has taken.
#[derive(Default)]
pub struct Inherited(Vec<std::net::TcpListener>);

impl Inherited {
    pub fn new(listeners: Vec<std::net::TcpListener>) -> Inherited {
        Inherited(listeners)
    }

    /// The one that listens on `address`.
    fn take(&mut self, address: SocketAddr) -> Option<std::net::TcpListener> {
        let is_it = |one: &std::net::TcpListener| {
            one.local_addr().is_ok_and(|own| own == address || own == without_v6(address))
        };
        let at = self.0.iter().position(is_it)?;
        Some(self.0.swap_remove(at))
    }

    /// Where those listen that no door has taken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|one| one.local_addr().ok()).collect()
    }
}

/// A socket on `address`: the one that was handed in, else a new one.
pub fn listen(address: SocketAddr, inherited: &mut Inherited) -> io::Result<TcpListener> {
    if let Some(listener) = inherited.take(address) {
        listener.set_nonblocking(true)?;
        return TcpListener::from_std(listener);
    }
    match bind(address) {
        // All of a machine without IPv6.
        Err(error) if is_without_v6(&error) && address.ip().is_unspecified() => bind(without_v6(address)),
        bound => bound,
    }
}

/// What an address is on a machine without IPv6, where it is all of them.
fn without_v6(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => (Ipv4Addr::UNSPECIFIED, address.port()).into(),
        _ => address,
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // [::] is IPv4, too, whatever the system does by itself.
        set_ipv6_v6only(&socket, false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_without_v6(error: &io::Error) -> bool {
    let without = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
    Errno::from_io_error(error).is_some_and(|errno| without.contains(&errno))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_handed_in_is_used_and_one_of_another_address_is_not() {
        let handed = TcpListener::bind("127.0.0.1:0").expect("a port");
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, unused) = (handed.local_addr().expect("bound"), other.local_addr().expect("bound"));
        let early = TcpStream::connect(address).expect("it is open before anybody accepts");
        let mut inherited = Inherited::new(vec![other, handed]);
        let listener = listen(address, &mut inherited).expect("nothing is bound anew");
        let (_, peer) = listener.accept().await.expect("who came early");
        assert_eq!(peer, early.local_addr().expect("connected"));
        assert_eq!(inherited.addresses(), [unused]);
        let fresh = listen("127.0.0.1:0".parse().expect("an address"), &mut inherited).expect("a port");
        assert_ne!(fresh.local_addr().expect("bound"), unused);
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_ipv4_too() {
        let address = "[::]:0".parse().expect("an address");
        let listener = listen(address, &mut Inherited::default()).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("by IPv4");
        let (_, peer) = listener.accept().await.expect("who came");
        assert_eq!(peer.ip().to_canonical(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
