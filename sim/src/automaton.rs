//! Learned trees minimised to automata: histories that lead to the same behaviour become one.
//!
//! A history that differs from another only in what the program has forgotten would keep two states of the search apart
//! that nobody can tell apart. So a forest is *closed* (each node is polled with every reply that its call was seen to give
//! anywhere in its program; replies that cannot come there do no harm) and then *refined*: nodes with the same call, and
//! for each reply a successor of the same class, are one class. Classes are a bisimulation of the program under every reply
//! that was seen. A reply that a search meets for the first time makes the forest grow; then it has to be closed and
//! refined again, and what was searched before proves nothing.
//!
//! Closing takes exponential time if a program has many calls in a row whose replies differ and do not end it. Such a
//! program stays a tree, which is as sound and has more states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_os::{Call, Fd, Reply};

use crate::learn::{Answer, Forest, NodeId, TreeId};

/// Where a reply leads, as far as it tells classes apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Class(u32),
    /// Back to where a task or a stage begins, which is of this class as far as was known before.
    Beginning(u32),
}

/// What makes a class: two nodes with equal signatures behave alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Signature<'a> {
    main: TreeId,
    call: Option<&'a Call>,
    exit: Option<u8>,
    fault: Option<String>,
    spawned: Vec<u32>,
    next: Vec<(&'a Answer, Target)>,
}

impl Forest {
    /// Closes and refines what is known. Answers whether that was possible with at most so many replies, those on the way to a
    /// history that is executed anew among them; if not, every node represents itself.
    pub(crate) fn minimise(&mut self, most: usize) -> bool {
        let is_closed = self.close(most);
        if is_closed {
            self.refine();
        } else {
            self.part();
        }
        self.has_grown = false;
        is_closed
    }

    /// Makes every node represent itself.
    pub(crate) fn part(&mut self) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.class = NodeId::of(index);
        }
    }

    fn close(&mut self, most: usize) -> bool {
        let mut replies: BTreeMap<(TreeId, Arc<Call>), BTreeSet<Answer>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(call) = &node.call {
                let key = (self.main(NodeId::of(index)), Arc::clone(call));
                replies.entry(key).or_default().extend(node.next.keys().cloned());
            }
        }
        let replies: BTreeMap<_, Vec<Answer>> =
            replies.into_iter().map(|(key, replies)| (key, replies.into_iter().collect())).collect();
        let mut effort = 0;
        // A node goes on top as soon as it is there: an instance that is still at it is answered first.
        let mut open: Vec<NodeId> = (0..self.nodes.len()).map(NodeId::of).collect();
        while let Some(node) = open.pop() {
            let Some(call) = self.nodes[node.index()].call.clone() else { continue };
            let Some(replies) = replies.get(&(self.main(node), call)) else { continue };
            let known = &self.nodes[node.index()].next;
            let unknown: Vec<&Answer> = replies.iter().filter(|reply| !known.contains_key(reply)).collect();
            if unknown.is_empty() {
                continue;
            }
            let (held, length) = self.held(node);
            for reply in unknown {
                if matches!(reply, Ok(Reply::Fd(fd)) if held.contains(fd)) {
                    continue;
                }
                effort += length + 1;
                if effort > most {
                    return false;
                }
                let known = self.nodes.len();
                self.learn(node, reply);
                open.extend((known..self.nodes.len()).map(NodeId::of));
            }
        }
        true
    }

    /// The descriptors that a task was given and has not closed on the way to a node: it cannot be given them again there,
    /// unless somebody else closes them. If somebody does, the search finds the reply by itself. With the length of the way.
    fn held(&self, node: NodeId) -> (BTreeSet<Fd>, usize) {
        let mut held = BTreeSet::new();
        let history = self.history(node);
        let length = history.len();
        for (call, answer) in history {
            match (call, answer) {
                (Call::Close { fd }, _) => {
                    held.remove(fd);
                }
                (_, Ok(Reply::Fd(fd))) => {
                    held.insert(*fd);
                }
                (_, _) => {}
            }
        }
        (held, length)
    }

    /// Merges the nodes that behave alike. The first of each class represents it.
    fn refine(&mut self) {
        let (mut classes, mut count) = self.classes(&vec![0; self.nodes.len()]);
        loop {
            let (finer, more) = self.classes(&classes);
            classes = finer;
            if more == count {
                break;
            }
            count = more;
        }
        let mut first: Vec<Option<NodeId>> = vec![None; self.nodes.len()];
        for (index, class) in classes.into_iter().enumerate() {
            let first = first[class as usize].get_or_insert(NodeId::of(index));
            self.nodes[index].class = *first;
        }
    }

    /// The class of each node, numbered from 0. What comes after a node has higher numbers, so one walk from the last to
    /// the first sees each successor before it is asked for. Only a task or stage that begins anew leads back: there the
    /// classes of the last walk are told apart, until no walk tells more of them.
    fn classes(&self, before: &[u32]) -> (Vec<u32>, usize) {
        let mut known: BTreeMap<Signature<'_>, u32> = BTreeMap::new();
        let mut classes = vec![0; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let at = NodeId::of(index);
            let target = |next: &NodeId| {
                if next.index() <= index {
                    Target::Beginning(before[next.index()])
                } else {
                    Target::Class(classes[next.index()])
                }
            };
            let signature = Signature {
                main: self.main(at),
                call: node.call.as_deref(),
                exit: node.exit,
                fault: node.fault.as_ref().map(ToString::to_string),
                spawned: node.spawned.iter().map(|root| classes[root.index()]).collect(),
                next: node.next.iter().map(|(answer, next)| (answer, target(next))).collect(),
            };
            let fresh = u32::try_from(known.len()).unwrap_or(u32::MAX);
            classes[index] = *known.entry(signature).or_insert(fresh);
        }
        let count = known.len();
        drop(known);
        (classes, count)
    }
}
