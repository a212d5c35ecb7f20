//! The base port: flag, then environment, then configuration, then profile, then 18789.

use std::net::{IpAddr, Ipv6Addr};

use portcullis_os::Port;

use super::{Flags, GATEWAY_PORT, Origin, Problem, Problems, Profile, Surroundings};
use crate::text::brief;

/// The base port where nobody says anything.
pub const DEFAULT_PORT: Port = match Port::new(18789) {
    Some(port) => port,
    None => unreachable!(),
};

/// A port by itself: decimal digits, 1 to 65535.
pub(super) fn parse(text: &str) -> Option<Port> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Port::new(digits.then(|| text.parse().ok())??)
}

/// The port of the flag and that of the environment, in this order.
pub(super) fn explicit(
    flags: &Flags,
    around: &Surroundings,
    problems: &mut Problems,
    notes: &mut Vec<String>,
) -> Vec<(Port, Origin)> {
    // Both are looked at even if the first decides: a value that nobody can read is a mistake waiting to be found.
    let from_environment = around.variable(GATEWAY_PORT).and_then(|value| {
        let origin = Origin::Variable(GATEWAY_PORT);
        let text = value.to_string_lossy();
        let Some((host, port)) = host_and_port(&text) else {
            problems.push(Problem::PortText { origin, value: text.into_owned() });
            return None;
        };
        if let Some(host) = host.filter(|host| !is_loopback(host)) {
            notes.push(format!(
                "the host {} in {GATEWAY_PORT} is not used: `gateway.bind` says where refgate listens",
                brief(host)
            ));
        }
        Some((port, origin))
    });
    let from_flag = flags.port.as_ref().and_then(|text| {
        let origin = Origin::Flag("--port");
        let port = parse(text);
        if port.is_none() {
            problems.push(Problem::PortText { origin: origin.clone(), value: text.clone() });
        }
        Some((port?, origin))
    });
    from_flag.into_iter().chain(from_environment).collect()
}

/// The port of a profile, or the default one.
pub(super) fn without_a_word(profile: Option<&Profile>) -> (Port, Origin) {
    match profile {
        Some(profile) => (profile.port(), Origin::Profile(profile.as_str().to_owned())),
        None => (DEFAULT_PORT, Origin::Default),
    }
}

/// Takes `N`, `HOST:N` or `[V6]:N` apart.
fn host_and_port(text: &str) -> Option<(Option<&str>, Port)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once("]:")?;
        host.parse::<Ipv6Addr>().ok()?;
        return Some((Some(host), parse(port)?));
    }
    match text.split_once(':') {
        Some((host, port)) if is_host(host) => Some((Some(host), parse(port)?)),
        Some(_) => None,
        None => Some((None, parse(text)?)),
    }
}

/// Whether this can be a host name or an IPv4 address.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// Whether this host is the machine itself, by name or by address.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
