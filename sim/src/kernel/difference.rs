//! In what two machines differ, in words: one line for each thing, named as a person would name it.
//!
//! Two machines are equal if and only if there is no line. What is told of must be compared first, so each struct that is
//! taken apart here is taken apart whole: a field that nobody compares does not compile. Whatever is not taken apart is
//! compared as one value.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};

use super::Kernel;
use super::descriptions::Descriptor;
use super::disk::{Change, Disk, Operation, Unsynced};
use super::hosts::Host;
use super::inodes::{Content, Inode, ROOT};
use super::namespaces::Spaces;
use super::process::{Birth, Image, Process};
use super::table::Table;
use crate::shared::Shared;

/// What is different between two machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    lines: Vec<String>,
}

impl Difference {
    /// Whether the machines are equal.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// One for each thing that differs: what it is, `:`, what it is on the first machine, `->`, what it is on the second.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() { f.write_str("no difference") } else { f.write_str(&self.lines.join("\n")) }
    }
}

/// Compares the fields of a struct, each of which must be named.
macro_rules! compare {
    ($object:expr, $one:expr, $other:expr, $Type:ident { $($field:ident),* } but { $($special:ident),* }) => {{
        let $Type { $($field: _,)* $($special: _,)* } = $one;
        $($object.value(words(stringify!($field)), &$one.$field, &$other.$field);)*
    }};
}

impl Kernel {
    /// In what another machine differs from this one. Effects that nobody has taken are no difference, as everywhere.
    pub fn difference(&self, other: &Self) -> Difference {
        let names = Names { one: self.paths(), other: other.paths() };
        let mut report = Report { lines: Vec::new() };
        let Self {
            processes: _,
            inodes: _,
            connections: _,
            other_ranges: _,
            tcp_connections: _,
            sharing: _,
            networks: _,
            mounts: _,
            disks: _,
            views: _,
            recycled: _,
            hosts: _,
            spaces: _,
            releases_slowly: _,
            effects: _,
        } = self;
        report.processes(self, other);
        report.objects(&self.inodes, &other.inodes, |number| names.of(*number), Report::inode);
        report.objects(
            &self.connections,
            &other.connections,
            |number| format!("connection {number}"),
            Report::whole,
        );
        report.objects(
            &self.tcp_connections,
            &other.tcp_connections,
            |number| format!("TCP connection {number}"),
            Report::whole,
        );
        report.list("mount", &self.mounts, &other.mounts);
        report.objects(&self.disks, &other.disks, |mount| format!("disk of mount {mount}"), Report::disk);
        report.list("view", &self.views, &other.views);
        report.hosts(&self.hosts, &other.hosts);
        let (Spaces { pids, networks }, spaces) = (&*self.spaces, &*other.spaces);
        report.list("pid namespace", pids, &spaces.pids);
        report.list("network namespace", networks, &spaces.networks);
        let mut machine = report.of("machine");
        let ranges = (&self.other_ranges, &other.other_ranges);
        machine.table(ranges, |id| format!("range locks of {id}"), |held| format!("{held:?}"));
        let sharing = (&self.sharing, &other.sharing);
        machine.table(sharing, |port| format!("sharing of {port:?}"), |with| format!("{with:?}"));
        let networks = (&*self.networks, &*other.networks);
        machine.table(networks, |network| format!("{network:?}"), |addresses| format!("{addresses:?}"));
        let recycled = (&self.recycled, &other.recycled);
        machine.table(recycled, |file| format!("number of {file}"), |recycled| format!("{recycled:?}"));
        machine.value("releases slowly", &self.releases_slowly, &other.releases_slowly);
        Difference { lines: report.lines }
    }

    /// A path of every file that has one.
    fn paths(&self) -> BTreeMap<u64, String> {
        let mut paths = BTreeMap::from([(ROOT, String::new())]);
        let mut waiting = vec![ROOT];
        while let Some(directory) = waiting.pop() {
            let Content::Directory { entries, .. } = &self.inode(directory).content else { continue };
            let above = paths[&directory].clone();
            let named = entries.iter().map(|(name, number)| (&**name, *number));
            let mounted = self.mount_points().filter(|(under, ..)| *under == directory);
            for (name, number) in named.chain(mounted.map(|(_, name, root)| (name, root))) {
                if let Entry::Vacant(unknown) = paths.entry(number) {
                    unknown.insert(format!("{above}/{}", name.escape_ascii()));
                    waiting.push(number);
                }
            }
        }
        paths
    }
}

/// What the files of the two machines are called.
struct Names {
    one: BTreeMap<u64, String>,
    other: BTreeMap<u64, String>,
}

impl Names {
    fn of(&self, number: u64) -> String {
        match self.one.get(&number).or_else(|| self.other.get(&number)) {
            Some(path) if path.is_empty() => "/".to_owned(),
            Some(path) => format!("{path} (inode {number})"),
            None => format!("inode {number} without a name"),
        }
    }
}

/// The lines so far.
struct Report {
    lines: Vec<String>,
}

/// A thing that lines are about.
struct Object<'a> {
    report: &'a mut Report,
    name: &'a str,
}

impl Object<'_> {
    fn say(&mut self, what: &str, one: &str, other: &str) {
        let Self { report, name } = self;
        let name = if what.is_empty() { (*name).to_owned() } else { format!("{name}, {what}") };
        report.lines.push(format!("{name}: {one} -> {other}"));
    }

    fn value<T: PartialEq + Debug>(&mut self, what: impl AsRef<str>, one: &T, other: &T) {
        if one != other {
            self.say(what.as_ref(), &format!("{one:?}"), &format!("{other:?}"));
        }
    }

    fn text(&mut self, what: &str, one: &str, other: &str) {
        if one != other {
            self.say(what, one, other);
        }
    }

    /// Compares what is under each key of either table.
    fn table<K: Ord + Clone, V: PartialEq>(
        &mut self,
        (one, other): (&Table<K, V>, &Table<K, V>),
        what: impl Fn(&K) -> String,
        show: impl Fn(&V) -> String,
    ) {
        for key in keys(one, other) {
            let (one, other) = (one.get(&key), other.get(&key));
            if one != other {
                let show = |value: Option<&V>| value.map_or_else(|| "none".to_owned(), &show);
                self.say(&what(&key), &show(one), &show(other));
            }
        }
    }
}

impl Report {
    const fn of<'a>(&'a mut self, name: &'a str) -> Object<'a> {
        Object { report: self, name }
    }

    /// Something that is not taken apart.
    fn whole<T: PartialEq + Debug>(&mut self, name: &str, one: &T, other: &T) {
        self.of(name).value("", one, other);
    }

    fn list<T: PartialEq + Debug>(&mut self, name: &str, one: &[T], other: &[T]) {
        for at in 0..one.len().max(other.len()) {
            self.either(&format!("{name} {at}"), one.get(at), other.get(at), Self::whole);
        }
    }

    fn hosts(&mut self, one: &[Host], other: &[Host]) {
        for at in 0..one.len().max(other.len()) {
            self.either(&format!("host {at}"), one.get(at), other.get(at), |report, name, one, other| {
                let mut object = report.of(name);
                compare!(object, one, other, Host { clocks, boots, boot, pids, network } but {});
            });
        }
    }

    /// Compares two tables of objects, each with a name. One that is missing is one line.
    fn objects<K: Ord + Clone, T: PartialEq>(
        &mut self,
        one: &Table<K, Shared<T>>,
        other: &Table<K, Shared<T>>,
        name: impl Fn(&K) -> String,
        compare: impl Fn(&mut Self, &str, &T, &T),
    ) {
        for key in keys(one, other) {
            self.either(&name(&key), one.get(&key), other.get(&key), |report, name, one, other| {
                compare(report, name, one, other);
            });
        }
    }

    /// Compares two objects, one of which may be missing.
    fn either<T: PartialEq>(
        &mut self,
        name: &str,
        one: Option<&T>,
        other: Option<&T>,
        compare: impl Fn(&mut Self, &str, &T, &T),
    ) {
        match (one, other) {
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => compare(self, name, one, other),
            (Some(_), None) => self.of(name).say("", "exists", "does not"),
            (None, Some(_)) => self.of(name).say("", "does not exist", "does"),
            (None, None) => {}
        }
    }

    fn processes(&mut self, one: &Kernel, other: &Kernel) {
        for at in 0..one.processes.len().max(other.processes.len()) {
            let pair = (one.processes.get(at), other.processes.get(at));
            let Some(process) = pair.0.or(pair.1) else { continue };
            let name = &process.image.name;
            let name = match at {
                0 => name.clone(),
                at => format!("process {at} ({name}, pid {})", process.birth.number.own),
            };
            self.either(&name, pair.0, pair.1, |report, name, one, other| report.process(name, one, other));
        }
    }

    fn process(&mut self, name: &str, one: &Process, other: &Process) {
        let mut object = self.of(name);
        compare!(object, one, other, Process {
            stage, parent, pending, signals, asked, threads, umask, descriptor_limit
        } but { birth, image, descriptors, descriptions, cells });
        compare!(object, &*one.birth, &*other.birth, Birth {
            uid, number, start, place
        } but {});
        compare!(object, &*one.image, &*other.image, Image { name, command } but {});
        let show = |value: &dyn Debug| format!("{value:?}");
        object.table(
            (&one.descriptors, &other.descriptors),
            |fd| format!("descriptor {}", fd.0),
            |Descriptor { description, inherit }| {
                format!("{description}{}", if *inherit { ", inherited" } else { "" })
            },
        );
        object.table(
            (&one.descriptions, &other.descriptions),
            |number| format!("description {number}"),
            |description| show(description),
        );
        object.table((&one.cells, &other.cells), |cell| format!("cell {}", cell.0), |value| show(value));
    }

    fn inode(&mut self, name: &str, one: &Inode, other: &Inode) {
        let mut object = self.of(name);
        compare!(object, one, other, Inode {
            uid, mount, names, opened, modified_ns, ranges, lost
        } but { content, mode, locks });
        object.text("mode", &format!("{:04o}", one.mode), &format!("{:04o}", other.mode));
        object.table(
            (&one.locks, &other.locks),
            |id| format!("flock of {id}"),
            |held| {
                let kind = if held.exclusive { "exclusive" } else { "shared" };
                format!("{kind}, taken by pid {}", held.taken_by)
            },
        );
        content(&mut object, &one.content, &other.content);
    }

    fn disk(&mut self, name: &str, one: &Disk, other: &Disk) {
        let mut object = self.of(name);
        compare!(object, one, other, Disk { host, persistence } but { log, under_way, unsynced, gone });
        let unfinished = |disk: &Disk| disk.under_way.as_ref().map(operation);
        object.value("change under way", &unfinished(one), &unfinished(other));
        for at in 0..one.log.len().max(other.log.len()) {
            let entry = |disk: &Disk| disk.log.get(at).map_or_else(|| "none".to_owned(), operation);
            object.text(&format!("entry {at} of the log"), &entry(one), &entry(other));
        }
        object.table(
            (&one.unsynced, &other.unsynced),
            |number| format!("contents of inode {number}"),
            unsynced,
        );
        self.objects(
            &one.gone,
            &other.gone,
            |number| format!("{name}, lost inode {number}"),
            |report, name, one, other| {
                report.inode(name, one, other);
            },
        );
    }
}

fn content(object: &mut Object<'_>, one: &Content, other: &Content) {
    match (one, other) {
        (Content::Regular(one), Content::Regular(other)) => {
            object.text("bytes", &quoted(one), &quoted(other));
        }
        (Content::Symlink(one), Content::Symlink(other)) => {
            object.text("target", &quoted(one), &quoted(other));
        }
        (
            Content::Directory { entries: one, parent: above },
            Content::Directory { entries: other, parent: other_above },
        ) => {
            object.value("parent", above, other_above);
            object.table(
                (one, other),
                |name| format!("name {}", quoted(name)),
                |number| format!("inode {number}"),
            );
        }
        (Content::Socket, Content::Socket) => {}
        (one, other) => object.value("kind", &one.kind(), &other.kind()),
    }
}

/// An entry of a log, in words.
fn operation(operation: &Operation) -> String {
    let Operation { changes, after } = operation;
    let bound = |number: &Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let change = |change: &Change| {
        let Change { directory, name, old, new } = change;
        format!("{} in {directory} from {} to {}", quoted(name), bound(old), bound(new))
    };
    let changes: Vec<String> = changes.iter().map(change).collect();
    let after = after.map(|(inode, content)| format!(", after content {content} of {inode}"));
    format!("{}{}", changes.join(", "), after.unwrap_or_default())
}

fn unsynced(unsynced: &Unsynced) -> String {
    let Unsynced { history, logged } = unsynced;
    let history: Vec<String> = history.iter().map(|bytes| quoted(bytes)).collect();
    format!("{} at {logged}", history.join(", "))
}

fn keys<K: Ord + Clone, V>(one: &Table<K, V>, other: &Table<K, V>) -> BTreeSet<K> {
    one.keys().chain(other.keys()).cloned().collect()
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// The name of a field, as words.
fn words(field: &str) -> String {
    field.replace('_', " ")
}
