//! A service manager is told when a gateway is ready and when it stops, and cannot keep it from either.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::process::Signal;

use crate::room::{Room, signal};

/// What a manager hears next.
fn heard(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let count = socket.recv(&mut bytes).expect("it is told");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[test]
fn a_manager_hears_of_ownership_readiness_and_the_end_at_a_path_and_at_an_abstract_name() {
    let room = Room::new(23, None);
    let path = room.at("notify").display().to_string();
    let name = format!("refgate-test-{}", room.base);
    let of_name = SocketAddr::from_abstract_name(&name).and_then(|name| UnixDatagram::bind_addr(&name));
    let sockets = [(path.clone(), UnixDatagram::bind(&path)), (format!("@{name}"), of_name)];
    for (address, socket) in sockets {
        let socket = socket.expect("it is free");
        let mut gateway = room.gateway_with(&[], &[("NOTIFY_SOCKET", &address)]);
        assert_eq!(heard(&socket), "STATUS=owns its state, starting");
        assert_eq!(heard(&socket), format!("READY=1\nMAINPID={}\nSTATUS=ready", gateway.pid()));
        signal(gateway.pid(), Signal::TERM);
        assert_eq!(heard(&socket), "STOPPING=1\nSTATUS=draining");
        assert!(gateway.child.0.wait().expect("it ends").success());
        socket.set_nonblocking(true).expect("it is a socket");
        assert_eq!(socket.recv(&mut [0; 8]).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    }
}

#[test]
fn a_manager_that_is_gone_is_noted_and_the_gateway_serves() {
    let room = Room::new(24, None);
    let address = room.at("nobody").display().to_string();
    let mut child = room.spawn_with(&[], &[("NOTIFY_SOCKET", &address)]);
    let said: Vec<_> = (0..4).map(|_| child.next()).collect();
    let events: Vec<_> = said.iter().map(|line| line["event"].as_str().unwrap_or_default()).collect();
    assert_eq!(events, ["owner", "note", "ready", "note"]);
    let message = said[3]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("the service manager did not hear that: "), "{message}");
    signal(child.pid(), Signal::TERM);
    assert!(child.child.0.wait().expect("it ends").success());
}
