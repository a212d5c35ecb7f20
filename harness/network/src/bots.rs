//! The bot service as a process of the simulated network.

use std::net::SocketAddr;

use bot::{Rules, Service};
use portcullis_os::{BindOptions, Call, Os, Reply};
use sim::network::Node;
use tokio::time::Instant;

/// The port of the service.
pub(crate) const PORT: u16 = 8081;

/// A process that tells the time since the beginning of everything.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    node: Node,
    began: Instant,
}

impl Host {
    pub(crate) const fn new(node: Node, began: Instant) -> Self {
        Self { node, began }
    }
}

impl bot::Host for Host {
    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.node.task(body);
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
pub(crate) fn service(bots: &[String], lease_ms: u64, host: Host) -> Service<Host> {
    let service = Service::new(Rules { lease_ms }, host);
    for name in bots {
        service.add(&token(name), name);
    }
    service
}

/// Answers for ever.
pub(crate) async fn serve(node: Node, service: Service<Host>) -> u8 {
    let address = SocketAddr::from(([0, 0, 0, 0], PORT));
    let bound = node.call(Call::BindTcp { address, options: BindOptions::SERVER }).await;
    let Ok(Reply::Fd(fd)) = bound else { return 1 };
    if node.call(Call::Listen { fd, backlog: 128 }).await.is_err() {
        return 1;
    }
    let Ok(listener) = node.listener(fd) else { return 1 };
    service.serve(listener);
    std::future::pending().await
}
