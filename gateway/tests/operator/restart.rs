//! A gateway that is restarted in place gives nothing up: nobody is refused, nobody else gets in, and the epoch is raised.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::room::{Room, Running, read, signal};

/// The inodes of the sockets that listen on a port.
pub(crate) fn listeners(port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = String::from_utf8_lossy(&read(table.as_ref())).into_owned();
        let rows = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        let listens = rows.filter(|row| row.len() > 9 && row[1].ends_with(&suffix) && row[3] == "0A");
        found.extend(listens.map(|row| row[9].to_owned()));
    }
    // The kernel writes its table piece by piece, and while others connect a row may come twice.
    found.dedup();
    found
}

/// One request, and how it was answered.
pub(crate) fn ask(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn told(room: &Room) -> String {
    let output =
        room.command(room.at("refgate")).arg("history").env("OPENCLAW_STATE_DIR", room.at("state")).output();
    String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned()
}

fn restart(gateway: &mut Running) {
    signal(gateway.pid(), Signal::USR1);
    let said = gateway.next();
    assert_eq!(said["event"], "ready", "{said}");
}

#[test]
fn every_request_is_answered_meanwhile_and_the_sockets_stay_the_same() {
    let room = Room::new(32, None);
    let mut gateway = room.gateway(&[]);
    let before = listeners(room.base);
    assert_eq!(before.len(), 2, "one on each loopback address");
    let (is_over, base) = (Arc::new(AtomicBool::new(false)), room.base);
    let client = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut answers = 0_u32;
            while !is_over.load(Ordering::SeqCst) {
                let answer = ask(base).expect("nobody is refused");
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                answers += 1;
            }
            answers
        }
    });
    for _ in 0..5 {
        restart(&mut gateway);
    }
    is_over.store(true, Ordering::SeqCst);
    assert!(client.join().expect("every request was answered") > 0);
    assert_eq!(listeners(room.base), before);
    let epoch = String::from_utf8_lossy(&read(&room.at("state/gateway.epoch"))).into_owned();
    assert!(epoch.contains("\"epoch\":6"), "{epoch}");
    for sealed in 1..=5 {
        let journal = read(&room.at(&format!("state/journal.{sealed}")));
        let events = String::from_utf8_lossy(&journal).matches("\"event\":\"stop\"").count();
        assert_eq!(events, 1, "epoch {sealed} has ended in order");
    }
    let refused = room.run(&["gateway"]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    signal(gateway.pid(), Signal::TERM);
    assert!(gateway.child.0.wait().expect("it ends").success());
}

#[test]
fn a_service_manager_hears_of_a_restart_and_not_of_an_end() {
    let room = Room::new(33, None);
    let path = room.at("notify").display().to_string();
    let manager = UnixDatagram::bind(&path).expect("it is free");
    let mut gateway = room.gateway_with(&[], &[("NOTIFY_SOCKET", &path)]);
    restart(&mut gateway);
    let heard: Vec<String> = (0..4)
        .map(|_| {
            let mut bytes = [0; 256];
            let count = manager.recv(&mut bytes).expect("it is told");
            String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(heard, ["STATUS=owns its state, starting", "READY=1", "RELOADING=1", "READY=1"]);
}

#[test]
fn an_owner_that_somebody_else_has_succeeded_does_not_begin_anew() {
    let room = Room::new(35, None);
    let mut gateway = room.gateway(&[]);
    // So many have begun since that the journal of the next one is gone.
    room.put("state/journal.30", b"");
    signal(gateway.pid(), Signal::USR1);
    assert_eq!(gateway.child.0.wait().expect("it ends").code(), Some(70));
    assert!(!room.at("state/journal.31").exists());
}

#[test]
fn an_owner_that_cannot_begin_its_next_epoch_says_so_and_serves_on() {
    let room = Room::new(15, None);
    let mut gateway = room.gateway(&[]);
    let pid = i32::try_from(gateway.pid()).ok().and_then(Pid::from_raw);
    let scarce = Rlimit { current: Some(0), maximum: getrlimit(Resource::Nofile).maximum };
    let before = prlimit(pid, Resource::Nofile, scarce).expect("it is mine");
    signal(gateway.pid(), Signal::USR1);
    let said = gateway.next();
    assert_eq!(said["event"], "note", "{said}");
    let message = said["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("cannot restart in place: "), "{message}");
    assert!(message.ends_with("; this gateway serves on as before"), "{message}");
    assert!(!room.at("state/journal.2").exists());
    prlimit(pid, Resource::Nofile, before).expect("it is mine");
    assert!(ask(room.base).expect("it serves").starts_with("HTTP/1.1 200 "));
    let history = told(&room);
    assert!(history.contains("ready, has not said that it stopped"), "{history}");
    restart(&mut gateway);
    let history = told(&room);
    assert!(history.lines().next().is_some_and(|line| line.ends_with(": stopped")), "{history}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
fn an_owner_whose_successors_have_folded_its_journal_away_stops_by_itself() {
    let room = Room::new(16, None);
    let mut gateway = room.gateway(&[]);
    // So many have begun since that neither its journal nor that of the next one is kept.
    room.put("state/journal.30", b"");
    std::fs::rename(room.at("state/journal.1"), room.at("away")).expect("it is there");
    let said = gateway.next();
    assert_eq!(said["code"], "fenced", "{said}");
    let message = said["message"].as_str().unwrap_or_default();
    assert!(message.contains("journal.1 is gone: successors have taken it into their sums"), "{message}");
    assert_eq!(gateway.child.0.wait().expect("it ends").code(), Some(70));
}

#[test]
fn an_owner_that_is_asked_to_look_writes_a_line_or_ends_if_it_has_been_succeeded() {
    let room = Room::new(38, None);
    let mut gateway = room.gateway(&[]);
    let journal = || String::from_utf8_lossy(&read(&room.at("state/journal.1"))).into_owned();
    assert!(!journal().contains("checked"), "nobody has asked");
    signal(gateway.pid(), Signal::USR2);
    let is_written = (0..1_000_000).any(|_| {
        std::thread::yield_now();
        journal().contains(r#"{"event":"checked"}"#)
    });
    assert!(is_written, "{}", journal());
    room.put("state/journal.2", b"");
    signal(gateway.pid(), Signal::USR2);
    assert_eq!(gateway.child.0.wait().expect("it ends").code(), Some(70));
    assert_eq!(journal().matches("checked").count(), 1);
}
