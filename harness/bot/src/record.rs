//! What has happened to a service, in its order: as much of it as is kept, and how much is not.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// At most so many happenings are kept.
const MOST: usize = 65_536;

/// Something that a client has done, or was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When, in milliseconds since the service began.
    pub at_ms: u64,
    /// The client.
    pub from: SocketAddr,
    /// The user name of the bot.
    pub bot: String,
    /// What.
    pub deed: Deed,
}

/// What a client has done, or was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It began to poll, and confirmed every update below this one.
    Polled(Option<i64>),
    /// It was given so many updates.
    Given(usize),
    /// It was told that another one polls.
    Conflict,
    /// It was gone before its poll was answered.
    Vanished,
    /// It has sent a message.
    Sent {
        /// To this chat.
        chat: i64,
        /// With these words.
        text: String,
    },
}

/// The latest happenings.
#[derive(Clone, Debug, Default)]
pub struct Record {
    kept: VecDeque<Happening>,
    forgotten: u64,
}

impl Record {
    /// One more. The oldest is forgotten where there is no room.
    pub(crate) fn add(&mut self, happening: Happening) {
        if self.kept.len() == MOST {
            self.kept.pop_front();
            self.forgotten += 1;
        }
        self.kept.push_back(happening);
    }

    /// Those that are kept, the latest last.
    pub fn happenings(&self) -> impl Iterator<Item = &Happening> {
        self.kept.iter()
    }

    /// How many are not kept any more.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What was sent for a bot: chat and text.
    pub fn sent(&self, bot: &str) -> Vec<(i64, String)> {
        let of_bot = self.kept.iter().filter(|happening| happening.bot == bot);
        of_bot
            .filter_map(|happening| match &happening.deed {
                Deed::Sent { chat, text } => Some((*chat, text.clone())),
                Deed::Polled(_) | Deed::Given(_) | Deed::Conflict | Deed::Vanished => None,
            })
            .collect()
    }

    /// How often pollers of a bot were told that another one polls.
    pub fn conflicts(&self, bot: &str) -> usize {
        let is_one = |happening: &&Happening| happening.bot == bot && happening.deed == Deed::Conflict;
        self.kept.iter().filter(is_one).count()
    }
}
