//! Hosts: each has its clocks, its boots and its pids; the storage is common to all.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod kernel_machine;

use std::path::Path;

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{ByteRange, Call, Clock, Ending, LockMode, Open, Pid, RangeOwner, Reply, Signal};
use sim::Kernel;
use sim::kernel::{Effect, HostId, Life, ProcessId, Spawn};

const FIRST: HostId = HostId(0);
const MS: u64 = 1_000_000;

fn spawn(kernel: &mut Kernel, host: HostId, pid: Option<u32>, parent: Option<ProcessId>) -> ProcessId {
    let spawn = Spawn {
        name: "refgate".to_owned(),
        command: String::new(),
        uid: USER,
        parent,
        pid: pid.and_then(Pid::new),
        place: kernel.place_on(host),
    };
    kernel.spawn(&spawn).unwrap()
}

/// The wall, the monotonic and the boot clock.
fn clocks(kernel: &mut Kernel, who: ProcessId) -> [u64; 3] {
    [Clock::Wall, Clock::Monotonic, Clock::Boot].map(|clock| {
        match ask(kernel, who, Call::ReadClock { clock }) {
            Ok(Reply::Nanoseconds(nanoseconds)) => nanoseconds,
            other => panic!("no reading but {other:?}"),
        }
    })
}

fn boot_id(kernel: &mut Kernel, who: ProcessId) -> String {
    match ask(kernel, who, Call::BootId) {
        Ok(Reply::Text(text)) => text,
        other => panic!("no boot id but {other:?}"),
    }
}

#[test]
fn each_way_of_moving_the_time_moves_its_own_clocks_of_its_own_host() {
    type Move = fn(&mut Kernel);
    // By how much the clocks of the first host move, in milliseconds, and those of the second.
    let cases: [(Move, [i64; 3], [i64; 3]); 5] = [
        (|kernel| kernel.advance(25), [25; 3], [25; 3]),
        (|kernel| kernel.suspend(FIRST, 40), [40, 0, 40], [0; 3]),
        (|kernel| kernel.suspend(HostId(1), 40), [0; 3], [40, 0, 40]),
        (|kernel| kernel.step_wall(FIRST, 3_600_000), [3_600_000, 0, 0], [0; 3]),
        (|kernel| kernel.step_wall(FIRST, -3_600_000), [-3_600_000, 0, 0], [0; 3]),
    ];
    for (number, (moves, first, second)) in cases.into_iter().enumerate() {
        let mut kernel = machine();
        kernel.add_host(5_000);
        let hosts = [FIRST, HostId(1)].map(|host| spawn(&mut kernel, host, None, None));
        let before = hosts.map(|who| clocks(&mut kernel, who));
        moves(&mut kernel);
        for ((who, before), moved) in hosts.into_iter().zip(before).zip([first, second]) {
            let expected: Vec<u64> = before
                .iter()
                .zip(moved)
                .map(|(clock, moved)| clock.strict_add_signed(moved * MS.cast_signed()))
                .collect();
            assert_eq!(clocks(&mut kernel, who), *expected, "move {number}");
        }
    }
}

#[test]
fn a_wall_clock_can_be_set_anywhere_and_not_before_1970() {
    let mut kernel = machine();
    let who = start(&mut kernel, "refgate");
    let [_, monotonic, boot] = clocks(&mut kernel, who);
    kernel.set_wall(FIRST, 7);
    assert_eq!(clocks(&mut kernel, who), [7 * MS, monotonic, boot]);
    kernel.step_wall(FIRST, -8);
    assert_eq!(clocks(&mut kernel, who), [0, monotonic, boot]);
}

#[test]
fn clocks_that_were_put_back_leave_an_equal_machine() {
    let (mut kernel, before) = (machine(), machine());
    kernel.step_wall(FIRST, 1000);
    assert_ne!(kernel, before);
    kernel.step_wall(FIRST, -1000);
    assert_eq!(kernel, before);
}

#[test]
fn a_start_tick_counts_suspend_and_nothing_that_is_done_to_the_wall_clock() {
    let mut kernel = machine();
    let early = start(&mut kernel, "early");
    kernel.step_wall(FIRST, -86_400_000);
    kernel.advance(9);
    let same = start(&mut kernel, "same");
    assert_eq!(kernel.start(same), kernel.start(early), "a tick is 10 ms");
    kernel.suspend(FIRST, 1);
    let next = start(&mut kernel, "next");
    assert_eq!(kernel.start(next).0, kernel.start(early).0 + 1);
}

#[test]
fn a_host_has_clocks_a_boot_and_namespaces_of_its_own_and_the_same_files() {
    let mut kernel = machine();
    let second = kernel.add_host(30_000);
    let [here, there] = [FIRST, second].map(|host| spawn(&mut kernel, host, None, None));
    let [here_clocks, there_clocks] = [here, there].map(|who| clocks(&mut kernel, who));
    assert_eq!(there_clocks, [here_clocks[0], 30_000 * MS, 30_000 * MS]);
    assert_eq!(kernel.start(there).0, 3_000);
    assert_ne!(boot_id(&mut kernel, here), boot_id(&mut kernel, there));
    let places = [FIRST, second].map(|host| kernel.place_on(host));
    assert_ne!(places[0].pids, places[1].pids);
    assert_ne!(places[0].network, places[1].network);

    let file = fd(ask(&mut kernel, here, open("/state/lock", Open::create_exclusive())));
    ask(&mut kernel, here, Call::Write { fd: file, offset: 0, bytes: b"here".to_vec() }).unwrap();
    let seen = fd(ask(&mut kernel, there, open("/state/lock", Open::read())));
    let read = ask(&mut kernel, there, Call::Read { fd: seen, offset: 0, length: 9 });
    assert_eq!(read, Ok(Reply::Bytes(b"here".to_vec())));
}

#[test]
fn a_clone_has_the_boot_id_and_the_clocks_of_its_host_until_either_boots_again() {
    let mut kernel = machine();
    kernel.step_wall(FIRST, 5);
    let copy = kernel.clone_host(FIRST);
    assert_ne!(kernel.place_on(copy).pids, kernel.place_on(FIRST).pids);
    let both = |kernel: &mut Kernel| [FIRST, copy].map(|host| spawn(kernel, host, None, None));
    let [one, two] = both(&mut kernel);
    assert_eq!(boot_id(&mut kernel, one), boot_id(&mut kernel, two));
    assert_eq!(clocks(&mut kernel, one), clocks(&mut kernel, two));
    assert_eq!(kernel.start(one), kernel.start(two));

    let old = boot_id(&mut kernel, one);
    kernel.reboot(copy);
    let again = spawn(&mut kernel, copy, None, None);
    assert_ne!(boot_id(&mut kernel, again), old);
    assert_eq!(boot_id(&mut kernel, one), old);
    kernel.reboot(FIRST);
    let [one, two] = both(&mut kernel);
    assert_ne!(boot_id(&mut kernel, one), boot_id(&mut kernel, two));
    assert_ne!(boot_id(&mut kernel, one), old);
}

#[test]
fn boot_ids_of_many_boots_of_many_hosts_are_all_different() {
    let mut kernel = machine();
    let mut seen = Vec::new();
    for number in 0..4 {
        let host = if number == 0 { FIRST } else { kernel.add_host(0) };
        for _ in 0..4 {
            let who = spawn(&mut kernel, host, None, None);
            seen.push(boot_id(&mut kernel, who));
            kernel.reboot(host);
        }
    }
    assert_eq!(seen[0], "5eed5eed-0000-4000-8000-000000000001");
    assert_eq!(seen[6], "5eed5eed-0000-4000-8000-000100000003");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 16);
}

#[test]
fn a_reboot_leaves_the_files_and_the_wall_clock_and_nothing_else_of_its_host() {
    let mut kernel = machine();
    let other = kernel.add_host(0);
    let bystander = spawn(&mut kernel, other, Some(4_000), None);
    let parent = spawn(&mut kernel, FIRST, None, None);
    let zombie = spawn(&mut kernel, FIRST, None, Some(parent));
    let orphan = spawn(&mut kernel, FIRST, None, Some(ProcessId::ENVIRONMENT));
    let stopped = spawn(&mut kernel, FIRST, None, None);
    kernel.exit(zombie, 0);
    kernel.exit(orphan, 0);
    kernel.signal(ProcessId::ENVIRONMENT, stopped, Signal::Stop);
    let lock = fd(ask(&mut kernel, parent, open("/state/lock", Open::read_write_create())));
    ask(&mut kernel, parent, Call::Write { fd: lock, offset: 0, bytes: b"record".to_vec() }).unwrap();
    ask(&mut kernel, parent, flock(lock)).unwrap();
    let range = Call::LockRange {
        fd: lock,
        owner: RangeOwner::Process,
        mode: LockMode::Exclusive,
        range: ByteRange::WHOLE,
    };
    ask(&mut kernel, parent, range.clone()).unwrap();
    let listen = Call::ListenUnix { name: "refgate".into(), backlog: 1 };
    ask(&mut kernel, parent, listen.clone()).unwrap();
    kernel.hold_port(parent, ([127, 0, 0, 1], 18_789).into()).unwrap();
    let [wall, ..] = clocks(&mut kernel, parent);
    let (first_pid, file) = (kernel.pid(parent), kernel.lookup(Path::new("/state/lock")).unwrap());
    kernel.take_effects();

    kernel.reboot(FIRST);
    let died = |process| Effect::Died { process, how: Ending::Killed(Signal::Kill) };
    assert_eq!(kernel.take_effects(), [died(parent), died(stopped)]);
    for process in [parent, zombie, orphan, stopped] {
        assert!(matches!(kernel.life(process), Life::Dead(_)));
        assert_eq!(kernel.process_of(kernel.pid(process)), None, "its pid is free");
    }
    assert_eq!(kernel.life(bystander), Life::Running);
    assert_eq!(kernel.contents(Path::new("/state/lock")), Some(b"record".to_vec()));
    assert_eq!(kernel.lookup(Path::new("/state/lock")), Some(file));

    let next = spawn(&mut kernel, FIRST, None, None);
    assert_eq!(kernel.pid(next), first_pid, "pids start over");
    assert_eq!(clocks(&mut kernel, next), [wall, 0, 0]);
    let lock = fd(ask(&mut kernel, next, open("/state/lock", Open::read_write_create())));
    for call in [flock(lock), range, listen] {
        assert!(ask(&mut kernel, next, call).is_ok());
    }
    assert_eq!(kernel.hold_port(next, ([127, 0, 0, 1], 18_789).into()), Ok(()));
}

/// A process before a reboot and one after it can have the same pid and the same start tick: only the boot id, which is in
/// neither, tells them apart.
#[test]
fn a_pid_and_a_start_tick_come_back_after_a_reboot_and_on_another_host() {
    let mut kernel = machine();
    let before = spawn(&mut kernel, FIRST, Some(4_242), None);
    let (tick, old) = (kernel.start(before), boot_id(&mut kernel, before));
    kernel.reboot(FIRST);
    kernel.advance(tick.0 * 10);
    let after = spawn(&mut kernel, FIRST, Some(4_242), None);
    assert_ne!(after, before);
    assert_eq!((kernel.pid(after), kernel.start(after)), (kernel.pid(before), tick));
    assert_ne!(boot_id(&mut kernel, after), old);
}
