//! TCP connections, path sockets, and descriptors that are sent.

use std::net::SocketAddr;
use std::path::Path;

use portcullis_os::{
    Call, Descriptor, Errno, Fd, FileKind, Links, Linux, LockMode, Open, Os, Port, Reply, TcpState, UnixName,
};
use tempfile::tempdir;

use crate::{address, linux, name, pair};

async fn fd(os: &Linux, call: Call) -> Result<Fd, Errno> {
    let Reply::Fd(fd) = os.call(call).await? else { panic!("no descriptor") };
    Ok(fd)
}

async fn connect(os: &Linux, address: SocketAddr, from: Option<SocketAddr>) -> Result<Fd, Errno> {
    fd(os, Call::ConnectTcp { address, from, deadline_ms: 10_000 }).await
}

async fn local(os: &Linux, fd: Fd) -> SocketAddr {
    let Reply::Address(address) = os.call(Call::LocalAddress { fd }).await.unwrap() else {
        panic!("no address")
    };
    address
}

async fn listening(os: &Linux, port: u16, backlog: u16) -> (Descriptor<Linux>, SocketAddr) {
    let address = address(os, port).await;
    let socket = os.bind_tcp(address).await.unwrap();
    os.listen(&socket, backlog).await.unwrap();
    (socket, address)
}

async fn receive(os: &Linux, fd: Fd) -> Result<Reply, Errno> {
    os.call(Call::Receive { fd, length: 64, deadline_ms: 10_000 }).await
}

#[tokio::test]
async fn a_connection_carries_bytes_both_ways_and_ends() {
    let os = linux();
    let (listener, address) = listening(&os, 20301, 4).await;
    let client = connect(&os, address, None).await.unwrap();
    let (_, server) = os.accept(vec![listener.fd()]).await.unwrap();
    os.send(&server, b"hello".to_vec()).await.unwrap();
    assert_eq!(receive(&os, client).await, Ok(Reply::Bytes(b"hello".to_vec())));
    drop(server);
    assert_eq!(receive(&os, client).await, Ok(Reply::Bytes(Vec::new())));
}

#[tokio::test]
async fn a_client_has_the_address_that_it_asks_for_or_one_that_it_is_given() {
    let os = linux();
    let (listener, address) = listening(&os, 20302, 4).await;
    let own = SocketAddr::new(address.ip(), 20303);
    let chosen = connect(&os, address, Some(own)).await.unwrap();
    assert_eq!(local(&os, chosen).await, own);
    let given = connect(&os, address, None).await.unwrap();
    assert_ne!(local(&os, given).await.port(), 0);
    assert_eq!(local(&os, listener.fd()).await, address);
    let rows = os.tcp_sockets(Port::new(20303).unwrap()).await.unwrap();
    let states: Vec<_> = rows.iter().filter(|row| row.local == own).map(|row| row.state).collect();
    assert_eq!(states, [TcpState::Connected]);
    // Of what has no such address there is none.
    let unix = os.listen_unix(name(&os, "no-address").await, 1).await.unwrap();
    let asked = os.call(Call::LocalAddress { fd: unix.fd() }).await;
    assert_eq!(asked, Err(Errno::AddressFamilyNotSupported));
}

#[tokio::test]
async fn connecting_to_nobody_is_refused_and_to_a_full_backlog_waits() {
    let os = linux();
    let nobody = address(&os, 20304).await;
    assert_eq!(connect(&os, nobody, None).await, Err(Errno::ConnectionRefused));
    let (_listener, address) = listening(&os, 20305, 0).await;
    connect(&os, address, None).await.unwrap();
    let late = Call::ConnectTcp { address, from: None, deadline_ms: 5 };
    assert_eq!(os.call(late).await, Err(Errno::TimedOut));
}

#[test]
fn what_is_ready_is_accepted_without_a_runtime() {
    // No I/O driver: whoever registers a socket with it panics.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let os = linux();
        let name = name(&os, "ready").await;
        let listener = os.listen_unix(name.clone(), 1).await.unwrap();
        let _client = os.connect_unix(name).await.unwrap();
        assert_eq!(os.accept(vec![listener.fd()]).await.unwrap().0, listener.fd());
    });
}

#[tokio::test]
async fn the_file_of_a_socket_outlives_it() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("socket");
    let listen = Call::ListenUnix { name: UnixName::Path(path.clone()), backlog: 1 };
    let connect = Call::ConnectUnix { name: UnixName::Path(path.clone()) };
    let listener = fd(&os, listen.clone()).await.unwrap();
    fd(&os, connect.clone()).await.unwrap();
    assert_eq!(os.stat(&path, Links::NoFollow).await.unwrap().kind, FileKind::Special);
    assert_eq!(os.open(&path, Open::read()).await.unwrap_err(), Errno::NoDeviceOrAddress);
    assert_eq!(fd(&os, listen.clone()).await, Err(Errno::AddressInUse));
    os.close(listener).await.unwrap();
    assert_eq!(fd(&os, connect).await, Err(Errno::ConnectionRefused));
    assert_eq!(fd(&os, listen.clone()).await, Err(Errno::AddressInUse));
    os.unlink(&path).await.unwrap();
    fd(&os, listen).await.unwrap();
}

#[tokio::test]
async fn an_empty_path_is_no_abstract_name() {
    let os = linux();
    let nothing = || UnixName::Path(Path::new("").to_owned());
    assert_eq!(fd(&os, Call::ListenUnix { name: nothing(), backlog: 1 }).await, Err(Errno::NotFound));
    assert_eq!(fd(&os, Call::ConnectUnix { name: nothing() }).await, Err(Errno::NotFound));
}

#[tokio::test]
async fn a_lock_that_is_sent_is_held_until_it_is_received_and_closed() {
    let (os, home) = (linux(), tempdir().unwrap());
    let path = home.path().join("lock");
    let (client, server) = pair(&os, "passed").await;
    let file = os.open(&path, Open::read_write_create()).await.unwrap();
    os.flock(&file, LockMode::Exclusive).await.unwrap();
    os.done(Call::SendFd { socket: client.fd(), fd: file.fd() }).await.unwrap();
    let id = os.stat_fd(&file).await.unwrap().id;
    drop((file, client));
    let own = os.own_pid().await.unwrap();
    assert!(!os.holds_lock(own, id).await.unwrap(), "nobody has it");
    let rival = os.open(&path, Open::read_write_create()).await.unwrap();
    assert_eq!(os.flock(&rival, LockMode::Exclusive).await.unwrap_err(), Errno::WouldBlock);
    let received = os.descriptor(Call::ReceiveFd { socket: server.fd(), deadline_ms: 0 }).await.unwrap();
    assert_eq!(os.stat_fd(&received).await.unwrap().id, id);
    assert!(os.holds_lock(own, id).await.unwrap());
    drop(received);
    os.flock(&rival, LockMode::Exclusive).await.unwrap();
}

#[tokio::test]
async fn what_is_sent_wakes_its_receiver_and_a_byte_alone_is_no_descriptor() {
    let os = linux();
    let (client, server) = pair(&os, "woken").await;
    let receive = |deadline_ms| Call::ReceiveFd { socket: server.fd(), deadline_ms };
    assert_eq!(os.call(receive(1)).await, Err(Errno::TimedOut));
    let received = tokio::spawn({
        let (os, call) = (os.clone(), receive(10_000));
        async move { os.call(call).await }
    });
    tokio::task::yield_now().await;
    os.done(Call::SendFd { socket: client.fd(), fd: client.fd() }).await.unwrap();
    assert!(matches!(received.await.unwrap(), Ok(Reply::Fd(_))));
    os.send(&client, b"x".to_vec()).await.unwrap();
    assert_eq!(os.call(receive(10_000)).await, Err(Errno::NotFound));
    let none = Call::SendFd { socket: client.fd(), fd: Fd(901) };
    assert_eq!(os.call(none).await, Err(Errno::BadDescriptor));
}

#[tokio::test]
async fn a_received_descriptor_closes_on_exec_and_never_makes_the_runtime_wait() {
    let os = linux();
    let (client, server) = pair(&os, "flags").await;
    os.done(Call::SendFd { socket: client.fd(), fd: client.fd() }).await.unwrap();
    let received = fd(&os, Call::ReceiveFd { socket: server.fd(), deadline_ms: 0 }).await.unwrap();
    let path = format!("/proc/self/fdinfo/{received}");
    let info = os.open(Path::new(&path), Open::read()).await.unwrap();
    let text = String::from_utf8(os.read(&info, 0, 4096).await.unwrap()).unwrap();
    assert!(text.contains("flags:\t02004002\n"), "O_CLOEXEC, O_NONBLOCK and O_RDWR: {text}");
}
