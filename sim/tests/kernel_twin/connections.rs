//! TCP connections: what they hold while they live, and what they leave.

use std::net::SocketAddr;

use portcullis_os::{BindOptions, Call, Errno, Port, Reply, TcpState};

use crate::twin::{First, Handle, Machine, Second, Twin, Who};

const NO_REUSE: BindOptions = BindOptions { reuse_address: false, reuse_port: false, v6_only: false };
const REUSE: BindOptions = BindOptions { reuse_address: true, ..NO_REUSE };

fn address(ip: &str, port: u16) -> SocketAddr {
    format!("{ip}:{port}").parse().unwrap()
}

fn try_bind(twin: &mut Twin, who: Who, ip: &str, port: u16, options: BindOptions) -> Result<Handle, Errno> {
    twin.open(who, |_| Call::BindTcp { address: address(ip, port), options })
}

fn serve(twin: &mut Twin, ip: &str, port: u16, backlog: u16) -> Handle {
    let bound = try_bind(twin, First, ip, port, REUSE).unwrap();
    twin.ask(First, |it| Call::Listen { fd: it.fd(bound), backlog }).unwrap();
    bound
}

fn try_connect(twin: &mut Twin, to: SocketAddr, from: Option<SocketAddr>) -> Result<Handle, Errno> {
    twin.open(Second, |it| Call::ConnectTcp { address: to, from, deadline_ms: it.deadline_ms })
}

fn connect(twin: &mut Twin, port: u16) -> Handle {
    try_connect(twin, address("127.0.0.1", port), None).unwrap()
}

/// The two ends of a connection: the client, whose port the kernel has chosen, and the server. The kernel shares ports
/// among clients of different servers, so others may have it as well; here nobody has.
fn connect_alone(twin: &mut Twin, to: SocketAddr, listener: Handle) -> [Handle; 2] {
    loop {
        let client = try_connect(twin, to, None).unwrap();
        let server = twin.accept(First, &[listener]);
        if twin.has_its_port_alone(client) {
            return [client, server];
        }
        twin.close(Second, client);
        twin.close(First, server);
    }
}

/// A listener and the two ends of a connection to it: of the client, and of the server.
fn pair(twin: &mut Twin, port: u16) -> [Handle; 3] {
    let listener = serve(twin, "127.0.0.1", port, 4);
    let [client, server] = connect_alone(twin, address("127.0.0.1", port), listener);
    [listener, client, server]
}

/// The states of the sockets with this port, ascending.
fn states(twin: &mut Twin, port: impl Fn(&Machine<'_>) -> u16) -> Vec<TcpState> {
    let asked = |it: &Machine<'_>| Call::TcpSockets { port: Port::new(port(it)).unwrap() };
    let Reply::Tcp(rows) = twin.ask(Second, asked).unwrap() else { panic!("no table") };
    rows.into_iter().map(|row| row.state).collect()
}

/// Whether somebody can bind and listen with `SO_REUSEADDR` where another socket has the port.
fn bind_beside(twin: &mut Twin, ip: &str, other: impl Fn(&Machine<'_>) -> u16, options: BindOptions) -> bool {
    let call = |it: &Machine<'_>| Call::BindTcp { address: address(ip, other(it)), options };
    match twin.open(First, call) {
        Ok(bound) => {
            let listening = twin.ask(First, |it| Call::Listen { fd: it.fd(bound), backlog: 1 });
            twin.close(First, bound);
            listening.is_ok()
        }
        Err(errno) => {
            assert_eq!(errno, Errno::AddressInUse);
            false
        }
    }
}

fn bytes(text: &str) -> Result<Reply, Errno> {
    Ok(Reply::Bytes(text.as_bytes().to_vec()))
}

#[test]
fn a_connection_has_the_addresses_that_linux_gives_it() {
    let mut twin = Twin::new();
    let [port, other] = twin.free_ports();
    serve(&mut twin, "[::]", port, 16);
    let cases = [
        ("127.0.0.1", "127.0.0.1", "[::ffff:127.0.0.1]"),
        ("127.0.0.2", "127.0.0.1", "[::ffff:127.0.0.2]"),
        ("0.0.0.0", "127.0.0.1", "[::ffff:127.0.0.1]"),
        ("[::1]", "[::1]", "[::1]"),
        ("[::]", "[::1]", "[::1]"),
        ("[::ffff:127.0.0.2]", "[::ffff:127.0.0.1]", "[::ffff:127.0.0.2]"),
    ];
    for (to, from, at) in cases {
        let client = try_connect(&mut twin, address(to, port), None).unwrap();
        let server = twin.accept(First, &[Handle::FIRST]);
        for (who, handle, ip) in [(Second, client, from), (First, server, at)] {
            let Reply::Address(local) = twin.ask(who, |it| Call::LocalAddress { fd: it.fd(handle) }).unwrap()
            else {
                panic!("no address")
            };
            assert_eq!(local.ip(), address(ip, 1).ip(), "{to}");
        }
    }
    for (from, to) in [("127.0.0.2", "127.0.0.3"), ("127.0.0.2", "0.0.0.0"), ("0.0.0.0", "127.0.0.5")] {
        let client = try_connect(&mut twin, address(to, port), Some(address(from, other))).unwrap();
        twin.ask(Second, |it| Call::LocalAddress { fd: it.fd(client) }).unwrap();
    }
}

#[test]
fn nobody_answers_where_nobody_listens() {
    let mut twin = Twin::new();
    let [port, bound] = twin.free_ports();
    assert_eq!(try_connect(&mut twin, address("127.0.0.1", port), None), Err(Errno::ConnectionRefused));
    try_bind(&mut twin, First, "127.0.0.1", bound, REUSE).unwrap();
    assert_eq!(try_connect(&mut twin, address("127.0.0.1", bound), None), Err(Errno::ConnectionRefused));
    assert_eq!(try_connect(&mut twin, address("127.0.0.1", 0), None), Err(Errno::ConnectionRefused));
    serve(&mut twin, "127.0.0.1", port, 1);
    for elsewhere in ["127.0.0.2", "[::1]"] {
        let refused = try_connect(&mut twin, address(elsewhere, port), None);
        assert_eq!(refused, Err(Errno::ConnectionRefused), "{elsewhere}");
    }
    let four = Some(address("127.0.0.1", 0));
    assert_eq!(try_connect(&mut twin, address("[::1]", port), four), Err(Errno::InvalidArgument));
    let six = Some(address("[::1]", 0));
    let mixed = try_connect(&mut twin, address("127.0.0.1", port), six);
    assert_eq!(mixed, Err(Errno::AddressFamilyNotSupported));
    let foreign = Some(address("203.0.113.7", 0));
    let foreign = try_connect(&mut twin, address("127.0.0.1", port), foreign);
    assert_eq!(foreign, Err(Errno::AddressNotAvailable));
}

#[test]
fn a_listener_that_never_accepts_takes_one_more_than_its_backlog_and_then_lets_wait() {
    let mut twin = Twin::new();
    let ports: [u16; 2] = twin.free_ports();
    for (port, backlog) in ports.into_iter().zip([0, 2]) {
        let listener = serve(&mut twin, "127.0.0.1", port, backlog);
        let clients: Vec<Handle> = (0..=backlog).map(|_| connect(&mut twin, port)).collect();
        let late = try_connect(&mut twin, address("127.0.0.1", port), None);
        assert_eq!(late, Err(Errno::TimedOut));
        twin.close(First, listener);
        for client in clients {
            assert_eq!(twin.receive(Second, client), Err(Errno::ConnectionReset));
            assert_eq!(twin.receive(Second, client), bytes(""));
        }
    }
}

#[test]
fn accepting_on_several_listeners_takes_the_first_that_has_a_connection() {
    let mut twin = Twin::new();
    let [one, two] = twin.free_ports();
    let quiet = serve(&mut twin, "127.0.0.1", one, 4);
    let busy = serve(&mut twin, "127.0.0.1", two, 4);
    let client = connect(&mut twin, two);
    twin.send(Second, client, b"early").unwrap();
    let server = twin.accept(First, &[quiet, busy]);
    assert_eq!(twin.receive(First, server), bytes("early"));
    connect(&mut twin, one);
    connect(&mut twin, two);
    let first = twin.accept(First, &[busy, quiet]);
    let Reply::Address(local) = twin.ask(First, |it| Call::LocalAddress { fd: it.fd(first) }).unwrap() else {
        panic!("no address")
    };
    assert_eq!(local.port(), two);
}

#[test]
fn an_exact_address_is_asked_before_a_wildcard() {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    let options = BindOptions { reuse_port: true, ..NO_REUSE };
    let mut listeners = Vec::new();
    for ip in ["[::]", "0.0.0.0", "127.0.0.1"] {
        let bound = try_bind(&mut twin, First, ip, port, options).unwrap();
        twin.ask(First, |it| Call::Listen { fd: it.fd(bound), backlog: 8 }).unwrap();
        listeners.push(bound);
    }
    // Each listens alone to what the ones before leave over.
    for (to, on) in [("127.0.0.1", 2), ("127.0.0.2", 1), ("[::1]", 0)] {
        try_connect(&mut twin, address(to, port), None).unwrap();
        twin.accept(First, &[listeners[on]]);
    }
}

#[test]
fn a_stream_gives_what_was_sent_then_its_end() {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    let [_, client, server] = pair(&mut twin, port);
    assert_eq!(twin.receive(Second, client), Err(Errno::TimedOut));
    twin.send(First, server, b"hel").unwrap();
    twin.send(First, server, b"lo").unwrap();
    twin.close(First, server);
    assert_eq!(twin.receive(Second, client), bytes("hello"));
    assert_eq!(twin.receive(Second, client), bytes(""));
    assert_eq!(twin.send(Second, client, b""), Ok(Reply::Count(0)));
    assert_eq!(twin.send(Second, client, b"x"), Ok(Reply::Count(1)), "it is the answer that says no");
    assert_eq!(twin.send(Second, client, b"x"), Err(Errno::BrokenPipe));
    assert_eq!(twin.send(Second, client, b""), Err(Errno::BrokenPipe));
    assert_eq!(twin.receive(Second, client), bytes(""));
}

#[test]
fn a_close_with_bytes_unread_resets_and_leaves_nothing() {
    let mut twin = Twin::new();
    let [port, other, third] = twin.free_ports();
    let [_, client, server] = pair(&mut twin, port);
    twin.send(Second, client, b"unread").unwrap();
    twin.send(First, server, b"read").unwrap();
    twin.close(First, server);
    assert_eq!(states(&mut twin, |it| it.local(client).port()), []);
    assert_eq!(states(&mut twin, |_| port), [TcpState::Listen]);
    assert_eq!(twin.receive(Second, client), bytes("read"));
    assert_eq!(twin.receive(Second, client), Err(Errno::ConnectionReset));
    assert_eq!(twin.receive(Second, client), bytes(""));
    assert_eq!(twin.send(Second, client, b"x"), Err(Errno::BrokenPipe));

    let [_, client, server] = pair(&mut twin, other);
    twin.send(Second, client, b"unread").unwrap();
    twin.close(First, server);
    assert_eq!(twin.send(Second, client, b"x"), Err(Errno::ConnectionReset), "whoever asks first is told");
    assert_eq!(twin.send(Second, client, b"x"), Err(Errno::BrokenPipe));
    assert_eq!(twin.receive(Second, client), bytes(""));

    let [_, client, server] = pair(&mut twin, third);
    twin.send(First, server, b"unread").unwrap();
    twin.close(First, server);
    twin.close(Second, client);
    assert_eq!(states(&mut twin, |_| third), [TcpState::Listen], "the reset ends what the first close began");
}

#[test]
fn a_port_that_the_kernel_gave_to_a_client_keeps_listeners_away_even_after_its_close() {
    let mut twin = Twin::new();
    let [port, after] = twin.free_ports();
    let [_, client, server] = pair(&mut twin, port);
    let cases = [
        ("127.0.0.1", REUSE, false),
        ("0.0.0.0", REUSE, false),
        ("127.0.0.2", REUSE, true),
        ("[::1]", REUSE, true),
        ("[::]", REUSE, false),
        ("[::]", BindOptions::SERVER, true),
        ("[::ffff:127.0.0.1]", REUSE, false),
    ];
    for (ip, options, expected) in cases {
        let outcome = bind_beside(&mut twin, ip, |it| it.local(client).port(), options);
        assert_eq!(outcome, expected, "beside the connection: {ip}");
    }
    assert_eq!(states(&mut twin, |it| it.local(client).port()), [TcpState::Connected]);
    twin.close(First, server);

    // A port that this test can name again when its socket is gone.
    let from = address("127.0.0.1", after);
    let client = try_connect(&mut twin, address("127.0.0.1", port), Some(from)).unwrap();
    let server = twin.accept(First, &[Handle::FIRST]);
    for stage in ["connected", "closed by one", "closed by both"] {
        for (ip, options, expected) in
            [("127.0.0.1", NO_REUSE, false), ("127.0.0.1", REUSE, true), ("127.0.0.2", NO_REUSE, true)]
        {
            assert_eq!(bind_beside(&mut twin, ip, |_| after, options), expected, "{stage}: {ip}");
        }
        match stage {
            "connected" => twin.close(Second, client),
            "closed by one" => twin.close(First, server),
            _ => {}
        }
    }
    assert_eq!(states(&mut twin, |_| after), [TcpState::TimeWait]);
}

#[test]
fn a_server_that_closed_first_may_bind_again_with_so_reuseaddr_only() {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    let [listener, client, server] = pair(&mut twin, port);
    twin.close(First, listener);
    assert_eq!(states(&mut twin, |_| port), [TcpState::Connected], "the connection outlives its listener");
    assert!(!bind_beside(&mut twin, "127.0.0.1", |_| port, NO_REUSE));
    assert!(bind_beside(&mut twin, "0.0.0.0", |_| port, REUSE));
    twin.close(First, server);
    assert!(!bind_beside(&mut twin, "127.0.0.1", |_| port, NO_REUSE));
    twin.close(Second, client);
    assert_eq!(states(&mut twin, |_| port), [TcpState::TimeWait]);
    for ip in ["127.0.0.1", "0.0.0.0", "[::]"] {
        assert!(!bind_beside(&mut twin, ip, |_| port, NO_REUSE), "{ip}");
        assert!(bind_beside(&mut twin, ip, |_| port, REUSE), "{ip}");
    }
    assert!(bind_beside(&mut twin, "127.0.0.2", |_| port, NO_REUSE));
}

#[test]
fn a_client_that_never_was_bound_keeps_the_wildcard_of_ipv4_away_even_on_ipv6() {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    let listener = serve(&mut twin, "[::1]", port, 4);
    let [client, _] = connect_alone(&mut twin, address("[::1]", port), listener);
    for (ip, expected) in [("0.0.0.0", false), ("127.0.0.1", true), ("[::1]", false), ("[::]", false)] {
        let outcome = bind_beside(&mut twin, ip, |it| it.local(client).port(), REUSE);
        assert_eq!(outcome, expected, "{ip}");
    }
}

#[test]
fn two_addresses_have_one_connection_at_a_time() {
    let mut twin = Twin::new();
    let [port, own] = twin.free_ports();
    let listener = serve(&mut twin, "127.0.0.1", port, 4);
    let (to, from) = (address("127.0.0.1", port), Some(address("127.0.0.1", own)));
    let client = try_connect(&mut twin, to, from).unwrap();
    let server = twin.accept(First, &[listener]);
    assert_eq!(try_connect(&mut twin, to, from), Err(Errno::AddressNotAvailable));
    twin.close(First, server);
    twin.close(Second, client);
    assert_eq!(states(&mut twin, |_| port), [TcpState::Listen, TcpState::TimeWait]);
    let again = try_connect(&mut twin, to, from).unwrap();
    assert_eq!(states(&mut twin, |_| port), [TcpState::Listen, TcpState::Connected]);
    let server = twin.accept(First, &[listener]);
    twin.send(Second, again, b"again").unwrap();
    assert_eq!(twin.receive(First, server), bytes("again"));
}

#[test]
fn what_waits_to_be_accepted_is_in_the_table_and_is_nobodys() {
    let mut twin = Twin::new();
    let [port] = twin.free_ports();
    let listener = serve(&mut twin, "127.0.0.1", port, 4);
    let client = connect(&mut twin, port);
    assert_eq!(states(&mut twin, |_| port), [TcpState::Listen, TcpState::Connected]);
    twin.close(Second, client);
    assert_eq!(states(&mut twin, |_| port), [TcpState::Listen, TcpState::Connected]);
    let server = twin.accept(First, &[listener]);
    assert_eq!(twin.receive(First, server), bytes(""));
    twin.close(First, server);
    assert_eq!(states(&mut twin, |_| port), [TcpState::Listen]);
}

#[test]
fn a_socket_that_is_not_connected_says_so() {
    let mut twin = Twin::new();
    let [port, other] = twin.free_ports();
    let [listener, client, _] = pair(&mut twin, port);
    let bound = try_bind(&mut twin, First, "127.0.0.1", other, REUSE).unwrap();
    for idle in [listener, bound] {
        assert_eq!(twin.receive(First, idle), Err(Errno::NotConnected));
        assert_eq!(twin.send(First, idle, b"x"), Err(Errno::BrokenPipe));
    }
    let listening = twin.ask(Second, |it| Call::Listen { fd: it.fd(client), backlog: 1 });
    assert_eq!(listening, Err(Errno::InvalidArgument));
    let accepting = twin.ask(Second, |it| Call::Accept { fds: vec![it.fd(client)] });
    assert_eq!(accepting, Err(Errno::InvalidArgument));
}
