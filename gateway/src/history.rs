//! The history of a state directory as people read it: one line for each owner, across epochs.
//!
//! Reading needs no lock and changes nothing, so it can be asked for while a gateway runs.

use std::path::Path;

use portcullis_os::{Errno, Open, Os};

use crate::lock::journal::{Entry, Event, Header, read_journal};
use crate::text::one_line;

/// What is told of one owner.
struct Told {
    header: Header,
    was_ready: bool,
    has_stopped: bool,
}

/// The history in a state directory, line by line.
///
/// # Errors
///
/// What the machine says, for instance that there is no such directory.
pub async fn lines<O: Os>(os: &O, state: &Path) -> Result<Vec<String>, Errno> {
    let directory = os.open(state, Open { directory: true, ..Open::read() }).await?;
    let (mut owners, mut lines) = (Vec::<Told>::new(), Vec::new());
    read_journal(os, &directory, |entry| match entry {
        Entry::Folded(sums) => lines.push(format!(
            "epochs up to {}: {} owners began, {} of them stopped",
            sums.through, sums.starts, sums.stops
        )),
        Entry::Began(header) => owners.push(Told { header, was_ready: false, has_stopped: false }),
        Entry::Wrote(_, event) => {
            if let Some(owner) = owners.last_mut() {
                owner.was_ready |= event == Event::Ready;
                // One that could not begin its next epoch is ready again after its stop.
                owner.has_stopped = match event {
                    Event::Ready => false,
                    Event::Stop => true,
                    Event::Checked | Event::Unknown => owner.has_stopped,
                };
            }
        }
    })
    .await?;
    lines.extend(owners.iter().map(line));
    Ok(lines)
}

fn line(owner: &Told) -> String {
    let fate = match (owner.was_ready, owner.has_stopped) {
        (_, true) => "stopped",
        (true, false) => "ready, has not said that it stopped",
        (false, false) => "began, was never ready",
    };
    let Header { epoch, pid, version, .. } = &owner.header;
    // What stands in a file may be anything.
    one_line(&format!("epoch {epoch}: pid {pid}, version {version}: {fate}"))
}
