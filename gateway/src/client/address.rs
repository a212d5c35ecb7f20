//! Where a gateway listens, as somebody has written it: `ws://HOST:PORT`, and nothing that could carry a secret.

use std::fmt;
use std::net::IpAddr;

use portcullis_os::Port;

use crate::text::{brief, one_line};

/// The longest address that is read, in bytes.
const LONGEST: usize = 512;

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: Port,
    path: String,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is no address of a gateway: {why}; write ws://HOST:PORT", one_line(&brief(text)))]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl Address {
    /// A port of this machine.
    pub fn loopback(port: Port) -> Self {
        Self { host: "127.0.0.1".to_owned(), port, path: "/".to_owned() }
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        // What stands before an `@` or after a `?` may be a secret, and is not repeated.
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let shown = shown.rsplit_once('@').map_or(shown, |(_, rest)| rest);
        let wrong = |why| AddressError { text: shown.to_owned(), why };
        if text.len() > LONGEST || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong("it is too long, or has spaces"));
        }
        let rest = match text.split_once("://") {
            Some(("ws", rest)) => rest,
            Some(("wss", _)) => return Err(wrong("TLS is not spoken here: reach it through a tunnel")),
            Some(_) | None => return Err(wrong("it does not begin with ws://")),
        };
        if rest.contains(['@', '?', '#']) {
            return Err(wrong(
                "it may hold no user, no query and no fragment: a secret does not belong there",
            ));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => (host, port),
            Some(_) | None => return Err(wrong("it names no host or no port")),
        };
        let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok()).flatten();
        let port = number.and_then(Port::new).ok_or_else(|| wrong("its port is not 1 to 65535"))?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(inner)) if matches!(inner.parse(), Ok(IpAddr::V6(_))) => inner,
            None if is_name(host) => host,
            Some(_) | None => return Err(wrong("its host is no name and no address")),
        };
        let path = if path.is_empty() { "/" } else { path };
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("its path is not plain text"));
        }
        Ok(Self { host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }

    /// Whether it leads to this machine whatever the network is like, so that nobody else hears what is said there.
    pub fn is_this_machine(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }

    /// The host and the port, as they are looked up.
    pub(super) fn place(&self) -> (&str, u16) {
        // No resolver is asked for this one: whoever answers for it elsewhere would hear what is meant for this machine.
        (if self.host == "localhost" { "127.0.0.1" } else { &self.host }, self.port.get())
    }

    /// The host and the port, as they stand in a request.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The whole of it, as a request for an upgrade names it.
    pub(super) fn uri(&self) -> String {
        format!("ws://{}{}", self.authority(), self.path)
    }

    /// The port.
    pub const fn port(&self) -> Port {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "ws://{}{path}", self.authority())
    }
}

fn is_name(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_read_with_its_host_and_port_and_nothing_secret() {
        for (text, shown, is_here) in [
            ("ws://127.0.0.1:18789", "ws://127.0.0.1:18789", true),
            ("ws://127.8.0.1:1/", "ws://127.8.0.1:1", true),
            ("ws://LOCALHOST:18789/a/b", "ws://localhost:18789/a/b", true),
            ("ws://[::1]:18789", "ws://[::1]:18789", true),
            ("ws://[::ffff:127.0.0.1]:9", "ws://[::ffff:127.0.0.1]:9", true),
            ("ws://gateway.lan:18789", "ws://gateway.lan:18789", false),
            ("ws://192.168.0.2:18789", "ws://192.168.0.2:18789", false),
            ("ws://localhost.example.org:1", "ws://localhost.example.org:1", false),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.to_string().as_str(), address.is_this_machine()), (shown, is_here), "{text}");
        }
        for (text, why) in [
            ("http://127.0.0.1:1", "ws:// is no address of a gateway"),
            ("wss://h:1", "a tunnel"),
            ("ws://h", "no port"),
            ("ws://:1", "no host"),
            ("ws://h:0", "1 to 65535"),
            ("ws://h:+1", "1 to 65535"),
            ("ws://h:65536", "1 to 65535"),
            ("ws://::1:1", "no name and no address"),
            ("ws://[h]:1", "no name and no address"),
            ("ws://h o:1", "spaces"),
            ("ws://u:s3cret@h:1", "no user"),
            ("ws://h:1/?token=s3cret", "no query"),
        ] {
            let told = Address::parse(text).expect_err(text).to_string();
            let why = why.split(' ').next_back().unwrap_or_default();
            assert!(told.contains(why) && !told.contains("s3cret"), "{text}: {told}");
        }
    }
}
