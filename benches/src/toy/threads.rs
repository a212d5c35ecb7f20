//! The lock as threads, one for each contender, as schedulers of threads want it: each call of the table is one atomic
//! operation, and so one point at which another thread may go on.

use std::sync::{Arc, Mutex, PoisonError};

use shuttle::scheduler::RandomScheduler;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::{Config, Runner};

use super::Race;
use super::table::{Action, Table};

/// Takes so many random schedules. Answers in how many of them two owned at once.
pub fn random_schedules(race: Race, schedules: usize) -> u64 {
    let table = Table { race, exits_later: true, one_row: false, forgets: true };
    let broken = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&broken);
    let run = move || {
        let state = Arc::new(Mutex::new((table.first(), false)));
        let point = Arc::new(AtomicU64::new(0));
        let contend = |number: u8| {
            let (state, point) = (Arc::clone(&state), Arc::clone(&point));
            move || {
                loop {
                    point.fetch_add(1, Ordering::SeqCst);
                    // Nobody else runs until the next point.
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    if !state.0.is_alive(number) {
                        return;
                    }
                    state.0 = table.after(&state.0, Action::Step(number));
                    state.1 |= state.0.owners() > 1;
                }
            }
        };
        let threads: Vec<_> =
            (0..race.contenders).map(|number| shuttle::thread::spawn(contend(number))).collect();
        for thread in threads {
            // A thread that panics ends the run by itself.
            let _ = thread.join();
        }
        let was_broken = state.lock().unwrap_or_else(PoisonError::into_inner).1;
        counted.fetch_add(u64::from(was_broken), Ordering::Relaxed);
    };
    Runner::new(RandomScheduler::new(schedules), Config::new()).run(run);
    broken.load(Ordering::Relaxed)
}
