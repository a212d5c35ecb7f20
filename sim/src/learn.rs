//! Every task of a program is learned as a tree: each history of replies leads to one node, and is executed once.
//!
//! After that a task is a table look-up, and a state of the search holds node numbers instead of futures. Tasks of one
//! process share nothing but what the machine holds (descriptors, and cells by [`Call::Load`] and [`Call::Store`]), so
//! each is a function of its own replies alone, and orders of their steps that commute meet again. A task is learned in
//! an instance in which only it is answered; [`Forest::audit`] runs whole processes in the order that was explored and
//! compares, so that tasks which do share memory behind the machine's back are found out.
//!
//! A future is rebuilt, when a new branch needs one, by feeding it its history again; every call it then issues is
//! compared with what was recorded.
//!
//! A state of the search holds the representative of a node's class instead of the node: see [`crate::automaton`]. As long
//! as nothing was merged, each node represents itself.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use portcullis_os::{Call, Errno, Reply};

use crate::fault::Fault;
use crate::numbered::Numbered;
use crate::process::Instance;
use crate::program::Program;
use crate::replies::{AskedId, Replies};

/// How many live instances are kept, each at the node it has reached.
const MOST_INSTANCES: usize = 256;

/// The answer of the machine to one call.
pub(crate) type Answer = Result<Reply, Errno>;

/// One task of one program: the main one, or one that was started at a certain point of another's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TreeId(u32);

/// A history of replies to one task, or the class of histories that it represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn of(index: usize) -> Self {
        Self(narrow(index))
    }
}

/// The number of a call that some program has made: equal calls have one, whoever makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(pub(crate) u32);

/// The number of an answer that some program was given: equal answers have one, whoever gets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AnswerId(u32);

/// How far one task of a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskState {
    pub(crate) node: NodeId,
    /// How many tasks it descends from. The tasks of a process are in depth-first order of who has started whom.
    level: u8,
    /// How many tasks its process had started before it.
    pub(crate) number: u16,
}

impl Hash for TaskState {
    /// Without the number: orders of steps that commute start the same tasks, and not in the same order.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.node, self.level).hash(state);
    }
}

pub(crate) struct Node {
    pub(crate) tree: TreeId,
    parent: Option<(NodeId, AnswerId)>,
    /// How many replies come before it in its tree.
    pub(crate) depth: u32,
    pub(crate) call: Option<Arc<Call>>,
    /// The number of the call.
    pub(crate) call_id: Option<CallId>,
    /// The same, among all calls of all programs.
    pub(crate) asked: Option<AskedId>,
    pub(crate) exit: Option<u8>,
    pub(crate) fault: Option<Fault>,
    /// The roots of the tasks that were started on the way from the parent to here.
    pub(crate) spawned: Vec<NodeId>,
    /// Where each answer leads, ascending.
    pub(crate) next: Vec<(AnswerId, NodeId)>,
    /// The node that stands for all nodes of its class.
    pub(crate) class: NodeId,
}

struct Tree {
    program: Program,
    root: NodeId,
    /// The tree of the main task.
    main: TreeId,
    /// Where the task was started; `None` for a stage of a main task.
    origin: Option<NodeId>,
    stage: u32,
    /// Which task it is in an instance that was run to its origin and answered nobody else.
    number: u16,
}

/// Everything that is known of some programs.
#[derive(Default)]
pub(crate) struct Forest {
    trees: Vec<Tree>,
    calls: Numbered<Call>,
    answers: Numbered<Answer>,
    pub(crate) replies: Replies,
    /// A node comes after its parent, and the root of a tree after the node where its task was started.
    pub(crate) nodes: Vec<Node>,
    /// Live instances at the nodes they have reached, the oldest first.
    warm: VecDeque<(NodeId, Instance)>,
    /// Whether a history was executed since this was last set to `false`.
    pub(crate) has_grown: bool,
}

impl Forest {
    /// The main task of a program.
    pub(crate) fn plant(&mut self, program: &Program) -> NodeId {
        self.plant_stage(program, 0)
    }

    /// A stage of the main task of a program.
    fn plant_stage(&mut self, program: &Program, stage: u32) -> NodeId {
        let stages = self.trees.iter().filter(|tree| tree.origin.is_none() && tree.program.is(program));
        let mut main = None;
        for tree in stages {
            if tree.stage == stage {
                return tree.root;
            }
            main.get_or_insert(tree.main);
        }
        let instance = program.instance(stage);
        let tree = TreeId(narrow(self.trees.len()));
        let root = NodeId::of(self.nodes.len());
        let (program, main) = (program.clone(), main.unwrap_or(tree));
        self.trees.push(Tree { program, root, main, origin: None, stage, number: 0 });
        self.grow(tree, None, &instance, 1);
        self.keep(root, instance);
        root
    }

    /// Every task that a process has at the start of its main task.
    pub(crate) fn first(&self, main: NodeId) -> Vec<TaskState> {
        let mut tasks = vec![TaskState { node: self.node(main).class, level: 0, number: 0 }];
        self.adopt(&mut tasks, 0);
        tasks
    }

    /// Adds the tasks that were started on the way of one of the tasks to where it is, in an order that does not depend on
    /// what was learned before: the number of a task in a schedule must mean the same to everybody who replays it.
    pub(crate) fn adopt(&self, tasks: &mut Vec<TaskState>, parent: usize) {
        let TaskState { node, level, .. } = tasks[parent];
        for spawned in &self.node(node).spawned {
            let descendants = tasks[parent + 1..].iter().take_while(|task| task.level > level).count();
            let number = task_number(tasks.len());
            let task = TaskState { node: self.node(*spawned).class, level: level + 1, number };
            tasks.insert(parent + 1 + descendants, task);
        }
    }

    fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.index()]
    }

    /// The call that a task has under way.
    pub(crate) fn call(&self, task: TaskState) -> Option<&Arc<Call>> {
        self.node(task.node).call.as_ref()
    }

    /// The number of that call.
    pub(crate) fn call_id(&self, task: TaskState) -> Option<CallId> {
        self.node(task.node).call_id
    }

    /// The exit status, if this is a main task that has returned.
    pub(crate) fn exit(&self, task: TaskState) -> Option<u8> {
        self.node(task.node).exit
    }

    /// What is wrong with the program at this node.
    pub(crate) fn fault(&self, task: TaskState) -> Option<&Fault> {
        self.node(task.node).fault.as_ref()
    }

    /// Which task of which program it is.
    pub(crate) fn tree(&self, task: TaskState) -> TreeId {
        self.node(task.node).tree
    }

    /// The tree of the main task of the program that a node belongs to.
    pub(crate) fn main(&self, node: NodeId) -> TreeId {
        self.trees[self.node(node).tree.0 as usize].main
    }

    /// How many histories were executed.
    pub(crate) fn histories(&self) -> usize {
        self.nodes.len()
    }

    /// Where a reply to a task leads.
    pub(crate) fn follow(&mut self, task: TaskState, answer: AnswerId) -> TaskState {
        let next = self.learn(task.node, answer);
        TaskState { node: self.node(next).class, ..task }
    }

    /// The node after a reply. Executes the history if that was not done before.
    pub(crate) fn learn(&mut self, node: NodeId, answer: AnswerId) -> NodeId {
        if let Some(next) = self.after(node, answer) {
            return next;
        }
        self.has_grown = true;
        let warm =
            self.warm.iter().rposition(|(at, _)| *at == node).and_then(|place| self.warm.remove(place));
        let built = warm.map(|(_, instance)| Ok(instance)).unwrap_or_else(|| self.rebuild(node));
        let mut instance = match built {
            Ok(instance) => instance,
            Err(fault) => return self.dead_end(node, answer, fault),
        };
        let tasks_before = instance.tasks();
        let tree = self.node(node).tree;
        let Tree { number, root, .. } = self.trees[tree.0 as usize];
        instance.reply(number, Answer::clone(self.answer(answer)));
        let next = if number == 0 && instance.has_begun_anew(number) {
            // Only what a stage begins with is carried from one to the next, so the history begins anew.
            let program = self.trees[tree.0 as usize].program.clone();
            let next = self.plant_stage(&program, instance.stage());
            let compared = self.compare(next, &instance, number);
            if let Some(fault) = instance.fault().or(compared.err()) {
                return self.dead_end(node, answer, fault);
            }
            next
        } else if instance.has_begun_anew(number) {
            // Nothing is carried from round to round, so the history begins anew too; a second round shows it.
            let retraced = self.retrace(node, &mut instance);
            if let Some(fault) = instance.fault().or(retraced.err()) {
                return self.dead_end(node, answer, fault);
            }
            root
        } else {
            let next = self.grow(tree, Some((node, answer)), &instance, tasks_before);
            self.keep(next, instance);
            next
        };
        self.lead(node, answer, next);
        next
    }

    /// Adds the node that an instance has reached, and a tree for each task that was born on the way.
    fn grow(
        &mut self,
        tree: TreeId,
        parent: Option<(NodeId, AnswerId)>,
        instance: &Instance,
        before: u16,
    ) -> NodeId {
        let number = self.trees[tree.0 as usize].number;
        let exit = if number == 0 { instance.exit() } else { None };
        let call = instance.call(number);
        let node = self.put(tree, parent, call, exit, instance.fault());
        for number in before..instance.tasks() {
            self.sprout(node, number, instance);
        }
        node
    }

    fn put(
        &mut self,
        tree: TreeId,
        parent: Option<(NodeId, AnswerId)>,
        call: Option<Call>,
        exit: Option<u8>,
        fault: Option<Fault>,
    ) -> NodeId {
        let class = NodeId::of(self.nodes.len());
        let before = parent.map(|(parent, _)| self.node(parent));
        let depth = before.map_or(0, |before| before.depth + 1);
        let call_id = call.map(|call| CallId(self.calls.number(&call)));
        let call = call_id.map(|call| Arc::clone(self.calls.value(call.0)));
        let main = self.trees[tree.0 as usize].main;
        let asked = call_id.map(|call| self.replies.asked(main, call));
        let (spawned, next) = (Vec::new(), Vec::new());
        self.nodes.push(Node {
            tree,
            parent,
            depth,
            call,
            call_id,
            asked,
            exit,
            fault,
            spawned,
            next,
            class,
        });
        class
    }

    /// The number of an answer.
    pub(crate) fn number(&mut self, answer: &Answer) -> AnswerId {
        AnswerId(self.answers.number(answer))
    }

    pub(crate) fn answer(&self, answer: AnswerId) -> &Arc<Answer> {
        self.answers.value(answer.0)
    }

    /// Where a known answer leads.
    fn after(&self, node: NodeId, answer: AnswerId) -> Option<NodeId> {
        self.node(node).next.iter().find(|(known, _)| *known == answer).map(|(_, next)| *next)
    }

    fn lead(&mut self, node: NodeId, answer: AnswerId, next: NodeId) {
        let Node { next: known, asked, .. } = &mut self.nodes[node.index()];
        let place = known.partition_point(|(known, _)| *known < answer);
        known.insert(place, (answer, next));
        if let Some(asked) = *asked {
            self.replies.note(asked, answer);
        }
    }

    /// Adds a tree for a task that was born on the way to a node.
    fn sprout(&mut self, origin: NodeId, number: u16, instance: &Instance) {
        let tree = TreeId(narrow(self.trees.len()));
        let Tree { program, main, .. } = &self.trees[self.node(origin).tree.0 as usize];
        let (program, main) = (program.clone(), *main);
        let root = NodeId::of(self.nodes.len());
        self.trees.push(Tree { program, root, main, origin: Some(origin), stage: 0, number });
        self.put(tree, None, instance.call(number), None, None);
        self.nodes[origin.index()].spawned.push(root);
    }

    fn keep(&mut self, at: NodeId, instance: Instance) {
        if self.node(at).call.is_none() {
            return;
        }
        self.warm.push_back((at, instance));
        if self.warm.len() > MOST_INSTANCES {
            self.warm.pop_front();
        }
    }

    fn dead_end(&mut self, node: NodeId, answer: AnswerId, fault: Fault) -> NodeId {
        let tree = self.node(node).tree;
        let end = self.put(tree, Some((node, answer)), None, None, Some(fault));
        self.lead(node, answer, end);
        end
    }

    /// Runs a program anew along the history of one of its tasks.
    fn rebuild(&self, node: NodeId) -> Result<Instance, Fault> {
        let learned = &self.trees[self.node(node).tree.0 as usize];
        let mut instance = match learned.origin {
            None => learned.program.instance(learned.stage),
            Some(origin) => self.rebuild(origin)?,
        };
        self.retrace(node, &mut instance)?;
        Ok(instance)
    }

    /// Takes an instance from the beginning of a task along its history, and compares each call with the recorded one.
    fn retrace(&self, node: NodeId, instance: &mut Instance) -> Result<(), Fault> {
        let number = self.trees[self.node(node).tree.0 as usize].number;
        let mut path = Vec::new();
        let mut at = node;
        while let Some((parent, answer)) = &self.node(at).parent {
            path.push((at, *answer));
            at = *parent;
        }
        self.compare(at, instance, number)?;
        for (at, answer) in path.into_iter().rev() {
            instance.reply(number, Answer::clone(self.answer(answer)));
            self.compare(at, instance, number)?;
        }
        Ok(())
    }

    /// What its task has asked and was answered on the way to a node, from the beginning.
    pub(crate) fn history(&self, node: NodeId) -> Vec<(&Call, &Answer)> {
        let mut steps = Vec::new();
        let mut at = self.node(node);
        while let Some((parent, answer)) = &at.parent {
            at = self.node(*parent);
            steps.extend(at.call.as_deref().map(|call| (call, &**self.answer(*answer))));
        }
        steps.reverse();
        steps
    }

    fn compare(&self, at: NodeId, instance: &Instance, number: u16) -> Result<(), Fault> {
        match self.difference(at, instance, number) {
            None => Ok(()),
            Some((before, now)) => Err(Fault::Nondeterministic { before, now }),
        }
    }

    /// What a task did when this node was learned and what it does now, if that is not the same.
    fn difference(&self, at: NodeId, instance: &Instance, number: u16) -> Option<(String, String)> {
        let recorded = self.node(at);
        if instance.is_at(number, recorded.call.as_deref(), recorded.exit) {
            return None;
        }
        let exit = if number == 0 { instance.exit() } else { None };
        let now = instance.call(number);
        Some((described(recorded.call.as_deref(), recorded.exit), described(now.as_ref(), exit)))
    }

    /// Runs a whole process in one instance, its tasks (by number) answered in the order that was explored, and compares.
    ///
    /// # Errors
    ///
    /// [`Fault::SharedMemory`] if a task does something else than it did when it was learned alone,
    /// [`Fault::Nondeterministic`] if it is the only one.
    pub(crate) fn audit(&self, main: NodeId, history: &[(u16, &Answer)]) -> Result<(), Fault> {
        let mut instance = self.trees[self.node(main).tree.0 as usize].program.instance(0);
        // The tasks in the order in which the process has started them, which is how an instance numbers them.
        let mut tasks = vec![self.node(main).class];
        tasks.extend(self.started(tasks[0]));
        self.agree(&tasks, &instance)?;
        for (number, answer) in history {
            let known = self.answers.known(answer).map(AnswerId);
            let next =
                tasks.get(usize::from(*number)).zip(known).and_then(|(at, answer)| self.after(*at, answer));
            let Some(next) = next else {
                let (alone, together) = ("nothing of the kind".to_owned(), answered(answer));
                return Err(Fault::SharedMemory { task: *number, alone, together });
            };
            let next = self.node(next).class;
            tasks[usize::from(*number)] = next;
            instance.reply(*number, (*answer).clone());
            tasks.extend(self.started(next));
            self.agree(&tasks, &instance)?;
        }
        Ok(())
    }

    /// The tasks that were started on the way to a node.
    fn started(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.node(node).spawned.iter().map(|root| self.node(*root).class)
    }

    /// Compares every task of a process with what was learned of it alone.
    fn agree(&self, tasks: &[NodeId], instance: &Instance) -> Result<(), Fault> {
        for (task, node) in (0..).zip(tasks) {
            let Some((before, now)) = self.difference(*node, instance, task) else { continue };
            return Err(if tasks.len() == 1 {
                Fault::Nondeterministic { before, now }
            } else {
                Fault::SharedMemory { task, alone: before, together: now }
            });
        }
        Ok(())
    }
}

fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or_else(|_| unreachable!("more than 2^32 histories do not fit into memory"))
}

fn task_number(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn described(call: Option<&Call>, exit: Option<u8>) -> String {
    match (call, exit) {
        (Some(call), _) => call.to_string(),
        (None, Some(status)) => format!("exit {status}"),
        (None, None) => "nothing".to_owned(),
    }
}

fn answered(answer: &Answer) -> String {
    match answer {
        Ok(reply) => format!("a reply, {reply}"),
        Err(errno) => format!("the error {errno}"),
    }
}
