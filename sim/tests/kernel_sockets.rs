//! Ports exclude each other exactly as on Linux, and an abstract name tells who has it even if he is stopped or gone.

mod kernel_machine;

use std::net::{Ipv6Addr, SocketAddr};

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{
    BindOptions, Call, Errno, Fd, Open, PeerCredentials, Port, Reply, Signal, TcpState, Uid,
};
use sim::Kernel;
use sim::kernel::{Completion, Place, ProcessId, Readiness, Spawn};

const BACKLOG: u16 = 8;

fn bind(kernel: &mut Kernel, who: ProcessId, address: &str) -> Result<Fd, Errno> {
    let Ok(address) = address.parse() else { panic!("{address} is no address") };
    ask(kernel, who, Call::BindTcp { address, options: BindOptions::SERVER }).map(|reply| fd(Ok(reply)))
}

fn listen(kernel: &mut Kernel, who: ProcessId, fd: Fd) -> Result<(), Errno> {
    ask(kernel, who, Call::Listen { fd, backlog: BACKLOG }).map(|_| ())
}

fn serve(kernel: &mut Kernel, who: ProcessId, name: &str, backlog: u16) -> Fd {
    fd(ask(kernel, who, Call::ListenUnix { name: name.into(), backlog }))
}

fn connect(kernel: &mut Kernel, who: ProcessId, name: &str) -> Result<Fd, Errno> {
    ask(kernel, who, Call::ConnectUnix { name: name.into() }).map(|reply| fd(Ok(reply)))
}

fn accept(kernel: &mut Kernel, who: ProcessId, fds: &[Fd]) -> (Fd, Fd) {
    match ask(kernel, who, Call::Accept { fds: fds.to_vec() }) {
        Ok(Reply::Accepted { on, stream }) => (on, stream),
        other => panic!("nothing accepted but {other:?}"),
    }
}

fn receiving(fd: Fd) -> Call {
    Call::Receive { fd, length: 64, deadline_ms: 100 }
}

fn sending(fd: Fd, bytes: &[u8]) -> Call {
    Call::Send { fd, bytes: bytes.to_vec() }
}

fn end_of_stream() -> Result<Reply, Errno> {
    Ok(Reply::Bytes(Vec::new()))
}

fn tcp_sockets() -> Call {
    let Some(port) = Port::new(18789) else { unreachable!("18789 is a port") };
    Call::TcpSockets { port }
}

#[test]
fn two_listeners_on_one_port_get_along_as_in_the_table_of_linux() {
    const ADDRESSES: [&str; 6] = ["0.0.0.0", "127.0.0.1", "127.0.0.2", "192.0.2.10", "[::]", "[::1]"];
    // Rows: who came first. Columns: who came second. `x`: the second is refused.
    const TABLE: [&str; 6] = ["xxxx..", "xx....", "x.x...", "x..x..", "....xx", "....xx"];
    for (first, row) in ADDRESSES.iter().zip(TABLE) {
        for (second, expected) in ADDRESSES.iter().zip(row.chars()) {
            let mut kernel = machine();
            let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
            let held = bind(&mut kernel, a, &format!("{first}:18789")).unwrap();
            listen(&mut kernel, a, held).unwrap();
            let refused = bind(&mut kernel, b, &format!("{second}:18789")).is_err();
            assert_eq!(refused, expected == 'x', "{first} then {second}");
            assert!(bind(&mut kernel, b, &format!("{second}:18790")).is_ok(), "another port is free");

            // The same table decides who listens, if both were bound before.
            let mut kernel = machine();
            let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
            let one = bind(&mut kernel, a, &format!("{first}:18789")).unwrap();
            let two = bind(&mut kernel, b, &format!("{second}:18789")).unwrap();
            listen(&mut kernel, a, one).unwrap();
            let expected = if expected == 'x' { Err(Errno::AddressInUse) } else { Ok(()) };
            assert_eq!(listen(&mut kernel, b, two), expected, "{first} then {second}");
        }
    }
}

#[test]
fn a_bound_socket_reserves_nothing_and_a_closed_one_leaves_nothing() {
    let mut kernel = machine();
    let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
    let one = bind(&mut kernel, a, "127.0.0.1:18789").unwrap();
    assert_eq!(kernel.listeners(Port::new(18789).unwrap()), []);
    assert_eq!(ask(&mut kernel, a, tcp_sockets()), Ok(Reply::Tcp(Vec::new())));
    let two = bind(&mut kernel, b, "127.0.0.1:18789").unwrap();
    listen(&mut kernel, b, two).unwrap();
    listen(&mut kernel, b, two).unwrap();
    assert_eq!(listen(&mut kernel, a, one), Err(Errno::AddressInUse));
    assert_eq!(bind(&mut kernel, a, "127.0.0.1:18789"), Err(Errno::AddressInUse));
    ask(&mut kernel, b, Call::Close { fd: two }).unwrap();
    assert_eq!(listen(&mut kernel, a, one), Ok(()));
    assert_eq!(kernel.listeners(Port::new(18789).unwrap()), [("127.0.0.1:18789".parse().unwrap(), a)],);
}

#[test]
fn an_address_that_cannot_be_bound_has_the_errno_of_linux() {
    let mut kernel = machine();
    let user = start(&mut kernel, "user");
    let root = Spawn {
        name: "root".to_owned(),
        command: String::new(),
        uid: Uid(0),
        parent: None,
        pid: None,
        place: Place::default(),
    };
    let root = kernel.spawn(&root).unwrap();
    assert_eq!(bind(&mut kernel, user, "127.0.0.1:80"), Err(Errno::AccessDenied));
    assert_eq!(bind(&mut kernel, user, "192.0.2.11:80"), Err(Errno::AddressNotAvailable));
    assert_eq!(
        bind(&mut kernel, user, "[fd00::1]:80"),
        Err(Errno::AccessDenied),
        "IPv6 looks at the port first"
    );
    assert_eq!(bind(&mut kernel, user, "192.0.2.11:18789"), Err(Errno::AddressNotAvailable));
    assert_eq!(bind(&mut kernel, root, "127.0.0.1:80"), Ok(Fd(3)));
    assert_eq!(bind(&mut kernel, user, "[::ffff:127.0.0.1]:18789"), Err(Errno::InvalidArgument));
    assert_eq!(bind(&mut kernel, user, "[fd00::1]:18789"), Err(Errno::AddressNotAvailable));
    assert_eq!(kernel.hold_port(user, "127.0.0.1:0".parse().unwrap()), Err(Errno::InvalidArgument));
    assert_eq!(kernel.hold_port(user, "127.0.0.1:80".parse().unwrap()), Ok(()), "a bound one is no rival");
    assert_eq!(kernel.hold_port(root, "0.0.0.0:80".parse().unwrap()), Err(Errno::AddressInUse));
}

#[test]
fn a_range_of_ports_shows_its_listeners_and_nothing_that_is_only_bound() {
    let mut kernel = machine();
    let [a, asker] = ["a", "asker"].map(|name| start(&mut kernel, name));
    for address in ["127.0.0.1:18788", "127.0.0.1:18789", "[::1]:18791", "0.0.0.0:18792"] {
        kernel.hold_port(a, address.parse().unwrap()).unwrap();
    }
    bind(&mut kernel, a, "127.0.0.1:18790").unwrap();
    let [first, last] = [18789, 18791].map(|port| Port::new(port).unwrap());
    let Ok(Reply::Tcp(rows)) = ask(&mut kernel, asker, Call::TcpListeners { first, last }) else {
        panic!("no table")
    };
    let listed: Vec<String> = rows.iter().map(|row| row.local.to_string()).collect();
    assert_eq!(listed, ["127.0.0.1:18789", "[::1]:18791"]);
    let nowhere = Call::TcpListeners { first: last, last: first };
    assert_eq!(ask(&mut kernel, asker, nowhere), Ok(Reply::Tcp(Vec::new())), "a range that is none");
}

#[test]
fn a_listener_is_named_by_its_row_and_its_inode() {
    let mut kernel = machine();
    let [squatter, asker] = ["squatter", "asker"].map(|name| start(&mut kernel, name));
    kernel.hold_port(squatter, SocketAddr::from((Ipv6Addr::LOCALHOST, 18789))).unwrap();
    kernel.hold_port(squatter, "127.0.0.1:18789".parse().unwrap()).unwrap();
    let Ok(Reply::Tcp(rows)) = ask(&mut kernel, asker, tcp_sockets()) else { panic!("no table") };
    let listed: Vec<String> = rows.iter().map(|row| row.local.to_string()).collect();
    assert_eq!(listed, ["127.0.0.1:18789", "[::1]:18789"]);
    assert!(rows.iter().all(|row| row.uid == USER && row.state == TcpState::Listen));
    let pid = kernel.pid(squatter);
    for row in rows {
        let asked = Call::HoldsSocket { pid, socket: row.socket };
        assert_eq!(ask(&mut kernel, asker, asked), Ok(Reply::Truth(true)));
    }
    assert_eq!(ask(&mut kernel, asker, Call::HoldsSocket { pid, socket: 1 }), Ok(Reply::Truth(false)));

    kernel.signal(ProcessId::ENVIRONMENT, squatter, Signal::Kill);
    assert_eq!(ask(&mut kernel, asker, tcp_sockets()), Ok(Reply::Tcp(Vec::new())));
}

#[test]
fn a_name_has_one_holder_until_its_last_close() {
    let mut kernel = machine();
    let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
    let held = serve(&mut kernel, a, "token", BACKLOG);
    let taken = Call::ListenUnix { name: "token".into(), backlog: BACKLOG };
    assert_eq!(ask(&mut kernel, b, taken.clone()), Err(Errno::AddressInUse));
    assert_eq!(ask(&mut kernel, a, taken.clone()), Err(Errno::AddressInUse));
    ask(&mut kernel, a, Call::Close { fd: held }).unwrap();
    assert_eq!(connect(&mut kernel, b, "token"), Err(Errno::ConnectionRefused));
    assert!(ask(&mut kernel, b, taken.clone()).is_ok());
    kernel.signal(ProcessId::ENVIRONMENT, b, Signal::Kill);
    assert!(ask(&mut kernel, a, taken).is_ok());
    let long = Call::ListenUnix { name: "n".repeat(108).into(), backlog: 0 };
    assert_eq!(ask(&mut kernel, a, long), Err(Errno::NameTooLong));
}

#[test]
fn a_stopped_listener_is_connected_to_and_names_itself_but_does_not_answer() {
    let mut kernel = machine();
    let [owner, asker] = ["owner", "asker"].map(|name| start(&mut kernel, name));
    serve(&mut kernel, owner, "token", BACKLOG);
    kernel.signal(ProcessId::ENVIRONMENT, owner, Signal::Stop);
    let stream = connect(&mut kernel, asker, "token").unwrap();
    let owner_is = PeerCredentials { pid: Some(kernel.pid(owner)), uid: USER };
    assert_eq!(ask(&mut kernel, asker, Call::PeerCredentials { fd: stream }), Ok(Reply::Peer(owner_is)));
    assert_eq!(ask(&mut kernel, asker, sending(stream, b"who?")), Ok(Reply::Count(4)));
    assert_eq!(kernel.readiness(asker, &receiving(stream)), Readiness::WaitsUntilDeadline);
    let late = kernel.perform(asker, &receiving(stream), Completion::TimedOut);
    assert_eq!(late, Err(Errno::TimedOut));

    kernel.signal(ProcessId::ENVIRONMENT, owner, Signal::Kill);
    assert_eq!(ask(&mut kernel, asker, Call::PeerCredentials { fd: stream }), Ok(Reply::Peer(owner_is)));
    assert_eq!(ask(&mut kernel, asker, receiving(stream)), Err(Errno::ConnectionReset));
    assert_eq!(ask(&mut kernel, asker, receiving(stream)), end_of_stream());
    assert_eq!(ask(&mut kernel, asker, sending(stream, b"x")), Err(Errno::BrokenPipe));
}

#[test]
fn a_backlog_takes_one_more_than_was_asked_for() {
    let mut kernel = machine();
    let [owner, asker] = ["owner", "asker"].map(|name| start(&mut kernel, name));
    let listener = serve(&mut kernel, owner, "token", 1);
    let first = connect(&mut kernel, asker, "token").unwrap();
    connect(&mut kernel, asker, "token").unwrap();
    assert_eq!(connect(&mut kernel, asker, "token"), Err(Errno::WouldBlock));
    ask(&mut kernel, asker, Call::Close { fd: first }).unwrap();
    assert_eq!(connect(&mut kernel, asker, "token"), Err(Errno::WouldBlock), "a closed one still waits");
    let (_, stream) = accept(&mut kernel, owner, &[listener]);
    assert_eq!(ask(&mut kernel, owner, receiving(stream)), end_of_stream());
    assert!(connect(&mut kernel, asker, "token").is_ok());
}

#[test]
fn accept_takes_the_first_listener_that_has_a_connection() {
    let mut kernel = machine();
    let [owner, asker] = ["owner", "asker"].map(|name| start(&mut kernel, name));
    let quiet = serve(&mut kernel, owner, "quiet", BACKLOG);
    let busy = serve(&mut kernel, owner, "busy", BACKLOG);
    let port = bind(&mut kernel, owner, "127.0.0.1:18789").unwrap();
    let all = Call::Accept { fds: vec![quiet, port, busy] };
    assert_eq!(
        ask(&mut kernel, owner, all.clone()),
        Err(Errno::InvalidArgument),
        "the port is not listened on"
    );
    listen(&mut kernel, owner, port).unwrap();
    assert_eq!(kernel.readiness(owner, &all), Readiness::Waits);

    let early = connect(&mut kernel, asker, "busy").unwrap();
    assert_eq!(ask(&mut kernel, asker, sending(early, b"early")), Ok(Reply::Count(5)));
    connect(&mut kernel, asker, "busy").unwrap();
    let (on, stream) = accept(&mut kernel, owner, &[quiet, port, busy]);
    assert_eq!(on, busy);
    assert_eq!(ask(&mut kernel, owner, receiving(stream)), Ok(Reply::Bytes(b"early".to_vec())));
    let asker_is = PeerCredentials { pid: Some(kernel.pid(asker)), uid: USER };
    assert_eq!(ask(&mut kernel, owner, Call::PeerCredentials { fd: stream }), Ok(Reply::Peer(asker_is)));
    connect(&mut kernel, asker, "quiet").unwrap();
    assert_eq!(accept(&mut kernel, owner, &[busy, quiet]).0, busy);
    assert_eq!(accept(&mut kernel, owner, &[busy, quiet]).0, quiet);
    assert_eq!(kernel.readiness(owner, &all), Readiness::Waits);
}

#[test]
fn a_stream_gives_what_was_sent_then_its_end() {
    let mut kernel = machine();
    let [owner, asker] = ["owner", "asker"].map(|name| start(&mut kernel, name));
    let listener = serve(&mut kernel, owner, "token", BACKLOG);
    let client = connect(&mut kernel, asker, "token").unwrap();
    let (_, server) = accept(&mut kernel, owner, &[listener]);
    ask(&mut kernel, owner, sending(server, b"hel")).unwrap();
    ask(&mut kernel, owner, sending(server, b"lo")).unwrap();
    ask(&mut kernel, owner, Call::Close { fd: server }).unwrap();
    let two = Call::Receive { fd: client, length: 2, deadline_ms: 0 };
    assert_eq!(ask(&mut kernel, asker, two), Ok(Reply::Bytes(b"he".to_vec())));
    assert_eq!(ask(&mut kernel, asker, receiving(client)), Ok(Reply::Bytes(b"llo".to_vec())));
    assert_eq!(ask(&mut kernel, asker, receiving(client)), end_of_stream());
    assert_eq!(ask(&mut kernel, asker, receiving(client)), end_of_stream());
    assert_eq!(ask(&mut kernel, asker, sending(client, b"")), Err(Errno::BrokenPipe));
}

#[test]
fn the_end_of_a_process_is_the_end_of_its_streams() {
    let mut kernel = machine();
    let [owner, asker] = ["owner", "asker"].map(|name| start(&mut kernel, name));
    let listener = serve(&mut kernel, owner, "token", BACKLOG);
    let accepted = connect(&mut kernel, asker, "token").unwrap();
    accept(&mut kernel, owner, &[listener]);
    let unread = connect(&mut kernel, asker, "token").unwrap();
    accept(&mut kernel, owner, &[listener]);
    ask(&mut kernel, asker, sending(unread, b"never read")).unwrap();
    let pending = connect(&mut kernel, asker, "token").unwrap();
    kernel.signal(ProcessId::ENVIRONMENT, owner, Signal::Kill);
    assert_eq!(ask(&mut kernel, asker, receiving(accepted)), end_of_stream());
    assert_eq!(ask(&mut kernel, asker, receiving(unread)), Err(Errno::ConnectionReset));
    assert_eq!(ask(&mut kernel, asker, receiving(pending)), Err(Errno::ConnectionReset));
}

#[test]
fn what_is_no_stream_says_so_as_linux_does() {
    const NOT_CONNECTED: Errno = Errno::NotConnected;
    const NO_SOCKET: Errno = Errno::NotSocket;
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    let file = fd(ask(&mut kernel, who, open("/state", Open::directory())));
    let listener = serve(&mut kernel, who, "token", BACKLOG);
    let port = bind(&mut kernel, who, "127.0.0.1:18789").unwrap();
    let stream = connect(&mut kernel, who, "token").unwrap();
    let cases = [
        (sending(file, b"x"), NO_SOCKET),
        (sending(listener, b"x"), NOT_CONNECTED),
        (sending(port, b"x"), Errno::BrokenPipe),
        (sending(Fd(99), b"x"), Errno::BadDescriptor),
        (receiving(file), NO_SOCKET),
        (receiving(listener), Errno::InvalidArgument),
        (receiving(port), NOT_CONNECTED),
        (Call::Listen { fd: file, backlog: 1 }, NO_SOCKET),
        (Call::Listen { fd: stream, backlog: 1 }, Errno::InvalidArgument),
        (Call::Accept { fds: vec![listener, stream] }, Errno::InvalidArgument),
        (Call::Accept { fds: vec![file] }, NO_SOCKET),
        (Call::Accept { fds: vec![Fd(99)] }, Errno::BadDescriptor),
        (Call::PeerCredentials { fd: file }, NO_SOCKET),
        (Call::PeerCredentials { fd: port }, NOT_CONNECTED),
    ];
    for (call, expected) in cases {
        assert_eq!(ask(&mut kernel, who, call.clone()), Err(expected), "{call:?}");
    }
    assert_eq!(ask(&mut kernel, who, flock(stream)), Ok(Reply::Done), "a lock that nobody can contend for");
}

#[test]
fn a_full_stream_takes_no_more() {
    let mut kernel = machine();
    let [owner, asker] = ["owner", "asker"].map(|name| start(&mut kernel, name));
    serve(&mut kernel, owner, "token", BACKLOG);
    let stream = connect(&mut kernel, asker, "token").unwrap();
    let Ok(Reply::Count(taken)) = ask(&mut kernel, asker, sending(stream, &vec![0; 1 << 20])) else {
        panic!("nothing was taken")
    };
    assert!(taken < 1 << 20);
    assert_eq!(ask(&mut kernel, asker, sending(stream, b"x")), Err(Errno::WouldBlock));
}
