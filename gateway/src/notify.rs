//! A service manager hears when a gateway is ready and when it stops (the protocol of sd_notify(3)).
//!
//! The manager names a datagram socket in `NOTIFY_SOCKET`: a path, or an abstract name after an `@`. Telling it never waits
//! and decides nothing: a manager that cannot be reached is noted, and the gateway serves all the same. All of this lies
//! outside of what is explored, and costs nothing where nobody asks for it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

use portcullis_os::{Errno, Fd, Notice, Os};

use crate::claim::Claim;
use crate::identity::{Identity, Phase};
use crate::log::{Event, Events, Level, Log};
use crate::run::{Next, Place, Serve};

/// A service manager that wants to be told.
#[derive(Clone, Debug)]
pub struct Manager {
    socket: Arc<UnixDatagram>,
    address: SocketAddr,
    pid: u32,
}

/// Why a service manager will hear nothing.
#[derive(Debug, thiserror::Error)]
#[error("the service manager at NOTIFY_SOCKET={} cannot be told: {why}", name.display())]
pub struct Unheard {
    name: OsString,
    why: io::Error,
}

impl Manager {
    /// The manager at the address that `NOTIFY_SOCKET` gives, for the process with that pid.
    ///
    /// # Errors
    ///
    /// Why it cannot be told anything.
    pub fn at(name: &OsStr, pid: u32) -> Result<Self, Unheard> {
        let open = || -> io::Result<Self> {
            let address = match name.as_bytes() {
                [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
                [b'/', ..] => SocketAddr::from_pathname(name)?,
                _ => {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        "it is no path and no abstract name",
                    ));
                }
            };
            let socket = UnixDatagram::unbound()?;
            // A manager whose queue is full is not waited for.
            socket.set_nonblocking(true)?;
            Ok(Self { socket: Arc::new(socket), address, pid })
        };
        open().map_err(|why| Unheard { name: name.to_owned(), why })
    }

    /// Tells what a notice means for a service.
    ///
    /// # Errors
    ///
    /// What the system says. The manager has then heard nothing.
    pub fn tell(&self, notice: &Notice) -> io::Result<()> {
        match notice {
            Notice::Ready => self.say(&format!("READY=1\nMAINPID={}\nSTATUS=ready", self.pid)),
            Notice::Owner(_) => self.say("STATUS=owns its state, starting"),
            Notice::Refused { code, .. } => self.say(&format!("STATUS=refused: {code}")),
            Notice::Noted(_) | Notice::Released => Ok(()),
        }
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.socket.send_to_addr(text.as_bytes(), &self.address).map(drop)
    }
}

/// A server of which the logs and a manager hear what it does.
#[derive(Clone)]
pub struct Told<S> {
    serve: S,
    manager: Option<Manager>,
    log: Log,
    events: Events,
    claim: Claim,
}

impl<S> Told<S> {
    /// That server of a gateway with that claim.
    pub const fn new(serve: S, manager: Option<Manager>, log: Log, events: Events, claim: Claim) -> Self {
        Self { serve, manager, log, events, claim }
    }
}

impl<O: Os, S: Serve<O>> Serve<O> for Told<S> {
    async fn start(
        &self,
        os: &O,
        place: Place,
        listeners: &[Fd],
        identity: &Identity,
        phase: &Phase,
    ) -> Result<(), Errno> {
        // Every token is held, and the epoch is begun.
        self.events.begin(&self.claim.state, identity);
        let owner = format!("owns {} and the ports {}", self.claim.state.display(), self.claim.ports);
        self.events.say(Event::new(Level::Info, "owner").saying(&owner));
        self.serve.start(os, place, listeners, identity, phase).await
    }

    async fn drain(&self, next: Next) {
        // After a restart and a takeover somebody serves on, and says so.
        if next == Next::Stop {
            self.log.draining(&self.claim);
        }
        self.events.say(Event::new(
            Level::Info,
            match next {
                Next::Stop => "draining",
                Next::Restart => "restarting",
                Next::HandOver => "handing-over",
            },
        ));
        if let Some(manager) = &self.manager {
            // It has been told before that it cannot be reached, or is gone since.
            let _ = manager.say(match next {
                Next::Stop => "STOPPING=1\nSTATUS=draining",
                Next::Restart => "RELOADING=1\nSTATUS=restarting in place",
                Next::HandOver => "STATUS=handing over",
            });
        }
        self.serve.drain(next).await;
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::Manager;

    #[test]
    fn an_address_is_a_path_or_an_abstract_name() {
        for name in ["/run/notify", "@refgate-test"] {
            assert!(Manager::at(OsStr::new(name), 7).is_ok(), "{name}");
        }
        for name in ["", "notify", "vsock:2:1234"] {
            let refused = Manager::at(OsStr::new(name), 7).map(drop).map_err(|unheard| unheard.to_string());
            let expected = format!(
                "the service manager at NOTIFY_SOCKET={name} cannot be told: it is no path and no abstract name"
            );
            assert_eq!(refused, Err(expected));
        }
        let long = format!("/{}", "x".repeat(200));
        assert!(Manager::at(OsStr::new(&long), 7).is_err());
    }
}
