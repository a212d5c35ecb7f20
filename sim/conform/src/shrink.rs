//! A sequence that shows a difference is made as short and as plain as it can be and still show one.

use portcullis_os::{Call, Open};

use crate::pair::{Course, Verdict};
use crate::real::Trouble;
use crate::sequence::{Op, Sequence};

/// At most so many sequences are tried.
const MOST_TRIES: usize = 600;

/// A shorter sequence, and how it went.
#[derive(Clone, Debug)]
pub struct Shrunken {
    /// The sequence.
    pub sequence: Sequence,
    /// Its course, which ends in a difference.
    pub course: Course,
}

/// Shrinks a sequence. `run` runs one; whatever differs in it counts.
///
/// # Errors
///
/// What `run` says.
pub fn shrink(
    sequence: Sequence,
    course: Course,
    mut run: impl FnMut(&Sequence) -> Result<Course, Trouble>,
) -> Result<Shrunken, Trouble> {
    let mut best = Shrunken { sequence, course };
    best.forget_the_rest();
    let mut tries = MOST_TRIES;
    let mut attempt = |candidate: Sequence, best: &mut Shrunken| -> Result<bool, Trouble> {
        if tries == 0 || candidate == best.sequence {
            return Ok(false);
        }
        tries -= 1;
        let course = run(&candidate)?;
        let still = matches!(course.verdict, Verdict::Differs(_));
        if still {
            *best = Shrunken { sequence: candidate, course };
            best.forget_the_rest();
        }
        Ok(still)
    };
    loop {
        let before = best.sequence.clone();
        remove_steps(&mut best, &mut attempt)?;
        plainer_scene(&mut best, &mut attempt)?;
        plainer_calls(&mut best, &mut attempt)?;
        if best.sequence == before {
            return Ok(best);
        }
    }
}

type Attempt<'a> = dyn FnMut(Sequence, &mut Shrunken) -> Result<bool, Trouble> + 'a;

impl Shrunken {
    /// What comes after the difference does not matter, nor does what was not carried out.
    fn forget_the_rest(&mut self) {
        if !self.course.lines.is_empty() {
            self.sequence.steps = self.course.lines.iter().map(|line| line.step.clone()).collect();
        }
    }
}

/// Takes out runs of steps, long ones first.
fn remove_steps(best: &mut Shrunken, attempt: &mut Attempt<'_>) -> Result<(), Trouble> {
    let mut width = (best.sequence.steps.len() / 2).max(1);
    loop {
        let mut end = best.sequence.steps.len();
        while end > 0 {
            let start = end.saturating_sub(width);
            let mut candidate = best.sequence.clone();
            candidate.steps.drain(start..end);
            attempt(candidate, best)?;
            end = start.min(best.sequence.steps.len());
        }
        if width == 1 {
            return Ok(());
        }
        width /= 2;
    }
}

/// One user, root if possible, in a directory that everybody may use.
fn plainer_scene(best: &mut Shrunken, attempt: &mut Attempt<'_>) -> Result<(), Trouble> {
    if best.sequence.mode != 0o777 {
        attempt(Sequence { mode: 0o777, ..best.sequence.clone() }, best)?;
    }
    if best.sequence.limit.is_some() {
        attempt(Sequence { limit: None, ..best.sequence.clone() }, best)?;
    }
    if best.sequence.users.len() > 1 {
        let mut candidate = best.sequence.clone();
        candidate.users.pop();
        attempt(candidate, best)?;
    }
    for number in 1..best.sequence.users.len() {
        let mut candidate = best.sequence.clone();
        candidate.users[number] = candidate.users[0];
        attempt(candidate, best)?;
    }
    Ok(())
}

/// Calls that ask for less.
fn plainer_calls(best: &mut Shrunken, attempt: &mut Attempt<'_>) -> Result<(), Trouble> {
    let mut at = 0;
    while let Some(step) = best.sequence.steps.get(at) {
        if let Op::Call(call) = step.op.clone() {
            for plainer in plainer(&call) {
                let mut candidate = best.sequence.clone();
                let length = candidate.steps.len();
                candidate.steps[at].op = Op::Call(plainer);
                if attempt(candidate, best)? && best.sequence.steps.len() != length {
                    break;
                }
            }
        }
        at += 1;
    }
    Ok(())
}

fn plainer(call: &Call) -> Vec<Call> {
    if let Call::Open { at, path, open } = call {
        let plain =
            [Open::read(), Open::read_write_create(), Open { no_follow: false, ..Open::read_write_create() }];
        let mut calls: Vec<Call> =
            plain.into_iter().map(|open| Call::Open { at: *at, path: path.clone(), open }).collect();
        for open in [
            Open { append: false, ..*open },
            Open { exclusive: false, ..*open },
            Open { truncate: false, ..*open },
            Open { directory: false, ..*open },
            Open { no_follow: false, ..*open },
            Open { create: false, ..*open },
            Open { write: false, ..*open },
            Open { mode: 0o600, ..*open },
        ] {
            calls.push(Call::Open { at: *at, path: path.clone(), open });
        }
        return calls;
    }
    if let Call::Write { fd, .. } = call {
        return vec![Call::Write { fd: *fd, offset: 0, bytes: vec![b'w'] }];
    }
    if let Call::Read { fd, .. } = call {
        return vec![Call::Read { fd: *fd, offset: 0, length: 1 }];
    }
    if let Call::Accept { fds } = call
        && fds.len() > 1
    {
        return fds.iter().map(|fd| Call::Accept { fds: vec![*fd] }).collect();
    }
    Vec::new()
}
