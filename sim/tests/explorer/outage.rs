//! Locks that no kill breaks and a loss of power does, and what mends them.

use std::path::Path;

use portcullis_os::{Errno, LockMode, Open, Os};
use sim::kernel::{HostId, Persistence};
use sim::{Bounds, Evidence, Process, Program, Setup, TraceStep, What, Who, explore, replay};

use crate::contest::{EVERYTHING, Judge, LOCK, add_probe, contenders, cost, own, program, said};

/// The power fails once, at any point.
const ONE_OUTAGE: Bounds = Bounds { power_losses: 1, ..EVERYTHING };

const RECORD: &[u8] = b"mine";
const TMP: &str = "/state/tmp";

/// Whoever holds the flock on the directory is the owner and replaces the record by a rename, so that nobody ever sees half
/// of one. Whoever finds half of one all the same leaves it to a person.
fn publishes(syncs: bool) -> Program {
    program(if syncs { "publishes" } else { "publishes without fsync" }, move |os| async move {
        u8::from(publish(&os, syncs).await.is_err())
    })
}

async fn publish(os: &Process, syncs: bool) -> Result<(), Errno> {
    let state = os.open(Path::new("/state"), Open::directory()).await?;
    os.flock(&state, LockMode::Exclusive).await?;
    match os.open(Path::new(LOCK), Open::read()).await {
        Err(Errno::NotFound) => {}
        Err(errno) => return Err(errno),
        Ok(file) if os.read(&file, 0, 16).await? == RECORD => {}
        Ok(_) => return Err(Errno::InvalidArgument),
    }
    let file = os.open(Path::new(TMP), Open::create_truncate()).await?;
    os.write(&file, 0, RECORD).await?;
    if syncs {
        os.sync(&file).await?;
    }
    os.rename_at(&state, "tmp", "lock").await?;
    own(os).await
}

/// Contenders on such a disk, with a record of an owner of old if `old`, and a place for one that comes later.
fn on(persistence: Persistence, program: &Program, count: usize, old: bool) -> (Setup, Judge) {
    let mut setup = contenders(program, count);
    if old {
        setup.kernel.write_file(Path::new(LOCK), RECORD);
    }
    setup.kernel.set_persistence(Path::new("/"), HostId(0), persistence);
    setup.kernel.take_effects();
    let probes = vec![add_probe(&mut setup, program)];
    (setup, Judge { probes })
}

#[test]
fn a_record_that_is_renamed_without_fsync_wedges_after_a_loss_of_power_and_after_no_kill() {
    let wedged = "no-wedge: nobody can start any more";
    let cases = [
        (false, false, Persistence::Kept, "nothing"),
        (false, false, Persistence::Ext4, wedged),
        (false, false, Persistence::Ordered, wedged),
        (false, false, Persistence::Posix, wedged),
        (false, true, Persistence::Ext4, "nothing"),
        (false, true, Persistence::Ordered, wedged),
        (true, false, Persistence::Ext4, "nothing"),
        (true, false, Persistence::Posix, "nothing"),
        (true, true, Persistence::Posix, "nothing"),
    ];
    for (syncs, old, persistence, expected) in cases {
        let (setup, judge) = on(persistence, &publishes(syncs), 1, old);
        let kills = explore(&setup, &judge, &Bounds { kills: 1, ..EVERYTHING });
        assert_eq!((said(&kills).as_str(), kills.evidence), ("nothing", Evidence::Complete));
        let outage = explore(&setup, &judge, &ONE_OUTAGE);
        assert_eq!(said(&outage), expected, "fsync {syncs}, old record {old}, {persistence:?}");
        assert_eq!(outage.evidence, Evidence::Complete);
    }
}

#[test]
fn the_shortest_way_to_a_record_of_no_bytes_is_found_and_taken_again() {
    let (setup, judge) = on(Persistence::Ordered, &publishes(false), 1, false);
    let found = explore(&setup, &judge, &ONE_OUTAGE).found.unwrap();
    assert!(found.is_shortest);
    let trace = replay(&setup, &judge, &ONE_OUTAGE, &found.schedule);
    assert_eq!((trace.violation.as_ref(), trace.left_over), (Some(&found.violation), 0));
    assert_eq!(replay(&setup, &judge, &ONE_OUTAGE, &found.schedule), trace);
    let [.., write, rename, outage] = &trace.steps[..] else { panic!("too few steps") };
    assert_eq!(words(write), "write 4");
    assert_eq!(words(rename), "rename tmp lock");
    assert_eq!(outage.who, Who::Outage(HostId(0)));
    assert_eq!(rename.kernel.contents(Path::new(LOCK)).as_deref(), Some(RECORD));
    assert_eq!(outage.kernel.contents(Path::new(LOCK)).as_deref(), Some(&b""[..]));
    assert!(!outage.view().is_alive(0));
    assert_eq!(cost(&trace), (1, 0, 8));
    let without = replay(&setup, &judge, &EVERYTHING, &found.schedule);
    assert_eq!((without.violation, without.left_over), (None, 1), "nobody has allowed for a loss of power");
}

fn words(step: &TraceStep) -> String {
    let What::Call(call, _) = &step.what else { return "no call".to_owned() };
    call.to_string()
}

#[test]
fn contenders_that_start_on_either_side_of_an_outage_never_both_own() {
    let (setup, judge) = on(Persistence::Posix, &publishes(true), 2, false);
    let one = explore(&setup, &judge, &ONE_OUTAGE);
    assert_eq!((said(&one).as_str(), one.evidence), ("nothing", Evidence::Complete));
    let ends: Vec<usize> = one.ends.keys().copied().collect();
    assert_eq!(ends, [0, 1], "either lives on, or the power fails late");
    let none = explore(&setup, &judge, &EVERYTHING);
    assert_eq!(none.ends.keys().copied().collect::<Vec<_>>(), [1]);
    let two = explore(&setup, &judge, &Bounds { power_losses: 2, ..EVERYTHING });
    assert_eq!((said(&two).as_str(), two.evidence), ("nothing", Evidence::Complete));
    assert!(none.states < one.states && one.states < two.states);
}

#[test]
fn what_can_be_lost_in_too_many_ways_is_said_and_not_left_out() {
    let program = program("litters", |os| async move {
        for number in 0..8 {
            let _ = os.open(Path::new(&format!("/state/{number}")), Open::create_exclusive()).await;
        }
        u8::from(own(&os).await.is_err())
    });
    let mut setup = contenders(&program, 1);
    setup.kernel.set_persistence(Path::new("/"), HostId(0), Persistence::Posix);
    let judge = Judge { probes: Vec::new() };
    let exploration = explore(&setup, &judge, &ONE_OUTAGE);
    assert_eq!(
        said(&exploration),
        "explorable: a loss of power has more than 200 outcomes: sync more, or write less"
    );
    let found = exploration.found.unwrap();
    assert_eq!(replay(&setup, &judge, &ONE_OUTAGE, &found.schedule).violation, Some(found.violation));
}
