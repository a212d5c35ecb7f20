//! How the models differ, and what they have in common.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use portcullis_os::{Call, Errno, Fd, Links, Open, Reply};
use proptest::prelude::*;
use sim::Kernel;
use sim::kernel::{Persistence, ProcessId};

use crate::disk::{
    FILE, HOST, LOCK, MODELS, TMP, close, create, disk, found, link, make, make_synced, mkdir, outcomes,
    rename, rewrite, run, set, sync_directory, text, unlink, write,
};
use crate::kernel_machine::{USER, ask, open, start};

#[test]
fn a_long_write_is_torn_between_sectors_and_a_short_one_between_bytes() {
    let lengths = |length: usize| {
        let (mut kernel, who) = disk(Persistence::Ordered, None);
        run(&mut kernel, who, &make(LOCK, &"x".repeat(length)));
        let contents = |outcome: &Kernel| outcome.contents(Path::new(LOCK)).map(|bytes| bytes.len());
        outcomes(&kernel).iter().filter_map(contents).collect::<BTreeSet<_>>()
    };
    assert_eq!(lengths(64), (0..=64).collect());
    assert_eq!(lengths(65), BTreeSet::from([0, 65]));
    assert_eq!(lengths(1100), BTreeSet::from([0, 512, 1024, 1100]));
}

#[test]
fn a_file_without_a_name_is_gone_and_one_that_lost_its_name_may_be_back() {
    let (mut kernel, who) = disk(Persistence::Ordered, Some("77"));
    let lock = kernel.lookup(Path::new(LOCK)).unwrap();
    run(&mut kernel, who, &[rewrite(LOCK), unlink(LOCK), write(0, "42")]);
    let back = outcomes(&kernel);
    assert_eq!(
        back.iter().map(|kernel| text(kernel, LOCK)).collect::<BTreeSet<_>>(),
        set(r#""42" "47" "77" absent"#)
    );
    let is_same = |kernel: &Kernel| kernel.lookup(Path::new(LOCK)).is_none_or(|file| file == lock);
    assert!(back.iter().all(is_same));
    run(&mut kernel, who, &[close()]);
    assert_eq!(outcomes(&kernel), back, "closing changes nothing on the disk");

    run(&mut kernel, who, &sync_directory("/state"));
    let [gone] = &outcomes(&kernel)[..] else { panic!("there is one outcome") };
    assert_eq!(text(gone, LOCK), "absent");
}

#[test]
fn a_directory_that_was_not_committed_takes_what_is_in_it_along() {
    let (mut kernel, who) = disk(Persistence::Posix, None);
    run(&mut kernel, who, &[mkdir("/state/d")]);
    run(&mut kernel, who, &make_synced("/state/d/f", "1"));
    run(&mut kernel, who, &sync_directory("/state/d"));
    assert_eq!(found(&kernel, &["/state/d/f"]), set(r#""1" absent"#), "nobody has synced /state");
    run(&mut kernel, who, &sync_directory("/state"));
    assert_eq!(found(&kernel, &["/state/d/f"]), set(r#""1""#));
}

#[test]
fn changes_of_two_directories_are_lost_in_order_or_in_any() {
    let expected = [
        (Persistence::Posix, r#"absent absent, "" absent, absent "", "" """#),
        (Persistence::Ordered, r#"absent absent, "" absent, "" """#),
        (Persistence::Ext4, r#"absent absent, "" absent, "" """#),
    ];
    for (persistence, rows) in expected {
        let (mut kernel, who) = disk(persistence, None);
        run(&mut kernel, who, &[mkdir("/state/d"), mkdir("/state/e")]);
        run(&mut kernel, who, &sync_directory("/state"));
        run(&mut kernel, who, &[create("/state/d/a"), create("/state/e/b")]);
        let expected = rows.split(", ").map(str::to_owned).collect();
        assert_eq!(found(&kernel, &["/state/d/a", "/state/e/b"]), expected, "{persistence:?}");
        run(&mut kernel, who, &[Call::Close { fd: FILE }]);
        run(&mut kernel, who, &sync_directory("/state/e"));
        let alone = persistence == Persistence::Posix;
        let rows = if alone { r#""" "", absent """# } else { r#""" """# };
        let expected = rows.split(", ").map(str::to_owned).collect();
        assert_eq!(found(&kernel, &["/state/d/a", "/state/e/b"]), expected, "{persistence:?}");
    }
}

#[test]
fn a_file_with_two_names_loses_either_or_both_and_counts_what_is_left() {
    let expected = [
        (Persistence::Posix, "- -, 1 -, - 1, 2 2"),
        (Persistence::Ordered, "- -, 1 -, 2 2"),
        (Persistence::Ext4, "- -, 1 -, 2 2"),
    ];
    for (persistence, rows) in expected {
        let (mut kernel, who) = disk(persistence, None);
        run(&mut kernel, who, &[create(TMP), link(TMP, LOCK)]);
        let counts = |outcome: &Kernel| {
            let mut outcome = outcome.clone();
            let reader = start(&mut outcome, "reader");
            [TMP, LOCK].map(|name| links(&mut outcome, reader, name)).join(" ")
        };
        let found: BTreeSet<String> = outcomes(&kernel).iter().map(counts).collect();
        assert_eq!(found, rows.split(", ").map(str::to_owned).collect(), "{persistence:?}");
    }
}

/// How many names the file has that a path leads to.
fn links(kernel: &mut Kernel, who: ProcessId, name: &str) -> String {
    let stat = Call::Stat { at: None, path: PathBuf::from(name), links: Links::NoFollow };
    match ask(kernel, who, stat) {
        Ok(Reply::File(status)) => status.links.to_string(),
        Ok(reply) => panic!("no status but {reply}"),
        Err(errno) => {
            if errno == Errno::NotFound {
                "-".to_owned()
            } else {
                panic!("{errno}")
            }
        }
    }
}

#[test]
fn a_directory_that_is_removed_goes_after_what_was_moved_out_of_it() {
    for persistence in MODELS {
        let (mut kernel, who) = disk(persistence, None);
        kernel.make_directory(Path::new("/state/d"), 0o700, USER);
        kernel.write_file(Path::new("/state/d/f"), b"1");
        run(&mut kernel, who, &sync_directory("/state"));
        kernel.set_persistence(Path::new("/"), HOST, persistence);
        run(&mut kernel, who, &[rename("/state/d/f", LOCK)]);
        run(&mut kernel, who, &[Call::RemoveDirectory { at: None, path: PathBuf::from("/state/d") }]);
        assert_eq!(
            found(&kernel, &["/state/d/f", LOCK]),
            BTreeSet::from([r#""1" absent"#.to_owned(), r#"absent "1""#.to_owned(),])
        );
        let directories =
            outcomes(&kernel).iter().filter(|kernel| kernel.lookup(Path::new("/state/d")).is_some()).count();
        assert_eq!(directories, 2, "it is there with its file, or without, or gone: {persistence:?}");
    }
}

#[test]
fn a_number_is_not_given_out_again_while_a_disk_may_bring_its_file_back() {
    let (mut kernel, who) = disk(Persistence::Ext4, Some("77"));
    let lock = kernel.lookup(Path::new(LOCK)).unwrap();
    run(&mut kernel, who, &[unlink(LOCK)]);
    let mut early = kernel.clone();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| early.reuse_inode(lock))).is_err());
    run(&mut kernel, who, &sync_directory("/state"));
    kernel.reuse_inode(lock);
    run(&mut kernel, who, &[create(TMP)]);
    assert_eq!(kernel.lookup(Path::new(TMP)), Some(lock));
}

#[test]
fn a_heartbeat_leads_back_to_a_state_that_was_there_before() {
    for persistence in MODELS {
        let (mut kernel, who) = disk(persistence, Some("77"));
        let beat = [open(LOCK, Open::create_truncate()), write(0, "42"), close()];
        let mut states = Vec::new();
        while !states.contains(&kernel) && states.len() < 20 {
            states.push(kernel.clone());
            run(&mut kernel, who, &beat);
        }
        assert!(states.len() < 5, "{persistence:?}: {} states", states.len());
        assert_eq!(found(&kernel, &[LOCK]), set(r#""" "4" "42" "77""#));
    }
}

#[test]
fn a_machine_with_too_many_outcomes_says_so() {
    let (mut kernel, who) = disk(Persistence::Posix, None);
    let all = (0..14).map(|number| create(&format!("/state/{number}"))).collect::<Vec<_>>();
    run(&mut kernel, who, &all[..10]);
    assert_eq!(outcomes(&kernel).len(), 1024);
    run(&mut kernel, who, &all[10..]);
    let error = kernel.power_loss_outcomes(HOST).unwrap_err();
    assert_eq!(error.to_string(), "more than 10000 ways in which a loss of power may end");
}

/// Calls on these names, by descriptors that may be open.
fn any_call(names: &'static [&'static str]) -> impl Strategy<Value = Call> {
    let name = move || prop::sample::select(names);
    let fd = || (3..6).prop_map(Fd);
    prop_oneof![
        (name(), any::<[bool; 2]>()).prop_map(|(name, [exclusive, truncate])| {
            open(name, Open { exclusive, truncate, ..Open::read_write_create() })
        }),
        name().prop_map(|name| open(
            name.rsplit_once('/').map_or("/", |(directory, _)| directory),
            Open::directory()
        )),
        (name(), name()).prop_map(|(from, to)| link(from, to)),
        fd().prop_map(|fd| Call::Close { fd }),
        (fd(), 0..3_u64, "[a-c]{1,2}").prop_map(|(fd, offset, text)| Call::Write {
            fd,
            offset,
            bytes: text.into_bytes()
        }),
        (fd(), 0..3_u64).prop_map(|(fd, length)| Call::Truncate { fd, length }),
        name().prop_map(unlink),
        (name(), name()).prop_map(|(from, to)| rename(from, to)),
        fd().prop_map(|fd| Call::Sync { fd }),
    ]
}

const NAMES: &[&str] = &["/state/d/a", "/state/d/b", "/state/e/a"];

/// What [`NAMES`] lead to.
fn image(kernel: &Kernel) -> String {
    let cell = |name: &str| {
        let file = kernel.lookup(Path::new(name)).map(|file| file.inode);
        format!("{file:?} {}", text(kernel, name))
    };
    NAMES.iter().copied().map(cell).collect::<Vec<_>>().join(", ")
}

/// What they may lead to after a loss of power.
fn images(kernel: &Kernel) -> BTreeSet<String> {
    outcomes(kernel).iter().map(image).collect()
}

proptest! {
    #[test]
    fn each_model_may_lose_what_a_stricter_one_may_lose(calls in prop::collection::vec(any_call(NAMES), 0..14)) {
        let machines = MODELS.map(|persistence| {
            let (mut kernel, who) = disk(Persistence::Kept, None);
            kernel.make_directory(Path::new("/state/d"), 0o700, USER);
            kernel.make_directory(Path::new("/state/e"), 0o700, USER);
            kernel.write_file(Path::new("/state/d/a"), b"old");
            let before = kernel.clone();
            kernel.set_persistence(Path::new("/"), HOST, persistence);
            for call in &calls {
                let _ = ask(&mut kernel, who, call.clone());
            }
            (before, kernel)
        });
        let [posix, ordered, ext4] = machines.each_ref().map(|(_, kernel)| images(kernel));
        prop_assert!(ordered.is_subset(&posix), "ordered {:?}", ordered.difference(&posix).next());
        prop_assert!(ext4.is_subset(&ordered), "ext4 {:?}", ext4.difference(&ordered).next());
        let has_synced = calls.iter().any(|call| matches!(call, Call::Sync { .. }));
        for (before, kernel) in machines {
            let possible = images(&kernel);
            let mut seen = kernel.clone();
            seen.set_persistence(Path::new("/"), HOST, Persistence::Kept);
            prop_assert!(possible.is_superset(&images(&seen)), "what is seen may survive");
            prop_assert!(has_synced || possible.is_superset(&images(&before)), "all may be lost");
            for outcome in outcomes(&kernel) {
                let [again] = &outcomes(&outcome)[..] else { panic!("what has survived is on the disk") };
                prop_assert_eq!(image(again), image(&outcome));
            }
        }
    }

    #[test]
    fn what_may_be_lost_in_any_order_is_written_down_in_none(
        first in prop::collection::vec(any_call(&["/state/d/a", "/state/d/b", "/state/d/c"]), 0..10),
        second in prop::collection::vec(any_call(&["/state/e/a", "/state/e/b"]), 0..10),
        order in prop::collection::vec(any::<bool>(), 20),
    ) {
        let (mut kernel, a) = disk(Persistence::Kept, None);
        let b = start(&mut kernel, "rival");
        kernel.make_directory(Path::new("/state/d"), 0o700, USER);
        kernel.make_directory(Path::new("/state/e"), 0o700, USER);
        kernel.set_persistence(Path::new("/"), HOST, Persistence::Posix);
        let mut one_by_one = kernel.clone();
        for (who, call) in first.iter().map(|call| (a, call)).chain(second.iter().map(|call| (b, call))) {
            let _ = ask(&mut one_by_one, who, call.clone());
        }
        let (mut rest_a, mut rest_b) = (first.iter(), second.iter());
        for a_next in order.into_iter().chain([true; 10]).chain([false; 10]) {
            let (who, rest) = if a_next { (a, &mut rest_a) } else { (b, &mut rest_b) };
            if let Some(call) = rest.next() {
                let _ = ask(&mut kernel, who, call.clone());
            }
        }
        prop_assert!(kernel == one_by_one, "{}", one_by_one.difference(&kernel));
    }
}
