//! Whatever differs between two machines is told in one line, and nothing is told of machines that are equal.

mod kernel_machine;

use std::path::{Path, PathBuf};

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{BindOptions, Call, Cell, Fd, LockMode, Open, Signal};
use proptest::prelude::*;
use sim::Kernel;
use sim::kernel::{Completion, HostId, Life, LockSupport, Mount, Persistence, ProcessId, Readiness};

/// Two processes, and a file that both know.
fn inhabited() -> (Kernel, [ProcessId; 2]) {
    let mut kernel = machine();
    kernel.write_file(Path::new("/state/lock"), b"77");
    let processes = ["a", "b"].map(|name| start(&mut kernel, name));
    kernel.set_persistence(Path::new("/"), HostId(0), Persistence::Ordered);
    (kernel, processes)
}

fn lines(before: &Kernel, after: &Kernel) -> Vec<String> {
    before.difference(after).lines().map(str::to_owned).collect()
}

/// What happens, in words and in calls, and the lines that it leads to. A line that goes on is given as far as `…`.
type Case = (&'static str, fn(&mut Kernel, [ProcessId; 2]), &'static [&'static str]);

fn changes_of_processes() -> Vec<Case> {
    vec![
        ("nothing", |_, _| {}, &[]),
        (
            "a process that is stopped",
            |kernel, [a, _]| kernel.signal(ProcessId::ENVIRONMENT, a, Signal::Stop),
            &["process 1 (a, pid 100), stage: Running -> Stopped"],
        ),
        (
            "a word of memory",
            |kernel, [a, _]| drop(ask(kernel, a, Call::Store { cell: Cell(2), value: 7 })),
            &["process 1 (a, pid 100), cell 2: none -> 7"],
        ),
        (
            "an open file",
            |kernel, [_, b]| drop(ask(kernel, b, open("/state/lock", Open::read()))),
            &[
                "process 2 (b, pid 101), descriptor 3: none -> description 0 of process 2",
                "process 2 (b, pid 101), description 0: none -> Description { object: File { inode: 1048577, …",
                "/state/lock (inode 1048577), opened: 0 -> 1",
            ],
        ),
        (
            "a process more",
            |kernel, _| assert_eq!(start(kernel, "c"), ProcessId(3)),
            &[
                "process 3 (c, pid 102): does not exist -> does",
                "pid namespace 0: Numbering { host: HostId(0), kind: Host, next: 102, …",
            ],
        ),
        (
            "the time",
            |kernel, _| kernel.advance(1),
            &[
                "host 0, clocks: Clocks { wall_ms: 1767268800000, monotonic_ms: 570000, boot_ms: 600000 } -> Clocks { wall_ms: \
               1767268800001, monotonic_ms: 570001, boot_ms: 600001 }",
            ],
        ),
    ]
}

fn changes_of_files() -> Vec<Case> {
    vec![
        (
            "a file of the environment",
            |kernel, _| kernel.write_file(Path::new("/state/lock"), b"4\n2"),
            &[
                "/state/lock (inode 1048577), bytes: \"77\" -> \"4\\n2\"",
                "disk of mount 0, contents of inode 1048577: none -> \"77\", \"4\\n2\" at 0",
            ],
        ),
        (
            "a name",
            |kernel, _| kernel.make_symlink(Path::new("/state/link"), Path::new("lock")),
            &[
                "environment, asked: Asked { inodes: 2, …",
                "/state (inode 1048576), name \"link\": none -> inode 1048578",
                "/state/link (inode 1048578): does not exist -> does",
                "disk of mount 0, entry 0 of the log: none -> \"link\" in 1048576 from none to 1048578",
            ],
        ),
        (
            "a file that is gone",
            |kernel, _| assert_eq!(kernel.remove(Path::new("/state/lock")), Ok(())),
            &[
                "/state (inode 1048576), name \"lock\": inode 1048577 -> none",
                "/state/lock (inode 1048577): exists -> does not",
                "disk of mount 0, entry 0 of the log: none -> \"lock\" in 1048576 from 1048577 to none",
                "disk of mount 0, lost inode 1048577: does not exist -> does",
            ],
        ),
        (
            "a mode",
            |kernel, _| kernel.make_directory(Path::new("/state"), 0o755, USER),
            &["/state (inode 1048576), mode: 0700 -> 0755"],
        ),
        (
            "books",
            |kernel, _| kernel.set_persistence(Path::new("/"), HostId(0), Persistence::Posix),
            &["disk of mount 0, persistence: Ordered -> Posix"],
        ),
        (
            "no books",
            |kernel, _| kernel.set_persistence(Path::new("/"), HostId(0), Persistence::Kept),
            &["disk of mount 0: exists -> does not"],
        ),
    ]
}

#[test]
fn each_change_of_a_machine_is_told_by_the_thing_that_has_changed() {
    for (name, change, expected) in changes_of_processes().into_iter().chain(changes_of_files()) {
        let (before, processes) = inhabited();
        let mut after = before.clone();
        change(&mut after, processes);
        let told = lines(&before, &after);
        let fits = |(line, expected): (&String, &&str)| match expected.strip_suffix('…') {
            Some(beginning) => line.starts_with(beginning),
            None => line == expected,
        };
        assert!(told.len() == expected.len() && told.iter().zip(expected).all(fits), "{name}: {told:#?}");
    }
}

#[test]
fn who_holds_a_lock_is_part_of_what_differs() {
    let (mut before, [a, b]) = inhabited();
    let [of_a, of_b] = [a, b].map(|who| fd(ask(&mut before, who, open("/state/lock", Open::read()))));
    let mut after = before.clone();
    ask(&mut before, a, flock(of_a)).unwrap();
    ask(&mut after, b, Call::Flock { fd: of_b, mode: LockMode::Shared }).unwrap();
    assert_eq!(
        lines(&before, &after),
        [
            "/state/lock (inode 1048577), flock of description 0 of process 1: exclusive, taken by \
         pid 100 -> none",
            "/state/lock (inode 1048577), flock of description 0 of process 2: none -> shared, \
         taken by pid 101",
        ]
    );
}

#[test]
fn a_difference_is_shown_line_by_line() {
    let (before, [a, b]) = inhabited();
    assert_eq!(before.difference(&before.clone()).to_string(), "no difference");
    let mut after = before.clone();
    for who in [a, b] {
        after.signal(ProcessId::ENVIRONMENT, who, Signal::Stop);
    }
    assert_eq!(
        before.difference(&after).to_string(),
        "process 1 (a, pid 100), stage: Running -> Stopped\nprocess 2 (b, pid 101), stage: Running -> Stopped"
    );
}

#[test]
fn effects_that_nobody_has_taken_are_no_difference() {
    let (mut kernel, _) = inhabited();
    kernel.write_file(Path::new("/state/lock"), b"42");
    let mut taken = kernel.clone();
    assert!(!taken.take_effects().is_empty());
    assert!(kernel.difference(&taken).is_empty());
}

#[test]
fn file_systems_that_differ_are_told_by_number() {
    let (mut before, _) = inhabited();
    before.make_directory(Path::new("/mnt"), 0o755, USER);
    let mut after = before.clone();
    before.mount(Path::new("/mnt"), Mount::local());
    after.mount(Path::new("/mnt"), Mount { locks: LockSupport::Nothing, ..Mount::local() });
    let lines = lines(&before, &after);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("mount 1: ") && lines[0].contains("Nothing"), "{lines:?}");
}

/// One thing that happens to the machine.
#[derive(Clone, Debug)]
enum Event {
    Call(usize, Call),
    Signal(usize, Signal),
    Advance,
    Take,
}

fn any_event() -> impl Strategy<Value = Event> {
    let name = || {
        prop::sample::select(vec!["/state/lock", "/state/tmp", "/state/d", "/state/d/f"])
            .prop_map(PathBuf::from)
    };
    let fd = || (3..8).prop_map(Fd);
    let call = prop_oneof![
        4 => (name(), any::<[bool; 4]>()).prop_map(|(path, [write, create, exclusive, truncate])| {
            Call::Open { at: None, path, open: Open { write, create, exclusive, truncate, ..Open::read() } }
        }),
        1 => fd().prop_map(|fd| Call::Close { fd }),
        2 => (fd(), 0..3_u64).prop_map(|(fd, offset)| Call::Write { fd, offset, bytes: vec![b'x'] }),
        1 => fd().prop_map(|fd| Call::Truncate { fd, length: 1 }),
        1 => fd().prop_map(|fd| Call::Sync { fd }),
        1 => name().prop_map(|path| Call::MakeDirectory { at: None, path, mode: 0o700 }),
        1 => name().prop_map(|path| Call::Unlink { at: None, path }),
        2 => (name(), name()).prop_map(|(from, to)| Call::Rename {
            from_at: None, from, to_at: None, to, replace: true
        }),
        2 => (fd(), prop::sample::select(vec![LockMode::Exclusive, LockMode::Shared, LockMode::Unlock]))
            .prop_map(|(fd, mode)| Call::Flock { fd, mode }),
        1 => Just(Call::BindTcp { address: ([127, 0, 0, 1], 20_000).into(), options: BindOptions::SERVER }),
        1 => fd().prop_map(|fd| Call::Listen { fd, backlog: 1 }),
        1 => Just(Call::ListenUnix { name: "name".into(), backlog: 1 }),
        1 => Just(Call::ConnectUnix { name: "name".into() }),
        1 => fd().prop_map(|fd| Call::Accept { fds: vec![fd] }),
        1 => fd().prop_map(|fd| Call::Send { fd, bytes: vec![1] }),
        1 => fd().prop_map(|fd| Call::Receive { fd, length: 1, deadline_ms: 1 }),
        1 => (0..2_u64).prop_map(|value| Call::Store { cell: Cell(0), value }),
        1 => Just(Call::Random),
        1 => Just(Call::CatchSignals),
    ];
    let signals = vec![Signal::Stop, Signal::Continue, Signal::Terminate, Signal::Kill];
    prop_oneof![
        20 => (0..2_usize, call).prop_map(|(who, call)| Event::Call(who, call)),
        1 => (0..2_usize, prop::sample::select(signals)).prop_map(|(who, signal)| Event::Signal(who, signal)),
        1 => Just(Event::Advance),
        1 => Just(Event::Take),
    ]
}

fn happen(kernel: &mut Kernel, processes: [ProcessId; 2], event: &Event) {
    match event {
        Event::Call(who, call) => {
            let who = processes[*who];
            if kernel.life(who) == Life::Running {
                let how = match kernel.readiness(who, call) {
                    Readiness::Ready => Completion::Normal,
                    Readiness::WaitsUntilDeadline => Completion::TimedOut,
                    Readiness::Waits => return,
                };
                let _ = kernel.perform(who, call, how);
            }
        }
        Event::Signal(who, signal) => kernel.signal(ProcessId::ENVIRONMENT, processes[*who], *signal),
        Event::Advance => kernel.advance(10),
        Event::Take => drop(kernel.take_effects()),
    }
}

proptest! {
    #[test]
    fn there_is_no_difference_if_and_only_if_the_machines_are_equal(
        events in prop::collection::vec(any_event(), 0..24),
        persistence in prop::sample::select(vec![
            Persistence::Kept, Persistence::Ext4, Persistence::Ordered, Persistence::Posix
        ]),
    ) {
        let (mut kernel, processes) = inhabited();
        kernel.set_persistence(Path::new("/"), HostId(0), persistence);
        let mut all = vec![kernel.clone()];
        for event in &events {
            happen(&mut kernel, processes, event);
            all.push(kernel.clone());
        }
        let pairs = all.iter().skip(1).flat_map(|later| [&all[0], &all[all.len() / 2]].map(|other| (other, later)));
        for (one, other) in pairs.chain(all.iter().zip(&all[1..])) {
            let difference = one.difference(other);
            prop_assert_eq!(one == other, difference.is_empty(), "{}", difference);
            let back = other.difference(one);
            prop_assert_eq!(difference.lines().count(), back.lines().count());
        }
    }
}
