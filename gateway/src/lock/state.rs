//! The state directory is owned through its inode, so no spelling of its path gets around the lock.
//!
//! Two locks, because each covers what the other cannot: the directory's survives an operator who deletes the lock
//! file, the lock file's works where directories cannot be locked.

use std::path::Path;

use portcullis_os::{Descriptor, Errno, FileId, FileKind, FileStatus, Links, LockMode, Open, Os, Uid};

use super::{LOCK_FILE, PATH_ATTEMPTS, diagnose, failed, make_directories, responder};
use crate::claim::{Claim, DirectoryLock, RemoteFileSystem};
use crate::refusal::{Reason, Refusal, quoted};

/// The two locks on a state directory.
#[derive(Debug)]
pub(super) struct StateLock<O: Os> {
    pub(super) file: Descriptor<O>,
    /// The lock file.
    pub(super) lock_file: FileId,
    pub(super) directory: Descriptor<O>,
    pub(super) id: FileId,
}

/// Locks the state directory.
pub(super) async fn take<O: Os>(os: &O, claim: &Claim, uid: Uid) -> Result<StateLock<O>, Refusal> {
    make_directories(os, &claim.state).await?;
    for _ in 0..PATH_ATTEMPTS {
        let open = Open { directory: true, ..Open::read() };
        let directory = os.open(&claim.state, open).await.map_err(failed("open", &claim.state))?;
        let status = os.stat_fd(&directory).await.map_err(failed("examine", &claim.state))?;
        check_owner(&claim.state, &status, uid)?;
        if claim.remote == RemoteFileSystem::Refused {
            check_file_system(os, "the state directory", &claim.state, &directory).await?;
        }
        let subject = subject(claim, status.id, uid);
        lock_directory(os, claim, &directory, &subject).await?;
        let Some((file, lock_file)) = lock_file(os, claim, &directory, &subject).await? else { continue };
        if os.stat(&claim.state, Links::Follow).await.map(|now| now.id) == Ok(status.id) {
            return Ok(StateLock { file, lock_file, directory, id: status.id });
        }
    }
    Err(super::path_unstable(&claim.state))
}

/// The lock on the directory, for the report.
pub(super) fn subject(claim: &Claim, directory: FileId, uid: Uid) -> diagnose::Subject {
    diagnose::Subject {
        what: format!("the state directory {}", claim.state.display()),
        file: directory,
        state: Some(directory),
        control: Some(responder::control_name(directory)),
        uid,
        mode: LockMode::Exclusive,
        meaning: diagnose::Meaning::Owner,
    }
}

/// The lock on the lock file in it.
pub(super) fn file_subject(
    directory: &diagnose::Subject,
    path: &Path,
    status: &FileStatus,
) -> Result<diagnose::Subject, Refusal> {
    if status.kind != FileKind::Regular {
        return Err(not_regular(path));
    }
    let what = format!("the lock file {}", path.display());
    Ok(diagnose::Subject { what, file: status.id, ..directory.clone() })
}

async fn lock_directory<O: Os>(
    os: &O,
    claim: &Claim,
    directory: &Descriptor<O>,
    subject: &diagnose::Subject,
) -> Result<(), Refusal> {
    match diagnose::lock(os, directory, subject).await {
        Ok(()) => Ok(()),
        Err(diagnose::Busy::Refused(refusal)) => Err(*refusal),
        Err(diagnose::Busy::Failed(Errno::BadDescriptor | Errno::NoLocks | Errno::NotSupported))
            if claim.directory_lock == DirectoryLock::Optional =>
        {
            Ok(())
        }
        Err(diagnose::Busy::Failed(errno)) => Err(cannot_lock(&claim.state, errno)),
    }
}

/// Locks the lock file. `None` if the name was given to another file meanwhile.
async fn lock_file<O: Os>(
    os: &O,
    claim: &Claim,
    directory: &Descriptor<O>,
    subject: &diagnose::Subject,
) -> Result<Option<(Descriptor<O>, FileId)>, Refusal> {
    let path = claim.state.join(LOCK_FILE);
    let file = os
        .open_at(directory, LOCK_FILE, Open::read_write_create())
        .await
        .map_err(failed("open the lock file", &path))?;
    let status = os.stat_fd(&file).await.map_err(failed("examine the lock file", &path))?;
    let subject = file_subject(subject, &path, &status)?;
    match diagnose::lock(os, &file, &subject).await {
        Ok(()) => {}
        Err(diagnose::Busy::Refused(refusal)) => return Err(*refusal),
        Err(diagnose::Busy::Failed(errno)) => return Err(cannot_lock(&path, errno)),
    }
    // The name may have been removed and taken by another file between open and lock: then this lock guards nothing.
    match os.stat_at(directory, LOCK_FILE, Links::NoFollow).await {
        Ok(now) if now.id == status.id => Ok(Some((file, status.id))),
        Ok(_) | Err(Errno::NotFound) => Ok(None),
        Err(errno) => Err(failed("examine the lock file", &path)(errno)),
    }
}

/// A directory that others may write to is not this gateway's alone, whatever is locked.
pub(super) fn check_owner(path: &Path, status: &FileStatus, uid: Uid) -> Result<(), Refusal> {
    let problem = if status.uid != uid {
        format!("belongs to uid {}, this gateway runs as uid {uid}", status.uid)
    } else if status.mode & 0o022 != 0 {
        format!("may be written by others (mode {:04o})", status.mode)
    } else {
        return Ok(());
    };
    Err(insecure("the state directory", path, status, uid, &problem))
}

/// What is said of a directory that others may change.
pub(super) fn insecure(what: &str, path: &Path, status: &FileStatus, uid: Uid, problem: &str) -> Refusal {
    let (path, name) = (path.display(), quoted(&path.display().to_string()));
    Refusal {
        reason: Reason::InsecureDirectory,
        what: format!("{what} {path} {problem}"),
        holder: None,
        evidence: vec![format!("stat {path}: uid {}, mode {:04o}", status.uid, status.mode)],
        next: if status.uid == uid { format!("chmod 700 {name}") } else { format!("ls -ld {name}") },
        do_not: None,
        may_pass: false,
    }
}

/// Whether the locks of a file system are known to reach everybody who can open its files.
pub(super) async fn check_file_system<O: Os>(
    os: &O,
    what: &str,
    path: &Path,
    directory: &Descriptor<O>,
) -> Result<(), Refusal> {
    let system = os.file_system(directory).await.map_err(failed("examine the file system of", path))?;
    let Some(name) = system.remote_name() else { return Ok(()) };
    let path = path.display();
    Err(Refusal {
        reason: Reason::RemoteFileSystem,
        what: format!("{what} {path} lies on {name}, whose locks may not reach every host"),
        holder: None,
        evidence: vec![format!("statfs {path}: magic {:#x} ({name})", system.magic)],
        next: format!("df {}", quoted(&path.to_string())),
        do_not: Some("start it on two machines: neither can see the other's lock"),
        may_pass: false,
    })
}

/// What is said where the kernel cannot lock.
pub(super) fn cannot_lock(path: &Path, errno: Errno) -> Refusal {
    let path = path.display();
    Refusal {
        reason: if matches!(errno, Errno::BadDescriptor | Errno::NoLocks | Errno::NotSupported) {
            Reason::UnsupportedFileSystem
        } else {
            Reason::of(errno)
        },
        what: format!("{path} cannot be locked: {}", errno.meaning()),
        holder: None,
        evidence: vec![format!("flock {path}: {errno}")],
        next: format!("df {}", quoted(&path.to_string())),
        do_not: Some("run without a lock: two gateways would write to one state"),
        may_pass: false,
    }
}

fn not_regular(path: &Path) -> Refusal {
    let path = path.display();
    Refusal {
        reason: Reason::InvalidPath,
        what: format!("the lock file {path} is no regular file"),
        holder: None,
        evidence: vec![format!("stat {path}: not a regular file")],
        next: format!("ls -l {}", quoted(&path.to_string())),
        do_not: None,
        may_pass: false,
    }
}
