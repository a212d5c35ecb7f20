//! The first process of the namespaces: it starts the processes of each sequence and clears up after it.
//!
//! It is small and has one thread, so a new process is one fork away. What it starts connects to the driver by itself,
//! through a socket whose listening end the driver has, so no process has a descriptor that belongs to another.

use std::ffi::CString;
use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis_os::{Errno, raw};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::mount::{MountFlags, mount};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, bind, listen, sendmsg, socket_with,
};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, kill_process, set_dumpable_behavior, wait, waitpid,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_name, set_thread_gid, set_thread_groups,
    set_thread_uid,
};

use super::agent;
use super::isolate::because;
use super::wire::{Errand, Errands, hear, tell};

/// Where the file system of the sequences is mounted: the first of these that there is.
const ROOTS: [&str; 4] = ["/srv", "/mnt", "/media", "/tmp"];

/// The socket that every process connects to, in that file system.
pub(super) const MEETING: &str = ".driver";

/// The first process and what it needs to know.
struct Zygote {
    users: Vec<u32>,
    root: PathBuf,
}

/// What the first process has become.
enum Life {
    /// Itself still.
    Zygote,
    /// One of those that it started, which has ended like this.
    Agent(ExitCode),
}

/// Lives until the driver has gone.
pub(super) fn main(users: Vec<u32>) -> ExitCode {
    let (zygote, meeting) = match prepare(users) {
        Ok(prepared) => prepared,
        Err(reason) => {
            // Without a driver there is nobody to tell.
            let _ = tell(io::stdin(), &Errands::Impossible(reason));
            return ExitCode::FAILURE;
        }
    };
    let ready = Errands::Ready { users: zygote.users.clone(), root: zygote.root.clone() };
    if hand_over(&ready, meeting).is_err() {
        return ExitCode::FAILURE;
    }
    let mut buffer = Vec::new();
    loop {
        let Ok(Some(errand)) = hear(io::stdin(), &mut buffer) else { return ExitCode::SUCCESS };
        let answer = match zygote.run(errand) {
            Ok(Life::Zygote) => Errands::Done,
            Ok(Life::Agent(code)) => return code,
            Err(reason) => Errands::Failed(reason),
        };
        if tell(io::stdin(), &answer).is_err() {
            return ExitCode::FAILURE;
        }
    }
}

fn prepare(users: Vec<u32>) -> Result<(Zygote, OwnedFd), String> {
    let root =
        ROOTS.into_iter().map(Path::new).find(|path| path.is_dir()).ok_or("no directory to mount on")?;
    mount("tmpfs", root, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755"))
        .map_err(because("no file system can be mounted"))?;
    let trouble = because("no socket to meet at");
    let meeting = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let meeting = meeting.map_err(&trouble)?;
    let path = root.join(MEETING);
    bind(&meeting, &SocketAddrUnix::new(&path).map_err(&trouble)?).map_err(&trouble)?;
    listen(&meeting, 64).map_err(&trouble)?;
    permit(&path, 0o777).map_err(because("no socket to meet at"))?;
    Ok((Zygote { users, root: root.to_owned() }, meeting))
}

/// Tells the driver that all is ready, and gives it the listening socket.
fn hand_over(ready: &Errands, meeting: OwnedFd) -> io::Result<()> {
    let bytes = serde_json::to_vec(ready)?;
    send_with(io::stdin(), &bytes, &meeting)
}

/// Sends a message and one descriptor.
pub(super) fn send_with(socket: impl std::os::fd::AsFd, bytes: &[u8], fd: &OwnedFd) -> io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut buffer = SendAncillaryBuffer::new(&mut space);
    let fds = [std::os::fd::AsFd::as_fd(fd)];
    buffer.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[io::IoSlice::new(bytes)], &mut buffer, SendFlags::NOSIGNAL)?;
    Ok(())
}

impl Zygote {
    fn run(&self, errand: Errand) -> Result<Life, String> {
        match errand {
            Errand::Directory { path, mode } => {
                std::fs::create_dir(&path)
                    .and_then(|()| permit(&path, mode))
                    .map_err(because("no directory for the sequence"))?;
            }
            Errand::Process { uid, name } => {
                if raw::fork().map_err(because("no process can be started"))?.is_none() {
                    return Ok(Life::Agent(self.become_agent(uid, &name)));
                }
            }
            Errand::Reap { pid } => {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("no pid")?;
                rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()))
                    .map_err(because("it cannot be waited for"))?;
            }
            Errand::Clear { path } => {
                end_all()?;
                std::fs::remove_dir_all(&path).map_err(because("the directory stays"))?;
            }
        }
        Ok(Life::Zygote)
    }

    /// Never returns to the zygote's own loop: what is returned is how the agent has ended.
    fn become_agent(&self, uid: u32, name: &str) -> ExitCode {
        match self.take_on(uid, name) {
            Ok(()) => agent::main(&self.root),
            // The driver sees that nobody connects.
            Err(_) => ExitCode::FAILURE,
        }
    }

    /// Gives up whatever the process of that user would not have.
    fn take_on(&self, uid: u32, name: &str) -> rustix::io::Result<()> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        // `SIGCONT` reaches everybody in the session of its sender, whoever they are.
        rustix::process::setsid()?;
        if let Ok(name) = CString::new(name) {
            set_name(&name)?;
        }
        if self.users.contains(&0) {
            set_thread_groups(&[])?;
            set_thread_gid(Gid::from_raw(uid))?;
            set_thread_uid(Uid::from_raw(uid))?;
        } else {
            let none = CapabilitySet::empty();
            set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
        }
        // Whoever changes its user hides its descriptors from other processes of that user, which no ordinary process
        // does.
        set_dumpable_behavior(DumpableBehavior::Dumpable)
    }
}

/// Ends every other process of the namespace and waits until all of them have gone. None of them starts another one
/// unasked, so those that `/proc` lists are all that there are.
fn end_all() -> Result<(), String> {
    let own = rustix::process::getpid();
    for entry in std::fs::read_dir("/proc").map_err(because("/proc cannot be read"))?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|pid| *pid != own) {
            // Who has gone meanwhile need not be ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    loop {
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(format!("the processes cannot be ended: {}", Errno::from(errno))),
        }
    }
}

fn permit(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}
