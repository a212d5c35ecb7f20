//! Steps of two processes that touch different things can change places: every order ends in an equal kernel.
//!
//! The explorer merges states by equality, so an id that depended on the order would make the search grow without end.

mod kernel_machine;

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use kernel_machine::{USER, ask, fd, flock, machine, open, start};
use portcullis_os::{
    BindOptions, ByteRange, Call, Errno, Fd, Links, LockMode, Open, Pid, Port, RangeOwner, Reply, UnixName,
};
use proptest::prelude::*;
use sim::Kernel;
use sim::kernel::{Completion, ProcessId, Readiness};

/// A digest of what [`Hash`] writes, whole.
fn written(kernel: &Kernel) -> Vec<u8> {
    struct Bytes(Vec<u8>);
    impl Hasher for Bytes {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }
    let mut bytes = Bytes(Vec::new());
    kernel.hash(&mut bytes);
    bytes.0
}

/// Calls of one process that stay inside its own directory, ports and names. They may fail; they may not meet.
#[expect(clippy::too_many_lines, reason = "one entry a call")]
fn own_call(process: usize) -> impl Strategy<Value = Call> {
    let path = move |name: &str| PathBuf::from(format!("/state/{process}/{name}"));
    let name = prop::sample::select(vec!["a", "b", "sub", "sub/c", "."]);
    let fd = (3..9).prop_map(Fd);
    let port = 20_000 + process as u16 * 10;
    let Some(pid) = Pid::new(100 + process as u32) else { unreachable!() };
    prop_oneof![
        (name.clone(), any::<[bool; 5]>()).prop_map(
            move |(name, [write, create, exclusive, truncate, no_follow])| {
                let open = Open { write, create, exclusive, truncate, no_follow, ..Open::read() };
                Call::Open { at: None, path: path(name), open }
            }
        ),
        (name.clone(), fd.clone()).prop_map(|(name, fd)| Call::Open {
            at: Some(fd),
            path: PathBuf::from(name),
            open: Open::read_write_create()
        }),
        fd.clone().prop_map(|fd| Call::Close { fd }),
        (fd.clone(), 0..4_u64).prop_map(|(fd, offset)| Call::Write { fd, offset, bytes: vec![7] }),
        fd.clone().prop_map(|fd| Call::Read { fd, offset: 0, length: 4 }),
        fd.clone().prop_map(|fd| Call::Truncate { fd, length: 2 }),
        fd.clone().prop_map(|fd| Call::StatFd { fd }),
        name.clone().prop_map(move |name| Call::Stat { at: None, path: path(name), links: Links::Follow }),
        name.clone().prop_map(move |name| Call::MakeDirectory { at: None, path: path(name), mode: 0o700 }),
        name.clone().prop_map(move |name| Call::Unlink { at: None, path: path(name) }),
        (name.clone(), name.clone(), any::<bool>()).prop_map(move |(from, to, replace)| Call::Rename {
            from_at: None,
            from: path(from),
            to_at: None,
            to: path(to),
            replace
        }),
        (name.clone(), name.clone()).prop_map(move |(from, to)| Call::Link {
            from_at: None,
            from: path(from),
            to_at: None,
            to: path(to)
        }),
        name.clone().prop_map(move |name| Call::Symlink { target: "a".into(), at: None, path: path(name) }),
        name.prop_map(move |name| Call::RemoveDirectory { at: None, path: path(name) }),
        fd.clone().prop_map(|fd| Call::ReadDirectory { fd }),
        (fd.clone(), 0..3_u32).prop_map(|(fd, mode)| Call::SetMode { fd, mode: 0o700 + mode }),
        (fd.clone(), 0..3_u64).prop_map(|(fd, modified_ns)| Call::SetModified { fd, modified_ns }),
        (0..3_u32).prop_map(|mask| Call::SetUmask { mask }),
        (fd.clone(), prop::sample::select(vec![LockMode::Exclusive, LockMode::Shared, LockMode::Unlock]))
            .prop_map(|(fd, mode)| Call::Flock { fd, mode }),
        (fd.clone(), any::<[bool; 3]>(), 0..4_u64, 0..4_u64).prop_map(
            |(fd, [of_process, lock, exclusive], start, length)| {
                let owner = if of_process { RangeOwner::Process } else { RangeOwner::Description };
                let mode = match (lock, exclusive) {
                    (false, _) => LockMode::Unlock,
                    (true, false) => LockMode::Shared,
                    (true, true) => LockMode::Exclusive,
                };
                Call::LockRange { fd, owner, mode, range: ByteRange { start, length } }
            }
        ),
        (fd.clone(), 0..4_u64).prop_map(|(fd, start)| Call::RangeHolder {
            fd,
            owner: RangeOwner::Description,
            mode: LockMode::Exclusive,
            range: ByteRange { start, length: 1 }
        }),
        (0..2_u16).prop_map(move |n| Call::BindTcp {
            address: ([127, 0, 0, 1], port + n).into(),
            options: BindOptions::SERVER
        }),
        Just(Call::BindTcp { address: ([127, 0, 0, 1], 0).into(), options: BindOptions::SERVER }),
        (0..2_u16, any::<bool>()).prop_map(move |(n, is_bound)| Call::ConnectTcp {
            address: ([127, 0, 0, 1], port + n).into(),
            from: is_bound.then_some(([127, 0, 0, 1], port + 2).into()),
            deadline_ms: 1
        }),
        (port..port + 3).prop_filter_map("no port", Port::new).prop_map(|port| Call::TcpSockets { port }),
        fd.clone().prop_map(|fd| Call::LocalAddress { fd }),
        Just(Call::ListenUnix { name: UnixName::Path(path("socket")), backlog: 1 }),
        Just(Call::ConnectUnix { name: UnixName::Path(path("socket")) }),
        (fd.clone(), fd.clone()).prop_map(|(socket, fd)| Call::SendFd { socket, fd }),
        fd.clone().prop_map(|socket| Call::ReceiveFd { socket, deadline_ms: 1 }),
        fd.clone().prop_map(|fd| Call::Listen { fd, backlog: 1 }),
        Just(Call::ListenUnix { name: format!("name-{process}").into(), backlog: 1 }),
        Just(Call::ConnectUnix { name: format!("name-{process}").into() }),
        fd.clone().prop_map(|fd| Call::Accept { fds: vec![fd] }),
        fd.clone().prop_map(|fd| Call::Send { fd, bytes: vec![1, 2] }),
        fd.clone().prop_map(|fd| Call::Receive { fd, length: 1, deadline_ms: 1 }),
        fd.clone().prop_map(|fd| Call::Duplicate { fd }),
        (fd.clone(), any::<bool>()).prop_map(|(fd, inherit)| Call::SetInherit { fd, inherit }),
        fd.clone().prop_map(|fd| Call::SignalPidfd { fd, signal: None }),
        fd.prop_map(|fd| Call::WaitPidfd { fd, deadline_ms: 1 }),
        Just(Call::OpenPidfd { pid }),
        Just(Call::Reap { pid }),
        Just(Call::OwnNamespaces),
        Just(Call::Random),
        Just(Call::OwnPid),
        Just(Call::CatchSignals),
    ]
}

/// Calls that change the descriptor table of one process, and open files in its own directory alone.
fn table_call(process: usize) -> impl Strategy<Value = Call> {
    let fd = (3..9).prop_map(Fd);
    let path = PathBuf::from(format!("/state/{process}/a"));
    prop_oneof![
        Just(Call::Open { at: None, path, open: Open::read_write_create() }),
        fd.clone().prop_map(|fd| Call::Close { fd }),
        fd.clone().prop_map(|fd| Call::Duplicate { fd }),
        (fd, any::<bool>()).prop_map(|(fd, inherit)| Call::SetInherit { fd, inherit }),
    ]
}

/// Carries a call out, or lets it time out, or skips it if it would wait for ever.
fn step(kernel: &mut Kernel, who: ProcessId, call: &Call) -> Option<Result<Reply, Errno>> {
    let how = match kernel.readiness(who, call) {
        Readiness::Ready => Completion::Normal,
        Readiness::WaitsUntilDeadline => Completion::TimedOut,
        Readiness::Waits => return None,
    };
    Some(kernel.perform(who, call, how))
}

proptest! {
    #[test]
    fn independent_calls_give_equal_kernels_and_equal_replies_in_every_order(
        first in prop::collection::vec(own_call(0), 0..24),
        second in prop::collection::vec(own_call(1), 0..24),
        order in prop::collection::vec(any::<bool>(), 48),
    ) {
        let mut kernel = machine();
        for directory in ["/state/0", "/state/1"] {
            kernel.make_directory(Path::new(directory), 0o700, USER);
        }
        let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));

        let mut one_by_one = kernel.clone();
        let replies_of_a: Vec<_> = first.iter().map(|call| step(&mut one_by_one, a, call)).collect();
        let replies_of_b: Vec<_> = second.iter().map(|call| step(&mut one_by_one, b, call)).collect();

        let (mut mixed_a, mut mixed_b) = (Vec::new(), Vec::new());
        let (mut rest_a, mut rest_b) = (first.iter(), second.iter());
        for a_next in order.into_iter().chain([true; 24]).chain([false; 24]) {
            // A clone whose parts are digested already must not remember a digest of what it was.
            written(&kernel);
            kernel = kernel.clone();
            let (who, rest, replies) =
                if a_next { (a, &mut rest_a, &mut mixed_a) } else { (b, &mut rest_b, &mut mixed_b) };
            replies.extend(rest.next().map(|call| step(&mut kernel, who, call)));
        }
        prop_assert_eq!(&mixed_a, &replies_of_a);
        prop_assert_eq!(&mixed_b, &replies_of_b);
        prop_assert_eq!(written(&kernel), written(&one_by_one));
        prop_assert!(kernel == one_by_one, "{}", kernel.difference(&one_by_one));

        kernel.exit(a, 0);
        kernel.exit(b, 0);
        one_by_one.exit(b, 0);
        one_by_one.exit(a, 0);
        prop_assert!(kernel == one_by_one, "{}", kernel.difference(&one_by_one));
    }

    #[test]
    fn a_parent_and_its_child_come_and_go_from_what_they_share_in_every_order(
        shared in 0..5_usize,
        of_parent in prop::collection::vec(table_call(0), 0..16),
        of_child in prop::collection::vec(table_call(1), 0..16),
        order in prop::collection::vec(any::<bool>(), 32),
    ) {
        let mut kernel = machine();
        for directory in ["/state/0", "/state/1"] {
            kernel.make_directory(Path::new(directory), 0o700, USER);
        }
        let parent = start(&mut kernel, "parent");
        for _ in 0..shared {
            fd(ask(&mut kernel, parent, open("/state/lock", Open::read_write_create())));
        }
        let Ok(child) = kernel.fork(parent) else { panic!("no child") };

        let mut one_by_one = kernel.clone();
        let replies_of_parent: Vec<_> =
            of_parent.iter().map(|call| step(&mut one_by_one, parent, call)).collect();
        let replies_of_child: Vec<_> = of_child.iter().map(|call| step(&mut one_by_one, child, call)).collect();
        let (mut mixed_parent, mut mixed_child) = (Vec::new(), Vec::new());
        let (mut rest_parent, mut rest_child) = (of_parent.iter(), of_child.iter());
        for parent_next in order.into_iter().chain([true; 16]).chain([false; 16]) {
            let (who, rest, replies) = if parent_next {
                (parent, &mut rest_parent, &mut mixed_parent)
            } else {
                (child, &mut rest_child, &mut mixed_child)
            };
            replies.extend(rest.next().map(|call| step(&mut kernel, who, call)));
        }
        prop_assert_eq!(&mixed_parent, &replies_of_parent);
        prop_assert_eq!(&mixed_child, &replies_of_child);
        prop_assert_eq!(written(&kernel), written(&one_by_one));
        prop_assert!(kernel == one_by_one, "{}", kernel.difference(&one_by_one));
    }
}

#[test]
fn two_processes_that_create_in_one_directory_get_the_same_inodes_in_either_order() {
    let mut kernel = machine();
    let [a, b] = ["a", "b"].map(|name| start(&mut kernel, name));
    let run = |mut kernel: Kernel, order: [(ProcessId, &str); 2]| {
        for (who, path) in order {
            let file = fd(ask(&mut kernel, who, open(path, Open::create_exclusive())));
            ask(&mut kernel, who, flock(file)).unwrap();
        }
        kernel
    };
    let ab = run(kernel.clone(), [(a, "/state/a"), (b, "/state/b")]);
    let ba = run(kernel, [(b, "/state/b"), (a, "/state/a")]);
    assert_eq!(ab, ba);
    assert_eq!(written(&ab), written(&ba));
    let creator = |path: &str| ab.lookup(Path::new(path)).map(|file| ab.creator(file));
    assert_eq!(creator("/state/a"), Some(a));
    assert_eq!(creator("/state/b"), Some(b));
    assert_eq!(creator("/state"), Some(ProcessId::ENVIRONMENT));
    assert_eq!(creator("/"), Some(ProcessId::ENVIRONMENT));
}
