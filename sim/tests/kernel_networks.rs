//! Sockets where only the simulated machine can be asked: namespaces, addresses, time, other users, and what is left when
//! there is no room.
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod kernel_machine;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{
    BindOptions, Call, Errno, Fd, FileKind, Links, Open, PeerCredentials, Port, Reply, Signal, TcpRow,
    TcpState, Uid, UnixName,
};
use sim::Kernel;
use sim::kernel::{
    Addresses, Completion, HostId, Ipv6, NetworkNamespace, Place, ProcessId, Readiness, Spawn,
};

const PORT: u16 = 18789;
const BACKLOG: u16 = 4;

fn start_in(kernel: &mut Kernel, network: u8, uid: Uid) -> ProcessId {
    let network = NetworkNamespace(network);
    if network != NetworkNamespace::default() {
        assert_eq!(kernel.add_network_namespace(HostId::default()), network);
    }
    spawn(kernel, Place { network, ..Place::default() }, uid)
}

fn spawn(kernel: &mut Kernel, place: Place, uid: Uid) -> ProcessId {
    let name = "process".to_owned();
    let spawn = Spawn { name, command: String::new(), uid, parent: None, pid: None, place };
    kernel.spawn(&spawn).unwrap()
}

fn bind(address: &str) -> Call {
    Call::BindTcp { address: address.parse().unwrap(), options: BindOptions::SERVER }
}

fn connect(address: &str) -> Call {
    Call::ConnectTcp { address: address.parse().unwrap(), from: None, deadline_ms: 100 }
}

fn listen(fd: Fd) -> Call {
    Call::Listen { fd, backlog: BACKLOG }
}

fn serve(kernel: &mut Kernel, who: ProcessId, address: &str) -> Fd {
    let bound = fd(ask(kernel, who, bind(address)));
    ask(kernel, who, listen(bound)).unwrap();
    bound
}

fn serve_unix(name: impl Into<UnixName>) -> Call {
    Call::ListenUnix { name: name.into(), backlog: BACKLOG }
}

fn connect_unix(name: impl Into<UnixName>) -> Call {
    Call::ConnectUnix { name: name.into() }
}

fn path(path: &str) -> UnixName {
    UnixName::Path(PathBuf::from(path))
}

fn accept(kernel: &mut Kernel, who: ProcessId, on: Fd) -> Fd {
    match ask(kernel, who, Call::Accept { fds: vec![on] }) {
        Ok(Reply::Accepted { stream, .. }) => stream,
        other => panic!("nothing accepted but {other:?}"),
    }
}

fn close(kernel: &mut Kernel, who: ProcessId, fd: Fd) {
    ask(kernel, who, Call::Close { fd }).unwrap();
}

/// The lines of one port, as a process sees them.
fn rows(kernel: &mut Kernel, who: ProcessId, port: u16) -> Vec<TcpRow> {
    match ask(kernel, who, Call::TcpSockets { port: Port::new(port).unwrap() }) {
        Ok(Reply::Tcp(rows)) => rows,
        other => panic!("no table but {other:?}"),
    }
}

fn states(kernel: &mut Kernel, who: ProcessId, port: u16) -> Vec<TcpState> {
    rows(kernel, who, port).iter().map(|row| row.state).collect()
}

/// The two ends of a Unix stream, of two processes.
fn stream(kernel: &mut Kernel, one: ProcessId, other: ProcessId) -> (Fd, Fd) {
    let listener = fd(ask(kernel, one, serve_unix(path("/state/stream"))));
    let client = fd(ask(kernel, other, connect_unix(path("/state/stream"))));
    let server = accept(kernel, one, listener);
    close(kernel, one, listener);
    kernel.remove(Path::new("/state/stream")).unwrap();
    (server, client)
}

#[test]
fn a_port_and_an_abstract_name_mean_something_in_one_network_namespace() {
    let mut kernel = machine();
    let [inside, outside] = [1, 0].map(|network| start_in(&mut kernel, network, USER));
    for who in [inside, outside] {
        serve(&mut kernel, who, "127.0.0.1:18789");
        ask(&mut kernel, who, serve_unix("token")).unwrap();
        assert_eq!(rows(&mut kernel, who, PORT).len(), 1);
    }
    let other = start_in(&mut kernel, 2, USER);
    assert_eq!(rows(&mut kernel, other, PORT), []);
    assert_eq!(ask(&mut kernel, other, connect("127.0.0.1:18789")), Err(Errno::ConnectionRefused));
    assert_eq!(ask(&mut kernel, other, connect_unix("token")), Err(Errno::ConnectionRefused));
    assert!(ask(&mut kernel, outside, connect("127.0.0.1:18789")).is_ok());
    assert!(ask(&mut kernel, outside, connect_unix("token")).is_ok());
}

#[test]
fn a_socket_stays_in_the_namespace_that_it_was_made_in_whoever_has_it() {
    let mut kernel = machine();
    let [inside, outside] = [1, 0].map(|network| start_in(&mut kernel, network, USER));
    // A path leads out of the namespace.
    let (server, client) = stream(&mut kernel, outside, inside);
    let listener = serve(&mut kernel, inside, "127.0.0.1:18789");
    ask(&mut kernel, inside, Call::SendFd { socket: client, fd: listener }).unwrap();
    let received = fd(ask(&mut kernel, outside, Call::ReceiveFd { socket: server, deadline_ms: 0 }));
    close(&mut kernel, inside, listener);
    assert_eq!(rows(&mut kernel, outside, PORT), []);
    assert_eq!(rows(&mut kernel, inside, PORT).len(), 1);
    assert!(ask(&mut kernel, outside, bind("127.0.0.1:18789")).is_ok());
    assert_eq!(ask(&mut kernel, inside, bind("127.0.0.1:18789")), Err(Errno::AddressInUse));
    ask(&mut kernel, inside, connect("127.0.0.1:18789")).unwrap();
    accept(&mut kernel, outside, received);
    assert_eq!(states(&mut kernel, inside, PORT), [TcpState::Listen, TcpState::Connected]);
}

#[test]
fn the_socket_of_a_file_that_two_machines_share_is_found_on_its_own() {
    let mut kernel = machine();
    let near = start(&mut kernel, "near");
    let host = kernel.add_host(0);
    let place = kernel.place_on(host);
    let far = spawn(&mut kernel, place, USER);
    ask(&mut kernel, near, serve_unix(path("/state/socket"))).unwrap();
    assert!(ask(&mut kernel, near, connect_unix(path("/state/socket"))).is_ok());
    assert_eq!(ask(&mut kernel, far, connect_unix(path("/state/socket"))), Err(Errno::ConnectionRefused));
    assert_eq!(ask(&mut kernel, far, serve_unix(path("/state/socket"))), Err(Errno::AddressInUse));
}

#[test]
fn a_namespace_has_the_addresses_that_it_is_given() {
    let mut kernel = machine();
    let user = start(&mut kernel, "user");
    let fresh = kernel.clone();
    let cases = [
        (Addresses::usual(), ["127.0.0.9", "192.0.2.10", "[::1]"], ["192.0.2.11", "[2001:db8::1]"]),
        (
            Addresses { others: vec!["2001:db8::1".parse::<IpAddr>().unwrap()], ipv6: Ipv6::Enabled },
            ["127.0.0.9", "[2001:db8::1]", "[::1]"],
            ["192.0.2.10", "[2001:db8::2]"],
        ),
        (
            Addresses {
                others: vec!["2001:db8::1".parse::<IpAddr>().unwrap()],
                ipv6: Ipv6::WithoutAddresses,
            },
            ["127.0.0.9", "[::]", "[::ffff:127.0.0.1]"],
            ["[::1]", "[2001:db8::1]"],
        ),
    ];
    for (addresses, present, absent) in cases {
        let mut kernel = fresh.clone();
        kernel.set_addresses(NetworkNamespace::default(), addresses.clone());
        let options = BindOptions { v6_only: false, ..BindOptions::SERVER };
        let mut bind = |ip: &str| {
            let address = format!("{ip}:{PORT}").parse().unwrap();
            ask(&mut kernel, user, Call::BindTcp { address, options }).map(|_| ())
        };
        assert_eq!(present.map(&mut bind), [Ok(()); 3], "{addresses:?}");
        assert_eq!(absent.map(&mut bind), [Err(Errno::AddressNotAvailable); 2], "{addresses:?}");
        kernel.set_addresses(NetworkNamespace::default(), Addresses::usual());
    }
    kernel.set_addresses(NetworkNamespace::default(), Addresses { others: vec![], ipv6: Ipv6::Absent });
    assert_eq!(ask(&mut kernel, user, bind("[::1]:18789")), Err(Errno::AddressFamilyNotSupported));
    assert_eq!(ask(&mut kernel, user, connect("[::1]:18789")), Err(Errno::AddressFamilyNotSupported));
    assert!(ask(&mut kernel, user, bind("127.0.0.1:18789")).is_ok());
    kernel.set_addresses(NetworkNamespace::default(), Addresses::usual());
    assert_eq!(ask(&mut kernel, user, connect("[::1]:18789")), Err(Errno::ConnectionRefused));
}

#[test]
fn without_ipv6_addresses_a_socket_for_both_families_answers_one() {
    let mut kernel = machine();
    let user = start(&mut kernel, "user");
    kernel.set_addresses(
        NetworkNamespace::default(),
        Addresses { others: vec![], ipv6: Ipv6::WithoutAddresses },
    );
    let options = BindOptions { v6_only: false, ..BindOptions::SERVER };
    let dual = Call::BindTcp { address: "[::]:18789".parse().unwrap(), options };
    let bound = fd(ask(&mut kernel, user, dual));
    ask(&mut kernel, user, listen(bound)).unwrap();
    assert!(ask(&mut kernel, user, connect("127.0.0.1:18789")).is_ok());
    for ip in ["[::1]", "[::]", "[2001:db8::1]"] {
        let refused = ask(&mut kernel, user, connect(&format!("{ip}:18789")));
        assert_eq!(refused, Err(Errno::AddressNotAvailable), "{ip}");
    }
}

#[test]
fn a_closed_connection_lingers_for_a_minute_of_the_clock_or_until_it_is_expired() {
    for by_clock in [true, false] {
        let mut kernel = machine();
        let [server, client] = ["server", "client"].map(|name| start(&mut kernel, name));
        let listener = serve(&mut kernel, server, "127.0.0.1:18789");
        let one = fd(ask(&mut kernel, client, connect("127.0.0.1:18789")));
        let other = accept(&mut kernel, server, listener);
        let before = kernel.clone();
        close(&mut kernel, server, listener);
        close(&mut kernel, server, other);
        assert_eq!(states(&mut kernel, server, PORT), [TcpState::Connected], "FIN_WAIT2");
        let row = rows(&mut kernel, server, PORT)[0];
        assert_eq!((row.uid, row.socket), (Uid(0), 0), "it is nobody's");
        close(&mut kernel, client, one);
        assert_eq!(states(&mut kernel, server, PORT), [TcpState::TimeWait]);
        assert_ne!(kernel, before);
        let no_reuse = BindOptions { reuse_address: false, ..BindOptions::SERVER };
        let plain = Call::BindTcp { address: "127.0.0.1:18789".parse().unwrap(), options: no_reuse };
        assert_eq!(ask(&mut kernel, server, plain.clone()), Err(Errno::AddressInUse));
        if by_clock {
            kernel.advance(59_999);
            assert_eq!(states(&mut kernel, server, PORT), [TcpState::TimeWait]);
            kernel.advance(1);
        } else {
            kernel.expire_time_wait();
        }
        assert_eq!(states(&mut kernel, server, PORT), []);
        assert!(ask(&mut kernel, server, plain).is_ok());
    }
}

#[test]
fn an_end_whose_closed_peer_is_forgotten_notices_when_it_speaks() {
    let mut kernel = machine();
    let [server, client] = ["server", "client"].map(|name| start(&mut kernel, name));
    let listener = serve(&mut kernel, server, "127.0.0.1:18789");
    let one = fd(ask(&mut kernel, client, connect("127.0.0.1:18789")));
    accept(&mut kernel, server, listener);
    kernel.signal(ProcessId::ENVIRONMENT, server, Signal::Kill);
    kernel.expire_time_wait();
    assert_eq!(states(&mut kernel, client, PORT), []);
    let send = Call::Send { fd: one, bytes: b"hello?".to_vec() };
    assert_eq!(ask(&mut kernel, client, send.clone()), Ok(Reply::Count(6)));
    assert_eq!(ask(&mut kernel, client, send), Err(Errno::BrokenPipe));
    close(&mut kernel, client, one);
    assert_eq!(states(&mut kernel, client, 32_768 + 2 * 128), [], "it leaves nothing");
}

#[test]
fn a_connection_to_elsewhere_keeps_a_port_from_every_listener_even_after_its_end() {
    let mut kernel = machine();
    let [browser, gateway] = ["browser", "gateway"].map(|name| start(&mut kernel, name));
    kernel.hold_connection(browser, "127.0.0.1:18789".parse().unwrap()).unwrap();
    for stage in [TcpState::Connected, TcpState::TimeWait] {
        assert_eq!(states(&mut kernel, gateway, PORT), [stage]);
        assert_eq!(kernel.listeners(Port::new(PORT).unwrap()), [], "nobody to be found");
        for address in ["127.0.0.1:18789", "0.0.0.0:18789"] {
            assert_eq!(ask(&mut kernel, gateway, bind(address)), Err(Errno::AddressInUse), "{stage:?}");
            let held = kernel.hold_port(gateway, address.parse().unwrap());
            assert_eq!(held, Err(Errno::AddressInUse), "{stage:?}");
        }
        let beside = fd(ask(&mut kernel, gateway, bind("127.0.0.2:18789")));
        close(&mut kernel, gateway, beside);
        if stage == TcpState::Connected {
            kernel.signal(ProcessId::ENVIRONMENT, browser, Signal::Kill);
        }
    }
    kernel.expire_time_wait();
    assert!(ask(&mut kernel, gateway, bind("127.0.0.1:18789")).is_ok());
}

#[test]
fn what_goes_out_of_the_machine_is_not_answered_and_what_is_not_modelled_says_so() {
    let mut kernel = machine();
    let user = start(&mut kernel, "user");
    for address in ["192.0.2.11:80", "[2001:db8::1]:80"] {
        let call = connect(address);
        assert_eq!(kernel.readiness(user, &call), Readiness::WaitsUntilDeadline, "{address}");
        assert_eq!(kernel.perform(user, &call, Completion::TimedOut), Err(Errno::TimedOut));
    }
    let address = "127.0.0.1:18789".parse().unwrap();
    let own = Call::ConnectTcp { address, from: Some(address), deadline_ms: 0 };
    assert_eq!(ask(&mut kernel, user, own), Err(Errno::NotImplemented), "a connection to itself");
    for address in ["224.0.0.1:18789", "255.255.255.255:18789"] {
        assert_eq!(ask(&mut kernel, user, bind(address)), Err(Errno::NotImplemented), "{address}");
    }
}

#[test]
fn ports_that_the_kernel_chooses_do_not_depend_on_who_was_first() {
    let mut kernel = machine();
    let users = ["a", "b"].map(|name| start(&mut kernel, name));
    let server = start(&mut kernel, "server");
    serve(&mut kernel, server, "127.0.0.1:18789");
    let run = |order: [usize; 2]| {
        let mut kernel = kernel.clone();
        for index in order {
            ask(&mut kernel, users[index], bind("127.0.0.1:0")).unwrap();
        }
        kernel
    };
    assert_eq!(run([0, 1]), run([1, 0]));
    let chosen: Vec<u16> = users
        .iter()
        .flat_map(|user| [bind("0.0.0.0:0"), connect("127.0.0.1:18789")].map(|call| (*user, call)))
        .map(|(user, call)| {
            let socket = fd(ask(&mut kernel, user, call));
            match ask(&mut kernel, user, Call::LocalAddress { fd: socket }) {
                Ok(Reply::Address(address)) => address.port(),
                other => panic!("no address but {other:?}"),
            }
        })
        .collect();
    assert!(chosen.iter().all(|port| (32_768..61_000).contains(port)), "{chosen:?}");
    let mut different = chosen.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), chosen.len(), "{chosen:?}");
}

#[test]
fn who_may_not_write_the_file_of_a_socket_may_not_connect() {
    let mut kernel = machine();
    kernel.make_directory(Path::new("/run"), 0o1777, Uid(0));
    let [owner, stranger, root] = [USER, Uid(1001), Uid(0)].map(|uid| start_in(&mut kernel, 0, uid));
    let listener = fd(ask(&mut kernel, owner, serve_unix(path("/run/socket"))));
    let stat = Call::Stat { at: None, path: PathBuf::from("/run/socket"), links: Links::NoFollow };
    let Ok(Reply::File(status)) = ask(&mut kernel, stranger, stat) else { panic!("no file") };
    assert_eq!((status.kind, status.mode, status.uid), (FileKind::Special, 0o755, USER));
    let connect = connect_unix(path("/run/socket"));
    assert_eq!(ask(&mut kernel, stranger, connect.clone()), Err(Errno::AccessDenied));
    assert!(ask(&mut kernel, owner, connect.clone()).is_ok());
    assert!(ask(&mut kernel, root, connect.clone()).is_ok());
    assert_eq!(ask(&mut kernel, stranger, open("/run/socket", Open::read())), Err(Errno::NoDeviceOrAddress));
    let write = Open { write: true, ..Open::read() };
    assert_eq!(ask(&mut kernel, stranger, open("/run/socket", write)), Err(Errno::AccessDenied));
    close(&mut kernel, owner, listener);
    assert_eq!(ask(&mut kernel, stranger, connect), Err(Errno::AccessDenied), "stale or not");

    // Where a name can not be made, one that is taken says so first.
    kernel.make_directory(Path::new("/locked"), 0o755, Uid(0));
    assert_eq!(ask(&mut kernel, owner, serve_unix(path("/locked/a"))), Err(Errno::AccessDenied));
    ask(&mut kernel, root, serve_unix(path("/locked/a"))).unwrap();
    assert_eq!(ask(&mut kernel, owner, serve_unix(path("/locked/a"))), Err(Errno::AddressInUse));
}

#[test]
fn a_listener_names_whoever_made_it_listen_though_another_one_has_it() {
    let mut kernel = machine();
    let [maker, keeper, asker] = ["maker", "keeper", "asker"].map(|name| start(&mut kernel, name));
    let (server, client) = stream(&mut kernel, keeper, maker);
    let token = fd(ask(&mut kernel, maker, serve_unix("token")));
    ask(&mut kernel, maker, Call::SendFd { socket: client, fd: token }).unwrap();
    let pid = kernel.pid(maker);
    kernel.signal(ProcessId::ENVIRONMENT, maker, Signal::Kill);
    let received = fd(ask(&mut kernel, keeper, Call::ReceiveFd { socket: server, deadline_ms: 0 }));
    let names = |kernel: &mut Kernel| {
        let stream = fd(ask(kernel, asker, connect_unix("token")));
        ask(kernel, asker, Call::PeerCredentials { fd: stream })
    };
    let made_by = |pid| Ok(Reply::Peer(PeerCredentials { pid: Some(pid), uid: USER }));
    assert_eq!(names(&mut kernel), made_by(pid), "a number that has outlived its process");
    ask(&mut kernel, keeper, listen(received)).unwrap();
    let keeper_is = kernel.pid(keeper);
    assert_eq!(names(&mut kernel), made_by(keeper_is));
}

#[test]
fn a_lock_under_way_is_in_no_table_of_descriptors() {
    let mut kernel = machine();
    let [sender, receiver] = ["sender", "receiver"].map(|name| start(&mut kernel, name));
    let (server, client) = stream(&mut kernel, receiver, sender);
    let file = fd(ask(&mut kernel, sender, open("/state/lock", Open::read_write_create())));
    ask(&mut kernel, sender, flock(file)).unwrap();
    ask(&mut kernel, sender, Call::SendFd { socket: client, fd: file }).unwrap();
    let id = kernel.lookup(Path::new("/state/lock")).unwrap();
    let (sender_is, receiver_is) = (kernel.pid(sender), kernel.pid(receiver));
    let sender_holds = Call::HoldsLock { pid: sender_is, file: id };
    assert_eq!(ask(&mut kernel, receiver, sender_holds), Ok(Reply::Truth(true)));
    kernel.signal(ProcessId::ENVIRONMENT, sender, Signal::Kill);
    assert_eq!(kernel.lock_holders(id), [], "nobody has it");
    let receiver_holds = Call::HoldsLock { pid: receiver_is, file: id };
    assert_eq!(ask(&mut kernel, receiver, receiver_holds.clone()), Ok(Reply::Truth(false)));
    let second = fd(ask(&mut kernel, receiver, open("/state/lock", Open::read_write_create())));
    assert_eq!(ask(&mut kernel, receiver, flock(second)), Err(Errno::WouldBlock), "and it is held");

    let mut both_die = kernel.clone();
    both_die.signal(ProcessId::ENVIRONMENT, receiver, Signal::Kill);
    let late = start(&mut both_die, "late");
    let third = fd(ask(&mut both_die, late, open("/state/lock", Open::read_write_create())));
    assert_eq!(ask(&mut both_die, late, flock(third)), Ok(Reply::Done));

    ask(&mut kernel, receiver, Call::ReceiveFd { socket: server, deadline_ms: 0 }).unwrap();
    assert_eq!(ask(&mut kernel, receiver, receiver_holds), Ok(Reply::Truth(true)));
    assert_eq!(kernel.lock_holders(id), [receiver]);
}

#[test]
fn messages_that_only_hold_each_other_are_dropped_with_all_they_hold() {
    let mut kernel = machine();
    let [one, other] = ["one", "other"].map(|name| start(&mut kernel, name));
    let (server, client) = stream(&mut kernel, one, other);
    let token = fd(ask(&mut kernel, other, serve_unix("token")));
    let send = |kernel: &mut Kernel, who, socket, fd| ask(kernel, who, Call::SendFd { socket, fd }).unwrap();
    // The token and the client's end lie in the inbox of the client, which the server fills.
    send(&mut kernel, other, client, token);
    send(&mut kernel, other, client, client);
    let token_on = fd(ask(&mut kernel, one, Call::ReceiveFd { socket: server, deadline_ms: 0 }));
    let client_on = fd(ask(&mut kernel, one, Call::ReceiveFd { socket: server, deadline_ms: 0 }));
    send(&mut kernel, one, server, client_on);
    send(&mut kernel, one, server, token_on);
    for (who, held) in [(one, token_on), (one, client_on), (other, token)] {
        close(&mut kernel, who, held);
    }
    assert_eq!(
        ask(&mut kernel, one, serve_unix("token")),
        Err(Errno::AddressInUse),
        "the client could be asked"
    );
    close(&mut kernel, other, client);
    assert!(ask(&mut kernel, one, serve_unix("token")).is_ok());
}

#[test]
fn a_connection_that_nobody_has_accepted_holds_what_was_sent_into_it() {
    let mut kernel = machine();
    let [server, client] = ["server", "client"].map(|name| start(&mut kernel, name));
    let listener = fd(ask(&mut kernel, server, serve_unix("server")));
    let token = fd(ask(&mut kernel, client, serve_unix("token")));
    let stream = fd(ask(&mut kernel, client, connect_unix("server")));
    ask(&mut kernel, client, Call::SendFd { socket: stream, fd: token }).unwrap();
    kernel.signal(ProcessId::ENVIRONMENT, client, Signal::Kill);
    assert_eq!(ask(&mut kernel, server, serve_unix("token")), Err(Errno::AddressInUse));
    close(&mut kernel, server, listener);
    assert!(ask(&mut kernel, server, serve_unix("token")).is_ok());
}

#[test]
fn where_there_is_no_room_for_a_descriptor_accept_keeps_it_and_receive_loses_it() {
    let mut kernel = machine();
    let [full, other] = ["full", "other"].map(|name| start(&mut kernel, name));
    let (server, client) = stream(&mut kernel, full, other);
    let listener = serve(&mut kernel, full, "127.0.0.1:18789");
    let token = fd(ask(&mut kernel, other, serve_unix("token")));
    for _ in 0..2 {
        ask(&mut kernel, other, Call::SendFd { socket: client, fd: token }).unwrap();
    }
    close(&mut kernel, other, token);
    let mut last = listener;
    while let Ok(opened) = ask(&mut kernel, full, open("/state", Open::directory())) {
        last = fd(Ok(opened));
    }
    let accepting = Call::Accept { fds: vec![listener] };
    assert_eq!(ask(&mut kernel, full, accepting.clone()), Err(Errno::TooManyFiles), "though nobody waits");
    ask(&mut kernel, other, connect("127.0.0.1:18789")).unwrap();
    assert_eq!(ask(&mut kernel, full, accepting), Err(Errno::TooManyFiles));
    let receiving = Call::ReceiveFd { socket: server, deadline_ms: 0 };
    assert_eq!(ask(&mut kernel, full, receiving.clone()), Err(Errno::TooManyFiles));
    assert_eq!(ask(&mut kernel, other, serve_unix("token")), Err(Errno::AddressInUse), "the second message");
    close(&mut kernel, full, last);
    accept(&mut kernel, full, listener);
    assert_eq!(ask(&mut kernel, full, receiving.clone()), Err(Errno::TooManyFiles));
    assert!(ask(&mut kernel, other, serve_unix("token")).is_ok(), "both are lost");
    assert_eq!(kernel.readiness(full, &receiving), Readiness::WaitsUntilDeadline);
}

#[test]
fn whoever_waits_on_a_descriptor_that_is_closed_is_told() {
    let mut kernel = machine();
    let [server, client] = ["server", "client"].map(|name| start(&mut kernel, name));
    let listener = serve(&mut kernel, server, "127.0.0.1:18789");
    let stream = fd(ask(&mut kernel, client, connect("127.0.0.1:18789")));
    let accepting = Call::Accept { fds: vec![listener] };
    let receiving = Call::Receive { fd: stream, length: 1, deadline_ms: 10 };
    accept(&mut kernel, server, listener);
    assert_eq!(kernel.readiness(server, &accepting), Readiness::Waits);
    assert_eq!(kernel.readiness(client, &receiving), Readiness::WaitsUntilDeadline);
    close(&mut kernel, server, listener);
    close(&mut kernel, client, stream);
    assert_eq!(ask(&mut kernel, server, accepting), Err(Errno::BadDescriptor));
    assert_eq!(ask(&mut kernel, client, receiving), Err(Errno::BadDescriptor));
}
