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
//! program stays a tree, which is as sound and has more states; see [`crate::merging`] for when that is tried.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_os::{Call, Fd, Reply};

use crate::digest::digest;
use crate::learn::{AnswerId, CallId, Forest, Node, NodeId, TreeId};

/// What makes a class: two nodes with equal signatures behave alike. Of the classes that are known before, those where a
/// task or a stage begins anew are marked.
type Signature = (TreeId, Option<CallId>, Option<u8>, Option<String>, Vec<u32>, Vec<(AnswerId, u32, bool)>);

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
        let mut effort = 0;
        // A node goes on top as soon as it is there: an instance that is still at it is answered first.
        let mut open: Vec<NodeId> = (0..self.nodes.len()).map(NodeId::of).collect();
        let mut unknown = Vec::new();
        while let Some(node) = open.pop() {
            let Node { asked: Some(asked), next: known, depth, .. } = &self.nodes[node.index()] else {
                continue;
            };
            let replies = self.replies.of(*asked);
            if replies.len() == known.len() {
                continue;
            }
            let is_unknown =
                |reply: &AnswerId| known.binary_search_by_key(reply, |(known, _)| *known).is_err();
            unknown.clear();
            unknown.extend(replies.iter().copied().filter(is_unknown));
            let length = *depth as usize;
            let descriptor = |reply: AnswerId| match **self.answer(reply) {
                Ok(Reply::Fd(fd)) => Some(fd),
                Ok(_) | Err(_) => None,
            };
            if unknown.iter().any(|reply| descriptor(*reply).is_some()) {
                let held = self.held(node);
                unknown.retain(|reply| descriptor(*reply).is_none_or(|fd| !held.contains(&fd)));
            }
            for reply in &unknown {
                effort += length + 1;
                if effort > most {
                    return false;
                }
                let known = self.nodes.len();
                self.learn(node, *reply);
                open.extend((known..self.nodes.len()).map(NodeId::of));
            }
        }
        true
    }

    /// The descriptors that a task was given and has not closed on the way to a node: it cannot be given them again there,
    /// unless somebody else closes them. If somebody does, the search finds the reply by itself.
    fn held(&self, node: NodeId) -> BTreeSet<Fd> {
        let mut held = BTreeSet::new();
        for (call, answer) in self.history(node) {
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
        held
    }

    /// Merges the nodes that behave alike. The first of each class represents it.
    fn refine(&mut self) {
        let (mut classes, mut count, returns) = self.classes(&vec![0; self.nodes.len()]);
        let mut is_exact = !returns;
        while !is_exact {
            let (finer, more, _) = self.classes(&classes);
            is_exact = more == count;
            (classes, count) = (finer, more);
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
    ///
    /// With how many classes there are, and whether anything leads back.
    fn classes(&self, before: &[u32]) -> (Vec<u32>, usize, bool) {
        let mut known: BTreeMap<u128, u32> = BTreeMap::new();
        let mut classes = vec![0; self.nodes.len()];
        let mut returns = false;
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let mut target = |(answer, next): &(AnswerId, NodeId)| {
                let leads_back = next.index() <= index;
                returns |= leads_back;
                let class = if leads_back { before[next.index()] } else { classes[next.index()] };
                (*answer, class, leads_back)
            };
            let signature: Signature = (
                self.main(NodeId::of(index)),
                node.call_id,
                node.exit,
                node.fault.as_ref().map(ToString::to_string),
                node.spawned.iter().map(|root| classes[root.index()]).collect(),
                node.next.iter().map(&mut target).collect(),
            );
            let fresh = u32::try_from(known.len()).unwrap_or(u32::MAX);
            classes[index] = *known.entry(digest(&signature)).or_insert(fresh);
        }
        let count = known.len();
        (classes, count, returns)
    }
}
