//! What a gateway takes while it does nothing, and how long it takes until it serves.

use std::time::Duration;

use rustix::thread::{NanosleepRelativeResult, nanosleep};
use rustix::time::Timespec;

use super::Fault;
use super::load::{hello, next_text, upgraded};
use super::machine::{now_ns, resident_bytes};
use super::options::Options;
use super::reckon::median;
use super::servers::{Running, Server, Work};
use super::wire::{masked, request};

/// How many clients come and say nothing more.
const CLIENTS: u32 = 1_000;
/// How many do to a gateway that serves 256.
const LISTENERS: u32 = 240;
/// How often a gateway is started.
const STARTS: usize = 20;
/// How long nothing happens before it is looked how much is in use.
const REST: Duration = Duration::from_secs(1);

/// A value that is no ratio.
pub(crate) type Value = (&'static str, f64);

/// The names of the values.
pub(crate) const CONNECTION: &str = "memory of an idle connection, KB";
pub(crate) const LISTENER: &str = "memory of one of 250 idle connections that hear who comes, KB";
pub(crate) const GATEWAY: &str = "memory of an idle gateway, MB";
pub(crate) const READY: &str = "from the start of a gateway to ready, ms";
pub(crate) const ANSWER: &str = "answer to health, bytes";

/// Measures what idle connections take: of many clients that hear nothing, and of as many as one gateway lets in, who are told
/// whenever another one comes.
pub(crate) fn connections(options: &Options) -> Result<Vec<Value>, Fault> {
    [(CONNECTION, Work::Fan, &[][..], CLIENTS), (LISTENER, Work::Health, &["operator.read"], LISTENERS)]
        .into_iter()
        .map(|(name, work, scopes, count)| {
            let running = running(work, options)?;
            // Whatever the first clients need once is there then.
            let mut clients = (0..10).map(|_| client(&running, scopes)).collect::<Result<Vec<_>, _>>()?;
            rest(REST);
            let before = resident_bytes(running.pid())?;
            for _ in 0..count {
                clients.push(client(&running, scopes)?);
            }
            rest(REST);
            let more = resident_bytes(running.pid())?.saturating_sub(before);
            Ok((name, more as f64 / f64::from(count) / 1_000.0))
        })
        .collect()
}

/// Measures a gateway of its own.
pub(crate) fn gateway(options: &Options) -> Result<Vec<Value>, Fault> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let begin = now_ns();
        drop(running(Work::Health, options)?);
        starts.push((now_ns() - begin) as f64 / 1e6);
    }
    let running = running(Work::Health, options)?;
    rest(REST);
    let idle = resident_bytes(running.pid())? as f64 / 1e6;
    Ok(vec![(GATEWAY, idle), (READY, median(starts).unwrap_or(f64::NAN)), (ANSWER, answer(&running)? as f64)])
}

fn running(work: Work, options: &Options) -> Result<Running, Fault> {
    Running::of(Server::Refgate, work, options)?.map_err(Fault::Wrong)
}

fn client(running: &Running, scopes: &[&str]) -> Result<std::net::TcpStream, Fault> {
    let stream = upgraded(running.port)?;
    hello(&stream, scopes)?;
    Ok(stream)
}

fn answer(running: &Running) -> Result<usize, Fault> {
    use std::io::Write as _;
    let mut stream = client(running, &[])?;
    stream.write_all(&masked(request("1", "health", 0).as_bytes())).map_err(Fault::of("a gateway"))?;
    Ok(next_text(&stream)?.len())
}

/// Lets time pass.
pub(crate) fn rest(time: Duration) {
    let mut left = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    while let NanosleepRelativeResult::Interrupted(rest) = nanosleep(&left) {
        left = rest;
    }
}
