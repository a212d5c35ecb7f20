//! The operating system as an interface: every way out of a process is one [`Call`], and everything else is built on it.
//!
//! Code that must be explored awaits only [`Os`]. In production the answer comes from [`Linux`]; in the simulator
//! from a kernel that is a plain value; in a test from a decorator that changes single replies. The code cannot tell.
//!
//! # Invariants
//!
//! - One [`Call`] is one indivisible step of the machine: the grain of scheduling, tracing, faults and replay.
//! - Bulk bytes never pass through a [`Call`]: they travel over [`Listener::Stream`].

mod call;
mod descriptor;
mod errno;
mod ids;
#[cfg(target_os = "linux")]
mod linux;
mod listener;
mod notice;
mod options;
mod os;
mod reply;
mod take;
mod text;

pub use call::Call;
pub use descriptor::Descriptor;
pub use errno::Errno;
pub use ids::{Fd, FileId, Pid, Port, Tick, Uid};
#[cfg(target_os = "linux")]
pub use linux::{Linux, LinuxListener, raw};
pub use listener::{Listener, Round, Stage, StreamOf};
pub use notice::{ConfigKey, Notice, Ownership};
pub use options::{
    BindOptions, ByteRange, Cell, Clock, FOREVER_MS, Leads, Links, LockMode, Open, RangeOwner, Signal,
    UnixName, Watched,
};
pub use os::Os;
pub use reply::{
    Ending, FileKind, FileStatus, FileSystem, Namespaces, PeerCredentials, ProcessState, ProcessStatus,
    RangeHolder, Reply, TcpRow, TcpState,
};
