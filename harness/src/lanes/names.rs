//! What descriptors are called: by what was opened under their number last, for as long as that is open.

use std::collections::BTreeMap;

use portcullis_os::{Call, Errno, Fd, Reply};
use sim::kernel::ProcessId;

/// The names of the open descriptors of each slot's process.
#[derive(Debug, Default)]
pub(super) struct Names {
    of: BTreeMap<(usize, Fd), String>,
    processes: BTreeMap<usize, ProcessId>,
}

impl Names {
    /// The name of a descriptor that says more than its number.
    pub(super) fn of(&self, slot: usize, fd: Fd) -> Option<&str> {
        self.of.get(&(slot, fd)).map(String::as_str)
    }

    /// Says which process a slot has. Another one has other descriptors.
    pub(super) fn belong_to(&mut self, slot: usize, process: Option<ProcessId>) {
        let Some(process) = process else { return };
        if self.processes.insert(slot, process).is_some_and(|before| before != process) {
            self.of.retain(|(of, _), _| *of != slot);
        }
    }

    /// Takes in what a call has opened. A number that is given out again has no name of before.
    pub(super) fn opened(&mut self, slot: usize, call: &Call, reply: &Result<Reply, Errno>) {
        let fd = match reply {
            Ok(Reply::Fd(fd) | Reply::Accepted { stream: fd, .. }) => *fd,
            Ok(_) | Err(_) => return,
        };
        match named(call) {
            Some(name) => self.of.insert((slot, fd), name),
            None => self.of.remove(&(slot, fd)),
        };
    }

    /// Takes in what a call has closed, once it was told.
    pub(super) fn closed(&mut self, slot: usize, call: &Call) {
        if let Call::Close { fd } = call {
            self.of.remove(&(slot, *fd));
        }
    }
}

fn named(call: &Call) -> Option<String> {
    let last = |path: &std::path::Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    if let Call::Open { path, .. } = call {
        return last(path);
    }
    if let Call::BindTcp { address, .. } | Call::ConnectTcp { address, .. } = call {
        return Some(address.to_string());
    }
    if let Call::ListenUnix { name, .. } | Call::ConnectUnix { name } = call {
        return Some(name.to_string());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use portcullis_os::{Call, Errno, Fd, Open, Reply, Uid};
    use sim::kernel::{Kernel, Place, Spawn};

    use super::Names;

    #[test]
    fn a_number_that_is_given_out_again_is_not_called_by_what_it_was() {
        let mut names = Names::default();
        let open = Call::Open { at: None, path: PathBuf::from("/srv/S/a.lock"), open: Open::read() };
        names.opened(0, &open, &Ok(Reply::Fd(Fd(3))));
        names.opened(1, &open, &Ok(Reply::Fd(Fd(3))));
        assert_eq!(names.of(0, Fd(3)), Some("a.lock"));
        names.closed(0, &Call::Close { fd: Fd(3) });
        assert_eq!((names.of(0, Fd(3)), names.of(1, Fd(3))), (None, Some("a.lock")));
        let accept = Call::Accept { fds: vec![Fd(4)] };
        names.opened(1, &accept, &Ok(Reply::Accepted { on: Fd(4), stream: Fd(3) }));
        assert_eq!(names.of(1, Fd(3)), None);
        names.opened(1, &open, &Err(Errno::NotFound));
        names.opened(1, &open, &Ok(Reply::Fd(Fd(5))));
        let mut kernel = Kernel::new();
        let mut process = || {
            let place = Place::default();
            let (name, command) = (String::new(), String::new());
            kernel.spawn(&Spawn { name, command, uid: Uid(1), parent: None, pid: None, place }).unwrap()
        };
        let (first, second) = (process(), process());
        names.belong_to(1, Some(first));
        assert_eq!(names.of(1, Fd(5)), Some("a.lock"));
        names.belong_to(1, Some(second));
        assert_eq!(names.of(1, Fd(5)), None);
    }
}
