//! The three kinds of locks, where each differs from the others: on the simulated kernel and on the real one.
//!
//! One process is enough for most of it, so the same calls are made on both and every reply is compared.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod kernel_both;
mod kernel_machine;

use std::path::Path;

use kernel_both::{Both, DONE, KINDS, Kind};
use kernel_machine::{ask, fd, flock, machine, open, start};
use portcullis_os::{ByteRange, Call, Errno, LockMode, Open, RangeHolder, RangeOwner, Reply};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use LockMode::{Exclusive, Shared, Unlock};
use RangeOwner::{Description, Process};

const BUSY: Result<Reply, Errno> = Err(Errno::WouldBlock);
const BAD: Result<Reply, Errno> = Err(Errno::BadDescriptor);
const NOBODY: Result<Reply, Errno> = Ok(Reply::Range(None));
const LAST: u64 = i64::MAX.cast_unsigned();

#[test]
fn two_descriptions_in_one_process_exclude_each_other_except_by_locks_of_the_process() {
    for (kind, second) in KINDS.into_iter().zip([BUSY, DONE, BUSY]) {
        let mut both = Both::new();
        let (one, two) = (both.write("f"), both.write("f"));
        assert_eq!(both.lock(one, kind, Exclusive), DONE, "{kind:?}");
        assert_eq!(both.lock(two, kind, Exclusive), second, "{kind:?}");
        assert_eq!(both.lock(two, kind, Shared), second, "{kind:?}");
        assert_eq!(both.lock(one, kind, Exclusive), DONE, "{kind:?}: its own lock is in nobody's way");
    }
}

#[test]
fn closing_another_descriptor_of_the_file_drops_the_locks_of_the_process_and_no_others() {
    for (kind, after) in KINDS.into_iter().zip([BUSY, DONE, BUSY]) {
        let mut both = Both::new();
        let (one, other, rival) = (both.write("f"), both.read("f"), both.write("f"));
        let unrelated = both.write("g");
        // A lock of the process is in the way of one of a description.
        let try_again = if kind == Kind::Flock { Kind::Flock } else { Kind::Range(Description) };
        assert_eq!(both.lock(one, kind, Exclusive), DONE);
        both.close(unrelated);
        assert_eq!(both.lock(rival, try_again, Exclusive), BUSY, "{kind:?}: another file");
        both.close(other);
        assert_eq!(both.lock(rival, try_again, Exclusive), after, "{kind:?}");
        both.close(one);
        let rest = both.write("f");
        let held_by_rival = if kind == Kind::Range(Process) { BUSY } else { DONE };
        assert_eq!(both.lock(rest, try_again, Exclusive), held_by_rival, "{kind:?}: the last close");
    }
}

#[test]
fn an_exclusive_range_needs_a_descriptor_for_writing_and_a_flock_does_not() {
    for (kind, exclusive) in KINDS.into_iter().zip([DONE, BAD, BAD]) {
        for name in ["f", "."] {
            let mut both = Both::new();
            both.write("f");
            let one = both.read(name);
            assert_eq!(both.lock(one, kind, Shared), DONE, "{kind:?} {name}");
            assert_eq!(both.lock(one, kind, Exclusive), exclusive, "{kind:?} {name}");
            assert_eq!(both.lock(one, kind, Unlock), DONE, "{kind:?} {name}");
        }
    }
}

#[test]
fn flocks_ignore_the_other_kinds_which_are_in_each_others_way() {
    for first in KINDS {
        for second in KINDS {
            for same in [false, true] {
                let mut both = Both::new();
                let one = both.write("f");
                let two = if same { one } else { both.write("f") };
                assert_eq!(both.lock(one, first, Exclusive), DONE);
                let meets = match (first, second) {
                    (Kind::Flock, Kind::Flock) => !same,
                    (Kind::Flock, _) | (_, Kind::Flock) => false,
                    (Kind::Range(Description), Kind::Range(Description)) => !same,
                    (Kind::Range(one), Kind::Range(other)) => one != other,
                };
                let expected = if meets { BUSY } else { DONE };
                assert_eq!(both.lock(two, second, Shared), expected, "{first:?} {second:?} {same}");
                assert_eq!(both.lock(two, second, Exclusive), expected, "{first:?} {second:?} {same}");
            }
        }
    }
}

#[test]
fn a_socket_can_be_locked_like_a_file_that_nobody_else_can_open() {
    let mut both = Both::new();
    let [one, other] = ["one", "other"].map(|name| both.listen(name));
    for kind in KINDS {
        assert_eq!(both.lock(one, kind, Exclusive), DONE, "{kind:?}");
        assert_eq!(both.lock(other, kind, Exclusive), DONE, "{kind:?}: another socket");
        for rival in KINDS {
            let meets = kind != rival && kind != Kind::Flock && rival != Kind::Flock;
            let expected = if meets { BUSY } else { DONE };
            assert_eq!(both.lock(one, rival, Exclusive), expected, "{kind:?} {rival:?}");
            if rival != kind {
                assert_eq!(both.lock(one, rival, Unlock), DONE, "{rival:?}");
            }
        }
        for socket in [one, other] {
            assert_eq!(both.lock(socket, kind, Unlock), DONE, "{kind:?}");
        }
    }
    let third = both.listen("third");
    assert_eq!(both.lock(third, Kind::Range(Description), Exclusive), DONE);
    both.close(third);
    let third = both.listen("third");
    assert_eq!(both.holder(third, Process, Exclusive, (0, 0)), NOBODY);
}

#[test]
fn a_failed_upgrade_loses_the_flock_and_keeps_a_byte_range_lock() {
    for (kind, rival_after) in KINDS.into_iter().zip([DONE, BUSY, BUSY]) {
        let mut both = Both::new();
        let (one, two) = (both.write("f"), both.write("f"));
        let rival = if kind == Kind::Flock { Kind::Flock } else { Kind::Range(Description) };
        assert_eq!(both.lock(one, kind, Shared), DONE);
        assert_eq!(both.lock(two, rival, Shared), DONE);
        assert_eq!(both.lock(one, kind, Exclusive), BUSY);
        assert_eq!(both.lock(two, rival, Exclusive), rival_after, "{kind:?}");
    }
}

#[test]
fn a_lock_outlives_the_name_of_its_file() {
    for kind in KINDS {
        let mut both = Both::new();
        let (one, again) = (both.write("f"), both.write("f"));
        let rival = if kind == Kind::Flock { Kind::Flock } else { Kind::Range(Description) };
        assert_eq!(both.lock(one, kind, Exclusive), DONE);
        let (from, to) = (both.path("f"), both.path("g"));
        let rename = |_| Call::Rename {
            from_at: None,
            from: from.clone(),
            to_at: None,
            to: to.clone(),
            replace: true,
        };
        assert_eq!(both.ask(one, rename), DONE);
        let renamed = both.write("g");
        assert_eq!(both.lock(renamed, rival, Exclusive), BUSY, "{kind:?}: the name is no part of a lock");
        assert_eq!(both.ask(one, |_| Call::Unlink { at: None, path: to.clone() }), DONE);
        let replaced = both.write("g");
        assert_eq!(both.lock(replaced, rival, Exclusive), DONE, "{kind:?}: a new file of the old name");
        assert_eq!(both.lock(again, rival, Exclusive), BUSY, "{kind:?}");
    }
}

#[test]
fn who_asks_for_a_holder_is_told_the_process_and_of_a_description_nothing() {
    for owner in [Process, Description] {
        let mut both = Both::new();
        let (one, asker) = (both.write("f"), both.write("f"));
        assert_eq!(both.holder(asker, Description, Exclusive, (0, 0)), NOBODY);
        assert_eq!(both.lock_range(one, owner, Shared, (10, 5)), DONE);
        let holder = both.held(owner, Shared, (10, 5));
        assert_eq!(both.holder(asker, Description, Exclusive, (0, 0)), holder);
        assert_eq!(both.holder(asker, Description, Exclusive, (14, 1)), holder);
        assert_eq!(both.holder(asker, Description, Shared, (0, 0)), NOBODY, "two readers");
        assert_eq!(both.holder(asker, Description, Exclusive, (15, 0)), NOBODY);
        assert_eq!(both.holder(asker, Description, Exclusive, (0, 10)), NOBODY);
        // The same question for a lock of this process.
        let own = if owner == Process { NOBODY } else { holder };
        assert_eq!(both.holder(asker, Process, Exclusive, (0, 0)), own);
    }
}

#[test]
fn a_description_can_ask_for_its_own_locks_and_a_process_cannot() {
    let mut both = Both::new();
    let (one, two) = (both.write("f"), both.write("f"));
    assert_eq!(both.lock_range(one, Description, Exclusive, (5, 5)), DONE);
    let own = both.held(Description, Exclusive, (5, 5));
    assert_eq!(both.holder(one, Description, Unlock, (0, 0)), own);
    assert_eq!(both.holder(one, Description, Unlock, (10, 0)), NOBODY);
    assert_eq!(both.holder(two, Description, Unlock, (0, 0)), NOBODY);
    assert_eq!(both.holder(one, Process, Unlock, (0, 0)), Err(Errno::InvalidArgument));
    assert_eq!(both.holder(one, Process, Unlock, (LAST, 2)), Err(Errno::InvalidArgument));
    assert_eq!(both.holder(one, Description, Unlock, (LAST, 2)), Err(Errno::Overflow));
}

#[test]
fn the_holder_is_of_the_owner_that_came_first_and_his_first_lock() {
    let mut both = Both::new();
    let [a, b, asker] = [(); 3].map(|()| both.write("f"));
    assert_eq!(both.lock_range(a, Description, Shared, (30, 5)), DONE);
    assert_eq!(both.lock_range(b, Description, Shared, (0, 5)), DONE);
    assert_eq!(both.lock_range(a, Process, Shared, (20, 5)), DONE);
    assert_eq!(both.lock_range(a, Description, Shared, (10, 5)), DONE);
    let everything = (0, 0);
    assert_eq!(
        both.holder(asker, Description, Exclusive, everything),
        both.held(Description, Shared, (10, 5))
    );
    assert_eq!(both.lock_range(a, Description, Unlock, everything), DONE);
    assert_eq!(both.lock_range(a, Description, Shared, (0, 1)), DONE);
    assert_eq!(
        both.holder(asker, Description, Exclusive, everything),
        both.held(Description, Shared, (0, 5))
    );
    assert_eq!(both.holder(asker, Description, Exclusive, (0, 21)), both.held(Description, Shared, (0, 5)));
    assert_eq!(both.holder(asker, Description, Exclusive, (20, 0)), both.held(Process, Shared, (20, 5)));
}

#[test]
fn the_latest_lock_of_an_owner_decides_byte_by_byte() {
    use LockMode::{Exclusive as E, Shared as S, Unlock as U};
    type Locks = &'static [(LockMode, (u64, u64))];
    // What is done, and what is held then.
    let cases: [(Locks, Locks); 12] = [
        (&[(E, (0, 30)), (U, (10, 5))], &[(E, (0, 10)), (E, (15, 15))]),
        (&[(E, (0, 30)), (S, (10, 5))], &[(E, (0, 10)), (S, (10, 5)), (E, (15, 15))]),
        (&[(E, (0, 30)), (S, (10, 5)), (E, (9, 6))], &[(E, (0, 30))]),
        (&[(E, (0, 10)), (E, (10, 10))], &[(E, (0, 20))]),
        (&[(E, (0, 10)), (S, (10, 10))], &[(E, (0, 10)), (S, (10, 10))]),
        (&[(E, (0, 10)), (E, (11, 10))], &[(E, (0, 10)), (E, (11, 10))]),
        (&[(S, (0, 5)), (S, (10, 5)), (S, (20, 5)), (S, (3, 19))], &[(S, (0, 25))]),
        (&[(S, (0, 5)), (S, (10, 5)), (E, (2, 20))], &[(S, (0, 2)), (E, (2, 20))]),
        (&[(E, (0, 0)), (U, (5, 0))], &[(E, (0, 5))]),
        (&[(E, (0, 0)), (U, (0, 5))], &[(E, (5, 0))]),
        (&[(E, (7, 1)), (U, (0, 0))], &[]),
        (&[(E, (LAST, 1)), (E, (LAST - 1, 1))], &[(E, (LAST - 1, 0))]),
    ];
    for owner in [Process, Description] {
        for (done, held) in cases {
            let mut both = Both::new();
            let (one, asker) = (both.write("f"), both.write("f"));
            for (mode, range) in done {
                assert_eq!(both.lock_range(one, owner, *mode, *range), DONE, "{owner:?} {done:?}");
            }
            let mut start = 0;
            for (mode, range) in held {
                let lock = both.held(owner, *mode, *range);
                assert_eq!(both.holder(asker, Description, E, (start, 0)), lock, "{owner:?} {done:?}");
                start = range.0 + range.1;
            }
            if held.last().is_none_or(|(_, (_, length))| *length > 0) {
                assert_eq!(both.holder(asker, Description, E, (start, 0)), NOBODY, "{owner:?} {done:?}");
            }
        }
    }
}

#[test]
fn a_range_that_cannot_be_is_refused_before_the_descriptor_is_looked_at() {
    let cases = [
        ((LAST, 1), None),
        ((LAST, 0), None),
        ((0, LAST), None),
        ((1, LAST), None),
        ((2, LAST), Some(Errno::Overflow)),
        ((LAST, 2), Some(Errno::Overflow)),
        ((LAST, LAST), Some(Errno::Overflow)),
        ((LAST + 1, 1), Some(Errno::InvalidArgument)),
        ((u64::MAX, 0), Some(Errno::InvalidArgument)),
        ((0, LAST + 1), Some(Errno::InvalidArgument)),
        ((5, u64::MAX), Some(Errno::InvalidArgument)),
    ];
    let mut both = Both::new();
    let (one, reader) = (both.write("f"), both.read("f"));
    for owner in [Process, Description] {
        for (range, refusal) in cases {
            let expected = refusal.map_or(DONE, Err);
            let of_reader = Err(refusal.unwrap_or(Errno::BadDescriptor));
            assert_eq!(both.lock_range(reader, owner, Exclusive, range), of_reader, "{range:?}");
            assert_eq!(both.lock_range(one, owner, Exclusive, range), expected, "{range:?}");
            assert_eq!(both.lock_range(one, owner, Unlock, range), expected, "{range:?}");
            let nobody = refusal.map_or(NOBODY, Err);
            assert_eq!(both.holder(reader, owner, Exclusive, range), nobody, "{range:?}");
        }
    }
    let nothing = both.nothing();
    assert_eq!(both.lock_range(nothing, Process, Exclusive, (LAST, 2)), BAD);
    assert_eq!(both.holder(nothing, Process, Unlock, (0, 0)), BAD);
}

#[test]
fn proc_speaks_of_flocks_and_of_nothing_else() {
    for (kind, seen) in KINDS.into_iter().zip([true, false, false]) {
        let mut both = Both::new();
        let one = both.write("f");
        assert_eq!(both.lock(one, kind, Exclusive), DONE);
        let own = both.kernel.pid(both.sim);
        let takers = Ok(Reply::Pids(if seen { vec![own] } else { Vec::new() }));
        assert_eq!(both.ask_of_file("f", |file, _| Call::LockTakers { file }), takers, "{kind:?}");
        let holds = |file, pid| Call::HoldsLock { pid, file };
        assert_eq!(both.ask_of_file("f", holds), Ok(Reply::Truth(seen)), "{kind:?}");
    }
}

/// One generated call: what is done, through which descriptor, as whom, in which mode and on which bytes.
type Draw = (u8, usize, bool, u8, (u64, u64));

fn draw() -> impl Strategy<Value = Draw> {
    let start = prop_oneof![12 => 0..10_u64, 1 => LAST - 2..=LAST + 1];
    let length = prop_oneof![12 => 0..5_u64, 1 => LAST - 2..=LAST + 1];
    (0..16_u8, 0..5_usize, any::<bool>(), 0..5_u8, (start, length))
}

#[test]
fn generated_locks_of_all_kinds_have_the_same_replies_on_both_kernels() {
    const MODES: [LockMode; 5] = [Exclusive, Exclusive, Shared, Shared, Unlock];
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&prop::collection::vec(draw(), 1..60), |script| {
        let mut both = Both::new();
        // The last one only reads, and the one before it is of another file, as long as they are no copies.
        let mut slots = [both.write("f"), both.write("f"), both.write("f"), both.write("g"), both.read("f")];
        for (kind, slot, of_process, mode, range) in script {
            let (owner, mode) = (if of_process { Process } else { Description }, MODES[usize::from(mode)]);
            match kind {
                0 => {
                    both.close(slots[slot]);
                    slots[slot] = match slot {
                        3 => both.write("g"),
                        4 => both.read("f"),
                        _ => both.write("f"),
                    };
                }
                1 => {
                    let copy = both.duplicate(slots[(slot + 1) % slots.len()]);
                    both.close(slots[slot]);
                    slots[slot] = copy;
                }
                2..4 => {
                    let _ = both.lock(slots[slot], Kind::Flock, mode);
                }
                4..12 => {
                    let _ = both.lock_range(slots[slot], owner, mode, range);
                }
                _ => {
                    let _ = both.holder(slots[slot], owner, mode, range);
                }
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn a_lock_of_a_process_keeps_others_out_until_it_closes_any_descriptor_or_dies() {
    let mut kernel = machine();
    let [owner, rival] = ["owner", "rival"].map(|name| start(&mut kernel, name));
    let path = "/state/lock";
    let mine = fd(ask(&mut kernel, owner, open(path, Open::read_write_create())));
    let theirs = fd(ask(&mut kernel, rival, open(path, Open::read_write_create())));
    let range = ByteRange { start: 3, length: 4 };
    let lock = |fd| Call::LockRange { fd, owner: Process, mode: Exclusive, range };
    let who = |fd| Call::RangeHolder { fd, owner: Process, mode: Shared, range: ByteRange::WHOLE };
    assert_eq!(ask(&mut kernel, owner, lock(mine)), DONE);
    assert_eq!(ask(&mut kernel, rival, lock(theirs)), BUSY);
    let holder = RangeHolder { mode: Exclusive, range, pid: Some(kernel.pid(owner)) };
    assert_eq!(ask(&mut kernel, rival, who(theirs)), Ok(Reply::Range(Some(holder))));

    let again = fd(ask(&mut kernel, rival, open(path, Open::read())));
    assert_eq!(ask(&mut kernel, rival, Call::Close { fd: again }), DONE);
    assert_eq!(ask(&mut kernel, rival, lock(theirs)), BUSY, "only the owner can drop it");
    let mut closes = kernel.clone();
    let again = fd(ask(&mut closes, owner, open(path, Open::read())));
    assert_eq!(ask(&mut closes, owner, Call::Close { fd: again }), DONE);
    assert_eq!(ask(&mut closes, rival, lock(theirs)), DONE);
    kernel.exit(owner, 0);
    assert_eq!(ask(&mut kernel, rival, who(theirs)), NOBODY);
    assert_eq!(ask(&mut kernel, rival, lock(theirs)), DONE);
}

#[test]
fn locks_that_are_given_back_leave_nothing_behind() {
    for kind in KINDS {
        let mut kernel = machine();
        let who = start(&mut kernel, "refgate");
        let file = fd(ask(&mut kernel, who, open("/state/lock", Open::read_write_create())));
        let before = kernel.clone();
        for mode in [Shared, Exclusive, Unlock] {
            assert_eq!(ask(&mut kernel, who, kind.lock(file, mode)), DONE);
            assert_eq!(kernel == before, mode == Unlock, "{kind:?} {mode:?}");
        }
        assert_eq!(ask(&mut kernel, who, flock(file)), DONE);
        let id = kernel.lookup(Path::new("/state/lock")).unwrap();
        assert_eq!(kernel.lock_holders(id), [who]);
    }
}
