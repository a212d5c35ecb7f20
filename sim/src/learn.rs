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

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_os::{Call, Errno, Reply, Stage};

use crate::fault::Fault;
use crate::process::{Begin, Instance, Process};

/// How many live instances are kept, each at the node it has reached.
const MOST_INSTANCES: usize = 256;

/// The answer of the machine to one call.
pub(crate) type Answer = Result<Reply, Errno>;

/// A program of the simulated machine: how to start it, by name.
#[derive(Clone)]
pub struct Program {
    /// The name, for people.
    pub name: String,
    begin: Begin,
}

impl Program {
    /// A program whose main task is the future that `start` makes; its output is the exit status.
    pub fn new<F>(name: impl Into<String>, start: impl Fn(Process) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = u8> + Send + 'static,
    {
        Self::staged(name, (), move |process, ()| {
            let body = start(process);
            async move { Stage::Exit(body.await) }
        })
    }

    /// A program in stages: each is a future that ends with what the next one begins with, and nothing else goes from one to
    /// the next. So what a stage has forgotten is forgotten by the explorer as well, and a program that goes on for ever has
    /// finitely many states.
    ///
    /// On a real machine the same stages run in a loop. A stage makes at least one call.
    pub fn staged<S, F>(
        name: impl Into<String>,
        first: S,
        stage: impl Fn(Process, S) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone + Eq + Send + 'static,
        F: Future<Output = Stage<S>> + Send + 'static,
    {
        // A stage is known by where what it begins with stands here.
        let known = Arc::new(Mutex::new(vec![first]));
        let begin: Begin = Arc::new(move |process, number| {
            let known = Arc::clone(&known);
            let body = stage(process, locked(&known)[number as usize].clone());
            Box::pin(async move {
                match body.await {
                    Stage::Exit(status) => Stage::Exit(status),
                    Stage::Continue(next) => {
                        let mut known = locked(&known);
                        let place = known.iter().position(|other| *other == next).unwrap_or(known.len());
                        if place == known.len() {
                            known.push(next);
                        }
                        Stage::Continue(narrow(place))
                    }
                }
            })
        });
        Self { name: name.into(), begin }
    }

    /// Whether two values are one program: then what is learned of it is shared.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.begin, &other.begin)
    }

    fn instance(&self, stage: u32) -> Instance {
        Instance::start(&self.begin, stage)
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
    parent: Option<(NodeId, Answer)>,
    pub(crate) call: Option<Arc<Call>>,
    pub(crate) exit: Option<u8>,
    pub(crate) fault: Option<Fault>,
    /// The roots of the tasks that were started on the way from the parent to here.
    pub(crate) spawned: Vec<NodeId>,
    pub(crate) next: BTreeMap<Answer, NodeId>,
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
    pub(crate) fn follow(&mut self, task: TaskState, answer: &Answer) -> TaskState {
        let next = self.learn(task.node, answer);
        TaskState { node: self.node(next).class, ..task }
    }

    /// The node after a reply. Executes the history if that was not done before.
    pub(crate) fn learn(&mut self, node: NodeId, answer: &Answer) -> NodeId {
        if let Some(next) = self.node(node).next.get(answer) {
            return *next;
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
        instance.reply(number, answer.clone());
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
            let next = self.grow(tree, Some((node, answer.clone())), &instance, tasks_before);
            self.keep(next, instance);
            next
        };
        self.nodes[node.index()].next.insert(answer.clone(), next);
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
        let exit = if number == 0 { instance.exit() } else { None };
        let call = instance.call(number).map(Arc::new);
        let node = self.put(tree, parent, call, exit, instance.fault());
        for number in before..instance.tasks() {
            self.sprout(node, number, instance);
        }
        node
    }

    fn put(
        &mut self,
        tree: TreeId,
        parent: Option<(NodeId, Answer)>,
        call: Option<Arc<Call>>,
        exit: Option<u8>,
        fault: Option<Fault>,
    ) -> NodeId {
        let class = NodeId::of(self.nodes.len());
        let (spawned, next) = (Vec::new(), BTreeMap::new());
        self.nodes.push(Node { tree, parent, call, exit, fault, spawned, next, class });
        class
    }

    /// Adds a tree for a task that was born on the way to a node.
    fn sprout(&mut self, origin: NodeId, number: u16, instance: &Instance) {
        let tree = TreeId(narrow(self.trees.len()));
        let Tree { program, main, .. } = &self.trees[self.node(origin).tree.0 as usize];
        let (program, main) = (program.clone(), *main);
        let root = self.put(tree, None, instance.call(number).map(Arc::new), None, None);
        self.trees.push(Tree { program, root, main, origin: Some(origin), stage: 0, number });
        self.nodes[origin.index()].spawned.push(root);
    }

    fn keep(&mut self, at: NodeId, instance: Instance) {
        self.warm.push_back((at, instance));
        if self.warm.len() > MOST_INSTANCES {
            self.warm.pop_front();
        }
    }

    fn dead_end(&mut self, node: NodeId, answer: &Answer, fault: Fault) -> NodeId {
        let tree = self.node(node).tree;
        let end = self.put(tree, Some((node, answer.clone())), None, None, Some(fault));
        self.nodes[node.index()].next.insert(answer.clone(), end);
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
            path.push((at, answer));
            at = *parent;
        }
        self.compare(at, instance, number)?;
        for (at, answer) in path.into_iter().rev() {
            instance.reply(number, answer.clone());
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
            steps.extend(at.call.as_deref().map(|call| (call, answer)));
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
        let (recorded, now) = (self.node(at), instance.call(number));
        let exit = if number == 0 { instance.exit() } else { None };
        let same = recorded.call.as_deref() == now.as_ref() && recorded.exit == exit;
        (!same).then(|| (described(recorded.call.as_deref(), recorded.exit), described(now.as_ref(), exit)))
    }

    /// Runs a whole process in one instance, its tasks (by number) answered in the order that was explored, and compares.
    ///
    /// # Errors
    ///
    /// [`Fault::SharedMemory`] if a task does something else than it did when it was learned alone,
    /// [`Fault::Nondeterministic`] if it is the only one.
    pub(crate) fn audit(&self, main: NodeId, history: &[(u16, Answer)]) -> Result<(), Fault> {
        let mut instance = self.trees[self.node(main).tree.0 as usize].program.instance(0);
        // The tasks in the order in which the process has started them, which is how an instance numbers them.
        let mut tasks = vec![self.node(main).class];
        tasks.extend(self.started(tasks[0]));
        self.agree(&tasks, &instance)?;
        for (number, answer) in history {
            let next = tasks.get(usize::from(*number)).and_then(|at| self.node(*at).next.get(answer));
            let Some(next) = next else {
                let (alone, together) = ("nothing of the kind".to_owned(), answered(answer));
                return Err(Fault::SharedMemory { task: *number, alone, together });
            };
            let next = self.node(*next).class;
            tasks[usize::from(*number)] = next;
            instance.reply(*number, answer.clone());
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
