//! The simulated machine that a scenario asks for: its hosts, containers and mounts, and what is done to them by whom.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_os::Uid;
use sim::actors::{clean, kill_by_port, read_all, rewrite, write_on};
use sim::kernel::{Access, Condition, HostId, Kernel, LockSupport, Mount, Place, Spawn};
use sim::{Operation, Overwrite, Program, Slot};

use crate::answering;
use crate::designs::{Design, Surroundings};
use crate::scenario::{self, Bystander, Deed, Disk, Gateway, Locks, Scenario, Tampering};

/// Whose files and processes these are. An ordinary user, so that permissions count.
pub(crate) const USER: Uid = Uid(1000);

/// What a configuration is called.
pub(crate) const CONFIG_FILE: &str = "openclaw.json";

/// The magic number of NFS, as in statfs(2).
const NFS: u64 = 0x6969;

/// How long the other hosts have been up, in milliseconds. Not as long as the first one.
const UPTIME_MS: u64 = 300_000;

/// The machine before anything has happened, and where on it things are.
pub(crate) struct Machine {
    pub(crate) kernel: Kernel,
    hosts: Vec<(String, HostId)>,
    containers: Vec<((HostId, String), Place)>,
    links: Vec<String>,
}

impl Machine {
    /// Sets the scene.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let mut machine =
            Self { kernel: Kernel::new(), hosts: Vec::new(), containers: Vec::new(), links: Vec::new() };
        machine.furnish(furniture(scenario));
        for gateway in scenario.gateways.iter().filter(|gateway| gateway.uid.is_some()) {
            machine.kernel.make_directory(&state_path(&gateway.state), 0o700, user(gateway));
        }
        if scenario.gateways.iter().any(|gateway| gateway.workspace.is_some()) {
            // Not a directory of the user, so nobody could work in it, and nobody needs to lock it.
            machine.kernel.make_directory(Path::new(WORK), 0o777, Uid(0));
        }
        for mount in &scenario.mounts {
            let path = state_path(&mount.state);
            machine.kernel.make_directory(&path, 0o700, USER);
            machine.kernel.mount(&path, file_system(mount));
            machine.kernel.make_directory(&path, 0o700, USER);
        }
        for gateway in scenario.gateways.iter().filter(|gateway| gateway.bind_mount) {
            bind(&mut machine.kernel, &state_path(&gateway.state), &told_path(gateway));
        }
        for gateway in &scenario.gateways {
            machine.add(gateway);
            machine.add_link(gateway);
        }
        for mount in &scenario.mounts {
            machine.kernel.set_persistence(&state_path(&mount.state), HostId(0), mount.persistence);
        }
        if scenario.explore.slow_release {
            machine.kernel.release_slowly();
        }
        // Setting the scene is no event.
        machine.kernel.take_effects();
        machine
    }

    /// Adds the link by which a gateway names its state directory, unless it is there.
    fn add_link(&mut self, gateway: &Gateway) {
        let Some(label) = &gateway.link else { return };
        let path = state_path(label);
        if !self.links.contains(label) {
            self.kernel.make_directory(&state_path(&gateway.state), 0o700, USER);
            self.kernel.make_symlink(&path, &state_path(&gateway.state));
            self.links.push(label.clone());
        }
    }

    /// Adds the host and the container of a gateway, unless they are there.
    fn add(&mut self, gateway: &Gateway) {
        if let Some(label) = &gateway.host
            && !self.hosts.iter().any(|(known, _)| known == label)
        {
            self.hosts.push((label.clone(), self.kernel.add_host(UPTIME_MS)));
        }
        let host = self.host(gateway.host.as_deref());
        let Some(label) = &gateway.container else { return };
        let key = (host, label.clone());
        if self.containers.iter().any(|(known, _)| *known == key) {
            return;
        }
        let (pids, network) = (self.kernel.add_pid_namespace(host), self.kernel.add_network_namespace(host));
        let place = Place { host, pids, network };
        // The first process of a container, with whose end everything in it would end.
        let init = Spawn {
            name: "tini".to_owned(),
            command: "/sbin/tini".to_owned(),
            uid: USER,
            parent: None,
            pid: None,
            place,
        };
        if self.kernel.spawn(&init).is_err() {
            unreachable!("there is room for one process a container")
        }
        self.containers.push((key, place));
    }

    /// Adds what is there before anything happens besides what the scenario asks for.
    pub(crate) fn furnish(&mut self, furniture: Vec<Furniture>) {
        for Furniture { path, mode, bytes } in furniture {
            match bytes {
                None => self.kernel.make_directory(&path, mode, USER),
                Some(bytes) => self.kernel.write_file(&path, bytes),
            }
        }
        // Setting the scene is no event.
        self.kernel.take_effects();
    }

    /// The host of that label; `None` is the first one.
    fn host(&self, label: Option<&str>) -> HostId {
        let known = self.hosts.iter().find(|(known, _)| Some(known.as_str()) == label);
        known.map_or(HostId(0), |(_, host)| *host)
    }

    /// Where a gateway runs.
    pub(crate) fn place(&self, gateway: &Gateway) -> Place {
        let host = self.host(gateway.host.as_deref());
        let of = |label: &String| {
            let key = (host, label.clone());
            self.containers.iter().find(|(known, _)| *known == key).map(|(_, place)| *place)
        };
        gateway.container.as_ref().and_then(of).unwrap_or_else(|| self.kernel.place_on(host))
    }

    /// What is done to the machine.
    pub(crate) fn operation(
        &self,
        operation: &scenario::Operation,
        lock_files: &impl Fn(&str) -> Vec<PathBuf>,
        slot: &impl Fn(&String) -> usize,
    ) -> Operation {
        match operation {
            scenario::Operation::Tamper { state, with } => Operation::Overwrite {
                paths: lock_files(state),
                with: match with {
                    Tampering::Empty => Overwrite::Empty,
                    Tampering::Garbage => Overwrite::Garbage,
                    Tampering::Half => Overwrite::Half,
                    Tampering::PidOf(name) => Overwrite::Pid(slot(name)),
                },
            },
            scenario::Operation::RemoveState { state } => Operation::RemoveTree(state_path(state)),
            scenario::Operation::MoveAway { state } => {
                Operation::Move { from: state_path(state), to: moved_path(state) }
            }
            scenario::Operation::MoveBack { state } => {
                Operation::Move { from: moved_path(state), to: state_path(state) }
            }
            scenario::Operation::SetMode { state, mode } => {
                Operation::SetMode { path: state_path(state), mode: *mode }
            }
            scenario::Operation::Disk { state, disk } => {
                let path = state_path(state);
                let mount = Mount { condition: condition(*disk), ..self.kernel.mount_at(&path) };
                Operation::SetMount { path, mount }
            }
            scenario::Operation::LoseLocks { state } => Operation::LoseLocks(state_path(state)),
            scenario::Operation::StepClock { host, by_ms } => {
                Operation::StepClock { host: self.host(Some(host)), by_ms: *by_ms }
            }
            scenario::Operation::Suspend { host, for_ms } => {
                Operation::Suspend { host: self.host(Some(host)), for_ms: *for_ms }
            }
            scenario::Operation::Pass(milliseconds) => Operation::Pass(*milliseconds),
            scenario::Operation::Reboot { host } => Operation::Reboot(self.host(Some(host))),
        }
    }
}

/// Where the state directory of a label lies.
pub(crate) fn state_path(label: &str) -> PathBuf {
    Path::new("/srv").join(label)
}

/// Whom a gateway runs as.
pub(crate) fn user(gateway: &Gateway) -> Uid {
    gateway.uid.map_or(USER, Uid)
}

/// Where the workspaces lie.
const WORK: &str = "/work";

/// Where the workspace of a label lies.
pub(crate) fn workspace_path(label: &str) -> PathBuf {
    Path::new(WORK).join(label)
}

/// Whether a path is that of a workspace, or lies around one.
pub(crate) fn is_workspace(path: &Path) -> bool {
    path != Path::new(WORK) && path.starts_with(WORK)
}

/// Where a gateway is told that its state directory lies.
pub(crate) fn told_path(gateway: &Gateway) -> PathBuf {
    if gateway.bind_mount {
        return Path::new("/srv").join(format!("{}.bound", gateway.state));
    }
    state_path(gateway.link.as_ref().unwrap_or(&gateway.state))
}

pub(crate) fn config_path(gateway: &Gateway) -> PathBuf {
    match &gateway.config {
        Some(label) => Path::new("/etc/refgate").join(label).join(CONFIG_FILE),
        None => told_path(gateway).join(CONFIG_FILE),
    }
}

/// A file or directory that is there before anything happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Furniture {
    /// Where it is. What is missing above it is made with mode 0755.
    pub(crate) path: PathBuf,
    /// Its permission bits.
    pub(crate) mode: u32,
    /// What is in a file; `None`: it is a directory.
    pub(crate) bytes: Option<&'static [u8]>,
}

/// What is there before anything happens, mounts excepted.
pub(crate) fn furniture(scenario: &Scenario) -> Vec<Furniture> {
    let mut furniture = vec![Furniture { path: PathBuf::from("/srv"), mode: 0o755, bytes: None }];
    for gateway in scenario.gateways.iter().filter(|gateway| gateway.config.is_some()) {
        let path = config_path(gateway);
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        furniture.push(Furniture { path: directory, mode: 0o755, bytes: None });
        furniture.push(Furniture { path, mode: 0o600, bytes: Some(b"{}") });
    }
    furniture
}

/// Shows a state directory in a second place, once.
fn bind(kernel: &mut Kernel, state: &Path, target: &Path) {
    if kernel.lookup(target).is_none() {
        kernel.make_directory(state, 0o700, USER);
        kernel.make_directory(target, 0o700, USER);
        kernel.bind(state, target, Access::ReadWrite);
    }
}

/// The temporary directories, where a design uses them.
pub(crate) fn temporaries(scenario: &Scenario, design: Design) -> Vec<Furniture> {
    let mut furniture = Vec::new();
    for gateway in scenario.gateways.iter().filter(|_| design.uses_temporary()) {
        let Surroundings { tmp, tmpdir, .. } = surroundings(scenario, gateway);
        furniture.push(Furniture { path: tmp, mode: 0o1777, bytes: None });
        if let Some(label) = &gateway.tmpdir {
            furniture.push(Furniture { path: state_path(label), mode: 0o700, bytes: None });
            furniture.push(Furniture { path: tmpdir, mode: 0o700, bytes: None });
        }
    }
    furniture
}

/// What a gateway finds around it. Every host and every container has a `/tmp` of its own.
pub(crate) fn surroundings(scenario: &Scenario, gateway: &Gateway) -> Surroundings {
    let refusal = scenario.expect.refusal.as_ref();
    let host = gateway.host.iter().map(|label| format!("host-{label}"));
    let container = gateway.container.iter().map(|label| format!("container-{label}"));
    let names: Vec<String> = host.chain(container).collect();
    let plain = Surroundings::host();
    // One tree stands for all of them: what a container sees as `/tmp` lies below its name.
    let root = names.iter().fold(PathBuf::from("/"), |root, name| root.join(name));
    let tmp = if names.is_empty() { plain.tmp } else { root.join("tmp") };
    Surroundings {
        tmpdir: gateway.tmpdir.as_ref().map_or_else(|| tmp.clone(), |label| state_path(label).join("tmp")),
        tmp,
        host_name: names.last().cloned().unwrap_or(plain.host_name),
        supervised: gateway.supervisor.is_some(),
        blind: gateway.blind,
        explains: refusal.is_some_and(|refusal| !refusal.value.never_says.is_empty()),
    }
}

/// Where an operator moves a state directory to.
fn moved_path(label: &str) -> PathBuf {
    Path::new("/srv").join(format!("{label}.moved"))
}

fn file_system(mount: &scenario::Mount) -> Mount {
    let locks = match (mount.locks, mount.directory_locks) {
        (Some(Locks::PerHost), _) => LockSupport::PerHost,
        (Some(Locks::Emulated), _) => LockSupport::Emulated,
        (Some(Locks::Nothing), _) => LockSupport::Nothing,
        (Some(Locks::Unenforced), _) => LockSupport::Unenforced,
        (None, true) => LockSupport::Everything,
        (None, false) => LockSupport::FilesOnly,
    };
    let local = Mount::local();
    Mount { locks, magic: if mount.remote { NFS } else { local.magic }, ..local }
}

const fn condition(disk: Disk) -> Condition {
    match disk {
        Disk::Healthy => Condition::Healthy,
        Disk::Full => Condition::NoSpaceAtWrite,
        Disk::WithoutInodes => Condition::NoSpaceAtCreate,
        Disk::ReadOnly => Condition::ReadOnlyAfterError,
        Disk::Broken => Condition::InputOutput,
    }
}

/// The process of a bystander.
pub(crate) fn bystander_slot(scenario: &Scenario, bystander: &Bystander, machine: &Machine) -> Slot {
    let looks_like = &bystander.looks_like;
    let opens = |gateway: &&Gateway| bystander.browser_of.as_ref() == Some(&gateway.name);
    let opener = scenario.gateways.iter().find(opens);
    let program = looks_like.split_whitespace().next().unwrap_or(looks_like);
    let spawn = Spawn {
        name: program.rsplit('/').next().unwrap_or(program).to_owned(),
        command: looks_like.clone(),
        uid: opener.map_or(USER, user),
        parent: None,
        pid: None,
        place: opener.map_or_else(Place::default, |gateway| machine.place(gateway)),
    };
    let listens: Vec<SocketAddr> = bystander.listens.clone();
    Slot {
        name: bystander.name.clone(),
        spawn,
        program: match &bystander.does {
            Some(deed) => Some(program_of(scenario, deed)),
            None => answering::program(bystander.listens.len(), bystander.answers),
        },
        listens,
        connections: bystander.connects.clone(),
        supervisor: None,
        spawned_as: None,
        open_files: None,
    }
}

fn program_of(scenario: &Scenario, deed: &Deed) -> Program {
    match deed {
        Deed::KillByPort { port, signal } => kill_by_port(*port, *signal),
        Deed::Read { state, lock } => read_all(state_path(state), *lock),
        Deed::Write { state } => write_on(state_path(state).join(gateway::lock::WRITERS_FILE)),
        Deed::Clean { state, older_than_ms } => clean(state_path(state), *older_than_ms),
        Deed::EditConfig { of } => match scenario.gateways.iter().find(|gateway| gateway.name == *of) {
            Some(gateway) => rewrite(config_path(gateway), b"{ }".to_vec()),
            None => unreachable!("the parser admits only gateways of the file"),
        },
    }
}
