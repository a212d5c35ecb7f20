//! What is done to the machine, done for real where that harms nobody else: modes of directories, what is in lock files, full
//! disks, and time that passes, for which one waits.
//!
//! A state directory that goes needs the simulator: how soon its owner looks after it is the owner's own time.
//!
//! A disk that is to fill up is a small file system in memory, mounted in the mount namespace of the try. It is filled by
//! files that have no name any more, so that nobody finds anything there that was not there before.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use sim::GARBAGE;

use super::attempt::{Attempt, Stop};
use super::files;
use super::lane::state_directory;
use super::wire::Room;
use crate::scenario::{Disk, Operation, Scenario, Step, Tampering};

/// The size of a disk that fills up, in bytes: more than any gateway here needs, and quickly filled.
const DISK_BYTES: usize = 4 * 1024 * 1024;
/// How many files it can have.
const DISK_INODES: usize = 512;
/// How long a step may let time pass, in milliseconds: it is waited for.
const MOST_PASS_MS: u64 = 10_000;
/// The name that fills it for a moment.
const FILLER: &str = ".portcullis-filler";

/// A scenario without those steps that can be carried out here: what is left may need the simulator.
pub(super) fn without_operations(scenario: &Scenario) -> Scenario {
    let is_left = |step: &Step| !step.value.operation().is_some_and(is_possible);
    let mut rest = scenario.clone();
    rest.setup.retain(is_left);
    rest.steps.retain(is_left);
    rest
}

fn is_possible(operation: &Operation) -> bool {
    match operation {
        Operation::SetMode { .. }
        | Operation::Tamper { .. }
        | Operation::Disk { disk: Disk::Healthy | Disk::Full | Disk::WithoutInodes, .. } => true,
        Operation::Pass(milliseconds) => *milliseconds <= MOST_PASS_MS,
        Operation::Disk { disk: Disk::ReadOnly | Disk::Broken, .. }
        | Operation::RemoveState { .. }
        | Operation::MoveAway { .. }
        | Operation::MoveBack { .. }
        | Operation::LoseLocks { .. }
        | Operation::StepClock { .. }
        | Operation::Suspend { .. }
        | Operation::Reboot { .. } => false,
    }
}

/// The labels of the state directories whose disks something is done to.
pub(super) fn disks(scenario: &Scenario) -> Vec<String> {
    let steps = scenario.setup.iter().chain(&scenario.steps);
    let mut labels: Vec<String> = steps
        .filter_map(|step| match step.value.operation()? {
            Operation::Disk { state, .. } => Some(state.clone()),
            Operation::SetMode { .. }
            | Operation::Tamper { .. }
            | Operation::RemoveState { .. }
            | Operation::MoveAway { .. }
            | Operation::MoveBack { .. }
            | Operation::LoseLocks { .. }
            | Operation::StepClock { .. }
            | Operation::Suspend { .. }
            | Operation::Pass(_)
            | Operation::Reboot { .. } => None,
        })
        .collect();
    labels.sort();
    labels.dedup();
    labels
}

impl Attempt {
    /// Gives each state directory whose disk something is done to a disk of its own.
    pub(super) fn mount_disks(&self) -> Result<(), String> {
        for label in disks(&self.scenario) {
            if self.order.room != Room::Own {
                return Err("a disk that fills up needs a mount namespace".to_owned());
            }
            let at = state_directory(&self.order.directory, &label);
            let trouble = |what: &str, why: &dyn std::fmt::Display| format!("{what} {}: {why}", at.display());
            fs::create_dir(&at).map_err(|error| trouble("no directory", &error))?;
            let data = CString::new(format!("size={DISK_BYTES},nr_inodes={DISK_INODES},mode=0700"));
            let flags = MountFlags::NOSUID | MountFlags::NODEV;
            mount("tmpfs", &at, "tmpfs", flags, data.ok().as_deref())
                .map_err(|errno| trouble("no file system in memory on", &errno))?;
        }
        Ok(())
    }

    /// Does something to the machine. After a start without a wait it waits as long as the plan says, so that over many
    /// tries it happens everywhere.
    pub(super) fn operate(&mut self, operation: &Operation) -> Result<(), Stop> {
        if let Operation::Pass(milliseconds) = operation {
            return self.watch_until(self.clock.now_us() + milliseconds * 1_000);
        }
        let started =
            self.fresh.iter().filter_map(|lane| self.lanes[*lane].life.as_ref()).map(|life| life.started_us);
        if let Some(last_us) = started.max() {
            self.watch_until(last_us + self.plan.sweep_us)?;
        }
        let done = match operation {
            Operation::SetMode { state, mode } => {
                let path = state_directory(&self.order.directory, state);
                files::make_directory(&path)
                    .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(*mode)))
            }
            Operation::Disk { state, disk } => self.set_disk(state, *disk),
            Operation::Tamper { state, with } => self.tamper(state, with),
            Operation::RemoveState { .. }
            | Operation::MoveAway { .. }
            | Operation::MoveBack { .. }
            | Operation::LoseLocks { .. }
            | Operation::StepClock { .. }
            | Operation::Suspend { .. }
            | Operation::Pass(_)
            | Operation::Reboot { .. } => {
                return Err(Stop::Undecided("nobody here can do that".to_owned()));
            }
        };
        done.map_err(|error| Stop::Undecided(format!("{operation}: {error}")))
    }

    fn tamper(&mut self, state: &str, with: &Tampering) -> std::io::Result<()> {
        let pid = match with {
            Tampering::PidOf(name) => {
                let lane = self.lanes.iter().find(|lane| lane.name == *name);
                lane.and_then(|lane| lane.life.as_ref()).map(|life| life.child.pid.to_string())
            }
            Tampering::Empty | Tampering::Garbage | Tampering::Half => Some(String::new()),
        };
        // Who was never started has no pid.
        let Some(pid) = pid else { return Ok(()) };
        let gateways = self.scenario.gateways.iter().filter(|gateway| gateway.state == state);
        for path in gateways.flat_map(|gateway| self.lock_files(gateway)).collect::<BTreeSet<_>>() {
            files::overwrite(&path, |old| match with {
                Tampering::Garbage => GARBAGE.to_vec(),
                Tampering::Half => old[..old.len() / 2].to_vec(),
                Tampering::Empty | Tampering::PidOf(_) => pid.clone().into_bytes(),
            })?;
        }
        // What a refused start finds changed it need not have changed.
        self.removals.push(self.clock.now_us());
        Ok(())
    }

    fn set_disk(&mut self, state: &str, disk: Disk) -> std::io::Result<()> {
        let at = state_directory(&self.order.directory, state);
        let fillers = match disk {
            Disk::Full => fill(&at)?,
            Disk::WithoutInodes => use_up(&at)?,
            Disk::Healthy | Disk::ReadOnly | Disk::Broken => Vec::new(),
        };
        self.fillers.insert(state.to_owned(), fillers);
        Ok(())
    }
}

/// A file without a name, which takes up room for as long as it is open.
fn nameless(directory: &Path) -> std::io::Result<OwnedFd> {
    let path = directory.join(FILLER);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?;
    files::remove(&path)?;
    Ok(fd)
}

/// Takes every byte that is left.
fn fill(directory: &Path) -> std::io::Result<Vec<OwnedFd>> {
    let mut file = fs::File::from(nameless(directory)?);
    let zeros = [0; 4096];
    for _ in 0..=DISK_BYTES / zeros.len() {
        match file.write(&zeros) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) => {
                return Ok(vec![file.into()]);
            }
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::other("it is larger than it should be"))
}

/// Takes every inode that is left.
fn use_up(directory: &Path) -> std::io::Result<Vec<OwnedFd>> {
    let mut files = Vec::new();
    for _ in 0..=DISK_INODES {
        match nameless(directory) {
            Ok(file) => files.push(file),
            Err(error) if error.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) => return Ok(files),
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::other("it holds more files than it should"))
}
