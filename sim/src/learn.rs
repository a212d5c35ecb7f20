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

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;

use portcullis_os::{Call, Errno, Reply};

use crate::fault::Fault;
use crate::process::{Instance, Main, Process};

/// How many live instances are kept, each at the node it has reached.
const MOST_INSTANCES: usize = 256;

/// The answer of the machine to one call.
pub(crate) type Answer = Result<Reply, Errno>;

/// A program of the simulated machine: how to start it, by name.
#[derive(Clone)]
pub struct Program {
    /// The name, for people.
    pub name: String,
    start: Arc<dyn Fn(Process) -> Main + Send + Sync>,
}

impl Program {
    /// A program whose main task is the future that `start` makes; its output is the exit status.
    pub fn new<F>(name: impl Into<String>, start: impl Fn(Process) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = u8> + Send + 'static,
    {
        Self { name: name.into(), start: Arc::new(move |process| Box::pin(start(process))) }
    }

    /// Whether two values are one program: then what is learned of it is shared.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.start, &other.start)
    }

    fn instance(&self) -> Instance {
        Instance::start(|process| (self.start)(process))
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({})", self.name)
    }
}

/// One task of one program: the main one, or one that was started at a certain point of another's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TreeId(u32);

/// A history of replies to one task, by number. 0 is the empty history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) const ROOT: Self = Self(0);
}

/// How far one task of a process has come.
pub(crate) type TaskState = (TreeId, NodeId);

struct Node {
    parent: Option<(NodeId, Answer)>,
    call: Option<Arc<Call>>,
    exit: Option<u8>,
    fault: Option<Fault>,
    /// The tasks that were started on the way from the parent to here.
    spawned: Vec<TreeId>,
    next: BTreeMap<Answer, NodeId>,
}

struct Tree {
    program: Program,
    /// Where the task was started; `None` for a main task.
    origin: Option<TaskState>,
    /// Which task it is in an instance that was run to its origin and answered nobody else.
    number: u16,
    /// After how many replies to each task on the way here the next one was started, and as which of several: what
    /// orders the tasks of a process.
    birth: Vec<u32>,
    nodes: Vec<Node>,
}

/// Everything that is known of some programs.
#[derive(Default)]
pub(crate) struct Forest {
    trees: Vec<Tree>,
    /// Live instances at the nodes they have reached, the oldest first.
    warm: VecDeque<(TaskState, Instance)>,
}

impl Forest {
    /// The main task of a program.
    pub(crate) fn plant(&mut self, program: &Program) -> TreeId {
        let known = self.trees.iter().position(|tree| tree.origin.is_none() && tree.program.is(program));
        if let Some(known) = known {
            return TreeId(index(known));
        }
        let instance = program.instance();
        let tree = TreeId(index(self.trees.len()));
        let (program, birth) = (program.clone(), Vec::new());
        self.trees.push(Tree { program, origin: None, number: 0, birth, nodes: Vec::new() });
        self.grow(tree, None, &instance, 1);
        self.keep((tree, NodeId::ROOT), instance);
        tree
    }

    /// Every task that a process has at the start of its main task.
    pub(crate) fn first(&self, main: TreeId) -> Vec<TaskState> {
        let mut tasks = vec![(main, NodeId::ROOT)];
        self.adopt(&mut tasks, (main, NodeId::ROOT));
        tasks
    }

    /// Adds the tasks that were started on the way to a node, in an order that does not depend on what was learned
    /// before: the number of a task in a schedule must mean the same to everybody who replays it.
    pub(crate) fn adopt(&self, tasks: &mut Vec<TaskState>, at: TaskState) {
        for spawned in &self.node(at).spawned {
            let task = (*spawned, NodeId::ROOT);
            let place = tasks[1..].partition_point(|other| self.birth(other.0) < self.birth(*spawned)) + 1;
            tasks.insert(place, task);
            self.adopt(tasks, task);
        }
    }

    fn birth(&self, tree: TreeId) -> &[u32] {
        &self.trees[tree.0 as usize].birth
    }

    /// How many replies lead to a node.
    fn depth(&self, (tree, mut node): TaskState) -> u32 {
        let mut depth = 0;
        while let Some((parent, _)) = &self.node((tree, node)).parent {
            node = *parent;
            depth += 1;
        }
        depth
    }

    fn node(&self, (tree, node): TaskState) -> &Node {
        &self.trees[tree.0 as usize].nodes[node.0 as usize]
    }

    /// The call that a task has under way.
    pub(crate) fn call(&self, task: TaskState) -> Option<&Arc<Call>> {
        self.node(task).call.as_ref()
    }

    /// The exit status, if this is a main task that has returned.
    pub(crate) fn exit(&self, task: TaskState) -> Option<u8> {
        self.node(task).exit
    }

    /// What is wrong with the program at this node.
    pub(crate) fn fault(&self, task: TaskState) -> Option<&Fault> {
        self.node(task).fault.as_ref()
    }

    /// How many histories were executed.
    pub(crate) fn histories(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes.len()).sum()
    }

    /// Where a reply to a task leads.
    pub(crate) fn follow(&mut self, task: TaskState, answer: &Answer) -> NodeId {
        if let Some(next) = self.node(task).next.get(answer) {
            return *next;
        }
        let warm = self.warm.iter().position(|(at, _)| *at == task).and_then(|place| self.warm.remove(place));
        let built = warm.map(|(_, instance)| Ok(instance)).unwrap_or_else(|| self.rebuild(task));
        let (tree, node) = task;
        let mut instance = match built {
            Ok(instance) => instance,
            Err(fault) => return self.dead_end(task, answer, fault),
        };
        let tasks_before = instance.tasks();
        let number = self.trees[tree.0 as usize].number;
        instance.reply(number, answer.clone());
        if instance.has_begun_anew(number) {
            // Nothing is carried from round to round, so the history begins anew too; a second round shows it.
            let retraced = self.retrace(task, &mut instance);
            if let Some(fault) = instance.fault().or(retraced.err()) {
                return self.dead_end(task, answer, fault);
            }
            self.trees[tree.0 as usize].nodes[node.0 as usize].next.insert(answer.clone(), NodeId::ROOT);
            return NodeId::ROOT;
        }
        let next = self.grow(tree, Some((node, answer.clone())), &instance, tasks_before);
        self.trees[tree.0 as usize].nodes[node.0 as usize].next.insert(answer.clone(), next);
        self.keep((tree, next), instance);
        next
    }

    /// Adds the node that an instance has reached, and a tree for each task that was born on the way.
    fn grow(
        &mut self,
        tree: TreeId,
        parent: Option<(NodeId, Answer)>,
        instance: &Instance,
        before: u16,
    ) -> NodeId {
        let number = self.trees[tree.0 as usize].number;
        let id = NodeId(index(self.trees[tree.0 as usize].nodes.len()));
        let node = Node {
            parent,
            call: instance.call(number).map(Arc::new),
            exit: if number == 0 { instance.exit() } else { None },
            fault: instance.fault(),
            spawned: Vec::new(),
            next: BTreeMap::new(),
        };
        self.trees[tree.0 as usize].nodes.push(node);
        for number in before..instance.tasks() {
            self.sprout((tree, id), number, instance);
        }
        id
    }

    /// Adds a tree for a task that was born on the way to a node.
    fn sprout(&mut self, origin: TaskState, number: u16, instance: &Instance) {
        let child = TreeId(index(self.trees.len()));
        let root = Node {
            parent: None,
            call: instance.call(number).map(Arc::new),
            exit: None,
            fault: None,
            spawned: Vec::new(),
            next: BTreeMap::new(),
        };
        let siblings = index(self.node(origin).spawned.len());
        let birth = [self.birth(origin.0), &[self.depth(origin), siblings]].concat();
        let program = self.trees[origin.0.0 as usize].program.clone();
        self.trees.push(Tree { program, origin: Some(origin), number, birth, nodes: vec![root] });
        let (tree, node) = origin;
        self.trees[tree.0 as usize].nodes[node.0 as usize].spawned.push(child);
    }

    fn keep(&mut self, at: TaskState, instance: Instance) {
        self.warm.push_back((at, instance));
        if self.warm.len() > MOST_INSTANCES {
            self.warm.pop_front();
        }
    }

    fn dead_end(&mut self, (tree, node): TaskState, answer: &Answer, fault: Fault) -> NodeId {
        let nodes = &mut self.trees[tree.0 as usize].nodes;
        let id = NodeId(index(nodes.len()));
        nodes.push(Node {
            parent: Some((node, answer.clone())),
            call: None,
            exit: None,
            fault: Some(fault),
            spawned: Vec::new(),
            next: BTreeMap::new(),
        });
        nodes[node.0 as usize].next.insert(answer.clone(), id);
        id
    }

    /// Runs a program anew along the history of one of its tasks.
    fn rebuild(&self, (tree, node): TaskState) -> Result<Instance, Fault> {
        let learned = &self.trees[tree.0 as usize];
        let mut instance = match learned.origin {
            None => learned.program.instance(),
            Some(origin) => self.rebuild(origin)?,
        };
        self.retrace((tree, node), &mut instance)?;
        Ok(instance)
    }

    /// Takes an instance from the beginning of a task along its history, and compares each call with the recorded one.
    fn retrace(&self, (tree, node): TaskState, instance: &mut Instance) -> Result<(), Fault> {
        let learned = &self.trees[tree.0 as usize];
        let mut path = Vec::new();
        let mut at = node;
        while let Some((parent, answer)) = &learned.nodes[at.0 as usize].parent {
            path.push((at, answer));
            at = *parent;
        }
        self.compare((tree, at), instance, learned.number)?;
        for (at, answer) in path.into_iter().rev() {
            instance.reply(learned.number, answer.clone());
            self.compare((tree, at), instance, learned.number)?;
        }
        Ok(())
    }

    fn compare(&self, at: TaskState, instance: &Instance, number: u16) -> Result<(), Fault> {
        match self.difference(at, instance, number) {
            None => Ok(()),
            Some((before, now)) => Err(Fault::Nondeterministic { before, now }),
        }
    }

    /// What a task did when this node was learned and what it does now, if that is not the same.
    fn difference(&self, at: TaskState, instance: &Instance, number: u16) -> Option<(String, String)> {
        let (recorded, now) = (self.node(at), instance.call(number));
        let exit = if number == 0 { instance.exit() } else { None };
        let same = recorded.call.as_deref() == now.as_ref() && recorded.exit == exit;
        (!same).then(|| (described(recorded.call.as_deref(), recorded.exit), described(now.as_ref(), exit)))
    }

    /// Runs a whole process in one instance, its tasks answered in the order that was explored, and compares.
    ///
    /// # Errors
    ///
    /// [`Fault::SharedMemory`] if a task does something else than it did when it was learned alone,
    /// [`Fault::Nondeterministic`] if it is the only one.
    pub(crate) fn audit(&self, main: TreeId, history: &[(TreeId, Answer)]) -> Result<(), Fault> {
        let mut instance = self.trees[main.0 as usize].program.instance();
        // The tasks of the joint instance, in the order in which it numbers them.
        let mut tasks = vec![(main, NodeId::ROOT)];
        tasks.extend(self.node((main, NodeId::ROOT)).spawned.iter().map(|tree| (*tree, NodeId::ROOT)));
        self.agree(&tasks, &instance)?;
        for (tree, answer) in history {
            let Some(number) = tasks.iter().position(|(other, _)| other == tree) else {
                return Err(Fault::SharedMemory {
                    task: 0,
                    alone: "no such task".to_owned(),
                    together: String::new(),
                });
            };
            let node = self.node(tasks[number]).next.get(answer).copied().unwrap_or(NodeId::ROOT);
            tasks[number].1 = node;
            instance.reply(task_number(number), answer.clone());
            let spawned = self.node(tasks[number]).spawned.clone();
            tasks.extend(spawned.into_iter().map(|tree| (tree, NodeId::ROOT)));
            self.agree(&tasks, &instance)?;
        }
        Ok(())
    }

    /// Compares every task of a process with what was learned of it alone.
    fn agree(&self, tasks: &[TaskState], instance: &Instance) -> Result<(), Fault> {
        for (task, state) in (0..).zip(tasks) {
            let Some((before, now)) = self.difference(*state, instance, task) else { continue };
            return Err(if tasks.len() == 1 {
                Fault::Nondeterministic { before, now }
            } else {
                Fault::SharedMemory { task, alone: before, together: now }
            });
        }
        Ok(())
    }
}

fn index(length: usize) -> u32 {
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
