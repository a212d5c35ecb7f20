//! A trace by what had to come before what still means something after the program was edited, and says when it does not.

use std::path::Path;

use portcullis_os::{Errno, Links, Open, Os};
use sim::{Bounds, Causal, CausalError, Checker, Process, Program, Rematch, Setup, explore, rematch, replay};

use crate::contest::{EVERYTHING, FAIR, Judge, LOCK, add_probe, contenders, cost, own, program};

/// Looks first and creates then. The edits of it are what people do to such a program.
#[derive(Clone, Copy)]
struct Edit {
    /// Calls that were put in at the beginning and before the creation.
    more_calls: bool,
    /// The name of the lock file.
    name: &'static str,
    /// It creates the file only if it is not there.
    is_exclusive: bool,
    /// It never owns anything, whether it has created the file or not.
    gives_up: bool,
}

const AS_IT_WAS: Edit = Edit { more_calls: false, name: LOCK, is_exclusive: false, gives_up: false };

async fn contender(os: Process, edit: Edit) -> u8 {
    let lock = Path::new(edit.name);
    if edit.more_calls {
        let _ = os.own_pid().await;
        let _ = os.stat(Path::new("/state"), Links::Follow).await;
    }
    match os.stat(lock, Links::NoFollow).await {
        Err(Errno::NotFound) => {}
        Ok(_) | Err(_) => return 1,
    }
    if edit.more_calls {
        let _ = os.open(Path::new("/state"), Open::directory()).await;
    }
    let open = if edit.is_exclusive { Open::create_exclusive() } else { Open::create_truncate() };
    let Ok(_file) = os.open(lock, open).await else { return 1 };
    if edit.gives_up {
        return 1;
    }
    u8::from(own(&os).await.is_err())
}

fn edited(edit: Edit) -> Setup {
    contenders(&program("contender", move |os| contender(os, edit)), 2)
}

/// What the least failure of a setup had to do.
fn recorded(setup: &Setup, checker: &impl Checker, bounds: &Bounds) -> Causal {
    let Some(found) = explore(setup, checker, bounds).found else { panic!("it is broken") };
    Causal::of(setup, &replay(setup, checker, bounds, &found.schedule))
}

fn race() -> Causal {
    recorded(&edited(AS_IT_WAS), &FAIR, &EVERYTHING)
}

#[test]
fn a_trace_says_who_did_what_to_what_and_after_whom() {
    assert_eq!(
        race().to_string(),
        "portcullis causal trace, version 1
   1 script: Start a = ok
   2 a: Stat /state/lock = ENOENT after 1
   3 script: Start b = ok
   4 b: Stat /state/lock = ENOENT after 3
   5 b: Open /state/lock = ok after 2
   6 b: CatchSignals = ok
   7 b: Stat /state = ok
   8 b: Notify owner = ok
   9 b: Notify ready = ok
  10 a: Open /state/lock = ok after 5
  11 a: CatchSignals = ok
  12 a: Stat /state = ok
     then a goes on
"
    );
}

#[test]
fn what_is_written_is_read_back_and_mistakes_are_told_with_their_line() {
    let race = race();
    assert_eq!(Causal::parse(&race.to_string()), Ok(race.clone()));
    let text = race.to_string();
    let with = |from: &str, to: &str| Causal::parse(&text.replace(from, to));
    assert_eq!(with("version 1", "version 2"), Err(CausalError::Header));
    assert_eq!(with("   3 script", "   4 script"), Err(CausalError::Number { line: 4 }));
    assert_eq!(with("ok after 5", "ok after 11"), Err(CausalError::Number { line: 11 }));
    assert_eq!(with(" = ok after 5", ""), Err(CausalError::Line { line: 11 }));
    assert_eq!(with("b: Stat", "b Stat"), Err(CausalError::Line { line: 5 }));
    assert_eq!(with("portcullis", "# a comment\n\nportcullis"), Ok(race));
}

#[test]
fn a_program_that_is_as_it_was_still_fails_in_the_same_way() {
    let Rematch::StillFails { trace, .. } = rematch(&edited(AS_IT_WAS), &FAIR, &EVERYTHING, &race()) else {
        panic!("it is broken")
    };
    assert_eq!(cost(&trace), (0, 1, 13));
}

#[test]
fn calls_that_were_put_in_between_make_no_difference() {
    let setup = edited(Edit { more_calls: true, ..AS_IT_WAS });
    let Rematch::StillFails { trace, schedule } = rematch(&setup, &FAIR, &EVERYTHING, &race()) else {
        panic!("it is broken")
    };
    assert_eq!(trace.violation.as_ref().map(|violation| violation.check.as_str()), Some("single-owner"));
    assert_eq!((trace.left_over, schedule.len() > 13), (0, true));
}

#[test]
fn a_program_that_does_all_of_it_and_then_decides_otherwise_is_fixed() {
    let before = Causal { constraints: race().constraints[..5].to_vec(), goes_on: Some("a".to_owned()) };
    let setup = edited(Edit { gives_up: true, ..AS_IT_WAS });
    let Rematch::Fixed { schedule, is_every_order: true } = rematch(&setup, &FAIR, &EVERYTHING, &before)
    else {
        panic!("nothing is broken")
    };
    assert_eq!(replay(&setup, &FAIR, &EVERYTHING, &schedule).left_over, 0);
}

#[test]
fn what_does_not_happen_any_more_is_named_with_the_reason() {
    let why = |edit: Edit| match rematch(&edited(edit), &FAIR, &EVERYTHING, &race()) {
        Rematch::NotApplicable { constraint, why } => format!("{}: {why}", constraint + 1),
        other @ (Rematch::StillFails { .. } | Rematch::Fixed { .. }) => panic!("{other:?}"),
    };
    assert_eq!(
        why(Edit { name: "/state/other", ..AS_IT_WAS }),
        "2: a never comes to `a: Stat /state/lock` after `script: Start a`: it waits in `wait for a signal`"
    );
    assert_eq!(
        why(Edit { is_exclusive: true, ..AS_IT_WAS }),
        "10: `a: Open /state/lock` is answered EEXIST and not ok after `b: Open /state/lock`: it has ended"
    );
}

#[test]
fn a_kill_is_part_of_a_trace_and_strikes_where_it_did() {
    let exclusive = |more_calls: bool| -> Program {
        program("exclusive", move |os| async move {
            if more_calls {
                let _ = os.own_pid().await;
            }
            match os.open(Path::new(LOCK), Open::create_exclusive()).await {
                Ok(_file) => u8::from(own(&os).await.is_err()),
                Err(_) => 1,
            }
        })
    };
    let with_probe = |program: &Program| {
        let mut setup = contenders(program, 2);
        let probes = vec![add_probe(&mut setup, program)];
        (setup, Judge { probes })
    };
    let bounds = Bounds { kills: 1, ..EVERYTHING };
    let (setup, judge) = with_probe(&exclusive(false));
    let causal = recorded(&setup, &judge, &bounds);
    assert!(causal.to_string().ends_with("3 a: Killed = ok\n"), "{causal}");
    let (setup, judge) = with_probe(&exclusive(true));
    assert!(matches!(rematch(&setup, &judge, &bounds, &causal), Rematch::StillFails { .. }));
}
