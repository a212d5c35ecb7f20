//! A parked gateway says once whom it waits for, sleeps, and starts when that one has ended.

use rustix::process::Signal;

use crate::room::{Room, Running, read, signal};

/// A gateway that waits for another one, and what it has said of that.
fn parked(room: &Room, owner: u32) -> (Running, String) {
    let mut waiting = room.spawn_with(&["--on-conflict", "park"], &[]);
    let said = waiting.next();
    assert_eq!(said["event"], "note", "{said}");
    let message = said["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.ends_with(&format!("; waiting until pid {owner} ends")), "{message}");
    (waiting, message)
}

/// How often a process has been scheduled.
fn switches(pid: u32) -> u64 {
    let text = String::from_utf8_lossy(&read(format!("/proc/{pid}/status").as_ref())).into_owned();
    let count = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).expect("proc(5) says so")
}

/// It says that it owns, and that it is ready.
fn begins_as_owner(gateway: &mut Running) {
    for expected in ["owner", "ready"] {
        let said = gateway.next();
        assert_eq!(said["event"], expected, "{said}");
    }
}

#[test]
fn it_starts_when_the_owner_is_killed_and_when_it_stops() {
    let room = Room::new(28, None);
    for end in [Signal::KILL, Signal::TERM] {
        let owner = room.gateway(&[]);
        let (mut waiting, message) = parked(&room, owner.pid());
        assert!(message.starts_with("gateway already running (pid "), "{message}");
        signal(owner.pid(), end);
        begins_as_owner(&mut waiting);
        signal(waiting.pid(), Signal::TERM);
        assert!(waiting.child.0.wait().expect("it ends").success());
    }
}

#[test]
fn of_two_that_wait_one_starts_and_the_other_waits_for_that_one() {
    let room = Room::new(29, None);
    let owner = room.gateway(&[]);
    let mut waiting = [parked(&room, owner.pid()).0, parked(&room, owner.pid()).0];
    signal(owner.pid(), Signal::KILL);
    let first: Vec<_> = waiting.iter_mut().map(Running::next).collect();
    let owners: Vec<usize> = (0..2).filter(|one| first[*one]["event"] == "owner").collect();
    let [next] = owners[..] else { panic!("{first:?}") };
    let said = first[1 - next]["message"].as_str().unwrap_or_default();
    let expected = format!("; waiting until pid {} ends", waiting[next].pid());
    assert!(said.ends_with(&expected), "{said}");
}

#[test]
fn while_it_waits_it_asks_nothing_and_a_signal_ends_it() {
    let room = Room::new(30, None);
    let owner = room.gateway(&[]);
    let (mut waiting, _) = parked(&room, owner.pid());
    // Somebody else starts, asks, and is refused: that takes longer than any wait of a start, and more turns of this
    // process than it may take meanwhile.
    let before = switches(waiting.pid());
    let refused = room.run(&["gateway", "--json"]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    let turns = switches(waiting.pid()) - before;
    assert!(turns <= 2, "it has taken {turns} turns");
    signal(waiting.pid(), Signal::TERM);
    let ended = waiting.child.0.wait().expect("it ends");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(Signal::TERM.as_raw()));
}

#[test]
fn whom_it_waits_for_is_said_also_if_nothing_shows_that_it_is_a_gateway() {
    let room = Room::new(9, None);
    let directory = std::fs::OpenOptions::new();
    #[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
    let directory = { directory }.read(true).open(room.at("state")).expect("it is there");
    directory.lock().expect("it is free");
    let own = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let (waiting, message) = parked(&room, own);
    let expected = format!(", and nothing shows that it is a gateway; waiting until pid {own} ends");
    assert!(message.starts_with("the lock on the state directory "), "{message}");
    assert!(message.ends_with(&expected), "{message}");
    drop(waiting);
}

#[test]
fn what_no_end_of_a_gateway_cures_is_refused_at_once() {
    let room = Room::new(31, None);
    let listener = room.listener();
    let refused = room.run(&["gateway", "--json", "--on-conflict=park"]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("port-foreign"), "{refused:?}");
    drop(listener);
    let both = room.run(&["gateway", "--on-conflict=park", "--force"]);
    assert_eq!(both.status.code(), Some(2), "{both:?}");
}
