//! A plan on real processes of one machine: the gateways are processes, their bot service and their clients are tasks of this one,
//! and the sockets between them are real.
//!
//! What is called a host in the plan is a folder and a block of ports here: hosts share nothing but the machine. The machine does
//! in its own time what it is told, so no execution is like another; what is done to whom, and when, is that of the seed.
//!
//! # Invariants
//!
//! - Every process that was started is killed and waited for when the world is dropped, whatever the way out.
//! - Files lie in one directory, which is removed then.
//! - What a process wrote before another could act on it is seen before what that one wrote.

mod block;
mod lacking;
pub mod process;
mod wires;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bot::{Record, Service};
use portcullis_os::{Ending, Linux, Port, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::Value;
use sim::network::Link;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::bots::{self, Host, token};
use crate::clients::{self, Errand, Notes};
use crate::gateways;
use crate::plan::{Client, Gateway, Plan, SERVICE};
use crate::report::Unrunnable;
use crate::world::{Deed, Going, Machines, ProcessNumber, Seen, Site, Told, World};
use block::Block;
pub use lacking::lacking;
use process::{Child, Ended};
use wires::Wires;

/// How long is waited at most before it is looked whether somebody wants an end, in milliseconds.
const PATIENCE_MS: u64 = 100;
/// How long a process that was killed has to end, in milliseconds.
const DEATH_MS: u64 = 10_000;
/// Reading stops after so many rounds, so that a process that never stops talking does not hold up the others.
const ROUNDS: u32 = 32;
/// `SIGABRT`, by which a gateway that panics ends.
const ABORTED: u8 = 6;

/// How gateways begin, and how fast everything happens.
#[derive(Clone, Copy)]
pub struct Processes<'a> {
    /// The command of a gateway. What it is told is added.
    pub gateway: &'a (dyn Fn() -> Command + Sync),
    /// How many times as fast as the plan says, at least once.
    pub pace: u64,
}

impl fmt::Debug for Processes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// The machine, as far as it is used.
pub(crate) struct Real<'a> {
    how: &'a Processes<'a>,
    /// Whether somebody wants an end of it.
    should_stop: &'a dyn Fn() -> bool,
    room: TempDir,
    runtime: Runtime,
    began: Instant,
    service: Service<Host<Linux>>,
    /// The ways between hosts, and where each host finds the bot service.
    wires: Wires,
    doors: BTreeMap<String, SocketAddr>,
    /// The ports of each host and each port of the plan.
    blocks: BTreeMap<(String, u16), Block>,
    children: BTreeMap<ProcessNumber, Child>,
    /// Those that have ended.
    over: BTreeSet<ProcessNumber>,
    /// The last thing that each has written to its standard error.
    last: BTreeMap<ProcessNumber, String>,
    panics: Vec<String>,
    seen: Vec<Seen>,
}

fn trouble(what: &'static str) -> impl Fn(io::Error) -> Unrunnable {
    move |why| Unrunnable::Machine { what, why: why.to_string() }
}

impl<'a> Real<'a> {
    /// Sets the scene: directories, configurations, ports and the bot service.
    pub(crate) fn of(
        plan: &Plan,
        how: &'a Processes<'a>,
        seed: u64,
        should_stop: &'a dyn Fn() -> bool,
    ) -> Result<Self, Unrunnable> {
        plan.named()?;
        let room = tempfile::Builder::new().prefix("portcullis-sweep-").tempdir();
        let room = room.map_err(trouble("a directory cannot be made"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(trouble("no runtime can be had"))?;
        let linux = Linux::new(|_| {});
        let began = {
            let _inside = runtime.enter();
            Instant::now()
        };
        let service = bots::service(&plan.bots, plan.lease_ms, Host::new(linux.clone(), began));
        let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
        let service_at = runtime.block_on(bots::open(&linux, anywhere, &service));
        let service_at = service_at.ok_or_else(|| Unrunnable::NoRoom(SERVICE.to_owned()))?;
        let (wires, mut doors, mut blocks) =
            (Wires::new(plan.link, how.pace, seed), BTreeMap::new(), BTreeMap::new());
        for gateway in &plan.gateways {
            if let Entry::Vacant(place) = doors.entry(gateway.host.clone()) {
                let door = runtime.block_on(wires.door(&gateway.host, SERVICE, service_at));
                place.insert(door.map_err(trouble("a way to the bot service cannot be had"))?);
            }
            if let Entry::Vacant(place) = blocks.entry((gateway.host.clone(), gateway.port)) {
                let block = Block::find().ok_or_else(|| Unrunnable::NoRoom(gateway.name.clone()))?;
                place.insert(block);
            }
        }
        let world = Self {
            how,
            should_stop,
            room,
            runtime,
            began,
            service,
            wires,
            doors,
            blocks,
            children: BTreeMap::new(),
            over: BTreeSet::new(),
            last: BTreeMap::new(),
            panics: Vec::new(),
            seen: Vec::new(),
        };
        for gateway in &plan.gateways {
            world.furnish(gateway).map_err(trouble("a gateway cannot be set up"))?;
        }
        Ok(world)
    }

    #[expect(clippy::disallowed_methods, reason = "the named edge: the files that a gateway begins with")]
    fn furnish(&self, gateway: &Gateway) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let site = self.site(gateway);
        for directory in [&site.state, &site.workspace] {
            std::fs::DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
        }
        if site.config().exists() {
            return Ok(());
        }
        std::fs::write(site.config(), gateways::config(gateway, &site).to_string())
    }

    /// Waits until something is said or somebody ends, and takes that in. Whether somebody has ended.
    fn look(&mut self, most_ms: u64) -> Result<bool, Unrunnable> {
        let failed = |errno: Errno| trouble("processes cannot be watched")(errno.into());
        let gone = self.wait(most_ms).map_err(failed)?;
        let at_ms = self.now_ms();
        let mut batch = Vec::new();
        for _ in 0..ROUNDS {
            let before = batch.len();
            for (process, child) in &mut self.children {
                let [output, errors] = &mut child.pipes;
                let told = output.lines().into_iter().map(|line| {
                    let (told, reads) = read(&line);
                    Seen { at_ms, process: *process, deed: Deed::Told(told, reads) }
                });
                batch.extend(told);
                if let Some(line) = errors.lines().pop() {
                    self.last.insert(*process, line);
                }
            }
            if batch.len() == before {
                break;
            }
        }
        self.seen.extend(in_order(batch));
        for process in &gone {
            let ended = self.children.get(process).map(Child::reap).transpose().map_err(failed)?.flatten();
            let Some(ended) = ended else { continue };
            self.children.remove(process);
            self.over.insert(*process);
            let how = ending(ended);
            if how == Ending::KilledBy(ABORTED) {
                let said = self.last.get(process).cloned().unwrap_or_default();
                self.panics.push(format!("process {}: {said}", process.0));
            }
            self.seen.push(Seen { at_ms, process: *process, deed: Deed::Ended(how) });
        }
        Ok(!gone.is_empty())
    }

    /// Waits, and tells who has ended.
    fn wait(&self, most_ms: u64) -> Result<Vec<ProcessNumber>, Errno> {
        let (mut fds, mut owners) = (Vec::new(), Vec::new());
        for (process, child) in &self.children {
            fds.push(PollFd::from_borrowed_fd(child.as_fd(), PollFlags::IN));
            owners.push(Some(*process));
            for pipe in child.pipes.iter().filter_map(process::Pipe::open) {
                fds.push(PollFd::from_borrowed_fd(pipe, PollFlags::IN));
                owners.push(None);
            }
        }
        match poll(&mut fds, Some(&timespec(most_ms))) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno),
        }
        let ready = fds.iter().zip(owners).filter(|(fd, _)| !fd.revents().is_empty());
        Ok(ready.filter_map(|(_, process)| process).collect())
    }

    fn port(&self, gateway: &Gateway) -> u16 {
        let place = (gateway.host.clone(), gateway.port);
        self.blocks.get(&place).map_or(gateway.port, |block| block.base)
    }
}

impl World for Real<'_> {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn go_until(&mut self, until_ms: u64) -> Result<(), Unrunnable> {
        loop {
            if (self.should_stop)() {
                return Err(Unrunnable::Interrupted);
            }
            let left_ms = until_ms.saturating_sub(self.now_ms());
            let has_ended = self.look(left_ms.min(PATIENCE_MS))?;
            if has_ended || self.now_ms() >= until_ms {
                return Ok(());
            }
        }
    }

    fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    fn site(&self, gateway: &Gateway) -> Site {
        let under = |folder: &str| self.room.path().join(folder).join(&gateway.host).join(&gateway.state);
        Site {
            state: under("home"),
            workspace: under("work"),
            port: self.port(gateway),
            bind: "loopback",
            service: self.doors.get(&gateway.host).map(SocketAddr::to_string).unwrap_or_default(),
        }
    }

    fn start(&mut self, _: &Plan, gateway: &Gateway) -> Result<ProcessNumber, Unrunnable> {
        let site = self.site(gateway);
        let mut command = (self.how.gateway)();
        command.args(["gateway", "--json", "--port", &site.port.to_string()]);
        if gateway.takes_over {
            command.arg("--takeover");
        }
        command.env_clear().env("HOME", site.state.parent().unwrap_or(&site.state));
        command.env("OPENCLAW_STATE_DIR", &site.state).env("OPENCLAW_CONFIG_PATH", site.config());
        command.current_dir("/").stdin(Stdio::null());
        let child = Child::start(&mut command).map_err(trouble("a gateway cannot be started"))?;
        let process = ProcessNumber((self.children.len() + self.over.len()) as u64 + 1);
        self.children.insert(process, child);
        Ok(process)
    }

    fn signal(&mut self, process: ProcessNumber, signal: Signal) -> Result<(), Unrunnable> {
        let Some(child) = self.children.get(&process) else { return Ok(()) };
        let failed = |errno: Errno| trouble("a signal cannot be sent")(errno.into());
        child.signal(in_kernel(signal)).map_err(failed)?;
        // Whoever is paused is so from here on, and not a little later.
        if signal == Signal::Stop { child.wait_until_stopped().map_err(failed) } else { Ok(()) }
    }

    fn going(&self, process: ProcessNumber) -> Going {
        match self.children.get(&process) {
            Some(child) if child.is_stopped() => Going::Stopped,
            Some(child) if child.is_alive() => Going::On,
            Some(_) | None => Going::Over,
        }
    }

    fn has_died_unseen(&self, process: ProcessNumber) -> bool {
        self.going(process) == Going::Over
    }

    fn invite(&mut self, client: &Client, gateway: &Gateway, notes: Notes) -> Result<(), Unrunnable> {
        let nobody = || Unrunnable::Nobody(client.gateway.clone());
        let port = if client.host == gateway.host {
            self.port(gateway)
        } else {
            let target = (Ipv4Addr::LOCALHOST, self.port(gateway)).into();
            let door = self.runtime.block_on(self.wires.door(&client.host, &gateway.host, target));
            door.map_err(trouble("a way to a gateway cannot be had"))?.port()
        };
        let port = Port::new(port).ok_or_else(nobody)?;
        let errand = Errand {
            name: client.name.clone(),
            kind: client.kind,
            host: Ipv4Addr::LOCALHOST.to_string(),
            port,
            pause: Duration::from_millis(client.pause_ms),
            began: self.began,
        };
        self.runtime.spawn(clients::ask(Linux::new(|_| {}), errand, notes));
        Ok(())
    }

    fn ask(&mut self, gateway: &Gateway, method: &'static str) -> Result<Option<Value>, Unrunnable> {
        let Some(port) = Port::new(self.port(gateway)) else { return Ok(None) };
        let answer = Arc::new(Mutex::new(None));
        self.runtime.block_on(clients::look(Linux::new(|_| {}), port, method, answer.clone()));
        let answered = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(answered)
    }

    fn say(&mut self, bot: &str, chat: i64, text: &str) -> bool {
        self.service.say(&token(bot), chat, text).is_some()
    }

    fn record(&self) -> Record {
        self.service.record()
    }

    #[expect(clippy::disallowed_methods, reason = "the named edge: what gateways have left is looked at")]
    fn files(&self, directory: &Path) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| std::fs::read(entry.path()).ok()).collect()
    }

    fn panics(&self) -> Vec<String> {
        self.panics.clone()
    }

    fn digest(&self) -> u128 {
        0
    }

    fn mend(&mut self, link: Link) -> Vec<[String; 2]> {
        self.wires.mend(link)
    }

    fn set_link(&mut self, from: &str, to: &str, link: Link) -> Result<bool, Unrunnable> {
        Ok(self.wires.set(from, to, link))
    }

    fn machines(&mut self) -> Option<&mut dyn Machines> {
        None
    }
}

impl Drop for Real<'_> {
    fn drop(&mut self) {
        for child in self.children.values() {
            // Whoever has ended is none any more, and all others are killed.
            let _ = child.signal(rustix::process::Signal::KILL);
        }
        for child in self.children.values() {
            let mut fds = [PollFd::from_borrowed_fd(child.as_fd(), PollFlags::IN)];
            let _ = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timespec(DEATH_MS))));
            let _ = child.reap();
        }
    }
}

/// What a line of `refgate gateway --json` tells, and how that reads.
fn read(line: &str) -> (Told, String) {
    let said: Value = serde_json::from_str(line).unwrap_or_default();
    let of = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    match of("event").as_str() {
        "owner" => (Told::Owner(of("state")), "owner".to_owned()),
        "ready" => (Told::Ready, "ready".to_owned()),
        "released" => (Told::Released, "released".to_owned()),
        "refused" => (Told::Refused(of("code")), format!("refused: {}", of("code"))),
        "" => (Told::Other, line.to_owned()),
        other => (Told::Other, format!("{other}: {}", of("message"))),
    }
}

/// What was read in one go, in an order in which it can have happened: who owns nothing any more said so before its successor
/// could own anything, wherever it was read.
fn in_order(batch: Vec<Seen>) -> impl Iterator<Item = Seen> {
    let is =
        |seen: &Seen, wanted: fn(&Told) -> bool| matches!(&seen.deed, Deed::Told(told, _) if wanted(told));
    let owners: BTreeSet<ProcessNumber> = batch
        .iter()
        .filter(|seen| is(seen, |told| matches!(told, Told::Owner(_))))
        .map(|seen| seen.process)
        .collect();
    let (first, rest): (Vec<Seen>, Vec<Seen>) = batch
        .into_iter()
        .partition(|seen| is(seen, |told| *told == Told::Released) && !owners.contains(&seen.process));
    first.into_iter().chain(rest)
}

fn ending(ended: Ended) -> Ending {
    match ended {
        Ended::Exited(status) => Ending::Exited(u8::try_from(status).unwrap_or(u8::MAX)),
        Ended::Signaled(number) => Signal::ALL
            .into_iter()
            .find(|signal| in_kernel(*signal).as_raw() == number)
            .map_or(Ending::KilledBy(u8::try_from(number).unwrap_or(u8::MAX)), Ending::Killed),
    }
}

const fn in_kernel(signal: Signal) -> rustix::process::Signal {
    use rustix::process::Signal as Number;
    match signal {
        Signal::Terminate => Number::TERM,
        Signal::Interrupt => Number::INT,
        Signal::Kill => Number::KILL,
        Signal::Stop => Number::STOP,
        Signal::Continue => Number::CONT,
        Signal::User1 => Number::USR1,
        Signal::User2 => Number::USR2,
    }
}

fn timespec(milliseconds: u64) -> Timespec {
    let seconds = i64::try_from(milliseconds / 1_000).unwrap_or(i64::MAX);
    let nanoseconds = i64::try_from(milliseconds % 1_000 * 1_000_000).unwrap_or_default();
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds }
}
