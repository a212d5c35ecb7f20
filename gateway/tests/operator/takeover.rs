//! A gateway that takes over gets everything from the one that serves: nobody is refused, nobody else gets in, and whoever dies
//! or does not answer meanwhile leaves the other one or free locks.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::restart::{ask, listeners};
use crate::room::{Room, Running, USER, object, read, signal};

const TAKEOVER: &[&str] = &["--takeover"];

/// The epoch that was begun last.
fn epoch(room: &Room) -> u64 {
    let text = String::from_utf8_lossy(&read(&room.at("state/gateway.epoch"))).into_owned();
    let rest = text.split_once("\"epoch\":").map(|(_, rest)| rest).expect("a header");
    rest.split(',').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Waits until a gateway has ended because it handed over.
fn ends(mut gateway: Running) {
    let said = gateway.next();
    assert_eq!(said["event"], "released", "{said}");
    assert!(gateway.child.0.wait().expect("it ends").success());
}

/// A socket where an owner finds whoever wants to take over.
fn successor(room: &Room) -> UnixListener {
    let state = fs::metadata(room.at("state")).expect("it is there");
    let name = format!("refgate.v1.takeover.{:x}.{}", state.dev(), state.ino());
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).expect("a short name")).expect("it is free")
}

/// What an owner offers.
fn offer(stream: &mut UnixStream) -> String {
    let mut offer = Vec::new();
    while !offer.ends_with(b"\n") {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).expect("an offer");
        assert!(count > 0, "the offer is cut off");
        offer.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(offer).expect("text")
}

#[test]
fn every_request_is_answered_meanwhile_and_the_sockets_stay_the_same() {
    let room = Room::new(34, None);
    let mut gateway = room.gateway(&[]);
    let before = listeners(room.base);
    let (is_over, base) = (Arc::new(AtomicBool::new(false)), room.base);
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let mut answers = 0_u32;
                while !is_over.load(Ordering::SeqCst) {
                    let answer = ask(base).expect("nobody is refused");
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    for _ in 0..5 {
        let next = room.gateway(TAKEOVER);
        ends(std::mem::replace(&mut gateway, next));
    }
    is_over.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.join().expect("every request was answered") > 0);
    }
    assert_eq!(listeners(room.base), before);
    // Each owner but the last begins one more, in which it would have gone on.
    assert_eq!(epoch(&room), 11);
    for sealed in 1..=10 {
        let journal = read(&room.at(&format!("state/journal.{sealed}")));
        let events = String::from_utf8_lossy(&journal).matches("\"event\":\"stop\"").count();
        assert_eq!(events, 1, "epoch {sealed} has ended in order");
    }
}

#[test]
fn who_has_taken_over_is_named_as_the_owner_and_leaves_nothing_locked() {
    let room = Room::new(35, None);
    let first = room.gateway(&[]);
    let mut second = room.gateway(TAKEOVER);
    ends(first);
    let pid = i64::from(second.pid());
    let why = room.why(None);
    assert_eq!(
        (why["verdict"].as_str(), why["holder"]["pid"].as_i64()),
        (Some("held-ready"), Some(pid)),
        "{why}"
    );
    let refused = object(&room.run(&["gateway", "--json"]).stdout);
    assert_eq!(
        (refused["code"].as_str(), refused["holder"]["pid"].as_i64()),
        (Some("held-ready"), Some(pid))
    );
    // The kernel says of a lock who took it, and that one is gone: who has it is told all the same.
    second.pause();
    let why = room.why(None);
    assert_eq!(
        (why["verdict"].as_str(), why["holder"]["pid"].as_i64()),
        (Some("held-stopped"), Some(pid)),
        "{why}"
    );
    signal(second.pid(), Signal::KILL);
    second.child.0.wait().expect("it ends");
    drop(room.gateway(&[]));
}

#[test]
fn where_nobody_serves_it_starts_like_any_other() {
    let room = Room::new(15, None);
    drop(room.gateway(TAKEOVER));
    assert_eq!(epoch(&room), 1);
}

#[test]
fn an_owner_of_something_else_is_asked_for_nothing_or_goes_on_as_it_was() {
    let room = Room::new(16, None);
    let mut gateway = room.gateway(&[]);
    let elsewhere = room.at("elsewhere");
    let other_workspace = |arguments: &[&str]| {
        let mut command = room.refgate(None, &["gateway", "--json", "--takeover"]);
        command.args(arguments).env("OPENCLAW_WORKSPACE_DIR", &elsewhere).output().expect("it runs")
    };
    let refused = other_workspace(&[]);
    let said = object(&refused.stdout);
    assert_eq!((said["code"].as_str(), refused.status.code()), (Some("held-ready"), Some(78)), "{said}");
    let pid = gateway.pid();
    let expected = format!(
        "not taken over from pid {pid}: it has another set of workspaces: stop it, and start this one"
    );
    assert!(said["evidence"].as_array().is_some_and(|all| all.contains(&expected.clone().into())), "{said}");
    assert_eq!(epoch(&room), 1, "it was not even restarted");
    assert!(ask(room.base).expect("it serves").starts_with("HTTP/1.1 200 "));
    signal(pid, Signal::TERM);
    assert!(gateway.child.0.wait().expect("it ends").success());
}

#[test]
fn whoever_asks_and_does_not_go_on_costs_the_owner_a_restart_at_most() {
    let room = Room::new(21, None);
    let mut gateway = room.gateway(&[]);
    let waiting = successor(&room);
    // It hangs up: nothing happens, and the next request is heard as usual.
    signal(gateway.pid(), Signal::USR1);
    drop(waiting.accept().expect("the owner calls"));
    let said = gateway.next();
    assert_eq!(said["event"], "note", "{said}");
    // It wants everything, and dies.
    signal(gateway.pid(), Signal::USR1);
    let (mut stream, _) = waiting.accept().expect("the owner calls");
    let told = offer(&mut stream);
    assert!(told.contains(&format!("\"base\":{},", room.base)), "{told}");
    stream.write_all(b"take\n").expect("it listens");
    drop(stream);
    let said = gateway.next();
    assert_eq!((said["event"].as_str(), epoch(&room)), (Some("ready"), 2), "{said}");
    // It receives everything but the last token, and says nothing.
    signal(gateway.pid(), Signal::USR1);
    let (mut stream, _) = waiting.accept().expect("the owner calls");
    offer(&mut stream);
    stream.write_all(b"take\n").expect("it listens");
    let said = gateway.next();
    assert_eq!((said["event"].as_str(), epoch(&room)), (Some("ready"), 3), "{said}");
    // What it was sent is on its way to nobody, and goes with the socket.
    signal(gateway.pid(), Signal::KILL);
    gateway.child.0.wait().expect("it ends");
    drop((stream, waiting));
    drop(room.gateway(&[]));
}

#[test]
fn nothing_is_offered_to_another_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let room = Room::new(9, Some(USER));
    let mut gateway = room.gateway(&[]);
    let waiting = successor(&room);
    signal(gateway.pid(), Signal::USR1);
    let (mut stream, _) = waiting.accept().expect("the owner calls");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("it hangs up");
    assert_eq!(heard, b"");
    assert_eq!(gateway.next()["event"], "ready", "it restarts in place, as it was told to");
}

#[test]
fn who_is_killed_at_any_moment_leaves_one_owner_or_free_locks() {
    let room = Room::new(4, None);
    let mut gateway = room.gateway(&[]);
    let count = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(usize::MAX, Iterator::count);
    for (round, descriptors) in [14, 18, 25, 60, 100, 120, 124, 127, 129, 130, 131].into_iter().enumerate() {
        let mut next = room.spawn_with(TAKEOVER, &[]);
        // So many tokens have arrived, or more if this looks too late.
        while count(next.pid()) < descriptors && gateway.child.lives() {
            std::thread::yield_now();
        }
        let victim = if round % 2 == 0 { &mut next } else { &mut gateway };
        // It may have ended meanwhile, as it should.
        if victim.child.lives() {
            signal(victim.pid(), Signal::KILL);
            victim.child.0.wait().expect("it ends");
        }
        // Whatever is left: who starts by taking over ends up as the owner, and as the only one.
        let after = heir(&room);
        let why = room.why(None);
        assert_eq!(why["holder"]["pid"].as_i64(), Some(i64::from(after.pid())), "{why}");
        gateway = after;
        drop(next);
    }
}

/// One that takes over from whoever is left, which may need a moment to notice what has happened.
fn heir(room: &Room) -> Running {
    loop {
        let mut running = room.spawn_with(TAKEOVER, &[]);
        let said = running.next();
        if said["event"] == "owner" {
            assert_eq!(running.next()["event"], "ready");
            return running;
        }
        assert_eq!(said["event"], "refused", "{said}");
    }
}
