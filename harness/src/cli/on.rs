//! `--on`: where cases are run, and what is demanded of that before anything is.

use std::path::PathBuf;

#[cfg(target_os = "linux")]
use super::target;
#[cfg(target_os = "linux")]
use super::{complain, status};
use crate::target::{Capability, Target};
use crate::verdict::{Executor, TargetName};

/// A word after `--on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// The simulated machine: every schedule
    Sim,
    /// Real processes of the reference gateway
    Refgate,
    /// The simulated machine, and each schedule call by call on the real kernel
    #[cfg(target_os = "linux")]
    Stepped,
    /// Real processes of the gateway that a target file describes
    #[cfg(target_os = "linux")]
    Target(PathBuf),
}

impl On {
    /// Whether whole gateways are run, and no designs.
    pub(super) const fn is_gateways(&self) -> bool {
        match self {
            Self::Refgate => true,
            #[cfg(target_os = "linux")]
            Self::Target(_) => true,
            #[cfg(target_os = "linux")]
            Self::Stepped => false,
            Self::Sim => false,
        }
    }
}

/// Reads one.
pub(super) fn parse(word: &str) -> Result<On, String> {
    match word {
        "sim" => Ok(On::Sim),
        "refgate" => Ok(On::Refgate),
        #[cfg(target_os = "linux")]
        "stepped" => Ok(On::Stepped),
        #[cfg(target_os = "linux")]
        file if target::is_file(file) => Ok(On::Target(PathBuf::from(file))),
        _ => Err("it is `sim`, `refgate`, `stepped`, or a target file, which ends in `.toml`".to_owned()),
    }
}

/// Reads the name of a capability.
pub(super) fn parse_capability(name: &str) -> Result<Capability, String> {
    let found = Capability::ALL.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, capability)| capability).ok_or_else(|| {
        let names = Capability::ALL.map(|(name, _)| name).join(", ");
        format!("no capability is called so; there are {names}")
    })
}

/// The executors, each once. `targets` are those that files were read for, in order.
pub(super) fn executors(words: &[On], targets: &[(TargetName, Target)]) -> Vec<Executor> {
    let mut targets = targets.iter();
    let mut executors: Vec<Executor> = Vec::new();
    for on in words {
        let executor = match on {
            On::Sim => Executor::Sim,
            On::Refgate => Executor::Refgate,
            #[cfg(target_os = "linux")]
            On::Stepped => Executor::Stepped,
            #[cfg(target_os = "linux")]
            On::Target(_) => match targets.next() {
                Some((name, _)) => Executor::Target(*name),
                None => continue,
            },
        };
        if !executors.contains(&executor) {
            executors.push(executor);
        }
    }
    executors
}

/// Reads the targets, and holds them to what is required. What is wrong is told; the status to end with is answered.
#[cfg(target_os = "linux")]
pub(super) fn targets(words: &[On], required: &[Capability]) -> Result<Vec<(TargetName, Target)>, u8> {
    let mut targets: Vec<(TargetName, Target)> = Vec::new();
    for on in words {
        if let On::Target(file) = on {
            let target = target::read(file)?;
            let is_other =
                |(_, known): &&(TargetName, Target)| known.name == target.name && known.file != target.file;
            if targets.iter().any(|known| is_other(&known)) || is_taken(&target.name) {
                complain(&format!(
                    "error: two executors are called `{}`\n  = help: give {} another `name`",
                    target.name,
                    file.display()
                ));
                return Err(status::USAGE);
            }
            targets.push((TargetName::keep(&target.name), target));
        }
    }
    let known: Vec<&Target> = targets.iter().map(|(_, target)| target).collect();
    let why = match target::missing(required, &known) {
        Ok(None) => return Ok(targets),
        Ok(Some(why)) => why,
        Err(why) => format!("error: it cannot be found out what real processes can do here: {why}"),
    };
    complain(&why);
    Err(status::ENVIRONMENT)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn targets(_: &[On], _: &[Capability]) -> Result<Vec<(TargetName, Target)>, u8> {
    Ok(Vec::new())
}

/// Whether an executor that is built in has this name.
#[cfg(target_os = "linux")]
fn is_taken(name: &str) -> bool {
    [Executor::Sim, Executor::Refgate, Executor::Stepped].iter().any(|executor| executor.to_string() == name)
}
