//! A schedule is the whole of what was chosen: whoever takes it again takes the same steps, whatever was learned before.

use portcullis_os::{Call, Cell, Os};
use sim::{Bounds, Checker, Setup, Step, View, Violation, What, explore, replay, walk};

use crate::contest::{EVERYTHING, FAIR, contenders, contest, passer_by, program};

#[test]
fn the_same_exploration_twice_is_the_same_down_to_the_last_number() {
    for (setup, kills) in [(contenders(&passer_by(), 3), 2), (grandchildren(), 0)] {
        let bounds = Bounds { kills, ..EVERYTHING };
        let first = explore(&setup, &FAIR, &bounds);
        assert_eq!(explore(&setup, &FAIR, &bounds), first);
    }
}

/// Tasks that start tasks, so that the explorer meets them in many orders.
fn grandchildren() -> Setup {
    let program = program("grandchildren", |os| async move {
        let child = os.clone();
        os.task(async move {
            let grandchild = child.clone();
            let _ = child.own_pid().await;
            child.task(async move {
                let _ = (grandchild.load(Cell(1)).await, grandchild.load(Cell(2)).await);
            });
        });
        let _ = os.own_uid().await;
        let late = os.clone();
        os.task(async move {
            let _ = (late.load(Cell(3)).await, late.load(Cell(4)).await);
        });
        u8::from(os.random().await.is_err())
    });
    contenders(&program, 1)
}

/// Objects to certain calls in a certain order.
struct Order(Vec<Call>);

impl Checker for Order {
    type Memory = usize;

    fn start(&self) -> usize {
        0
    }

    fn step(&self, seen: &mut usize, _: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        if step.call.is_some_and(|call| self.0.get(*seen) == Some(call)) {
            *seen += 1;
        } else if step.call.is_some_and(|call| self.0.contains(call)) {
            *seen = usize::MAX;
        }
        if *seen < self.0.len() || *seen == usize::MAX {
            return Ok(());
        }
        Err(Violation { check: "order".to_owned(), says: "they came in this order".to_owned() })
    }

    fn end(&self, _: &usize, _: &View<'_>) -> Result<usize, Violation> {
        Ok(0)
    }

    fn probes(&self) -> &[usize] {
        &[]
    }

    fn is_free(&self, _: usize, _: &View<'_>) -> bool {
        false
    }

    fn probed(&self, _: usize, _: &View<'_>) -> Result<(), Violation> {
        Ok(())
    }
}

#[test]
fn a_schedule_means_the_same_whatever_was_learned_before() {
    let setup = grandchildren();
    let load = |cell| Call::Load { cell: Cell(cell) };
    // The explorer, which goes on with the main task first, learns the late child before the grandchild.
    let order = Order(vec![Call::OwnPid, Call::OwnUid, load(3), load(1), load(4), load(2)]);
    let exploration = explore(&setup, &order, &EVERYTHING);
    let found = exploration.found.unwrap();
    let trace = replay(&setup, &order, &EVERYTHING, &found.schedule);
    assert_eq!((trace.violation.as_ref(), trace.left_over), (Some(&found.violation), 0));
    assert_eq!(trace.steps.len(), 7, "the start and six calls");
    assert_eq!(replay(&setup, &order, &EVERYTHING, &found.schedule), trace);
}

#[test]
fn a_walk_and_its_replay_are_the_same_execution() {
    let setup = contest(&[passer_by(), passer_by(), passer_by()]);
    for picks in [&[][..], &[1, 2, 3, 4, 5, 6, 7, 8], &[255; 30], &[7, 0, 7, 0, 7, 0, 7, 0, 7]] {
        let bounds = Bounds { kills: 2, ..EVERYTHING };
        let walked = walk(&setup, &FAIR, &bounds, picks);
        assert_eq!(walk(&setup, &FAIR, &bounds, picks), walked);
        assert_eq!(replay(&setup, &FAIR, &bounds, &walked.schedule), walked.trace);
        assert_eq!(walked.trace.steps.len(), walked.schedule.len());
    }
}

#[test]
fn a_schedule_that_no_longer_fits_says_how_much_is_left_over() {
    let setup = contenders(&passer_by(), 1);
    let walked = walk(&setup, &FAIR, &EVERYTHING, &[]);
    let calls =
        walked.trace.steps.iter().filter(|step| matches!(step.what, What::Call(Call::Close { .. }, _)));
    assert_eq!(calls.count(), 1);
    let shorter =
        contenders(&program("shorter", |os| async move { u8::from(os.own_pid().await.is_err()) }), 1);
    let trace = replay(&shorter, &FAIR, &EVERYTHING, &walked.schedule);
    assert_eq!(
        (trace.steps.len(), trace.left_over),
        (3, 3),
        "start, getpid, exit; without open, flock and close"
    );
}
