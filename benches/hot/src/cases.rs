//! What clients do while somebody counts: rounds that are all alike.

use gateway::control::{About, Control, SessionLimits};
use gateway::server::Service;

use crate::stand::Stand;
use crate::wire::{Wire, frame};

/// The longest message to a server that echoes, in bytes.
const LONGEST: usize = 1 << 20;
/// So many messages to the agent come at once where many follow each other.
const AT_ONCE: usize = 8;

/// One kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Messages that come back as they are.
    Echo {
        /// Their length, in bytes.
        bytes: usize,
        /// How many arrive at once.
        burst: usize,
    },
    /// Requests of a client that was let in, which the gateway answers at once: `health`.
    Rpc {
        /// Their length, in bytes.
        bytes: usize,
        /// How many arrive at once.
        burst: usize,
    },
    /// Events that every client is told, each caused by a message to the agent.
    Broadcast {
        /// How long the message is, in bytes.
        bytes: usize,
        /// How many are caused at once.
        burst: usize,
        /// How many clients are told.
        clients: usize,
    },
    /// The same, and no client reads, except for the one that speaks, until they all read again.
    Queue {
        /// How long the message is, in bytes.
        bytes: usize,
        /// How many events wait for each client by then, a multiple of eight.
        waiting: usize,
        /// How many clients are told.
        clients: usize,
    },
}

impl Case {
    /// A case by its name, such as `rpc-256-16`: what it is, how long a message is, how many come at once, and for `broadcast`
    /// and `queue` to how many.
    pub fn named(name: &str) -> Option<Self> {
        let (kind, numbers) = name.split_once('-')?;
        let numbers: Vec<usize> = numbers.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
        match (kind, numbers.as_slice()) {
            ("echo", &[bytes, burst]) => Some(Self::Echo { bytes, burst }),
            ("rpc", &[bytes, burst]) => Some(Self::Rpc { bytes, burst }),
            ("broadcast", &[bytes, burst, clients]) => Some(Self::Broadcast { bytes, burst, clients }),
            ("queue", &[bytes, waiting, clients]) if waiting.is_multiple_of(AT_ONCE) => {
                Some(Self::Queue { bytes, waiting, clients })
            }
            _ => None,
        }
    }

    /// Opens the server and lets the clients in.
    pub fn ready(self) -> Ready {
        let service = match self {
            Self::Echo { .. } => Service::Echo { longest: LONGEST },
            Self::Rpc { .. } | Self::Broadcast { .. } | Self::Queue { .. } => {
                Service::Gateway(Control::new(About::open(), SessionLimits::openclaw()))
            }
        };
        let mut stand = Stand::new(service);
        let mut wires = Vec::new();
        let burst = match self {
            Self::Echo { bytes, burst } => {
                wires.push(stand.socket());
                frame(&"x".repeat(bytes)).repeat(burst)
            }
            Self::Rpc { bytes, burst } => {
                wires.push(stand.client());
                frame(&request(bytes)).repeat(burst)
            }
            Self::Broadcast { clients, .. } | Self::Queue { clients, .. } => {
                wires.extend((0..clients).map(|_| stand.client()));
                Vec::new()
            }
        };
        let mut ready = Ready { case: self, stand, wires, burst, rounds: 0 };
        ready.check();
        ready
    }
}

/// A request whose params fill it up to so many bytes.
fn request(bytes: usize) -> String {
    let with = |filler: &str| {
        format!(
            r#"{{"type":"req","id":"0f3c9a52-7d1e-4b60-9c55-2a7be1d4c8f1","method":"health","params":{{"k":"{filler}"}}}}"#
        )
    };
    with(&"v".repeat(bytes.saturating_sub(with("").len())))
}

/// A server with its clients, warmed up.
#[derive(Debug)]
pub struct Ready {
    case: Case,
    stand: Stand,
    wires: Vec<Wire>,
    burst: Vec<u8>,
    /// How many rounds there were.
    rounds: u64,
}

impl Ready {
    /// How many messages one round takes: requests, or deliveries of an event.
    pub const fn messages(&self) -> u64 {
        match self.case {
            Case::Echo { burst, .. } | Case::Rpc { burst, .. } => burst as u64,
            Case::Broadcast { burst: told, clients, .. } | Case::Queue { waiting: told, clients, .. } => {
                (told * clients) as u64
            }
        }
    }

    /// So many rounds.
    ///
    /// # Panics
    ///
    /// If the server does not read.
    pub fn run(&mut self, rounds: u64) {
        match self.case {
            Case::Echo { .. } | Case::Rpc { .. } => {
                self.wires[0].send(&self.burst, rounds);
                self.stand.turn();
            }
            Case::Broadcast { bytes, burst, .. } => {
                for _ in 0..rounds {
                    self.say(bytes, burst);
                }
            }
            Case::Queue { bytes, waiting, .. } => {
                for _ in 0..rounds {
                    self.wires[1..].iter().for_each(Wire::stall);
                    for _ in 0..waiting / AT_ONCE {
                        self.say(bytes, AT_ONCE);
                    }
                    self.wires[1..].iter().for_each(Wire::resume);
                    self.stand.turn();
                }
            }
        }
        assert!(self.wires[0].is_read(), "the server waits for something");
    }

    /// The first client says something to the agent.
    fn say(&mut self, bytes: usize, burst: usize) {
        self.wires[0].send(&said(self.rounds, bytes, burst), 1);
        self.stand.turn();
        self.rounds += 1;
    }

    /// How many bytes the server has written, and in how many pieces.
    pub fn written(&self) -> (u64, u64) {
        let written = self.wires.iter().map(Wire::written);
        written.fold((0, 0), |(bytes, writes), (more, further)| (bytes + more, writes + further))
    }

    /// Some rounds, whose answers are looked at.
    fn check(&mut self) {
        let last = self.wires.len() - 1;
        self.wires[last].listen();
        self.run(1);
        let heard = String::from_utf8_lossy(&self.wires[last].heard()).into_owned();
        let (wanted, times) = match self.case {
            Case::Echo { bytes, burst } => ("x".repeat(bytes), burst),
            Case::Rpc { burst, .. } => (r#""ok":true,"payload":{"#.to_owned(), burst),
            Case::Broadcast { burst: told, .. } | Case::Queue { waiting: told, .. } => {
                (r#""event":"chat""#.to_owned(), told)
            }
        };
        assert_eq!(heard.matches(&wanted).count(), times, "{heard:.1000}");
        self.run(64);
    }
}

/// Messages to the agent that were never said before.
fn said(round: u64, bytes: usize, burst: usize) -> Vec<u8> {
    let text = "t".repeat(bytes);
    let one = |number: usize| {
        frame(&format!(
            r#"{{"type":"req","id":"{number}","method":"chat.send","params":{{"sessionKey":"main","message":"{text}","idempotencyKey":"{round}-{number}"}}}}"#
        ))
    };
    (0..burst).flat_map(one).collect()
}
