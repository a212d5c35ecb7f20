//! The lock as a program: straight `async` code over [`Os`], each call of the table one call of the system.
//!
//! What stands in the file has to be written and read by one call, so the pid is its mode; each contender is another user,
//! so that a file shows whose it is.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use portcullis_os::{BindOptions, Call, Errno, Fd, FileStatus, Links, Open, Os, Pid, Reply, Stage, Uid};
use sim::kernel::{Effect, Life, Place, Spawn};
use sim::{Action, Checker, Kernel, Program, Script, Setup, Slot, Step, View, Violation};

use super::{DEAD_PID, RETRIES, Race, Seen};

const DIRECTORY: &str = "/state";
const LOCK: &str = "/state/lock";
const PORT: u16 = 18_789;
/// Nobody has it: what is asked for if no pid stands in the file.
const NO_PID: u32 = 4_000_000;
/// The first contender's, and one more for each other.
const FIRST_PID: u32 = 11;
const FIRST_UID: u32 = 1000;

/// A contender: its number, counted from 0.
#[derive(Clone, Copy, Debug)]
struct Me(u8);

impl Me {
    fn pid(self) -> u32 {
        FIRST_PID + u32::from(self.0)
    }

    fn uid(self) -> Uid {
        Uid(FIRST_UID + u32::from(self.0))
    }
}

/// How the program is written. Both make the same calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As one function. The explorer has to find out by itself what it forgets.
    Straight,
    /// In stages: to try and take the lock, and to have it.
    Staged,
}

/// What a stage begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Look { retries: u8 },
    Own { file: Fd },
}

/// The life of one contender. Ends with whether it has served.
async fn contend(os: impl Os, me: Me) -> Result<bool, Errno> {
    let mut retries = 0;
    loop {
        match take(&os).await? {
            Taken::Lost => return Ok(false),
            Taken::Yes(file) => return own(&os, me, file).await,
            Taken::ByOther if retries == RETRIES => return Ok(false),
            Taken::ByOther => retries += 1,
        }
    }
}

async fn stage(os: impl Os, me: Me, begin: Begin) -> Result<Stage<Begin>, Errno> {
    let is_over = |serves| Stage::Exit(u8::from(serves));
    Ok(match begin {
        Begin::Own { file } => is_over(own(&os, me, file).await?),
        Begin::Look { retries } => match take(&os).await? {
            Taken::Lost => is_over(false),
            Taken::Yes(file) => Stage::Continue(Begin::Own { file }),
            Taken::ByOther if retries == RETRIES => is_over(false),
            Taken::ByOther => Stage::Continue(Begin::Look { retries: retries + 1 }),
        },
    })
}

enum Taken {
    Yes(Fd),
    ByOther,
    Lost,
}

async fn take(os: &impl Os) -> Result<Taken, Errno> {
    let lock = Path::new(LOCK);
    if is_there(os, lock).await
        && let Ok(status) = os.stat(lock, Links::Follow).await
    {
        if os.kill(recorded(&status)?, None).await != Err(Errno::NoProcess) {
            return Ok(Taken::Lost);
        }
        // Whoever's file it is by now.
        let _ = os.unlink(lock).await;
    }
    match os.open(lock, Open { mode: 0, ..Open::create_exclusive() }).await {
        // Closing it would be one call more; it stays open as long as the process lives.
        Ok(file) => Ok(Taken::Yes(file.leak())),
        Err(_) => Ok(Taken::ByOther),
    }
}

async fn own(os: &impl Os, me: Me, fd: Fd) -> Result<bool, Errno> {
    let lock = Path::new(LOCK);
    os.done(Call::SetMode { fd, mode: me.pid() }).await?;
    os.done(Call::Sync { fd }).await?;
    if !os.stat(lock, Links::Follow).await.is_ok_and(|status| status.uid == me.uid()) {
        return Ok(false);
    }
    if !os.stat(lock, Links::Follow).await.is_ok_and(|status| status.mode == me.pid()) {
        return Ok(false);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let options = BindOptions { reuse_address: false, reuse_port: false, v6_only: false };
    let bound = os.descriptor(Call::BindTcp { address, options }).await;
    let serves = bound.is_ok();
    if let Ok(port) = bound {
        os.sleep(1000).await?;
        port.close().await?;
    }
    let _ = os.unlink(lock).await;
    Ok(serves)
}

/// Whether there is a file. It is no symbolic link, and that is all that is said of it.
async fn is_there(os: &impl Os, path: &Path) -> bool {
    os.call(Call::ReadLink { at: None, path: path.to_owned() }).await == Err(Errno::InvalidArgument)
}

fn recorded(status: &FileStatus) -> Result<Pid, Errno> {
    Pid::new(if status.mode == 0 { NO_PID } else { status.mode }).ok_or(Errno::InvalidArgument)
}

/// The race on a machine.
pub fn setup(race: Race, form: Form) -> Setup {
    let mut kernel = Kernel::new();
    kernel.make_directory(Path::new(DIRECTORY), 0o777, Uid(0));
    if race.stale {
        kernel.write_file(Path::new(LOCK), b"");
        // It is there: it was just written.
        let _ = kernel.chmod(Path::new(LOCK), DEAD_PID);
    }
    let slots = (0..race.contenders).map(|number| slot(Me(number), form)).collect();
    let starts = (0..usize::from(race.contenders)).map(Action::Start).collect();
    Setup { kernel, slots, script: Script { setup: starts, steps: Vec::new() } }
}

fn slot(me: Me, form: Form) -> Slot {
    let name = format!("contender {}", me.0);
    let program = match form {
        Form::Straight => {
            Program::new(name.clone(), move |os| async move { contend(os, me).await.map_or(2, u8::from) })
        }
        Form::Staged => {
            Program::staged(name.clone(), Begin::Look { retries: 0 }, move |os, begin| async move {
                stage(os, me, begin).await.unwrap_or(Stage::Exit(2))
            })
        }
    };
    let spawn = Spawn {
        name: name.clone(),
        command: "contender".to_owned(),
        uid: me.uid(),
        parent: None,
        pid: Pid::new(me.pid()),
        place: Place::default(),
    };
    Slot {
        name,
        spawn,
        program: Some(program),
        listens: Vec::new(),
        connections: Vec::new(),
        supervisor: None,
        spawned_as: None,
        open_files: None,
    }
}

/// What of a machine is seen from outside.
pub fn seen(view: &View<'_>) -> Seen {
    let number = |uid: Uid| uid.0.checked_sub(FIRST_UID).and_then(|number| u8::try_from(number).ok());
    let status = view.kernel.file_status(Path::new(LOCK));
    let alive = (0..).zip(view.slots).filter(|(slot, _)| view.is_alive(*slot));
    let is_bound = |process| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        view.kernel.bound(process).any(|bound| bound == address)
    };
    Seen {
        file: status.as_ref().map(|status| (number(status.uid), u8::from(number(status.uid).is_some()))),
        content: status.as_ref().map(|status| match status.mode {
            0 | DEAD_PID => status.mode,
            pid => pid - FIRST_PID + 1,
        }),
        port: (0..)
            .zip(view.slots)
            .find_map(|(slot, state): (u8, _)| state.process.filter(|it| is_bound(*it)).map(|_| slot)),
        alive: alive.fold(0, |mask, (slot, _)| mask | 1 << slot),
    }
}

/// What is looked for: two between having bound the port and having removed the lock file. Nothing ends the search, if
/// `is_lenient`; then what it found is remembered by the caller of `each`.
pub struct OneOwner<F> {
    /// Whether a state with two owners is passed by.
    pub is_lenient: bool,
    /// Is shown each state, and how many owners it has.
    pub each: F,
}

impl<F: Fn(&View<'_>, u32)> Checker for OneOwner<F> {
    /// The owners, a bit each.
    type Memory = u8;

    fn start(&self) -> u8 {
        0
    }

    fn step(&self, owners: &mut u8, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        if let (Some(slot), Some(call)) = (step.slot, step.call) {
            if matches!((call, step.reply), (Call::BindTcp { .. }, Some(Ok(Reply::Fd(_))))) {
                *owners |= 1 << slot;
            } else if matches!(call, Call::Unlink { .. }) {
                *owners &= !(1 << slot);
            }
        }
        for effect in step.effects {
            if let Effect::Died { process, .. } = effect
                && let Some(slot) = view.slot_of(*process)
            {
                *owners &= !(1 << slot);
            }
        }
        (self.each)(view, owners.count_ones());
        if owners.count_ones() > 1 && !self.is_lenient {
            return Err(Violation { check: "single-owner".to_owned(), says: "two own the lock".to_owned() });
        }
        Ok(())
    }

    /// Which contenders have served, a bit each.
    fn end(&self, _: &u8, view: &View<'_>) -> Result<usize, Violation> {
        let has_served = |slot: &usize| {
            let process = view.slots[*slot].process;
            process.is_some_and(|it| view.kernel.life(it) == Life::Dead(sim::Ending::Exited(1)))
        };
        Ok((0..view.slots.len()).filter(has_served).fold(0, |mask, slot| mask | 1 << slot))
    }
}
