//! A plan on a simulated network: hosts, files, clocks and wires are values, and one seed decides everything.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bot::{Record, Service};
use portcullis_os::{Notice, Port, Signal, Uid};
use serde_json::Value;
use sim::kernel::{Effect, HostId, Kernel, Life, LockSupport, Mount, Persistence, ProcessId, Spawn};
use sim::network::{Happened, Link, Network, Node};

use crate::bots::{self, Host, token};
use crate::clients::{self, Errand, Notes};
use crate::gateways;
use crate::plan::{Client, Gateway, Plan, SERVICE};
use crate::report::Unrunnable;
use crate::world::{Deed, Going, Machines, ProcessNumber, Seen, Site, Told, World};

/// Whose files and processes these are.
const USER: Uid = Uid(1000);
/// How long an operator waits for an answer, in milliseconds.
const ANSWER_MS: u64 = 30_000;
/// How long the hosts have been up, in milliseconds.
const UP_MS: u64 = 300_000;
/// After so many turns of the network it is looked whether somebody wants an end of it.
const TURNS: u32 = 1024;
/// The port of the bot service.
const SERVICE_PORT: u16 = 8081;

/// The simulated network of a plan, and who is there.
pub(crate) struct Simulated<'a> {
    network: Network,
    /// Whether somebody wants an end of it.
    should_stop: &'a dyn Fn() -> bool,
    hosts: Vec<String>,
    shared: Vec<String>,
    service: Service<Host<Node>>,
    seen: Vec<Seen>,
}

impl<'a> Simulated<'a> {
    /// Sets the scene: hosts, files and the bot service.
    pub(crate) fn of(plan: &Plan, seed: u64, should_stop: &'a dyn Fn() -> bool) -> Result<Self, Unrunnable> {
        plan.named()?;
        let hosts: Vec<String> = plan.hosts().into_iter().map(str::to_owned).collect();
        let mut kernel = Kernel::new();
        for _ in 1..hosts.len() {
            kernel.add_host(UP_MS);
        }
        furnish(plan, &hosts, &mut kernel);
        let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let room = |error: std::io::Error| Unrunnable::NoRoom(error.to_string());
        let mut network = Network::new(kernel, &names, seed).map_err(room)?;
        let mut service = None;
        let spawn = process(&network, HostId(0), "bots");
        let began = network.began();
        let spawned = network.spawn(&spawn, |node| {
            let host = Host::new(node.clone(), began);
            let running = bots::service(&plan.bots, plan.lease_ms, host);
            service = Some(running.clone());
            bots::serve(node, ([0, 0, 0, 0], SERVICE_PORT).into(), running)
        });
        let (Ok(_), Some(service)) = (spawned, service) else {
            return Err(Unrunnable::NoRoom(SERVICE.to_owned()));
        };
        let shared = plan.shared.clone();
        let mut world = Self { network, should_stop, hosts, shared, service, seen: Vec::new() };
        world.mend(plan.link);
        Ok(world)
    }

    fn host(&self, name: &str) -> Result<HostId, Unrunnable> {
        let place = self.hosts.iter().position(|host| host == name);
        place.map(number).ok_or_else(|| Unrunnable::Nobody(name.to_owned()))
    }

    fn take_in(&mut self) {
        for Happened { at_ms, effect } in self.network.take_happened() {
            let (process, deed) = match effect {
                Effect::Notified { process, notice } => {
                    let reads = notice.to_string();
                    (process, Deed::Told(told(notice), reads))
                }
                Effect::Died { process, how } => (process, Deed::Ended(how)),
                Effect::Signalled { .. }
                | Effect::Created { .. }
                | Effect::Changed { .. }
                | Effect::Unlinked { .. }
                | Effect::Linked { .. }
                | Effect::Renamed { .. }
                | Effect::Locked { .. }
                | Effect::Spawned { .. } => continue,
            };
            self.seen.push(Seen { at_ms, process: ProcessNumber(process.0.into()), deed });
        }
    }
}

impl Machines for Simulated<'_> {
    fn set_asleep(&mut self, host: &str, asleep: bool) -> Result<(), Unrunnable> {
        let host = self.host(host)?;
        self.network.set_asleep(host, asleep);
        Ok(())
    }

    fn step_clock(&mut self, host: &str, by_ms: i64) -> Result<(), Unrunnable> {
        let host = self.host(host)?;
        self.network.change(|kernel| kernel.step_wall(host, by_ms));
        Ok(())
    }

    fn lose_power(&mut self, host: &str) -> Result<(), Unrunnable> {
        let host = self.host(host)?;
        Ok(self.network.lose_power(host)?)
    }

    fn restore_power(&mut self, host: &str) -> Result<(), Unrunnable> {
        let host = self.host(host)?;
        self.network.restore_power(host);
        Ok(())
    }
}

impl World for Simulated<'_> {
    fn now_ms(&self) -> u64 {
        self.network.now_ms()
    }

    fn go_until(&mut self, until_ms: u64) -> Result<(), Unrunnable> {
        let left_ms = until_ms.saturating_sub(self.now_ms());
        let should_stop = self.should_stop;
        let (mut turns, mut is_stopped) = (0_u32, should_stop());
        let ends = |_: &Kernel, happened: &[Happened]| {
            turns = turns.wrapping_add(1);
            is_stopped |= turns.is_multiple_of(TURNS) && should_stop();
            is_stopped || happened.iter().any(|happened| matches!(happened.effect, Effect::Died { .. }))
        };
        self.network.run(left_ms, ends)?;
        if is_stopped { Err(Unrunnable::Interrupted) } else { Ok(()) }
    }

    fn take_seen(&mut self) -> Vec<Seen> {
        self.take_in();
        std::mem::take(&mut self.seen)
    }

    fn site(&self, gateway: &Gateway) -> Site {
        site(&self.shared, gateway)
    }

    fn start(&mut self, _: &Plan, gateway: &Gateway) -> Result<ProcessNumber, Unrunnable> {
        let site = self.site(gateway);
        let settled = self.network.look(|kernel| gateways::settle(gateway, &site, kernel));
        let (claim, about) =
            settled.map_err(|why| Unrunnable::Unsettled { name: gateway.name.clone(), why })?;
        let spawn = process(&self.network, self.host(&gateway.host)?, "refgate");
        let slips = gateway.slips.clone();
        let process = self.network.spawn(&spawn, |node| gateways::run(node, claim, about, slips));
        let process = process.map_err(|_| Unrunnable::NoRoom(gateway.name.clone()))?;
        Ok(ProcessNumber(process.0.into()))
    }

    fn signal(&mut self, process: ProcessNumber, signal: Signal) -> Result<(), Unrunnable> {
        self.network.signal(in_kernel(process), signal);
        Ok(())
    }

    fn going(&self, process: ProcessNumber) -> Going {
        match self.network.look(|kernel| kernel.life(in_kernel(process))) {
            Life::Running => Going::On,
            Life::Stopped | Life::Uninterruptible => Going::Stopped,
            Life::Dying(_) | Life::Dead(_) => Going::Over,
        }
    }

    fn has_died_unseen(&self, _: ProcessNumber) -> bool {
        // What happens is seen in the order in which it does.
        false
    }

    fn invite(&mut self, client: &Client, gateway: &Gateway, notes: Notes) -> Result<(), Unrunnable> {
        let port = Port::new(gateway.port).ok_or_else(|| Unrunnable::Nobody(client.gateway.clone()))?;
        let errand = Errand {
            name: client.name.clone(),
            kind: client.kind,
            host: if client.host == gateway.host { "localhost".to_owned() } else { gateway.host.clone() },
            port,
            pause: Duration::from_millis(client.pause_ms),
            began: self.network.began(),
        };
        let spawn = process(&self.network, self.host(&client.host)?, &client.name);
        let spawned = self.network.spawn(&spawn, |node| clients::ask(node, errand, notes));
        spawned.map(drop).map_err(|_| Unrunnable::NoRoom(client.name.clone()))
    }

    fn ask(&mut self, gateway: &Gateway, method: &'static str) -> Result<Option<Value>, Unrunnable> {
        let Some(port) = Port::new(gateway.port) else { return Ok(None) };
        let answer = Arc::new(Mutex::new(None));
        let spawn = process(&self.network, self.host(&gateway.host)?, "operator");
        let written = answer.clone();
        let asked = self
            .network
            .spawn(&spawn, |node| clients::look(node, port, method, written))
            .map_err(|_| Unrunnable::NoRoom("an operator".to_owned()))?;
        self.network.run(ANSWER_MS, |kernel, _| matches!(kernel.life(asked), Life::Dead(_)))?;
        let answered = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(answered)
    }

    fn say(&mut self, bot: &str, chat: i64, text: &str) -> bool {
        self.service.say(&token(bot), chat, text).is_some()
    }

    fn record(&self) -> Record {
        self.service.record()
    }

    fn files(&self, directory: &Path) -> Vec<Vec<u8>> {
        self.network.look(|kernel| {
            let names = kernel.list(directory).unwrap_or_default();
            names.iter().filter_map(|name| kernel.contents(&directory.join(name))).collect()
        })
    }

    fn panics(&self) -> Vec<String> {
        let panics = self.network.panics().iter();
        panics.map(|(process, said)| format!("process {}: {said}", process.0)).collect()
    }

    fn digest(&self) -> u128 {
        self.network.digest()
    }

    fn mend(&mut self, link: Link) -> Vec<[String; 2]> {
        let mut waited = Vec::new();
        for from in 0..self.hosts.len() {
            for to in (0..self.hosts.len()).filter(|to| *to != from) {
                if self.network.set_link(number(from), number(to), link) > 0 {
                    waited.push([self.hosts[from].clone(), self.hosts[to].clone()]);
                }
            }
            self.network.set_asleep(number(from), false);
        }
        waited
    }

    fn set_link(&mut self, from: &str, to: &str, link: Link) -> Result<bool, Unrunnable> {
        let (from, to) = (self.host(from)?, self.host(to)?);
        Ok(self.network.set_link(from, to, link) > 0)
    }

    fn machines(&mut self) -> Option<&mut dyn Machines> {
        Some(self)
    }
}

fn told(notice: Notice) -> Told {
    match notice {
        Notice::Owner(owned) => Told::Owner(owned.state.to_string()),
        Notice::Ready => Told::Ready,
        Notice::Released => Told::Released,
        Notice::Refused { code, .. } => Told::Refused(code),
        Notice::Noted(_) => Told::Other,
    }
}

fn in_kernel(process: ProcessNumber) -> ProcessId {
    ProcessId(u16::try_from(process.0).unwrap_or(u16::MAX))
}

fn number(place: usize) -> HostId {
    HostId(u8::try_from(place).unwrap_or(u8::MAX))
}

fn process(network: &Network, host: HostId, name: &str) -> Spawn {
    Spawn {
        name: name.to_owned(),
        command: name.to_owned(),
        uid: USER,
        parent: None,
        pid: None,
        place: network.look(|kernel| kernel.place_on(host)),
    }
}

/// Where everything of a gateway is: the same for all gateways of one label on one host, and on shared storage for those of all
/// hosts.
fn site(shared: &[String], gateway: &Gateway) -> Site {
    let label = &gateway.state;
    let (state, workspace) = if shared.contains(label) {
        (Path::new("/shared").join(label), Path::new("/shared").join(format!("{label}-work")))
    } else {
        let under = |root: &str| -> PathBuf { Path::new(root).join(&gateway.host).join(label) };
        (under("/home"), under("/work"))
    };
    let service = format!("{SERVICE}:{SERVICE_PORT}");
    Site { state, workspace, port: gateway.port, bind: "lan", service }
}

/// Every directory and configuration.
fn furnish(plan: &Plan, hosts: &[String], kernel: &mut Kernel) {
    for place in ["/home", "/work", "/shared"] {
        kernel.make_directory(place.as_ref(), 0o755, USER);
    }
    if !plan.shared.is_empty() {
        kernel.mount("/shared".as_ref(), Mount { locks: LockSupport::PerHost, ..Mount::local() });
    }
    // What a loss of power takes is a matter of the disks of that host, which are its own then.
    let dark = plan.dark_hosts();
    let disks = |host: &str| ["/home", "/work"].map(|root| Path::new(root).join(host));
    for disk in dark.iter().flat_map(|host| disks(host)) {
        kernel.make_directory(&disk, 0o700, USER);
        kernel.mount(&disk, Mount::local());
    }
    for gateway in &plan.gateways {
        let site = site(&plan.shared, gateway);
        for directory in [&site.state, &site.workspace] {
            kernel.make_directory(directory, 0o700, USER);
        }
        if kernel.contents(&site.config()).is_none() {
            kernel.write_file(&site.config(), gateways::config(gateway, &site).to_string().as_bytes());
        }
    }
    for (place, host) in hosts.iter().enumerate().filter(|(_, host)| dark.contains(host.as_str())) {
        for disk in disks(host) {
            kernel.set_persistence(&disk, number(place), Persistence::Ext4);
        }
    }
    kernel.take_effects();
}
