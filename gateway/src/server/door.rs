//! Whoever comes from a web page that is not served by this machine stays outside.
//!
//! A browser sends requests to loopback for any page that asks. `Origin` tells which page it was; `Host` tells which
//! name the browser believes it is talking to, and a name that is not loopback has been pointed here by somebody else
//! (DNS rebinding).

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Uri, Version};

/// What a proxy adds that says for whom it asks.
const PROXIED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// The request does not say, or says twice, for whom it is.
    NoHost,
    /// It is for a name that is not this machine's.
    StrangeHost,
    /// A proxy says for whom it asks, and nobody has said that this proxy is to be believed.
    Proxied,
}

/// Lets a request in, or says why not.
pub(super) fn admit(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), Turned> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_own_host(host).then_some(()).ok_or(Turned::StrangeHost)?,
        (None, None) if version < Version::HTTP_11 => {}
        _ => return Err(Turned::NoHost),
    }
    // A proxy's request line names the host a second time.
    if uri.authority().is_some_and(|authority| !names_this_machine(authority)) {
        return Err(Turned::StrangeHost);
    }
    let is_proxied = PROXIED.iter().any(|name| headers.contains_key(*name));
    if is_proxied { Err(Turned::Proxied) } else { Ok(()) }
}

/// Whether the page that asks, if it is a page, is one of this machine.
pub(super) fn is_own_page(headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).iter().all(is_own_origin)
}

fn is_own_host(value: &HeaderValue) -> bool {
    Authority::try_from(value.as_bytes()).is_ok_and(|authority| names_this_machine(&authority))
}

/// A loopback name, or any address: nobody can point an address elsewhere.
fn names_this_machine(authority: &Authority) -> bool {
    let host = authority.host();
    !authority.as_str().contains('@') && (is_loopback_name(host) || address(host).is_some())
}

fn is_own_origin(value: &HeaderValue) -> bool {
    let Ok(uri) = Uri::try_from(value.as_bytes()) else { return false };
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    web && uri.authority().is_some_and(|authority| {
        let host = authority.host();
        let loopback = address(host).is_some_and(|address| address.to_canonical().is_loopback());
        !authority.as_str().contains('@') && (is_loopback_name(host) || loopback)
    })
}

/// `localhost` and the names below it, which no resolver may point elsewhere (RFC 6761).
fn is_loopback_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
    use hyper::{Uri, Version};
    use proptest::prelude::*;

    use super::{PROXIED, Turned, admit, is_own_page};

    fn is_page(origin: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_bytes(origin).expect("a header value"));
        is_own_page(&headers)
    }

    fn request(host: &[u8]) -> Result<(), Turned> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_bytes(host).expect("a header value"));
        admit(&Uri::from_static("/"), Version::HTTP_11, &headers)
    }

    #[test]
    fn a_host_is_a_loopback_name_or_an_address() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "a.localhost",
            "localhost.",
            "127.0.0.1:18789",
            "[::1]:1",
            "10.0.0.7",
        ] {
            assert_eq!(request(host.as_bytes()), Ok(()), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "evil@localhost", "127.0.0.1.nip.io", "::1", "[x]"]
        {
            assert_eq!(request(host.as_bytes()), Err(Turned::StrangeHost), "{host}");
        }
    }

    #[test]
    fn an_origin_is_a_page_on_loopback() {
        for origin in
            ["http://localhost", "https://127.0.0.2:8443", "http://[::1]:3000", "http://app.localhost"]
        {
            assert!(is_page(origin.as_bytes()), "{origin}");
        }
        for origin in [
            "",
            "null",
            "localhost",
            "file:///x",
            "http://evil.example",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "http://192.168.0.9",
            "chrome-extension://abc",
        ] {
            assert!(!is_page(origin.as_bytes()), "{origin}");
        }
    }

    #[test]
    fn a_request_says_once_for_whom_it_is_unless_it_is_too_old_to_say() {
        let mut headers = HeaderMap::new();
        assert_eq!(admit(&Uri::from_static("/"), Version::HTTP_11, &headers), Err(Turned::NoHost));
        assert_eq!(admit(&Uri::from_static("/"), Version::HTTP_10, &headers), Ok(()));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        let proxied = Uri::from_static("http://evil.example/");
        assert_eq!(admit(&proxied, Version::HTTP_11, &headers), Err(Turned::StrangeHost));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert_eq!(admit(&Uri::from_static("/"), Version::HTTP_11, &headers), Err(Turned::NoHost));
    }

    #[test]
    fn a_proxy_that_nobody_vouches_for_is_turned_away() {
        for name in PROXIED {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost"));
            headers.insert(name, HeaderValue::from_static("10.0.0.1"));
            assert_eq!(
                admit(&Uri::from_static("/"), Version::HTTP_11, &headers),
                Err(Turned::Proxied),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(host in "[ -~\u{80}-\u{ff}]{0,24}", origin in "[ -~\u{80}-\u{ff}]{0,24}") {
            let _ = request(host.as_bytes());
            let _ = is_page(origin.as_bytes());
        }
    }
}
