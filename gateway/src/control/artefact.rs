//! What a run of a job leaves: one file in the workspace, or in the state directory where there is none, that says by whom.
//!
//! The file of a slot is created with `O_EXCL`, so two gateways that run one job in one workspace cannot both leave it.

use std::path::Path;

use portcullis_os::{Call, Descriptor, Errno, Fd, Open, Os};
use serde_json::json;

use super::Now;
use super::agent;
use crate::settings::CronJob;

/// The folder that they lie in.
const FOLDER: &str = "cron-runs";
/// Of each job at most so many are kept.
const KEPT: usize = 32;

/// Of which run.
pub(super) struct Artefact<'a> {
    pub(super) job: &'a CronJob,
    pub(super) run: &'a str,
    pub(super) slot_ms: Option<u64>,
    pub(super) epoch: u64,
    pub(super) instance: &'a str,
    /// The workspace that it is left in; `None`: the state directory.
    pub(super) workspace: Option<&'a Path>,
}

impl Artefact<'_> {
    /// Leaves it in that directory, synced, and removes the oldest of this job.
    pub(super) async fn leave<O: Os>(&self, os: &O, at: Fd, now: Now) -> Result<(), Errno> {
        match os.done(Call::MakeDirectory { at: Some(at), path: FOLDER.into(), mode: 0o700 }).await {
            Ok(()) | Err(Errno::Exists) => {}
            Err(errno) => return Err(errno),
        }
        let open = Open::directory();
        let folder = os.descriptor(Call::Open { at: Some(at), path: FOLDER.into(), open }).await?;
        // A slot has one file, whoever runs it; a run that was asked for has one of its own.
        let name = match self.slot_ms {
            Some(slot_ms) => format!("{}.{slot_ms}.json", self.job.id),
            None => format!("{}.{}.{}.json", self.job.id, now.wall_ms, self.run),
        };
        let file = os.open_at(&folder, &name, Open::create_exclusive()).await?;
        let text = json!({
            "job": self.job.id,
            "run": self.run,
            "slotMs": self.slot_ms,
            "atMs": now.wall_ms,
            "instance": self.instance,
            "epoch": self.epoch,
            "workspace": self.workspace,
            "text": agent::answer(&self.job.message),
        });
        let line = format!("{text}\n");
        if os.write(&file, 0, line.as_bytes()).await? as usize != line.len() {
            return Err(Errno::NoSpace);
        }
        os.sync(&file).await?;
        self.tidy(os, &folder).await
    }

    /// Removes the oldest files of this job.
    async fn tidy<O: Os>(&self, os: &O, folder: &Descriptor<O>) -> Result<(), Errno> {
        let mut own: Vec<(u64, String)> = Vec::new();
        for name in os.read_directory(folder).await? {
            let Some(name) = name.to_str() else { continue };
            let rest = name.strip_prefix(&*self.job.id).and_then(|rest| rest.strip_prefix('.'));
            let moment = rest.filter(|rest| rest.ends_with(".json")).and_then(|rest| rest.split('.').next());
            if let Some(moment) = moment.and_then(|moment| moment.parse().ok()) {
                own.push((moment, name.to_owned()));
            }
        }
        own.sort_unstable();
        let spent = own.len().saturating_sub(KEPT);
        for (_, name) in own.into_iter().take(spent) {
            // What stays is removed after the next run.
            let _ = os.done(Call::Unlink { at: Some(folder.fd()), path: name.into() }).await;
        }
        Ok(())
    }
}
