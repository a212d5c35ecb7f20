//! A memory outlives its process in one file for each epoch, `control.EPOCH.jsonl`, and only the newest of them counts.
//!
//! An owner reads the newest file of the epochs before its own, writes all that is still remembered into a file of its own,
//! under a temporary name, syncs it, gives it its name, and removes the older ones then. So there is always one file that is
//! whole, and an owner that was paused and succeeded appends to a file that nobody reads (`single-writer`). Everything is
//! done relative to a descriptor of the directory that is locked: wherever it is moved, nothing is written into another one.
//!
//! A record counts once it is synced. An end that a crash has torn is not whole, and is not taken for something else. What
//! could not be written whole is cut off again, and where that fails too, or the disk could not be synced, the next record
//! goes into a new file that takes the place of this one.
//!
//! Any other line that is not as it was written is damage: what it said is lost, and may have been that a device may not come
//! any more. So no device that was remembered is trusted then, and the file is kept aside for whoever looks into it.

use std::path::Path;

use portcullis_os::{Call, Descriptor, Errno, Fd, Open, Os};

use super::memory::Memory;
use super::reading::{Found, read};
use super::record::{FORMAT, Header, Record, line};

/// What the name of every file begins with.
const PREFIX: &str = "control.";
/// What it ends with.
const SUFFIX: &str = ".jsonl";
/// What the name of a file ends with before it gets its own.
const TEMPORARY: &str = ".jsonl.tmp";
/// What is put behind the name of a file that is damaged.
const ASIDE: &str = ".damaged";
/// How much is written by one call, in bytes.
const CHUNK: usize = 1 << 20;
/// A file is written anew when so many bytes, and as many as it had at first, were appended to it.
const GROWTH: u64 = 1 << 20;

/// Why a memory cannot be read or kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// The machine says so.
    #[error("{}", .0.meaning())]
    Errno(Errno),
    /// A successor has begun: what is written here is read by nobody.
    #[error("a later gateway has this state directory")]
    Succeeded,
    /// A later version has written it.
    #[error("a later version of this program has written it")]
    Newer,
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// The file of one epoch.
#[derive(Debug)]
pub(crate) struct Keep<O: Os> {
    os: O,
    directory: Descriptor<O>,
    epoch: u64,
    instance: String,
    /// `None`: nothing can be appended, the whole has to be written anew.
    open: Option<Appending<O>>,
    /// Older files that are still there.
    spent: Vec<String>,
    /// Those of them that are damaged.
    damaged: Vec<String>,
}

#[derive(Debug)]
struct Appending<O: Os> {
    file: Descriptor<O>,
    /// How long it is, in bytes.
    length: u64,
    /// How long it was at first.
    first: u64,
}

impl<O: Os> Keep<O> {
    /// Reads what was remembered before this epoch. `state` is the directory, which the caller owns.
    ///
    /// # Errors
    ///
    /// Why it cannot be read. Nothing was changed then.
    pub(crate) async fn load(
        os: &O,
        state: Fd,
        epoch: u64,
        instance: &str,
    ) -> Result<(Self, Memory), Trouble> {
        // A descriptor of its own: the one of the lock goes when the owner does.
        let open = Open { directory: true, ..Open::read() };
        let directory =
            os.descriptor(Call::Open { at: Some(state), path: Path::new(".").to_owned(), open }).await?;
        let (mut epochs, mut spent, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
        for name in os.read_directory(&directory).await? {
            match name.to_str().and_then(named) {
                Some((other, _)) if other > epoch => return Err(Trouble::Succeeded),
                Some((other, true)) if other < epoch => epochs.push(other),
                Some((other, false)) if other < epoch => spent.push(temporary(other)),
                Some(_) | None => {}
            }
        }
        epochs.sort_unstable();
        let mut memory = None;
        while memory.is_none()
            && let Some(other) = epochs.pop()
        {
            match read(os, &directory, other).await? {
                Found::Nothing => {}
                Found::Whole(found) => {
                    memory = Some(found);
                    spent.push(name(other));
                }
                Found::Damaged(found) => {
                    memory = found;
                    damaged.push(name(other));
                }
            }
        }
        let mut memory = memory.unwrap_or_default();
        if !damaged.is_empty() {
            memory.distrust();
        }
        spent.extend(epochs.into_iter().map(name));
        let instance = instance.to_owned();
        Ok((Self { os: os.clone(), directory, epoch, instance, open: None, spent, damaged }, memory))
    }

    /// Whether nothing can be appended before everything is written anew: at first, when the file has grown too long, and
    /// after a trouble that left it in doubt.
    pub(crate) fn wants_all(&self) -> bool {
        let has_grown = |open: &Appending<O>| open.length - open.first > GROWTH.max(open.first);
        self.open.as_ref().is_none_or(has_grown)
    }

    /// Keeps what has happened. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// Why it is not kept. A reader then finds what was kept before, and perhaps the first of these records.
    pub(crate) async fn append(&mut self, records: &[Record]) -> Result<(), Trouble> {
        let Some(open) = self.open.as_mut() else { return Err(Errno::InputOutput.into()) };
        let bytes: Vec<u8> = records.iter().flat_map(Record::line).collect();
        let outcome = match write(&self.os, &open.file, &bytes).await {
            Ok(()) => self.os.sync(&open.file).await,
            Err(errno) => match self.os.truncate(&open.file, open.length).await {
                Ok(()) => return Err(errno.into()),
                Err(_) => Err(errno),
            },
        };
        match outcome {
            Ok(()) => {
                open.length += bytes.len() as u64;
                Ok(())
            }
            Err(errno) => {
                self.open = None;
                Err(errno.into())
            }
        }
    }

    /// Writes everything into a new file, which takes the place of the one of this epoch, and removes those before, or puts
    /// them aside. Answers the names of those that are damaged, as they are now.
    ///
    /// # Errors
    ///
    /// Why it is not written. A reader then finds what was kept before.
    pub(crate) async fn rewrite(&mut self, memory: &Memory) -> Result<Vec<String>, Trouble> {
        // From here on this name may lead to another file.
        self.open = None;
        let (os, at) = (&self.os, &self.directory);
        let temporary = temporary(self.epoch);
        match unlink(os, at, &temporary).await {
            Ok(()) | Err(Errno::NotFound) => {}
            Err(errno) => return Err(errno.into()),
        }
        let file = os.open_at(at, &temporary, Open { append: true, ..Open::create_exclusive() }).await?;
        match fill(os, at, &file, [&temporary, &name(self.epoch)], self.lines(memory)).await {
            Ok(length) => self.open = Some(Appending { file, length, first: length }),
            Err(errno) => {
                // What stays is removed by the next attempt, or by the next owner.
                let _ = unlink(os, at, &temporary).await;
                return Err(errno.into());
            }
        }
        for name in std::mem::take(&mut self.spent) {
            // What stays counts no more, and the next owner removes it.
            let _ = unlink(&self.os, &self.directory, &name).await;
        }
        let mut aside = Vec::new();
        // Only now: nothing older may be trusted because what is newer has another name.
        for name in std::mem::take(&mut self.damaged) {
            let other = format!("{name}{ASIDE}");
            let moved = self.os.rename_at(&self.directory, &name, &other).await;
            aside.push(if moved.is_ok() { other } else { name });
        }
        Ok(aside)
    }

    fn lines(&self, memory: &Memory) -> Vec<Vec<u8>> {
        let header = Header { format: FORMAT, epoch: self.epoch, instance: self.instance.clone() };
        std::iter::once(line(&header)).chain(memory.records().iter().map(Record::line)).collect()
    }
}

/// Writes lines into a file, and gives it its name. Answers how long it is.
async fn fill<O: Os>(
    os: &O,
    at: &Descriptor<O>,
    file: &Descriptor<O>,
    [from, to]: [&str; 2],
    lines: Vec<Vec<u8>>,
) -> Result<u64, Errno> {
    let (mut length, mut piece) = (0, Vec::new());
    for line in lines {
        piece.extend(line);
        if piece.len() >= CHUNK {
            write(os, file, &piece).await?;
            length += piece.len() as u64;
            piece.clear();
        }
    }
    write(os, file, &piece).await?;
    os.sync(file).await?;
    os.rename_at(at, from, to).await?;
    os.sync(at).await?;
    Ok(length + piece.len() as u64)
}

/// Writes all of it, or says why not.
async fn write<O: Os>(os: &O, file: &Descriptor<O>, bytes: &[u8]) -> Result<(), Errno> {
    // The offset counts for nothing: the file was opened for appending.
    let count = os.write(file, 0, bytes).await?;
    if count as usize == bytes.len() { Ok(()) } else { Err(Errno::NoSpace) }
}

async fn unlink<O: Os>(os: &O, at: &Descriptor<O>, name: &str) -> Result<(), Errno> {
    os.done(Call::Unlink { at: Some(at.fd()), path: name.into() }).await
}

pub(crate) fn name(epoch: u64) -> String {
    format!("{PREFIX}{epoch}{SUFFIX}")
}

fn temporary(epoch: u64) -> String {
    format!("{PREFIX}{epoch}{TEMPORARY}")
}

/// The epoch in the name of a file, and whether the file has its name for good.
fn named(name: &str) -> Option<(u64, bool)> {
    let rest = name.strip_prefix(PREFIX)?;
    let (digits, is_whole) = match rest.strip_suffix(TEMPORARY) {
        Some(digits) => (digits, false),
        None => (rest.strip_suffix(SUFFIX)?, true),
    };
    let is_number = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number).map(|epoch| (epoch, is_whole))
}
