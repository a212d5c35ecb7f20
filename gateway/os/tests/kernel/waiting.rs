//! Accepting and receiving: whoever waits is woken by what it waits for, by its deadline, or by the close.

use portcullis_os::{Call, Errno, Fd, Linux, Open, Os, Reply};
use tempfile::tempdir;
use tokio::task::{JoinHandle, yield_now};

use crate::{address, linux, name, pair};

/// A task that accepts one connection on any of these sockets and says on which; it waits when this returns.
async fn accepting(os: &Linux, fds: Vec<Fd>) -> JoinHandle<Result<Fd, Errno>> {
    let os = os.clone();
    let task = tokio::spawn(async move { os.accept(fds).await.map(|(on, _)| on) });
    yield_now().await;
    task
}

#[tokio::test]
async fn a_late_answer_is_etimedout_and_can_still_be_received() {
    let os = linux();
    let (client, server) = pair(&os, "late").await;
    assert_eq!(os.receive(&client, 64, 0).await.unwrap_err(), Errno::TimedOut);
    assert_eq!(os.receive(&client, 64, 5).await.unwrap_err(), Errno::TimedOut);
    os.send(&server, b"ready".to_vec()).await.unwrap();
    assert_eq!(os.receive(&client, 3, 60_000).await.unwrap(), b"rea");
    assert_eq!(os.receive(&client, 64, 0).await.unwrap(), b"dy");
    drop(server);
    assert_eq!(os.receive(&client, 64, 60_000).await.unwrap(), b"");
}

#[tokio::test]
async fn what_arrives_wakes_its_receiver() {
    let os = linux();
    let (client, server) = pair(&os, "wake").await;
    let received = tokio::spawn({
        let os = os.clone();
        async move { os.receive(&client, 64, 60_000).await }
    });
    yield_now().await;
    os.send(&server, b"ready".to_vec()).await.unwrap();
    assert_eq!(received.await.unwrap().unwrap(), b"ready");
}

#[tokio::test]
async fn receiving_from_what_is_no_socket_says_so_at_once() {
    let (os, home) = (linux(), tempdir().unwrap());
    let file = os.open(home.path(), Open::directory()).await.unwrap();
    let not_a_socket = Errno::from(rustix::io::Errno::NOTSOCK);
    assert_eq!(os.receive(&file, 1, 60_000).await.unwrap_err(), not_a_socket);
    assert_eq!(os.accept(vec![file.fd()]).await.unwrap_err(), not_a_socket);
}

#[tokio::test]
async fn accepting_names_the_one_of_many_listeners_that_was_called() {
    let os = linux();
    let mut listeners = Vec::new();
    for port in 0..112 {
        listeners.push(os.listen_unix(name(&os, &format!("many-{port}")).await, 4).await.unwrap());
    }
    let fds: Vec<Fd> = listeners.iter().map(portcullis_os::Descriptor::fd).collect();
    for port in [111, 0, 57, 57] {
        let task = accepting(&os, fds.clone()).await;
        let _client = os.connect_unix(name(&os, &format!("many-{port}")).await).await.unwrap();
        assert_eq!(task.await.unwrap(), Ok(fds[port]));
    }
}

#[tokio::test]
async fn ports_and_abstract_names_can_be_waited_for_together() {
    let os = linux();
    let address = address(&os, 20101).await;
    let tcp = os.bind_tcp(address).await.unwrap();
    os.listen(&tcp, 16).await.unwrap();
    let unix = os.listen_unix(name(&os, "mixed").await, 1).await.unwrap();
    let fds = vec![unix.fd(), tcp.fd()];
    let task = accepting(&os, fds.clone()).await;
    let _first = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(task.await.unwrap(), Ok(tcp.fd()));
    let task = accepting(&os, fds).await;
    let _second = os.connect_unix(name(&os, "mixed").await).await.unwrap();
    assert_eq!(task.await.unwrap(), Ok(unix.fd()));
}

#[tokio::test]
async fn several_tasks_can_wait_on_one_listener() {
    let os = linux();
    let name = name(&os, "shared").await;
    let listener = os.listen_unix(name.clone(), 4).await.unwrap();
    let first = accepting(&os, vec![listener.fd()]).await;
    let second = accepting(&os, vec![listener.fd()]).await;
    let _clients = (os.connect_unix(name.clone()).await.unwrap(), os.connect_unix(name).await.unwrap());
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(listener.fd()), Ok(listener.fd())));
}

#[tokio::test]
async fn closing_a_listener_frees_its_name_at_once_and_tells_who_waits() {
    let os = linux();
    let name = name(&os, "closed").await;
    let listener = os.listen_unix(name.clone(), 1).await.unwrap();
    let task = accepting(&os, vec![listener.fd()]).await;
    drop(listener);
    let _again = os.listen_unix(name, 1).await.unwrap();
    assert_eq!(task.await.unwrap(), Err(Errno::BadDescriptor));
}

#[tokio::test]
async fn who_waited_on_a_closed_socket_does_not_get_the_next_one_of_its_number() {
    let os = linux();
    let first = os.listen_unix(name(&os, "old").await, 1).await.unwrap();
    let task = accepting(&os, vec![first.fd()]).await;
    drop(first);
    // It has the number of the first one, unless another test of this process was quicker.
    let second = os.listen_unix(name(&os, "new").await, 1).await.unwrap();
    let _client = os.connect_unix(name(&os, "new").await).await.unwrap();
    assert_eq!(task.await.unwrap(), Err(Errno::BadDescriptor));
    assert_eq!(os.accept(vec![second.fd()]).await.unwrap().0, second.fd());
}

#[tokio::test]
async fn accepting_on_nothing_or_on_what_does_not_listen_is_einval() {
    let os = linux();
    let bound = os.bind_tcp(address(&os, 20102).await).await.unwrap();
    assert_eq!(os.accept(vec![]).await.unwrap_err(), Errno::InvalidArgument);
    assert_eq!(os.accept(vec![bound.fd()]).await.unwrap_err(), Errno::InvalidArgument);
    assert_eq!(os.call(Call::Accept { fds: vec![Fd(1)] }).await, Err(Errno::BadDescriptor));
    assert_eq!(os.call(Call::Sleep { milliseconds: 0 }).await, Ok(Reply::Done));
}
