//! The bot service as a process, on either kind of machine.

use std::net::SocketAddr;

use bot::{Rules, Service};
use portcullis_os::{BindOptions, Call, Os, Reply};
use tokio::time::Instant;

/// A process that tells the time since the beginning of everything.
#[derive(Clone, Debug)]
pub(crate) struct Host<O> {
    os: O,
    began: Instant,
}

impl<O> Host<O> {
    pub(crate) const fn new(os: O, began: Instant) -> Self {
        Self { os, began }
    }
}

impl<O: Os> bot::Host for Host<O> {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.os.task(body);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The token of a bot.
pub(crate) fn token(name: &str) -> String {
    format!("1000:{name}")
}

/// A service that knows these bots.
pub(crate) fn service<O: Os>(bots: &[String], lease_ms: u64, host: Host<O>) -> Service<Host<O>> {
    let service = Service::new(Rules { lease_ms }, host);
    for name in bots {
        service.add(&token(name), name);
    }
    service
}

/// Answers whoever comes to that address, as long as the process lives. Tells the address; `None`: nobody can listen there.
pub(crate) async fn open<O: Os>(
    os: &O,
    address: SocketAddr,
    service: &Service<Host<O>>,
) -> Option<SocketAddr> {
    let Ok(Reply::Fd(fd)) = os.call(Call::BindTcp { address, options: BindOptions::SERVER }).await else {
        return None;
    };
    os.call(Call::Listen { fd, backlog: 128 }).await.ok()?;
    let Ok(Reply::Address(address)) = os.call(Call::LocalAddress { fd }).await else { return None };
    service.serve(os.listener(fd).ok()?);
    Some(address)
}

/// The same for ever.
pub(crate) async fn serve<O: Os>(os: O, address: SocketAddr, service: Service<Host<O>>) -> u8 {
    match open(&os, address, &service).await {
        Some(_) => std::future::pending().await,
        None => 1,
    }
}
