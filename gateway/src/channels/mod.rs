//! The bots of a gateway: while it owns what it claims it polls each of them, and sends what is owed; before anybody else owns
//! that, it has ended.
//!
//! One task an account polls over one connection and sends over another. A stop returns once every task has ended, so no poll
//! of this gateway is open when the next epoch or the successor begins. A gateway that was fenced, or whose epoch is over, is
//! asked before every request and does nothing: what is written down counts, and not what a task remembers.

mod account;
mod api;
mod poll;
mod send;

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_os::{FileId, Os};
use tokio::sync::{mpsc, watch};

use crate::control::{Control, Probe};
use crate::identity::Identity;
use crate::server::Host as _;
use account::Account;

/// How long a stop waits for what is under way.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// The bots of a gateway, as they are polled.
#[derive(Debug)]
pub(crate) struct Running {
    control: Control,
    stop: watch::Sender<bool>,
    /// Closed once every task has ended.
    ended: mpsc::Receiver<()>,
}

/// Polls the bots of the configuration, each in a task, once the owner of this epoch is ready. `None`: there are none.
pub(crate) fn start<O: Os>(os: &O, control: &Control, epoch: u64, identity: &Identity) -> Option<Running> {
    let home = FileId { device: identity.state_device, inode: identity.state_inode };
    let place = (identity.state.as_str(), home);
    let written = control.about().channels.iter();
    let accounts: Vec<_> =
        written.filter_map(|written| Account::new(os, control, epoch, place, written)).collect();
    if accounts.is_empty() {
        return None;
    }
    let probes = control.open_channels();
    let stop = watch::Sender::new(false);
    let (alive, ended) = mpsc::channel::<()>(1);
    for account in &accounts {
        let (account, stopped, alive) = (account.clone(), stop.subscribe(), alive.clone());
        Os::task(os, async move {
            account.live(stopped).await;
            drop(alive);
        });
    }
    let (at, control, stopped) = (os.clone(), control.clone(), stop.subscribe());
    let running = Running { control: control.clone(), stop, ended };
    Os::task(os, async move {
        answer_probes(&at, &control, &accounts, probes, stopped).await;
        drop(alive);
    });
    Some(running)
}

impl Running {
    /// Ends every poll, and what is being sent if it does not end by itself. Nothing is polled or sent when this returns.
    pub(crate) async fn stop(mut self) {
        // Whoever still runs after its time is up may do nothing.
        self.control.close_channels();
        self.stop.send_replace(true);
        let _ = tokio::time::timeout(PATIENCE, async { while self.ended.recv().await.is_some() {} }).await;
    }
}

/// Tries every account for whoever asks, until the end.
async fn answer_probes<O: Os>(
    os: &O,
    control: &Control,
    accounts: &[Account<O>],
    mut probes: mpsc::Receiver<Probe>,
    mut stopped: watch::Receiver<bool>,
) {
    while let Some(first) = probes.recv().await {
        let mut asked = vec![first];
        while let Ok(another) = probes.try_recv() {
            asked.push(another);
        }
        let shortest_ms = asked.iter().map(|probe| probe.longest_ms).min().unwrap_or_default();
        let longest = Duration::from_millis(shortest_ms);
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => {}
            _ = join_all(accounts.iter().map(|account| account.probe(longest))) => {}
        }
        let now = os.now().await;
        asked.into_iter().for_each(|probe| control.probed(probe, now));
    }
}
