//! What the explorer leaves out changes nothing: no verdict, no outcome, no state of the machine.
//!
//! Held over the zoo of wrong locks, over the reference lock, and over programs that look at what a reduction might take
//! for the same: who has the lower pid, whether an inode is even, whose pid stands in a name.

#![expect(clippy::unwrap_used, reason = "a test panics where its premises fail")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use harness::designs::{Design, Leak, Token};
use harness::matrix::judged;
use harness::scenario::parse;
use harness::simulate::Simulation;
use portcullis_os::{Errno, Links, Notice, Open, Os, Ownership, Port, Uid};
use sim::kernel::{Place, Spawn};
use sim::{
    Action, Bounds, Checker, Evidence, Exploration, Kernel, Policy, Process, Program, Reductions, Script,
    Setup, Slot, Step, View, Violation, explore_with,
};

/// Another checker, and every state of the machine that it was shown.
struct Watching<'a, C> {
    checker: &'a C,
    kernels: RefCell<BTreeSet<u64>>,
}

impl<C: Checker> Checker for Watching<'_, C> {
    type Memory = C::Memory;

    fn start(&self) -> C::Memory {
        // A search begins anew when a program has done something unseen; what it was shown before proves nothing.
        self.kernels.borrow_mut().clear();
        self.checker.start()
    }

    fn step(&self, memory: &mut C::Memory, view: &View<'_>, step: &Step<'_>) -> Result<(), Violation> {
        let mut hasher = DefaultHasher::new();
        view.kernel.hash(&mut hasher);
        self.kernels.borrow_mut().insert(hasher.finish());
        self.checker.step(memory, view, step)
    }

    fn end(&self, memory: &C::Memory, view: &View<'_>) -> Result<usize, Violation> {
        self.checker.end(memory, view)
    }

    fn counts_calls(&self) -> bool {
        self.checker.counts_calls()
    }

    fn probes(&self) -> &[usize] {
        self.checker.probes()
    }

    fn is_free(&self, probe: usize, view: &View<'_>) -> bool {
        self.checker.is_free(probe, view)
    }

    fn probed(&self, probe: usize, view: &View<'_>) -> Result<(), Violation> {
        self.checker.probed(probe, view)
    }
}

/// What is found, and the states of the machine.
fn explored<C: Checker>(
    setup: &Setup,
    checker: &C,
    bounds: &Bounds,
    reductions: Reductions,
) -> (Exploration, BTreeSet<u64>) {
    let watching = Watching { checker, kernels: RefCell::default() };
    let result = explore_with(setup, &watching, bounds, reductions, &|| false);
    (result, watching.kernels.into_inner())
}

/// Answers how many states are left out.
fn hold<C: Checker>(what: &str, setup: &Setup, checker: &C, bounds: &Bounds) -> usize {
    let (all, kernels) = explored(setup, checker, bounds, Reductions::NONE);
    let (less, fewer_kernels) = explored(setup, checker, bounds, Reductions::ALL);
    if all.evidence == Evidence::Cut && all.found.is_none() {
        // Too large for a test without the reductions.
        return 0;
    }
    assert_eq!(less.evidence, all.evidence, "{what}");
    let cost = |result: &Exploration| {
        let found = result.found.as_ref();
        found.map(|found| (found.violation.check.clone(), found.schedule.len(), found.is_shortest))
    };
    assert_eq!(cost(&less), cost(&all), "{what}");
    if all.found.is_none() {
        assert_eq!(less.ends.keys().collect::<Vec<_>>(), all.ends.keys().collect::<Vec<_>>(), "{what}");
        assert!(
            fewer_kernels == kernels,
            "{what}: {} states of the machine became {}",
            kernels.len(),
            fewer_kernels.len()
        );
        assert!(less.states <= all.states, "{what}: {} states became {}", all.states, less.states);
    }
    all.states - less.states.min(all.states)
}

#[expect(clippy::disallowed_methods, reason = "a test reads the file of a scenario")]
fn scenario(path: &str, design: Design) -> Simulation {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let source = std::fs::read_to_string(root.join(path)).unwrap();
    let scenario = parse(Path::new(path), &source).unwrap();
    // How it ends is a matter of the reference gateway alone; promises are everybody's.
    let mut simulation = Simulation::new(&judged(&scenario, None, design), design);
    simulation.bounds.states = 10_000;
    simulation
}

#[test]
fn no_design_is_judged_otherwise() {
    let mut left_out = 0;
    for path in [
        "scenarios/pid/stale-lock-race.toml",
        "scenarios/race/two-gateways.toml",
        "scenarios/operator/lock-file-removed.toml",
    ] {
        for design in Design::all() {
            // Without the reductions a race of reference gateways is too large for a test.
            if is_reference(design) && !(path.contains("operator") && is_at_work(design)) {
                continue;
            }
            let simulation = scenario(path, design);
            let Simulation { setup, checks, bounds, .. } = &simulation;
            left_out += hold(&format!("{path} with {}", design.name()), setup, checks, bounds);
        }
    }
    assert!(left_out > 1000, "only {left_out} states are left out");
}

fn is_reference(design: Design) -> bool {
    matches!(design, Design::Refgate | Design::Without(_) | Design::Slipping(_) | Design::Leaking(_))
}

/// Whether what a design does without is asked for at all where there are no workspaces and no pinned ports, and where nobody
/// is ended by force. If not, it does what the reference lock does, call by call.
fn is_at_work(design: Design) -> bool {
    let idle = [
        Token::Workspace,
        Token::Around,
        Token::WorkspaceRecheck,
        Token::PinnedPorts,
        Token::ForcePidfd,
        Token::ForceRecheck,
    ];
    // What a child inherits is a matter of descriptors and not of histories, and a leak of one is like that of another.
    let is_leak = matches!(design, Design::Leaking(leak) if leak != Leak::LockFile);
    !is_leak && !idle.map(Design::Without).contains(&design)
}

/// Is an owner for a moment, and no longer.
async fn own(os: &impl Os) -> Result<u8, Errno> {
    let state = os.stat(Path::new("/state"), Links::Follow).await?.id;
    let base = Port::new(18_789).ok_or(Errno::InvalidArgument)?;
    os.notify(Notice::Owner(Ownership { state, config: None, base, span: 0 })).await?;
    os.sleep(1).await?;
    os.notify(Notice::Released).await?;
    Ok(0)
}

/// Whoever has the lowest pid of those that have left a file with theirs is the owner.
async fn lowest_pid_in_a_name(os: impl Os) -> Result<u8, Errno> {
    let pid = os.own_pid().await?;
    let path = PathBuf::from(format!("/state/{pid}"));
    let file = os.open(&path, Open::create_exclusive()).await?;
    file.close().await?;
    let directory = os.open(Path::new("/state"), Open::directory()).await?;
    let names = os.read_directory(&directory).await?;
    directory.close().await?;
    let pids = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let ended = if pids.min() == Some(pid.get()) { own(&os).await? } else { 1 };
    os.unlink(&path).await?;
    Ok(ended)
}

/// Whoever finds the lock file tells by its inode whether it may own.
async fn even_inode(os: impl Os) -> Result<u8, Errno> {
    let lock = Path::new("/state/lock");
    for _ in 0..2 {
        match os.open(lock, Open::create_exclusive()).await {
            Ok(file) if os.stat_fd(&file).await?.id.inode % 2 == 0 => return own(&os).await,
            Ok(_) => os.unlink(lock).await?,
            Err(_) => {
                let found = os.stat(lock, Links::Follow).await;
                if found.is_ok_and(|status| status.id.inode % 2 == 1) {
                    return own(&os).await;
                }
            }
        }
    }
    Ok(1)
}

/// Whoever has the lower pid of the two that are alive is the owner.
async fn lower_pid(os: impl Os) -> Result<u8, Errno> {
    let own_pid = os.own_pid().await?;
    let lowest = os.processes().await?.into_iter().min();
    if lowest.is_some_and(|lowest| lowest < own_pid) {
        os.sleep(1).await?;
        let lowest = os.processes().await?.into_iter().min();
        if lowest.is_some_and(|lowest| lowest < own_pid) {
            return Ok(1);
        }
    }
    own(&os).await
}

/// At most one owner, and who has been one as the outcome.
struct OneOwner;

impl Checker for OneOwner {
    type Memory = u8;

    fn start(&self) -> u8 {
        0
    }

    fn step(&self, been: &mut u8, view: &View<'_>, _: &Step<'_>) -> Result<(), Violation> {
        let owners = view.owners();
        for owner in &owners {
            *been |= 1 << owner;
        }
        match owners.len() {
            0 | 1 => Ok(()),
            _ => Err(Violation { check: "one-owner".to_owned(), says: "two own at once".to_owned() }),
        }
    }

    fn end(&self, been: &u8, _: &View<'_>) -> Result<usize, Violation> {
        Ok(usize::from(*been))
    }
}

fn race(program: &Program, contenders: usize) -> Setup {
    let slot = |number: usize| Slot {
        name: format!("contender {number}"),
        spawn: Spawn {
            name: "contender".to_owned(),
            command: "contender".to_owned(),
            uid: Uid(1000),
            parent: None,
            pid: None,
            place: Place::default(),
        },
        program: Some(program.clone()),
        listens: Vec::new(),
        connections: Vec::new(),
        supervisor: None,
        spawned_as: None,
        open_files: None,
    };
    let mut kernel = Kernel::new();
    kernel.make_directory(Path::new("/state"), 0o700, Uid(1000));
    let steps = (0..contenders).map(Action::Start).collect();
    Setup { kernel, slots: (0..contenders).map(slot).collect(), script: Script { setup: Vec::new(), steps } }
}

#[test]
fn no_program_that_looks_at_numbers_is_judged_otherwise() {
    let status = |ended: Result<u8, Errno>| ended.unwrap_or(2);
    let canaries = [
        Program::new("lower pid", move |os: Process| async move { status(lower_pid(os).await) }),
        Program::new("lowest pid in a name", move |os: Process| async move {
            status(lowest_pid_in_a_name(os).await)
        }),
        Program::new("even inode", move |os: Process| async move { status(even_inode(os).await) }),
    ];
    for (program, kills) in canaries.iter().flat_map(|program| [(program, 0), (program, 1)]) {
        let bounds = Bounds { policy: Policy::Exhaustive, kills, power_losses: 0, states: 1_000_000 };
        for contenders in [2, 3] {
            hold(
                &format!("{program:?}, {contenders}, {kills}"),
                &race(program, contenders),
                &OneOwner,
                &bounds,
            );
        }
    }
}
