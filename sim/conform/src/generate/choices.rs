//! Choices that look at what the simulated machine has come to: who has something to wait for, and which names there are.

use std::path::PathBuf;

use portcullis_os::Call;
use sim::kernel::{Completion, Life, Readiness};

use super::files::SHARED;
use super::verbs::Verb;
use super::{Generator, Kind};
use crate::machine::Machine;
use crate::sequence::Who;
use crate::symbols;

impl Generator<'_> {
    /// Of a call that may have to wait, one that need not, by whoever can make it: connections would rarely be accepted and
    /// children rarely be reaped if it were left to chance.
    pub(super) fn ready_call(&mut self, verb: Verb) -> Option<(Who, Call)> {
        let calls: Vec<(Who, Call)> = match verb {
            Verb::Accept => self.each_held(Kind::Listener, |fd| Call::Accept { fds: vec![fd] }),
            Verb::Receive => {
                self.each_held(Kind::Stream, |fd| Call::Receive { fd, length: 8, deadline_ms: 1 })
            }
            Verb::ReceiveFd => {
                self.each_held(Kind::Stream, |socket| Call::ReceiveFd { socket, deadline_ms: 1 })
            }
            Verb::Send => self.each_held(Kind::Stream, |fd| Call::Send { fd, bytes: vec![b's'; 3] }),
            Verb::PeerCredentials => self.each_held(Kind::Stream, |fd| Call::PeerCredentials { fd }),
            Verb::SendFd => self.each_sent(),
            Verb::WaitPidfd => self.each_held(Kind::Pidfd, |fd| Call::WaitPidfd { fd, deadline_ms: 1 }),
            Verb::NextSignal => self.running().into_iter().map(|who| (who, Call::NextSignal)).collect(),
            Verb::Reap => self.each_zombie(),
            _ => return None,
        };
        let ready: Vec<(Who, Call)> =
            calls.into_iter().filter(|(who, call)| self.succeeds_at_once(*who, call)).collect();
        if ready.is_empty() {
            return None;
        }
        let at = self.pick(0..ready.len());
        ready.into_iter().nth(at)
    }

    pub(super) fn running(&self) -> Vec<Who> {
        self.alive(|life| life == Life::Running)
    }

    fn each_held(&self, kind: Kind, call: impl Fn(portcullis_os::Fd) -> Call) -> Vec<(Who, Call)> {
        let running = self.running();
        let held =
            running.iter().flat_map(|who| self.held.get(who).into_iter().flatten().map(|held| (*who, held)));
        held.filter(|(_, held)| held.kind == kind)
            .map(|(who, held)| (who, call(symbols::fd(held.label))))
            .collect()
    }

    /// What each process has open, over each connection that it has.
    fn each_sent(&self) -> Vec<(Who, Call)> {
        let mut calls = self.each_held(Kind::Stream, |socket| Call::SendFd { socket, fd: socket });
        for (who, call) in &mut calls {
            let sent = self.held.get(who).into_iter().flatten().rfind(|held| held.kind != Kind::Stream);
            if let (Call::SendFd { fd, .. }, Some(sent)) = (call, sent) {
                *fd = symbols::fd(sent.label);
            }
        }
        calls
    }

    fn each_zombie(&self) -> Vec<(Who, Call)> {
        let zombies = self.alive(|life| matches!(life, Life::Dead(_)));
        let reaps =
            |who: Who| zombies.iter().map(move |zombie| (who, Call::Reap { pid: symbols::pid(*zombie) }));
        self.running().into_iter().flat_map(reaps).collect()
    }

    fn succeeds_at_once(&self, who: Who, template: &Call) -> bool {
        let id = self.simulation.processes().find(|(other, _)| *other == who).map(|(_, id)| id);
        let (Some(id), Some(call)) = (id, self.simulation.symbols.resolve(template)) else { return false };
        let kernel = self.simulation.machine.kernel();
        kernel.readiness(id, &call) == Readiness::Ready
            && kernel.clone().perform(id, &call, Completion::Normal).is_ok()
    }

    /// One of the directories that exist now, that of the sequence among them.
    pub(super) fn existing_directory(&mut self) -> Option<PathBuf> {
        let directory = &self.terms.scenery.site.directory;
        let kernel = self.simulation.machine.kernel();
        let is_directory = |name: &&str| kernel.list(&directory.join(name)).is_some();
        let there: Vec<&str> = SHARED.into_iter().chain(["."]).filter(is_directory).collect();
        self.one_of(&there).map(|name| PathBuf::from(format!("$/{name}")))
    }

    /// One of the names that exist now.
    pub(super) fn existing_path(&mut self) -> Option<PathBuf> {
        let directory = &self.terms.scenery.site.directory;
        let kernel = self.simulation.machine.kernel();
        let there: Vec<&str> =
            SHARED.into_iter().filter(|name| kernel.lookup(&directory.join(name)).is_some()).collect();
        self.one_of(&there).map(|name| PathBuf::from(format!("$/{name}")))
    }
}
