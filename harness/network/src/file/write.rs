//! Steps in the words of a file, for those who are told of them and for plans that are written.

use std::fmt;

use portcullis_os::Signal;
use sim::network::Link;

use crate::plan::Step;

/// A step of a plan whose packets usually travel so.
pub(crate) struct InWords<'a> {
    pub(crate) step: &'a Step,
    pub(crate) usual: Link,
}

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Step::Start(name) => write!(f, "start = {name:?}"),
            Step::Signal(name, signal) => write!(f, "{} = {name:?}", word(*signal)),
            Step::Say { bot, .. } => write!(f, "say = {{ bot = {bot:?} }}"),
            Step::Link([one, other], link) if link.is_cut => write!(f, "cut = [{one:?}, {other:?}]"),
            Step::Link([one, other], link) if *link == self.usual => {
                write!(f, "mend = [{one:?}, {other:?}]")
            }
            Step::Link(hosts, link) => way(f, "link", hosts, *link),
            Step::OneWay([from, to], link) if link.is_cut => write!(f, "cut_one_way = [{from:?}, {to:?}]"),
            Step::OneWay(hosts, link) => way(f, "link_one_way", hosts, *link),
            Step::Sleep(host, ms) => write!(f, "sleep = {{ host = {host:?}, ms = {ms} }}"),
            Step::StepClock(host, ms) => write!(f, "clock = {{ host = {host:?}, ms = {ms} }}"),
            Step::PowerLoss(host, ms) => write!(f, "power_loss = {{ host = {host:?}, ms = {ms} }}"),
        }
    }
}

fn way(f: &mut fmt::Formatter<'_>, key: &str, [one, other]: &[String; 2], link: Link) -> fmt::Result {
    let Link { least_ms, most_ms, lost_permille, is_cut: _ } = link;
    write!(
        f,
        "{key} = {{ hosts = [{one:?}, {other:?}], latency_ms = [{least_ms}, {most_ms}], \
         lost_permille = {lost_permille} }}"
    )
}

const fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Terminate => "stop",
        Signal::Kill => "kill",
        Signal::User1 => "restart",
        Signal::Stop => "pause",
        Signal::Continue => "resume",
        // A file has no words for these.
        Signal::Interrupt => "SIGINT",
        Signal::User2 => "SIGUSR2",
    }
}
