//! What the keys of a file mean: gateways, clients and steps of a plan.

use std::time::Duration;

use portcullis_os::Signal;
use sim::network::Link;
use sim::supervisor::{KillMode, Restart, StartLimit, Supervisor, Systemd};

use super::shape::{Again, FileClient, FileGateway, FileKind, FileStep, Way};
use crate::plan::{Client, Gateway, Kind, Plan, Step};

impl FileClient {
    pub(super) fn read(&self, name: &str) -> Client {
        let kind = match self.kind {
            FileKind::Talker => Kind::Talker,
            FileKind::Deaf => Kind::Deaf,
            FileKind::Probe => Kind::Probe,
            FileKind::Node => Kind::Node,
        };
        Client::on(&self.host, name, &self.gateway).kind(kind).every(Duration::from_millis(self.pause_ms))
    }
}

impl FileGateway {
    pub(super) fn read(&self, name: &str) -> Gateway {
        let mut gateway =
            Gateway::on(&self.host, name).state(self.state.as_deref().unwrap_or(name)).port(self.port);
        for bot in &self.bots {
            gateway = gateway.bot(bot);
        }
        if let Some(every_ms) = self.job_every_ms {
            gateway = gateway.job(Duration::from_millis(every_ms));
        }
        if self.takeover {
            gateway = gateway.takes_over();
        }
        let restart = match self.restart {
            Again::Never => return gateway,
            Again::OnFailure => Restart::OnFailure,
            Again::Always => Restart::Always,
        };
        gateway.supervisor(Supervisor::Systemd(Systemd {
            restart,
            restart_delay_ms: self.restart_ms,
            // Nobody gives up here: what is to be seen is what comes of it.
            start_limit: StartLimit { burst: u32::MAX, interval_ms: 0 },
            success: Vec::new(),
            never_after: Vec::new(),
            always_after: Vec::new(),
            stop_timeout_ms: Some(90_000),
            kill_mode: KillMode::ControlGroup,
        }))
    }
}

impl Way {
    fn read(&self) -> Link {
        let [least_ms, most_ms] = self.latency_ms;
        Link { least_ms, most_ms, lost_permille: self.lost_permille, is_cut: false }
    }
}

impl FileStep {
    /// Adds what is to be done.
    pub(super) fn read(&self, plan: Plan, link: Link) -> Plan {
        let mut steps = self.plain(link);
        if let Some(say) = &self.say {
            for number in 0..say.count {
                // No two messages of a plan have the same words.
                let text = format!("{}-{number}", self.at_ms);
                let step = Step::Say { bot: say.bot.clone(), chat: 7, text };
                steps.push((self.at_ms + number * say.every_ms, step));
            }
        }
        steps.into_iter().fold(plan, |plan, (at_ms, step)| plan.at(at_ms, step))
    }

    /// How many things it does.
    pub(super) fn count(&self) -> usize {
        self.plain(Link::default()).len() + usize::from(self.say.is_some())
    }

    /// What is done at once; `link` is a way as it is when nothing is wrong with it.
    fn plain(&self, link: Link) -> Vec<(u64, Step)> {
        let at_ms = self.at_ms;
        let signals = [
            (&self.stop, Signal::Terminate),
            (&self.kill, Signal::Kill),
            (&self.restart, Signal::User1),
            (&self.pause, Signal::Stop),
            (&self.resume, Signal::Continue),
        ];
        let cut = Link { is_cut: true, ..link };
        let mut steps: Vec<(u64, Step)> = Vec::new();
        steps.extend(self.start.clone().map(|name| (at_ms, Step::Start(name))));
        for (name, signal) in signals {
            steps.extend(name.clone().map(|name| (at_ms, Step::Signal(name, signal))));
        }
        steps.extend(self.cut.clone().map(|pair| (at_ms, Step::Link(pair, cut))));
        steps.extend(self.cut_one_way.clone().map(|pair| (at_ms, Step::OneWay(pair, cut))));
        steps.extend(self.mend.clone().map(|pair| (at_ms, Step::Link(pair, link))));
        steps.extend(self.link.as_ref().map(|way| (at_ms, Step::Link(way.hosts.clone(), way.read()))));
        steps.extend(
            self.link_one_way.as_ref().map(|way| (at_ms, Step::OneWay(way.hosts.clone(), way.read()))),
        );
        steps.extend(self.sleep.as_ref().map(|sleep| (at_ms, Step::Sleep(sleep.host.clone(), sleep.ms))));
        steps.extend(self.clock.as_ref().map(|clock| (at_ms, Step::StepClock(clock.host.clone(), clock.ms))));
        steps.extend(
            self.power_loss.as_ref().map(|loss| (at_ms, Step::PowerLoss(loss.host.clone(), loss.ms))),
        );
        steps
    }
}
