//! Programs on several hosts: their connections, what cuts and freezes them, and that a seed decides everything.

#![expect(clippy::expect_used, reason = "a test panics where its premises fail")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use portcullis_os::{BindOptions, Call, Listener as _, Open, Os as _, Port, Reply, Signal, Uid};
use sim::kernel::{HostId, Kernel, Life, Persistence, ProcessId, Spawn};
use sim::network::{Link, Network, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Duration, timeout};

const SERVER: HostId = HostId(0);
const CLIENT: HostId = HostId(1);

fn port() -> Port {
    Port::new(18789).expect("a port")
}

fn two_hosts(seed: u64) -> Network {
    let mut kernel = Kernel::new();
    kernel.add_host(60_000);
    Network::new(kernel, &["server", "client"], seed).expect("a network")
}

fn on(network: &Network, host: HostId, name: &str) -> Spawn {
    Spawn {
        name: name.to_owned(),
        command: name.to_owned(),
        uid: Uid(1000),
        parent: None,
        pid: None,
        place: network.look(|kernel| kernel.place_on(host)),
    }
}

/// Answers every connection with what it says, until it is told to stop.
async fn echo(node: Node) -> u8 {
    let address = SocketAddr::from(([0, 0, 0, 0], port().get()));
    let bound = node.call(Call::BindTcp { address, options: BindOptions::SERVER }).await;
    let Ok(Reply::Fd(fd)) = bound else { return 1 };
    if node.call(Call::Listen { fd, backlog: 16 }).await.is_err() {
        return 2;
    }
    let Ok(mut listener) = node.listener(fd) else { return 3 };
    let host = node.clone();
    node.task(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            host.task(async move {
                let mut buffer = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    if node.call(Call::CatchSignals).await.is_err() {
        return 4;
    }
    u8::from(node.call(Call::NextSignal).await.is_err())
}

/// Says so many words and hears each of them; ends with 1 if it cannot connect, with 2 if it is not answered in ten seconds.
async fn ask(node: Node, host: &'static str, words: u8) -> u8 {
    let Ok(mut stream) = node.dial(host, port()).await else { return 1 };
    for word in 0..words {
        let answer = timeout(Duration::from_secs(10), async {
            stream.write_all(&[word]).await?;
            stream.read_u8().await
        });
        match answer.await {
            Ok(Ok(heard)) if heard == word => {}
            Ok(_) | Err(_) => return 2,
        }
    }
    0
}

fn is_dead(process: ProcessId) -> impl Fn(&Kernel, &[sim::network::Happened]) -> bool {
    move |kernel, _| matches!(kernel.life(process), Life::Dead(_))
}

fn status(network: &Network, process: ProcessId) -> Option<u8> {
    match network.look(|kernel| kernel.life(process)) {
        Life::Dead(sim::Ending::Exited(status)) => Some(status),
        Life::Dead(_) | Life::Dying(_) | Life::Running | Life::Stopped | Life::Uninterruptible => None,
    }
}

/// A server, and one client that asks it so many things once it listens.
fn talk(network: &mut Network, words: u8) -> (ProcessId, ProcessId) {
    let server = network.spawn(&on(network, SERVER, "server"), echo).expect("room");
    network.run(1_000, |_, _| false).expect("time goes on");
    let client = network.spawn(&on(network, CLIENT, "client"), |node| ask(node, "server", words));
    (server, client.expect("room"))
}

#[test]
fn a_client_on_another_host_is_answered_after_its_packets_have_travelled() {
    let mut network = two_hosts(1);
    for way in [[SERVER, CLIENT], [CLIENT, SERVER]] {
        network.set_link(way[0], way[1], Link { least_ms: 40, most_ms: 40, ..Link::default() });
    }
    let (server, client) = talk(&mut network, 3);
    let before = network.now_ms();
    network.run(60_000, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), Some(0));
    // One journey there and back to connect, and one for each word.
    assert_eq!(network.now_ms() - before, 4 * 80);
    network.signal(server, Signal::Terminate);
    network.run(1_000, is_dead(server)).expect("time goes on");
    assert_eq!(status(&network, server), Some(0));
}

#[test]
fn where_nobody_listens_a_connection_is_refused() {
    let mut network = two_hosts(1);
    let client = network.spawn(&on(&network, CLIENT, "client"), |node| ask(node, "server", 1)).expect("room");
    network.run(60_000, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), Some(1));
    assert!(network.now_ms() < 10, "{}", network.now_ms());
}

#[test]
fn what_is_lost_comes_later_and_in_order() {
    let mut network = two_hosts(7);
    network.set_link(CLIENT, SERVER, Link { lost_permille: 300, ..Link::default() });
    let (_, client) = talk(&mut network, 100);
    network.run(600_000, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), Some(0));
    assert!(network.now_ms() > 5_000, "a third was lost, and yet it took only {} ms", network.now_ms());
}

#[test]
fn what_is_cut_off_waits_until_it_is_repaired() {
    let mut network = two_hosts(3);
    let (_, client) = talk(&mut network, 2);
    network.set_link(SERVER, CLIENT, Link { is_cut: true, ..Link::default() });
    network.run(5_000, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), None);
    network.set_link(SERVER, CLIENT, Link::default());
    network.run(100, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), Some(0));
}

#[test]
fn a_stopped_server_takes_connections_and_answers_none_before_it_goes_on() {
    let mut network = two_hosts(3);
    let server = network.spawn(&on(&network, SERVER, "server"), echo).expect("room");
    network.run(1_000, |_, _| false).expect("time goes on");
    network.signal(server, Signal::Stop);
    let connects = network.spawn(&on(&network, CLIENT, "connects"), |node| ask(node, "server", 0));
    let asks = network.spawn(&on(&network, CLIENT, "asks"), |node| ask(node, "server", 1)).expect("room");
    network.run(9_000, |_, _| false).expect("time goes on");
    assert_eq!(status(&network, connects.expect("room")), Some(0), "its kernel takes the connection");
    assert_eq!(status(&network, asks), None);
    network.signal(server, Signal::Continue);
    network.run(100, is_dead(asks)).expect("time goes on");
    assert_eq!(status(&network, asks), Some(0));
}

#[test]
fn a_killed_server_takes_its_connections_along() {
    let mut network = two_hosts(5);
    for way in [[SERVER, CLIENT], [CLIENT, SERVER]] {
        network.set_link(way[0], way[1], Link { least_ms: 40, most_ms: 40, ..Link::default() });
    }
    let (server, client) = talk(&mut network, 200);
    network.run(1_000, |_, _| false).expect("time goes on");
    network.signal(server, Signal::Kill);
    let before = network.now_ms();
    network.run(60_000, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), Some(2));
    assert!(network.now_ms() - before <= 80, "it hears of it as soon as a packet has come");
    let again = network.spawn(&on(&network, CLIENT, "again"), |node| ask(node, "server", 1)).expect("room");
    network.run(1_000, is_dead(again)).expect("time goes on");
    assert_eq!(status(&network, again), Some(1));
}

#[test]
fn a_port_that_was_killed_is_free_at_once() {
    let mut network = two_hosts(5);
    let (server, client) = talk(&mut network, 3);
    network.run(50, |_, _| false).expect("time goes on");
    network.signal(server, Signal::Kill);
    let next = network.spawn(&on(&network, SERVER, "next"), echo).expect("room");
    network.run(1_000, |_, _| false).expect("time goes on");
    assert_eq!(status(&network, next), None, "it serves");
    let again = network.spawn(&on(&network, CLIENT, "again"), |node| ask(node, "server", 5)).expect("room");
    network.run(1_000, is_dead(again)).expect("time goes on");
    assert_eq!((status(&network, client).is_some(), status(&network, again)), (true, Some(0)));
}

#[test]
fn a_host_that_sleeps_does_nothing_and_goes_on() {
    let mut network = two_hosts(5);
    let (_, client) = talk(&mut network, 1);
    network.set_asleep(SERVER, true);
    network.run(9_000, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), None);
    network.set_asleep(SERVER, false);
    network.run(100, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), Some(0));
}

#[test]
fn a_host_without_power_says_goodbye_to_nobody_and_knows_of_no_connection_when_it_has_power_again() {
    let mut network = two_hosts(5);
    for way in [[SERVER, CLIENT], [CLIENT, SERVER]] {
        network.set_link(way[0], way[1], Link { least_ms: 40, most_ms: 40, ..Link::default() });
    }
    let (server, client) = talk(&mut network, 200);
    network.run(1_000, |_, _| false).expect("time goes on");
    network.lose_power(SERVER).expect("few outcomes");
    assert!(matches!(network.look(|kernel| kernel.life(server)), Life::Dead(_)));
    network.run(5_000, |_, _| false).expect("time goes on");
    assert_eq!(status(&network, client), None, "it waits, because nobody has told it anything");
    network.restore_power(SERVER);
    network.spawn(&on(&network, SERVER, "server"), echo).expect("room");
    network.run(1_000, is_dead(client)).expect("time goes on");
    assert_eq!(status(&network, client), Some(2), "whoever listens there now does not know it");
    let again = network.spawn(&on(&network, CLIENT, "again"), |node| ask(node, "server", 3)).expect("room");
    network.run(1_000, is_dead(again)).expect("time goes on");
    assert_eq!(status(&network, again), Some(0));
}

#[test]
fn who_connects_and_who_says_nothing_hear_of_a_lost_connection_when_they_say_something() {
    let mut network = two_hosts(5);
    for way in [[SERVER, CLIENT], [CLIENT, SERVER]] {
        network.set_link(way[0], way[1], Link { least_ms: 40, most_ms: 40, ..Link::default() });
    }
    let idle = |node: Node| async move {
        let Ok(mut stream) = node.dial("server", port()).await else { return 1 };
        u8::from(timeout(Duration::from_secs(5), stream.read_u8()).await.is_ok()) * 2
    };
    network.spawn(&on(&network, SERVER, "server"), echo).expect("room");
    network.run(1_000, |_, _| false).expect("time goes on");
    let idle = network.spawn(&on(&network, CLIENT, "idle"), idle).expect("room");
    network.run(1_000, |_, _| false).expect("time goes on");
    // Half of a handshake: the server has answered, and the client has not heard it.
    let late = network.spawn(&on(&network, CLIENT, "late"), |node| ask(node, "server", 1)).expect("room");
    network.run(60, |_, _| false).expect("time goes on");
    network.lose_power(SERVER).expect("few outcomes");
    network.restore_power(SERVER);
    network.run(10_000, is_dead(idle)).expect("time goes on");
    assert_eq!(status(&network, idle), Some(0), "nobody has said goodbye to it");
    assert_eq!(status(&network, late), Some(2), "the host does not know what it speaks of");
}

#[test]
fn a_loss_of_power_takes_what_was_not_synced_or_leaves_it_and_never_what_was() {
    let mut found = BTreeSet::new();
    for seed in 0..64 {
        let mut network = two_hosts(seed);
        network.change(|kernel| {
            kernel.make_directory(Path::new("/state"), 0o755, Uid(1000));
            kernel.set_persistence(Path::new("/"), SERVER, Persistence::Posix);
        });
        network.spawn(&on(&network, SERVER, "writes"), write_twice).expect("room");
        network.run(1_000, |_, _| false).expect("time goes on");
        let (file, before) = (Path::new("/state/log"), b"synced, not synced");
        assert_eq!(network.look(|kernel| kernel.contents(file)).as_deref(), Some(&before[..]));
        network.lose_power(SERVER).expect("few outcomes");
        let after = network.look(|kernel| kernel.contents(file)).expect("its name was synced");
        assert_eq!(after.get(..6), Some(&b"synced"[..]), "{after:?}");
        found.insert(after);
    }
    assert!(found.contains(&b"synced"[..]) && found.contains(&b"synced, not synced"[..]), "{found:?}");
}

/// Writes a few bytes that are on the disk when it goes on, and more that may not be.
async fn write_twice(node: Node) -> u8 {
    let open =
        async |path: &str, open| match node.call(Call::Open { at: None, path: path.into(), open }).await {
            Ok(Reply::Fd(fd)) => fd,
            other => panic!("{path}: {other:?}"),
        };
    let (directory, file) =
        (open("/state", Open::directory()).await, open("/state/log", Open::create_exclusive()).await);
    for call in [
        Call::Write { fd: file, offset: 0, bytes: b"synced".to_vec() },
        Call::Sync { fd: file },
        Call::Sync { fd: directory },
        Call::Write { fd: file, offset: 6, bytes: b", not synced".to_vec() },
        Call::CatchSignals,
        Call::NextSignal,
    ] {
        if node.call(call).await.is_err() {
            return 1;
        }
    }
    0
}

#[test]
fn a_panic_is_the_end_of_its_process_and_is_told() {
    let mut network = two_hosts(1);
    let fails = network.spawn(&on(&network, SERVER, "fails"), |_| async { panic!("so it is") });
    let fails = fails.expect("room");
    network.run(10, is_dead(fails)).expect("time goes on");
    assert_eq!(network.panics(), [(fails, "so it is".to_owned())]);
    assert_eq!(status(&network, fails), Some(134));
}

#[test]
fn who_never_waits_is_found_out() {
    let mut network = two_hosts(1);
    let spins = |node: Node| async move {
        loop {
            let _ = node.call(Call::OwnPid).await;
        }
    };
    network.spawn(&on(&network, SERVER, "spins"), spins).expect("room");
    let error = network.run(10, |_, _| false).expect_err("time stands still");
    assert_eq!(error.at_ms, 0);
}

#[test]
fn one_seed_is_one_execution_and_another_seed_is_another() {
    let run = |seed| {
        let mut network = two_hosts(seed);
        network.set_link(CLIENT, SERVER, Link { lost_permille: 100, most_ms: 9, ..Link::default() });
        let (server, _) = talk(&mut network, 20);
        for _ in 0..4 {
            network.spawn(&on(&network, CLIENT, "more"), |node| ask(node, "server", 9)).expect("room");
        }
        network.run(40, |_, _| false).expect("time goes on");
        network.signal(server, Signal::Kill);
        network.run(20_000, |_, _| false).expect("time goes on");
        (network.digest(), network.take_happened())
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first.0, run(2).0);
}
