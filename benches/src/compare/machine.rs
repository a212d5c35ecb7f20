//! The edge to the machine: clocks, processors, what the kernel tells of a process.

#![expect(
    clippy::disallowed_methods,
    reason = "what the kernel tells of a server lies in files, and results are written into some"
)]

use std::fs;
use std::io;
use std::path::Path;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::Fault;

/// Nanoseconds since an unknown moment.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// This process.
#[cfg(test)]
pub(crate) fn own_pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().cast_unsigned()
}

/// What all threads of a process have taken of processors, in nanoseconds (`/proc/PID/task/TID/schedstat`).
pub(crate) fn cpu_ns(pid: u32) -> Result<u64, Fault> {
    let folder = format!("/proc/{pid}/task");
    let failed = |source| Fault::System { doing: folder.clone(), source };
    let mut sum = 0;
    for task in fs::read_dir(&folder).map_err(failed)? {
        // A thread may end between the two.
        let Ok(text) = fs::read_to_string(task.map_err(failed)?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// The memory of a process that is in use, in bytes (`VmRSS`).
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, Fault> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|source| Fault::System { doing: path, source })?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    Ok(kilobytes * 1024)
}

/// The cores that this process may run on, at most the first two: one for servers, one for clients. `None` if there is one only.
pub(crate) fn cores() -> Option<(usize, usize)> {
    let set = sched_getaffinity(None).ok()?;
    let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core));
    Some((allowed.next()?, allowed.next()?))
}

/// Keeps this thread, and what it starts, on one core.
pub(crate) fn pin(core: usize) -> Result<(), Fault> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .map_err(|error| Fault::System { doing: format!("core {core}"), source: error.into() })
}

/// The machine that figures are of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// How TCP shares its way (`net.ipv4.tcp_congestion_control`).
    pub(crate) congestion: String,
    /// What else wanted to run, when it began: the average of a minute.
    pub(crate) load_before: String,
    /// The same, when it had ended.
    pub(crate) load_after: String,
}

impl Machine {
    /// The one that this runs on.
    pub(crate) fn here() -> Self {
        let processors = read("/proc/cpuinfo");
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name"));
        Self {
            processor: processor
                .map_or("unknown", |name| name.trim_start_matches([' ', '\t', ':']))
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            congestion: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            load_before: load(),
            load_after: String::new(),
        }
    }
}

/// What else wants to run now.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Writes a result.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|source| Fault::System { doing: path.display().to_string(), source })
}

/// Makes room for so many sockets, as far as that is allowed.
pub(crate) fn open_files(wanted: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum.map_or(Some(wanted), |most| Some(most.min(wanted))),
                maximum: limit.maximum,
            },
        )?;
    }
    Ok(())
}
