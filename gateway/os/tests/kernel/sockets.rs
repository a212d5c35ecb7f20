//! Ports, abstract names and who is at the other end.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis_os::{Descriptor, Errno, Linux, Open, Os, PeerCredentials, Port, TcpRow, TcpState};
use tempfile::tempdir;

use crate::{Bystander, address, linux, name, pair};

/// The row of `/proc/net/tcp` of a listening socket.
async fn row(os: &Linux, socket: &Descriptor<Linux>, port: u16) -> Option<TcpRow> {
    let inode = os.stat_fd(socket).await.unwrap().id.inode;
    let rows = os.tcp_sockets(Port::new(port).unwrap()).await.unwrap();
    rows.into_iter().find(|row| row.socket == inode)
}

#[tokio::test]
async fn a_port_that_is_listened_on_cannot_be_bound_again_until_it_is_closed() {
    let os = linux();
    let address = address(&os, 20001).await;
    let first = os.bind_tcp(address).await.unwrap();
    os.listen(&first, 16).await.unwrap();
    assert_eq!(os.bind_tcp(address).await.unwrap_err(), Errno::AddressInUse);
    drop(first);
    let second = os.bind_tcp(address).await.unwrap();
    os.listen(&second, 16).await.unwrap();
}

#[tokio::test]
async fn a_range_of_ports_shows_who_listens_in_it_and_not_who_is_only_bound() {
    let os = linux();
    let address = address(&os, 20090).await;
    let socket = os.bind_tcp(address).await.unwrap();
    let inode = os.stat_fd(&socket).await.unwrap().id.inode;
    let seen = async |first: u16, last: u16| {
        let [first, last] = [first, last].map(|port| Port::new(port).unwrap());
        os.tcp_listeners([first, last]).await.unwrap().iter().any(|row| row.socket == inode)
    };
    let port = address.port();
    assert!(!seen(port - 1, port + 1).await, "it is only bound");
    os.listen(&socket, 16).await.unwrap();
    assert!(seen(port - 1, port + 1).await);
    assert!(seen(port, port).await);
    assert!(!seen(port + 1, port + 2).await);
    assert!(!seen(port - 2, port - 1).await);
}

#[tokio::test]
async fn binding_owns_nothing_and_the_first_to_listen_wins() {
    let os = linux();
    let address = address(&os, 20002).await;
    let first = os.bind_tcp(address).await.unwrap();
    let second = os.bind_tcp(address).await.unwrap();
    os.listen(&first, 16).await.unwrap();
    assert_eq!(os.listen(&second, 16).await.unwrap_err(), Errno::AddressInUse);
}

#[tokio::test]
async fn both_loopbacks_have_the_same_port_side_by_side() {
    let os = linux();
    // The port is free on 127.0.0.1; on ::1 it may belong to anybody.
    for base in 20100..20116 {
        let address = address(&os, base).await;
        let four = os.bind_tcp(address).await.unwrap();
        os.listen(&four, 16).await.unwrap();
        let port = address.port();
        let local = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let six = match os.bind_tcp(local).await {
            Err(Errno::AddressInUse) => continue,
            six => six.unwrap(),
        };
        os.listen(&six, 16).await.unwrap();
        assert_eq!(row(&os, &six, port).await.unwrap().local, local);
        assert_eq!(os.bind_tcp(local).await.unwrap_err(), Errno::AddressInUse);
        return;
    }
    panic!("sixteen ports in a row were taken on ::1");
}

#[tokio::test]
async fn the_socket_table_leads_from_a_port_to_its_process() {
    let os = linux();
    let local = address(&os, 20003).await;
    let socket = os.bind_tcp(local).await.unwrap();
    assert_eq!(row(&os, &socket, local.port()).await, None);
    os.listen(&socket, 16).await.unwrap();
    let inode = os.stat_fd(&socket).await.unwrap().id.inode;
    let uid = os.own_uid().await.unwrap();
    let expected = TcpRow { local, state: TcpState::Listen, uid, socket: inode };
    assert_eq!(row(&os, &socket, local.port()).await, Some(expected));
    let own = os.own_pid().await.unwrap();
    assert!(os.holds_socket(own, inode).await.unwrap());
    let child = Bystander::start();
    assert!(!os.holds_socket(child.pid(), inode).await.unwrap());
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_bound() {
    let documentation = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 20004));
    assert_eq!(linux().bind_tcp(documentation).await.unwrap_err(), Errno::AddressNotAvailable);
}

#[tokio::test]
async fn an_abstract_name_is_taken_once_and_free_after_close() {
    let os = linux();
    let name = name(&os, "token").await;
    let first = os.listen_unix(name.clone(), 1).await.unwrap();
    assert_eq!(os.listen_unix(name.clone(), 1).await.unwrap_err(), Errno::AddressInUse);
    first.close().await.unwrap();
    os.listen_unix(name, 1).await.unwrap();
}

#[tokio::test]
async fn an_abstract_name_has_at_most_107_bytes() {
    let os = linux();
    let mut name = name(&os, "").await;
    name.extend(std::iter::repeat_n('x', 107 - name.len()));
    let longest = os.listen_unix(name.clone(), 1).await.unwrap();
    drop(os.connect_unix(name.clone()).await.unwrap());
    drop(longest);
    name.push('x');
    assert_eq!(os.listen_unix(name.clone(), 1).await.unwrap_err(), Errno::NameTooLong);
    assert_eq!(os.connect_unix(name).await.unwrap_err(), Errno::NameTooLong);
}

#[tokio::test]
async fn connecting_to_nobody_is_refused() {
    let os = linux();
    let name = name(&os, "nobody").await;
    assert_eq!(os.connect_unix(name.clone()).await.unwrap_err(), Errno::ConnectionRefused);
    drop(os.listen_unix(name.clone(), 1).await.unwrap());
    assert_eq!(os.connect_unix(name).await.unwrap_err(), Errno::ConnectionRefused);
}

#[tokio::test]
async fn connecting_to_a_full_backlog_does_not_wait() {
    let os = linux();
    let name = name(&os, "full").await;
    let _listener = os.listen_unix(name.clone(), 1).await.unwrap();
    let mut connected = Vec::new();
    let errno = loop {
        match os.connect_unix(name.clone()).await {
            Ok(client) => connected.push(client),
            Err(errno) => break errno,
        }
    };
    assert_eq!((errno, connected.len()), (Errno::WouldBlock, 2));
}

#[tokio::test]
async fn both_ends_of_a_connection_know_each_other() {
    let os = linux();
    let (client, server) = pair(&os, "peers").await;
    let expected = PeerCredentials { pid: os.own_pid().await.ok(), uid: os.own_uid().await.unwrap() };
    assert_eq!(os.peer_credentials(&client).await.unwrap(), expected);
    assert_eq!(os.peer_credentials(&server).await.unwrap(), expected);
}

#[tokio::test]
async fn a_socket_without_a_known_peer_names_nobody() {
    let (os, home) = (linux(), tempdir().unwrap());
    let tcp = os.bind_tcp(address(&os, 20005).await).await.unwrap();
    let not_connected = Errno::from(rustix::io::Errno::NOTCONN);
    assert_eq!(os.peer_credentials(&tcp).await.unwrap_err(), not_connected);
    let file = os.open(home.path(), Open::directory()).await.unwrap();
    assert!(os.peer_credentials(&file).await.is_err());
}

#[tokio::test]
async fn sending_to_a_closed_end_is_epipe_and_kills_nobody() {
    let os = linux();
    let (client, server) = pair(&os, "pipe").await;
    assert_eq!(os.send(&client, b"who".to_vec()).await.unwrap(), 3);
    drop(server);
    assert_eq!(os.send(&client, b"who".to_vec()).await.unwrap_err(), Errno::BrokenPipe);
}

#[tokio::test]
async fn sending_to_an_end_that_does_not_read_stops_at_the_full_buffer() {
    let os = linux();
    let (client, server) = pair(&os, "stuck").await;
    let errno = loop {
        if let Err(errno) = os.send(&client, vec![0; 1 << 16]).await {
            break errno;
        }
    };
    assert_eq!(errno, Errno::WouldBlock);
    assert_eq!(os.receive(&server, 1, 0).await.unwrap(), [0]);
}
