//! Without a network of its own a try moves all ports by one constant, so that distances stay and nobody is disturbed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use portcullis_os::Port;

use super::random::Random;
use crate::scenario::Scenario;

/// The lowest port that is moved to: above the defaults of servers, below what the kernel gives to connections.
const LOWEST: u16 = 20_000;
/// How far above it the lowest port of a scenario may come to lie.
const CHOICES: u16 = 10_000;
/// How many places are tried.
const PLACES: u32 = 100;

/// A number by which all ports of a scenario can be moved so that each is free now.
///
/// # Errors
///
/// Why there is none, as a fragment of a sentence.
pub(super) fn choose(scenario: &Scenario, span: u16, random: &mut Random) -> Result<i32, String> {
    let lowest = addresses(scenario).iter().map(SocketAddr::port).min().unwrap_or(LOWEST);
    for _ in 0..PLACES {
        let target = LOWEST + random.up_to(u64::from(CHOICES)) as u16;
        let shift = i32::from(target) - i32::from(lowest);
        let Ok(moved) = moved(scenario, span, shift) else { continue };
        if addresses(&moved).into_iter().all(is_free) {
            return Ok(shift);
        }
    }
    Err("there is no place where all of its ports are free".to_owned())
}

/// The scenario with each port moved. Above the base of a gateway there are `span` more that must fit.
///
/// # Errors
///
/// Which port then does not fit, as a fragment of a sentence.
pub(super) fn moved(scenario: &Scenario, span: u16, shift: i32) -> Result<Scenario, String> {
    let port = |old: u16| {
        let new = u16::try_from(i32::from(old) + shift).ok().and_then(Port::new);
        new.ok_or_else(|| format!("port {old} moved by {shift} is no port"))
    };
    let mut moved = scenario.clone();
    for gateway in &mut moved.gateways {
        gateway.port = port(gateway.port.get())?;
        gateway
            .port
            .get()
            .checked_add(span)
            .ok_or_else(|| format!("the ports above {} do not fit", gateway.port))?;
    }
    for address in moved.processes.iter_mut().flat_map(|process| &mut process.listens) {
        address.set_port(port(address.port())?.get());
    }
    Ok(moved)
}

/// Every address that somebody will listen on.
fn addresses(scenario: &Scenario) -> Vec<SocketAddr> {
    let loopbacks: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let gateways = scenario
        .gateways
        .iter()
        .flat_map(|gateway| loopbacks.map(|address| SocketAddr::new(address, gateway.port.get())));
    gateways.chain(scenario.processes.iter().flat_map(|process| process.listens.clone())).collect()
}

/// Whether nobody listens there. An address that this machine does not have disturbs nobody.
fn is_free(address: SocketAddr) -> bool {
    match TcpListener::bind(address) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::{choose, is_free, moved};
    use crate::real::random::Random;
    use crate::scenario::{Scenario, parse};

    fn scenario() -> Scenario {
        let text = r#"
            schema = 1
            title = "t"
            [gateway.a]
            state = "A"
            port = 18789
            [gateway.b]
            state = "B"
            port = 18899
            [process.p]
            looks_like = "p"
            listens = ["[::1]:18800"]
            [run]
            steps = [{ start = ["a", "b", "p"] }, { wait = "settled" }]
            [expect]
            always = ["single-owner"]
            outcomes = [{ a = "ready" }]
        "#;
        parse(Path::new("t.toml"), text).unwrap()
    }

    #[test]
    fn distances_stay_and_what_does_not_fit_is_told() {
        let up = moved(&scenario(), 110, 1_000).unwrap();
        let ports: Vec<u16> = up.gateways.iter().map(|gateway| gateway.port.get()).collect();
        assert_eq!(ports, [19789, 19899]);
        assert_eq!(up.processes[0].listens[0].to_string(), "[::1]:19800");
        assert_eq!(moved(&scenario(), 110, -18_789).unwrap_err(), "port 18789 moved by -18789 is no port");
        assert_eq!(moved(&scenario(), 110, 46_600).unwrap_err(), "the ports above 65499 do not fit");
    }

    #[test]
    fn a_place_is_free_and_a_listener_makes_it_taken() {
        assert!(choose(&scenario(), 110, &mut Random::new(1, 0)).is_ok());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(!is_free(address));
    }
}
