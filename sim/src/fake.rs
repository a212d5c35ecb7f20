//! An operating system that lies about single replies: how a mutant of shipped code is made without touching it.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_os::{Call, Errno, Fd, Listener, Os, Port, Reply, Round};

/// Decides which calls are answered wrongly. It belongs to one process and may remember what that process did.
pub trait Rule: Send + 'static {
    /// The call that is made in the place of another; itself, unless said otherwise.
    fn rewrite(&mut self, call: Call) -> Call {
        call
    }

    /// Calls that are made before one, whatever they answer.
    fn first(&mut self, _call: &Call) -> Vec<Call> {
        Vec::new()
    }

    /// The false answer to a call that is then not carried out; `None` to carry it out.
    fn instead(&mut self, call: &Call) -> Option<Result<Reply, Errno>>;

    /// Sees the true answer to a call that was carried out.
    fn saw(&mut self, call: &Call, reply: &Result<Reply, Errno>);

    /// What is answered in the place of a true reply; itself, unless said otherwise.
    fn distort(&mut self, _call: &Call, reply: Reply) -> Reply {
        reply
    }
}

/// An `Os` whose calls go through a [`Rule`] first.
#[derive(Clone, Debug)]
pub struct Fake<O, R> {
    os: O,
    rule: Arc<Mutex<R>>,
}

impl<O: Os, R: Rule> Fake<O, R> {
    /// Puts a rule before an operating system.
    pub fn new(os: O, rule: R) -> Self {
        Self { os, rule: Arc::new(Mutex::new(rule)) }
    }
}

impl<O: Os, R: Rule + Clone> Os for Fake<O, R> {
    type Listener = O::Listener;

    async fn call(&self, call: Call) -> Result<Reply, Errno> {
        let (call, instead, first) = {
            let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
            let call = rule.rewrite(call);
            let (instead, first) = (rule.instead(&call), rule.first(&call));
            (call, instead, first)
        };
        for call in first {
            let _ = self.os.call(call).await;
        }
        if let Some(reply) = instead {
            return reply;
        }
        let reply = self.os.call(call.clone()).await;
        let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        rule.saw(&call, &reply);
        reply.map(|reply| rule.distort(&call, reply))
    }

    fn task(&self, body: impl Future<Output = ()> + Send + 'static) {
        self.os.task(body);
    }

    fn repeat<F>(&self, round: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Round> + Send + 'static,
    {
        self.os.repeat(round);
    }

    fn discard(&self, fd: Fd) {
        self.os.discard(fd);
    }

    fn listener(&self, fd: Fd) -> Result<Self::Listener, Errno> {
        self.os.listener(fd)
    }

    async fn dial(&self, host: &str, port: Port) -> io::Result<<Self::Listener as Listener>::Stream> {
        self.os.dial(host, port).await
    }
}
