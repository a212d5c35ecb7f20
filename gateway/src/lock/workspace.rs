//! A workspace has one gateway, and no other gateway works inside it or around it.
//!
//! The lock is on the directory's inode, so no spelling of its path gets around it. That two workspaces lie inside one
//! another shows in no inode; so whoever works in a directory also holds a shared lock on each directory around it. Shared
//! locks get along with each other and with no exclusive one: the kernel then refuses the inner and the outer workspace to
//! each other, in either order, without anybody reading a path that another has written.
//!
//! A workspace belongs to the user of the gateway and is not writable by everybody, or it is refused. So only directories
//! around it of which the same is true can be a workspace too, and only those are locked: neither `/` nor `/tmp` is kept
//! busy by a gateway of an ordinary user. Nesting is seen between gateways of one user, along the path that was given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_os::{Descriptor, Errno, FileId, FileStatus, Links, LockMode, Open, Os, Uid};

use super::diagnose::{self, Busy, Meaning, Subject};
use super::{PATH_ATTEMPTS, failed, make_directories, state};
use crate::claim::{Claim, DirectoryLock, RemoteFileSystem};
use crate::refusal::{Reason, Refusal};

/// A directory to be locked.
struct Wanted<O: Os> {
    directory: Descriptor<O>,
    path: PathBuf,
    /// Exclusive: it is a workspace. Shared: one lies somewhere below it.
    mode: LockMode,
    /// The workspace that it is wanted for.
    workspace: PathBuf,
}

/// Locks every workspace, in the order of their inodes. `own` is the state directory, which is locked already.
pub(super) async fn take<O: Os>(
    os: &O,
    claim: &Claim,
    uid: Uid,
    own: FileId,
) -> Result<Vec<Descriptor<O>>, Refusal> {
    if claim.workspaces.is_empty() {
        return Ok(Vec::new());
    }
    for _ in 0..PATH_ATTEMPTS {
        let wanted = open_all(os, claim, uid, own).await?;
        let ids: Vec<FileId> = wanted.keys().copied().collect();
        let mut held = Vec::with_capacity(wanted.len());
        for (id, wanted) in wanted {
            lock(os, claim, uid, id, &wanted).await?;
            held.push(wanted.directory);
        }
        if are_still_there(os, claim, own, &ids).await {
            return Ok(held);
        }
    }
    Err(super::path_unstable(claim.workspaces.first().unwrap_or(&claim.state)))
}

/// Opens every workspace and every directory around one that could be a workspace itself.
async fn open_all<O: Os>(
    os: &O,
    claim: &Claim,
    uid: Uid,
    own: FileId,
) -> Result<BTreeMap<FileId, Wanted<O>>, Refusal> {
    let mut wanted: BTreeMap<FileId, Wanted<O>> = BTreeMap::new();
    let open = Open { directory: true, ..Open::read() };
    for path in &claim.workspaces {
        make_directories(os, path).await?;
        let directory = os.open(path, open).await.map_err(failed("open", path))?;
        let status = os.stat_fd(&directory).await.map_err(failed("examine", path))?;
        if status.id == own {
            continue;
        }
        if let Some(problem) = problem(&status, uid) {
            return Err(state::insecure("the workspace", path, &status, uid, &problem));
        }
        if claim.remote == RemoteFileSystem::Refused {
            state::check_file_system(os, "the workspace", path, &directory).await?;
        }
        let workspace = path.clone();
        let mode = LockMode::Exclusive;
        wanted.insert(status.id, Wanted { directory, path: path.clone(), mode, workspace });
    }
    for workspace in &claim.workspaces {
        for path in workspace.ancestors().skip(1) {
            // What this user may not open or is not there any more is no workspace of this user.
            let Ok(directory) = os.open(path, open).await else { continue };
            let status = os.stat_fd(&directory).await.map_err(failed("examine", path))?;
            if status.id == own || wanted.contains_key(&status.id) || problem(&status, uid).is_some() {
                continue;
            }
            let (path, workspace, mode) = (path.to_owned(), workspace.clone(), LockMode::Shared);
            wanted.insert(status.id, Wanted { directory, path, mode, workspace });
        }
    }
    Ok(wanted)
}

/// What is wrong with a directory as a workspace of this user. Other than a state directory it may be a group's.
pub(super) fn problem(status: &FileStatus, uid: Uid) -> Option<String> {
    if status.uid != uid {
        Some(format!("belongs to uid {}, this gateway runs as uid {uid}", status.uid))
    } else if status.mode & 0o002 != 0 {
        Some(format!("may be written by everybody (mode {:04o})", status.mode))
    } else {
        None
    }
}

/// A lock that a workspace needs, for the report: on itself, or on a directory around it.
pub(super) fn subject(path: &Path, workspace: &Path, mode: LockMode, file: FileId, uid: Uid) -> Subject {
    let (path, workspace) = (path.display(), workspace.display());
    let (what, reason) = if mode == LockMode::Exclusive {
        (format!("the workspace {path}, or a directory inside it, is used"), Reason::WorkspaceShared)
    } else {
        (format!("the workspace {workspace} lies inside {path}, which is used"), Reason::WorkspaceNested)
    };
    Subject { what, file, state: None, control: None, uid, mode, meaning: Meaning::Always(reason) }
}

async fn lock<O: Os>(
    os: &O,
    claim: &Claim,
    uid: Uid,
    file: FileId,
    wanted: &Wanted<O>,
) -> Result<(), Refusal> {
    let subject = subject(&wanted.path, &wanted.workspace, wanted.mode, file, uid);
    match diagnose::lock(os, &wanted.directory, &subject).await {
        Ok(()) => Ok(()),
        Err(Busy::Refused(mut refusal)) => {
            // A lock that others share is theirs who work inside.
            if wanted.mode == LockMode::Exclusive
                && os.flock(&wanted.directory, LockMode::Shared).await.is_ok()
            {
                refusal.reason = Reason::WorkspaceNested;
            }
            Err(*refusal)
        }
        // Where directories cannot be locked nobody has an exclusive lock on this one either.
        Err(Busy::Failed(Errno::BadDescriptor | Errno::NoLocks | Errno::NotSupported))
            if wanted.mode == LockMode::Shared || claim.directory_lock == DirectoryLock::Optional =>
        {
            Ok(())
        }
        Err(Busy::Failed(errno)) => Err(state::cannot_lock(&wanted.path, errno)),
    }
}

/// Whether the paths of all workspaces still lead to what is locked.
async fn are_still_there<O: Os>(os: &O, claim: &Claim, own: FileId, locked: &[FileId]) -> bool {
    for path in &claim.workspaces {
        match os.stat(path, Links::Follow).await {
            Ok(status) if status.id == own || locked.contains(&status.id) => {}
            Ok(_) | Err(_) => return false,
        }
    }
    true
}
