//! Runs one case for so many rounds and says nothing: `hot CASE ROUNDS`. Whoever counts the instructions of two runs of
//! different lengths has those of a message as their difference.

use std::process::ExitCode;

use hot::Case;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().and_then(|name| Case::named(&name));
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok());
    let (Some(case), Some(rounds)) = (case, rounds) else { return ExitCode::from(64) };
    case.ready().run(rounds);
    ExitCode::SUCCESS
}
