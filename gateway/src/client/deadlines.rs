//! How long is waited for whom: all of it in one place, so that a command can say how long it takes at most.

use std::time::Duration;

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For a connection.
    pub connect: Duration,
    /// For the answer to an upgrade, and for the challenge after it.
    pub greeting: Duration,
    /// For the answer to `connect`. A wrong secret is answered up to five seconds late.
    pub admission: Duration,
    /// For the answer to a call.
    pub call: Duration,
    /// For the whole answer to a request by HTTP.
    pub http: Duration,
    /// For the reason of an ending, once it has been announced.
    pub ending: Duration,
}

impl Deadlines {
    /// Enough for a busy machine: a gateway that is alive answers within these.
    pub const fn patient() -> Self {
        Self {
            connect: Duration::from_secs(2),
            greeting: Duration::from_secs(3),
            admission: Duration::from_secs(8),
            call: Duration::from_secs(10),
            http: Duration::from_secs(2),
            ending: Duration::from_millis(300),
        }
    }

    /// The same, none of them longer than this.
    pub fn within(longest: Duration) -> Self {
        let patient = Self::patient();
        Self {
            connect: patient.connect.min(longest),
            greeting: patient.greeting.min(longest),
            admission: patient.admission.min(longest),
            call: patient.call.min(longest),
            http: patient.http.min(longest),
            ending: patient.ending.min(longest),
        }
    }

    /// The same, for a call that may take this long.
    pub const fn with_call(self, call: Duration) -> Self {
        Self { call, ..self }
    }
}
