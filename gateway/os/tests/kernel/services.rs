//! What a process asks of itself: clocks, randomness, notices, tasks, and a listener for its server.

use std::sync::{Arc, Mutex};

use portcullis_os::{Clock, Errno, Linux, Listener, Notice, Open, Os};
use tempfile::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{address, linux, name};

#[tokio::test]
async fn notices_reach_whoever_watches() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let os = Linux::new({
        let heard = Arc::clone(&heard);
        move |notice| heard.lock().unwrap().push(notice.clone())
    });
    os.notify(Notice::Ready).await.unwrap();
    os.clone().notify(Notice::Released).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [Notice::Ready, Notice::Released]);
}

#[tokio::test]
async fn no_clock_but_that_of_the_wall_goes_back() {
    let os = linux();
    for clock in [Clock::Monotonic, Clock::Boot] {
        let before = os.read_clock(clock).await.unwrap();
        assert!(0 < before && before <= os.read_clock(clock).await.unwrap());
    }
    assert!(os.read_clock(Clock::Wall).await.unwrap() > 0);
}

#[tokio::test]
async fn random_bytes_differ_and_the_boot_id_does_not() {
    let os = linux();
    assert_ne!(os.random().await.unwrap(), os.random().await.unwrap());
    let boot = os.boot_id().await.unwrap();
    assert_eq!((boot.len(), &boot), (36, &os.boot_id().await.unwrap()));
}

#[tokio::test]
async fn a_task_runs_beside_the_one_that_started_it() {
    let os = linux();
    let name = name(&os, "task").await;
    let listener = os.listen_unix(name.clone(), 1).await.unwrap();
    os.task({
        let os = os.clone();
        async move { drop(os.connect_unix(name).await.unwrap()) }
    });
    let (_, stream) = os.accept(vec![listener.fd()]).await.unwrap();
    assert_eq!(os.receive(&stream, 1, 60_000).await.unwrap(), b"");
}

#[tokio::test]
async fn a_server_takes_connections_while_the_lock_keeps_the_port() {
    let os = linux();
    let address = address(&os, 20201).await;
    let socket = os.bind_tcp(address).await.unwrap();
    os.listen(&socket, 16).await.unwrap();
    let mut server = os.listener(socket.fd()).unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut stream, peer) = server.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert!(stream.nodelay().unwrap());
    stream.write_all(b"hello").await.unwrap();
    drop((stream, server));
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    assert_eq!(os.bind_tcp(address).await.unwrap_err(), Errno::AddressInUse);
    drop(socket);
    os.bind_tcp(address).await.unwrap();
}

#[tokio::test]
async fn only_a_listening_tcp_socket_becomes_a_listener() {
    let (os, home) = (linux(), tempdir().unwrap());
    let bound = os.bind_tcp(address(&os, 20202).await).await.unwrap();
    let unix = os.listen_unix(name(&os, "no-tcp").await, 1).await.unwrap();
    let file = os.open(home.path(), Open::directory()).await.unwrap();
    for fd in [bound.fd(), unix.fd(), file.fd(), portcullis_os::Fd(1)] {
        assert_eq!(os.listener(fd).unwrap_err(), Errno::BadDescriptor);
    }
}
