//! Who listens on a port: a gateway is taken for ready only if the answer comes from it, or from a child of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use portcullis_os::{Linux, Os, Pid, Port, TcpState};

/// A family tree that is deeper is not followed.
const DEPTH: usize = 16;

/// Whether a process or one of its descendants listens on a port of the loopback.
pub(super) fn listens(pid: u32, port: u16) -> bool {
    let (Some(pid), Some(port)) = (Pid::new(pid), Port::new(port)) else { return false };
    let os = Linux::new(|_| {});
    let Some(Ok(rows)) = at_once(os.tcp_sockets(port)) else { return false };
    let listeners: Vec<u64> =
        rows.iter().filter(|row| row.state == TcpState::Listen).map(|row| row.socket).collect();
    !listeners.is_empty()
        && family(&os, pid).into_iter().any(|member| {
            listeners.iter().any(|socket| matches!(at_once(os.holds_socket(member, *socket)), Some(Ok(true))))
        })
}

/// The ports that a process or one of its descendants listens on.
pub(super) fn listeners(pid: u32) -> BTreeSet<u16> {
    let (Some(pid), Some(lowest), Some(highest)) = (Pid::new(pid), Port::new(1), Port::new(u16::MAX)) else {
        return BTreeSet::new();
    };
    let os = Linux::new(|_| {});
    let rows = at_once(os.tcp_listeners([lowest, highest])).and_then(Result::ok).unwrap_or_default();
    let family = family(&os, pid);
    let is_own = |socket: u64| {
        family.iter().any(|member| matches!(at_once(os.holds_socket(*member, socket)), Some(Ok(true))))
    };
    rows.iter().filter(|row| is_own(row.socket)).map(|row| row.local.port()).collect()
}

/// A process and its descendants.
fn family(os: &Linux, pid: Pid) -> Vec<Pid> {
    let all = at_once(os.processes()).and_then(Result::ok).unwrap_or_default();
    let parent =
        |of: Pid| at_once(os.process_status(of)).and_then(Result::ok).and_then(|status| status.parent);
    let mut family = vec![pid];
    let mut rest: Vec<(Pid, Option<Pid>)> = all.into_iter().map(|one| (one, parent(one))).collect();
    for _ in 0..DEPTH {
        let (found, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|(_, parent)| parent.is_some_and(|parent| family.contains(&parent)));
        rest = others;
        if found.is_empty() {
            break;
        }
        family.extend(found.into_iter().map(|(one, _)| one));
    }
    family
}

/// What a call answers that has nothing to wait for: files of `/proc` are read at once.
fn at_once<T>(call: impl Future<Output = T>) -> Option<T> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::listens;

    #[test]
    fn a_listener_is_told_from_one_who_does_not_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = rustix::process::getpid().as_raw_pid().unsigned_abs();
        assert!(listens(own, port));
        drop(listener);
        assert!(!listens(own, port));
    }
}
