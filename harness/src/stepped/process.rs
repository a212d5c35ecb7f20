//! One process that is driven: the code that is explored, over the real operating system, one granted step at a time.
//!
//! It is forked from the driver, gives up every capability and runs the program of its gateway in a runtime of its own.
//! Between two grants it reads its socket and nothing else, so all of it stands still. It never returns to the driver's
//! code.

use std::io::{BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::sync::Arc;

use gateway::Claim;
use portcullis_os::{Errno, Linux, Os};
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, set_dumpable_behavior, umask};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_name};
use tokio::runtime::{Builder, Runtime};

use super::os::{Board, Stepped};
use super::wire::{self, Grant, Told};
use crate::designs::Design;

/// What every process takes from the mode of what it creates, on both machines.
const UMASK: u32 = 0o022;
/// How many connections may wait at a bystander.
const BACKLOG: u16 = 16;
/// The exit status of a process whose driver is gone, or that cannot be driven.
const LOST: i32 = 70;

/// What a driven process is.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// A gateway of this design.
    Gateway(Design, Box<Claim>),
    /// A process that only listens.
    Bystander(Vec<SocketAddr>),
}

/// Plays a part until the driver ends it.
#[expect(clippy::exit, reason = "a copy of the driver must never return to the driver's code")]
pub(super) fn play(part: Part, name: &str, control: UnixStream) -> ! {
    // A panic in a task would only end the task.
    std::panic::set_hook(Box::new(|info| {
        let _ = writeln!(std::io::stderr(), "{info}");
        exit(LOST)
    }));
    exit(match prepare(name).and_then(|runtime| perform(&runtime, part, &control)) {
        Ok(status) => status,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{why}");
            LOST
        }
    })
}

fn prepare(name: &str) -> Result<Runtime, String> {
    let name = std::ffi::CString::new(name).map_err(|error| error.to_string())?;
    set_name(&name).map_err(|errno| format!("no name: {errno}"))?;
    umask(Mode::from_raw_mode(UMASK));
    Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))
}

/// From here on this is an ordinary user's process, which others of that user may look into.
fn renounce() -> Result<(), String> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::Dumpable))
        .map_err(|errno| format!("capabilities cannot be given up: {errno}"))
}

fn perform(runtime: &Runtime, part: Part, control: &UnixStream) -> Result<i32, String> {
    let os = Linux::new(|_| {});
    let board = Arc::new(Board::default());
    let _guard = runtime.enter();
    match part {
        Part::Gateway(design, claim) => {
            renounce()?;
            Stepped::start(os.clone(), &board, |os| design.run(os, *claim));
        }
        Part::Bystander(addresses) => {
            // Low ports as well, which the simulated machine gives it too.
            for address in addresses {
                if runtime.block_on(listen(&os, address)).is_err() {
                    return Ok(1);
                }
            }
            renounce()?;
        }
    }
    runtime.block_on(serve(&os, &board, control)).map_err(|error| format!("the driver is lost: {error}"))
}

/// Listens for as long as this process lives.
async fn listen(os: &Linux, address: SocketAddr) -> Result<(), Errno> {
    let socket = os.bind_tcp(address).await?;
    os.listen(&socket, BACKLOG).await?;
    socket.leak();
    Ok(())
}

/// Carries out what is granted, until the process is to exit.
async fn serve(os: &Linux, board: &Board, control: &UnixStream) -> std::io::Result<i32> {
    let (mut from, mut to) = (BufReader::new(control), control);
    let mut said = None;
    loop {
        board.settled().await;
        wire::write(&mut to, &Told { said: said.take(), asks: board.asks(), exit: board.exit() })?;
        // It blocks on purpose: nothing in this process may happen before the next grant.
        match wire::read(&mut from)? {
            Some(Grant::Carry { task, perform, answer }) => {
                said = board.grant(os, task, perform, answer).await;
            }
            Some(Grant::Exit) => return Ok(board.exit().map_or(LOST, i32::from)),
            None => return Ok(LOST),
        }
    }
}
