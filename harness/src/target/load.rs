//! Finds and reads a target file, and the program that it names. The only place of the format that touches a disk.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::builtin::REFGATE;
use super::model::Target;
use super::parse::parse;
use super::template::{Piece, Places, Template};
use crate::scenario::{LoadError, read_file};

/// Reads one target.
///
/// # Errors
///
/// Every problem of the file, or why it cannot be read.
pub fn load(path: &Path) -> Result<Target, LoadError> {
    let text = match read_file(path) {
        Ok(text) => text,
        // What is missing in it is told as in any other file.
        Err(LoadError::Empty { .. }) => String::new(),
        Err(error) => return Err(error),
    };
    parse(path, &text).map_err(|problems| LoadError::Invalid { path: path.to_owned(), text, problems })
}

/// Puts the path of its program into a target: one with a slash is taken from the current directory, any other is looked
/// for in `path`, as a shell does.
///
/// # Errors
///
/// That there is no such program, as a message with its remedy.
pub fn locate(target: &mut Target, path: &OsStr) -> Result<(), String> {
    let here = target.here();
    let nowhere = Path::new("/");
    let places = Places {
        base: 1,
        state: nowhere,
        config: nowhere,
        workspace: nowhere,
        room: nowhere,
        name: "",
        here: &here,
        uid: 0,
    };
    for command in [&mut target.start, &mut target.version] {
        let Some(first) = command.first_mut() else { continue };
        if let Some(outside) =
            first.pieces.iter().find(|piece| !matches!(piece, Piece::Text(_) | Piece::Here))
        {
            return Err(format!("the program of `{}` depends on a run: {outside:?}", target.name));
        }
        let program = first.fill(&places);
        let found = find(&program, path).ok_or_else(|| {
            format!(
                "error: there is no program `{program}`, which {} starts\n  = help: install it and put it on the \
                 `PATH`, or correct `start` in {}",
                target.name,
                target.file.display()
            )
        })?;
        *first = Template::plain(&found.to_string_lossy());
    }
    Ok(())
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| path.is_file() && is_executable(path);
    if program.contains('/') {
        return std::path::absolute(program).ok().filter(is_program);
    }
    std::env::split_paths(path).map(|folder| folder.join(program)).find(is_program)
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

impl Target {
    /// The directory that the target file lies in.
    pub fn here(&self) -> PathBuf {
        let file = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        file.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
    }

    /// Gives it `PATH` and the variables that it inherits, those of its own included where they differ.
    pub fn inherit(&mut self, variable: impl Fn(&str) -> Option<OsString>) {
        let mut env = Vec::new();
        for name in std::iter::once("PATH").chain(self.inherit.iter().map(String::as_str)) {
            if let Some(value) = variable(name) {
                env.push((name.to_owned(), Template::plain(&value.to_string_lossy())));
            }
        }
        // What comes later counts, and a target knows better than whoever runs it.
        env.append(&mut self.env);
        self.env = env;
    }

    /// Puts another program in the place of the one that it starts, and asks that one for its version if it was the same.
    pub(crate) fn run_as(&mut self, program: &Path) {
        let program = Template::plain(&program.to_string_lossy());
        let Some(first) = self.start.first_mut() else { return };
        let named = std::mem::replace(first, program.clone());
        if let Some(first) = self.version.first_mut().filter(|first| **first == named) {
            *first = program;
        }
    }

    /// The reference gateway, which is run under this path.
    pub fn refgate(program: &Path) -> Self {
        let Ok(mut target) = parse(Path::new("targets/refgate.toml"), REFGATE) else {
            unreachable!("a test reads this target")
        };
        target.start[0] = Template::plain(&program.to_string_lossy());
        target
    }
}
