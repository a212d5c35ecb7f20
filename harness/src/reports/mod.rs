//! Everything that is shown or written of a run is made from one stream of events, by whoever listens to it.
//!
//! [`event`] says what the events are, [`schema`] publishes their shape. People read [`human`]; machines read the events
//! themselves, one JSON value a line, or what is made of all of them once a run has ended: [`junit`], [`github`], [`html`],
//! [`perfetto`]. [`merge`] makes one run of the events of several.
//!
//! # Invariants
//!
//! - No report knows anything that the events do not say: a report of a file of events is that of the run itself.
//! - Nothing that comes from a scenario or a gateway is written unescaped.

pub mod event;
pub mod github;
pub mod html;
pub mod human;
pub mod junit;
pub mod merge;
pub mod perfetto;
pub mod picture;
pub mod schema;

use std::io::{self, Write};
use std::time::Duration;

use event::Event;

/// Whoever listens to a run.
pub trait Sink {
    /// Something has happened.
    ///
    /// # Errors
    ///
    /// What a writer says. The run stops then.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Some time has passed; called several times a second.
    ///
    /// # Errors
    ///
    /// What a writer says. The run stops then.
    fn tick(&mut self, live: &Live<'_>) -> io::Result<()> {
        let _ = live;
        Ok(())
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// How many cases have ended.
    pub ended: usize,
    /// Of how many.
    pub planned: usize,
    /// The cases under way, in order, and for how long each has been.
    pub running: &'a [(String, Duration)],
}

/// Keeps every event.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The events so far.
    pub events: Vec<Event>,
}

impl Sink for Record {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.events.push(event.clone());
        Ok(())
    }
}

/// Writes each event as one line of JSON, as it happens.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
}

impl<W: Write> JsonLines<W> {
    /// Lines for a writer.
    pub const fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        writeln!(self.out, "{}", line(event))?;
        self.out.flush()
    }
}

/// An event as one line of JSON, without its line break.
pub fn line(event: &Event) -> String {
    serde_json::to_string(event)
        .unwrap_or_else(|error| unreachable!("an event has string keys alone: {error}"))
}

/// Several listeners, told in order.
#[derive(Default)]
pub struct All<'s> {
    /// The listeners.
    pub sinks: Vec<Box<dyn Sink + 's>>,
}

impl Sink for All<'_> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.event(event))
    }

    fn tick(&mut self, live: &Live<'_>) -> io::Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.tick(live))
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        (**self).event(event)
    }

    fn tick(&mut self, live: &Live<'_>) -> io::Result<()> {
        (**self).tick(live)
    }
}
