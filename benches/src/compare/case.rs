//! What is measured: how many connections, how many messages at once on each, how long they are.

use serde::Serialize;

use super::servers::{Server, Work};

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Case {
    pub(crate) work: Work,
    /// How many clients there are.
    pub(crate) connections: usize,
    /// How many messages of each are on their way at once; of a fan-out, how many events there are at once.
    pub(crate) window: usize,
    /// How long a message is that goes in, in bytes; of a fan-out, one that comes out.
    pub(crate) bytes: usize,
}

const fn case(work: Work, connections: usize, window: usize, bytes: usize) -> Case {
    Case { work, connections, window, bytes }
}

/// Every case that clients and servers talk in turns in.
pub(crate) const TALKS: [Case; 13] = [
    case(Work::Echo, 64, 1, 32),
    case(Work::Echo, 64, 1, 256),
    case(Work::Echo, 64, 1, 1024),
    case(Work::Echo, 16, 16, 32),
    case(Work::Echo, 16, 16, 256),
    case(Work::Echo, 16, 16, 1024),
    case(Work::Echo, 16, 4, 16_384),
    case(Work::Echo, 8, 2, 65_536),
    case(Work::Rpc, 64, 1, 256),
    case(Work::Rpc, 16, 16, 256),
    case(Work::Rpc, 16, 4, 16_384),
    case(Work::Health, 32, 1, 0),
    case(Work::Health, 32, 16, 0),
];

/// Every case in which one event goes to everybody.
pub(crate) const FANS: [Case; 4] = [
    case(Work::Fan, 1_000, 1, 256),
    case(Work::Fan, 1_000, 8, 256),
    case(Work::Fan, 1_000, 1, 2_048),
    case(Work::Fan, 1_000, 8, 2_048),
];

impl Case {
    /// What it is called on the command line, in tables and in bars.
    pub(crate) fn name(self) -> String {
        let Self { work, connections, window, bytes } = self;
        match work {
            Work::Health => format!("health {connections},{window}"),
            Work::Echo | Work::Rpc | Work::Fan => format!("{} {connections},{window},{bytes}", work.name()),
        }
    }

    /// Who takes part.
    pub(crate) fn servers(self) -> &'static [Server] {
        match self.work {
            Work::Echo | Work::Rpc => &[
                Server::Tcp,
                Server::Refgate,
                Server::Tungstenite,
                Server::Fastwebsockets,
                Server::TokioWebsockets,
                Server::SockudoWs,
                Server::Ws,
                Server::Gorilla,
            ],
            Work::Health => &[Server::Refgate],
            Work::Fan => &[Server::Tcp, Server::Refgate],
        }
    }

    /// Who the others are compared with.
    pub(crate) fn reference(self) -> Server {
        self.servers()[0]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FANS, TALKS};

    #[test]
    fn no_two_cases_have_one_name() {
        let cases: Vec<_> = TALKS.iter().chain(&FANS).collect();
        let names: BTreeSet<_> = cases.iter().map(|case| case.name()).collect();
        assert_eq!(names.len(), cases.len());
        assert!(names.contains("echo 64,1,256") && names.contains("health 32,1"));
    }
}
