//! Descriptors that are sent: held by nobody on the way, and yet what they stand for is held.

use std::path::Path;

use portcullis_os::{BindOptions, Call, Errno, LockMode, Open, Reply, UnixName};
use tempfile::TempDir;

use crate::twin::{First, Handle, Second, Twin, Who};

/// Both machines, a directory, and the two ends of a stream: of the first process, and of the second.
struct Scene {
    twin: Twin,
    home: TempDir,
    ends: [Handle; 2],
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut twin = Twin::new();
        twin.directory(home.path());
        let ends = stream(&mut twin, home.path(), "stream");
        Self { twin, home, ends }
    }

    /// A descriptor of a file that is locked.
    fn locked(&mut self, who: Who) -> Result<Handle, Errno> {
        let path = self.home.path().join("lock");
        let open = Call::Open { at: None, path, open: Open::read_write_create() };
        let file = self.twin.open(who, |_| open.clone()).unwrap();
        let lock = self.twin.ask(who, |it| Call::Flock { fd: it.fd(file), mode: LockMode::Exclusive });
        if lock.is_err() {
            self.twin.close(who, file);
        }
        lock.map(|_| file)
    }

    fn send_fd(&mut self, who: Who, fd: Handle) -> Result<Reply, Errno> {
        let socket = self.ends[who as usize];
        self.twin.ask(who, |it| Call::SendFd { socket: it.fd(socket), fd: it.fd(fd) })
    }

    fn receive_fd(&mut self, who: Who) -> Result<Handle, Errno> {
        let socket = self.ends[who as usize];
        self.twin.open(who, |it| Call::ReceiveFd { socket: it.fd(socket), deadline_ms: it.deadline_ms })
    }

    fn close(&mut self, who: Who, handle: Handle) {
        self.twin.close(who, handle);
    }
}

/// An accepted connection: the listener's end of the first process, and the other one of the second.
fn stream(twin: &mut Twin, home: &Path, name: &str) -> [Handle; 2] {
    let name = UnixName::Path(home.join(name));
    let listener = twin.open(First, |_| Call::ListenUnix { name: name.clone(), backlog: 1 }).unwrap();
    let client = twin.open(Second, |_| Call::ConnectUnix { name: name.clone() }).unwrap();
    let server = twin.accept(First, &[listener]);
    twin.close(First, listener);
    [server, client]
}

fn text(bytes: &[u8]) -> Result<Reply, Errno> {
    Ok(Reply::Bytes(bytes.to_vec()))
}

#[test]
fn a_lock_is_held_on_its_way_and_by_whoever_receives_it() {
    let mut scene = Scene::new();
    assert_eq!(scene.receive_fd(Second), Err(Errno::TimedOut));
    let file = scene.locked(First).unwrap();
    scene.send_fd(First, file).unwrap();
    scene.close(First, file);
    assert_eq!(scene.locked(First), Err(Errno::WouldBlock), "nobody has it, and it is locked");
    let received = scene.receive_fd(Second).unwrap();
    assert_eq!(scene.locked(First), Err(Errno::WouldBlock));
    scene.twin.ask(Second, |it| Call::StatFd { fd: it.fd(received) }).unwrap();
    scene.close(Second, received);
    scene.locked(First).unwrap();
}

#[test]
fn a_message_outlives_its_sender_and_goes_with_the_socket_that_it_was_sent_to() {
    let mut scene = Scene::new();
    let [sender, receiver] = scene.ends;
    let file = scene.locked(First).unwrap();
    scene.send_fd(First, file).unwrap();
    scene.close(First, file);
    scene.close(First, sender);
    assert_eq!(scene.locked(First), Err(Errno::WouldBlock), "the sender is gone, the message is not");
    scene.close(Second, receiver);
    scene.locked(First).unwrap();
}

#[test]
fn a_close_with_a_descriptor_unread_is_a_reset() {
    let mut scene = Scene::new();
    let [_, receiver] = scene.ends;
    let file = scene.locked(First).unwrap();
    scene.send_fd(First, file).unwrap();
    scene.close(Second, receiver);
    assert_eq!(scene.receive_fd(First), Err(Errno::ConnectionReset));
    assert_eq!(scene.receive_fd(First), Err(Errno::NotFound), "the end of the stream");
    assert_eq!(scene.send_fd(First, file), Err(Errno::BrokenPipe));
}

#[test]
fn a_port_and_a_name_are_held_on_their_way() {
    let mut scene = Scene::new();
    let [port] = scene.twin.free_ports();
    let bind = Call::BindTcp { address: ([127, 0, 0, 1], port).into(), options: BindOptions::SERVER };
    let path = scene.home.path().display().to_string();
    let name = Call::ListenUnix { name: format!("{path}-token").into(), backlog: 1 };
    let listener = scene.twin.open(First, |_| bind.clone()).unwrap();
    scene.twin.ask(First, |it| Call::Listen { fd: it.fd(listener), backlog: 1 }).unwrap();
    let token = scene.twin.open(First, |_| name.clone()).unwrap();
    for handle in [listener, token] {
        scene.send_fd(First, handle).unwrap();
        scene.close(First, handle);
    }
    for call in [&bind, &name] {
        assert_eq!(scene.twin.open(First, |_| call.clone()), Err(Errno::AddressInUse));
    }
    // The kernel accepts for a socket that no process has.
    let to = Call::ConnectUnix { name: format!("{path}-token").into() };
    let client = scene.twin.open(First, |_| to.clone()).unwrap();
    let listener = scene.receive_fd(Second).unwrap();
    let token = scene.receive_fd(Second).unwrap();
    let server = scene.twin.accept(Second, &[listener, token]);
    scene.twin.send(First, client, b"hello").unwrap();
    assert_eq!(scene.twin.receive(Second, server), text(b"hello"));
}

#[test]
fn a_read_ends_at_a_descriptor_and_loses_it_if_it_did_not_ask() {
    let mut scene = Scene::new();
    let [sender, receiver] = scene.ends;
    let file = scene.locked(First).unwrap();
    for _ in 0..2 {
        scene.twin.send(First, sender, b"text").unwrap();
        scene.send_fd(First, file).unwrap();
    }
    scene.twin.send(First, sender, b"end").unwrap();
    scene.close(First, file);
    assert_eq!(scene.twin.receive(Second, receiver), text(b"text\0"));
    assert_eq!(scene.locked(First), Err(Errno::WouldBlock), "the second message still has it");
    let four = |it: &crate::twin::Machine<'_>| Call::Receive {
        fd: it.fd(receiver),
        length: 4,
        deadline_ms: it.deadline_ms,
    };
    assert_eq!(scene.twin.ask(Second, four), text(b"text"));
    assert_eq!(scene.twin.receive(Second, receiver), text(b"\0"));
    scene.locked(First).unwrap();
    assert_eq!(scene.twin.receive(Second, receiver), text(b"end"));
}

#[test]
fn a_byte_that_came_alone_is_no_descriptor() {
    let mut scene = Scene::new();
    let [sender, receiver] = scene.ends;
    let file = scene.locked(First).unwrap();
    scene.twin.send(First, sender, b"ab").unwrap();
    scene.send_fd(First, file).unwrap();
    assert_eq!(scene.receive_fd(Second), Err(Errno::NotFound));
    assert_eq!(scene.receive_fd(Second), Err(Errno::NotFound));
    scene.receive_fd(Second).unwrap();
    scene.close(First, sender);
    assert_eq!(scene.receive_fd(Second), Err(Errno::NotFound), "the end of the stream");
    assert_eq!(scene.twin.receive(Second, receiver), text(b""));
}

#[test]
fn only_a_unix_stream_carries_descriptors() {
    let mut scene = Scene::new();
    let file = scene.locked(First).unwrap();
    let [port] = scene.twin.free_ports();
    let address = ([127, 0, 0, 1], port).into();
    let options = BindOptions::SERVER;
    let listener = scene.twin.open(First, |_| Call::BindTcp { address, options }).unwrap();
    let send = |scene: &mut Scene, socket: Handle, fd: Handle| {
        scene.twin.ask(First, |it| Call::SendFd { socket: it.fd(socket), fd: it.fd(fd) })
    };
    let receive = |scene: &mut Scene, who: Who, socket: Handle| {
        let call = |it: &crate::twin::Machine<'_>| Call::ReceiveFd {
            socket: it.fd(socket),
            deadline_ms: it.deadline_ms,
        };
        scene.twin.open(who, call)
    };
    assert_eq!(send(&mut scene, file, file), Err(Errno::NotSocket));
    assert_eq!(receive(&mut scene, First, file), Err(Errno::NotSocket));
    scene.twin.ask(First, |it| Call::Listen { fd: it.fd(listener), backlog: 1 }).unwrap();
    assert_eq!(send(&mut scene, listener, file), Err(Errno::BrokenPipe));
    assert_eq!(receive(&mut scene, First, listener), Err(Errno::NotConnected));
    let name: UnixName = format!("{}-idle", scene.home.path().display()).into();
    let idle = scene.twin.open(First, |_| Call::ListenUnix { name: name.clone(), backlog: 1 }).unwrap();
    assert_eq!(send(&mut scene, idle, file), Err(Errno::NotConnected));
    assert_eq!(receive(&mut scene, First, idle), Err(Errno::InvalidArgument));

    // TCP takes the byte and forgets the rest.
    let client = scene
        .twin
        .open(Second, |it| Call::ConnectTcp { address, from: None, deadline_ms: it.deadline_ms })
        .unwrap();
    let server = scene.twin.accept(First, &[listener]);
    send(&mut scene, server, file).unwrap();
    assert_eq!(receive(&mut scene, Second, client), Err(Errno::NotFound));
}
