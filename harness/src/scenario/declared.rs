//! Reads `[gateway.*]`, `[process.*]` and `[mount.*]`: who takes part, and where.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use portcullis_os::Port;
use sim::kernel::Persistence;
use toml::de::DeValue;

use super::answers::{ANSWERS, Answers};
use super::browsers::browsers;
use super::deeds::deed;
use super::diagnostics::Diagnostics;
use super::fields::{
    Bounds, Field, Fields, Value, boolean, in_file_order, integer, list, table, text, word, wrong_type,
};
use super::format::{GATEWAY, MOUNT, PROCESS};
use super::model::{Bystander, Deed, Gateway, Locks, Mount};
use super::names::{Kind, Names, is_label, is_name};
use super::operations::LOCAL_HOST;
use super::problem::Problem;
use super::supervised::supervised;

pub(super) const BASE_PORTS: Bounds = Bounds {
    least: 1,
    most: 65_425,
    why: "a gateway claims its base port and the 110 above it, so 65425 is the highest base",
};

pub(super) const PORTS: Bounds = Bounds::new(1, 65_535);

pub(super) const UIDS: Bounds =
    Bounds { least: 1, most: 65_533, why: "permissions count for nobody who is root" };

pub(super) const OPEN_FILES: Bounds =
    Bounds { least: 4, most: 1024, why: "three are open from the beginning" };

/// What a refusal names is a process or `owner`, so no process may be called that.
pub(super) const RESERVED_NAME: &str = "owner";

/// `[gateway.*]`
pub(super) fn gateways(
    field: Option<Field<'_>>,
    names: &mut Names,
    diagnostics: &mut Diagnostics,
) -> Vec<Gateway> {
    let Some(field) = field else { return Vec::new() };
    let Some(tables) = table("`gateway`", field.value, diagnostics) else { return Vec::new() };
    if tables.is_empty() {
        diagnostics.add_if_whole(
            Problem::new("`gateway` declares nobody", field.key.span())
                .help("declare at least one gateway: `[gateway.a]`"),
        );
    }
    let mut gateways = Vec::new();
    for entry in in_file_order(tables) {
        check_name(entry, diagnostics);
        names.declare(entry.name(), Kind::Gateway, entry.key.span(), diagnostics);
        gateways.extend(gateway(entry, names, diagnostics));
    }
    names.check_links(diagnostics);
    gateways
}

/// A key that is `true` or `false`, which it is by default.
fn flag(fields: &mut Fields<'_>, key: &'static str, diagnostics: &mut Diagnostics) -> Option<bool> {
    fields.take(key).map_or(Some(false), |field| boolean(&format!("`{key}`"), field.value, diagnostics))
}

fn gateway(entry: Field<'_>, names: &mut Names, diagnostics: &mut Diagnostics) -> Option<Gateway> {
    let place = format!("`[gateway.{}]`", entry.name());
    let mut fields = Fields::of(place, entry.key.span(), entry.value, diagnostics)?.listed(GATEWAY);
    let state = fields.require("state", "state = \"S\"");
    let state = state.and_then(|field| label("`state`", field.value, diagnostics));
    if let Some(state) = &state {
        names.declare_state(state);
    }
    let port = fields.require("port", "port = 18789");
    let port =
        port.and_then(|field| integer("`port`", field.value, BASE_PORTS, diagnostics)).and_then(Port::new);
    let config = fields.take("config").map(|field| label("`config`", field.value, diagnostics));
    let allow_file_lock = flag(&mut fields, "allow_file_lock", diagnostics);
    let allow_remote_fs = flag(&mut fields, "allow_remote_fs", diagnostics);
    let force = flag(&mut fields, "force", diagnostics);
    if force == Some(true) {
        names.declare_killer();
    }
    let park = flag(&mut fields, "park", diagnostics);
    let takeover = flag(&mut fields, "takeover", diagnostics);
    let workspace = fields.take("workspace").map(|field| nested("`workspace`", field.value, diagnostics));
    let pins = fields.take("pins").map(|field| pins(field.value, diagnostics));
    let browsers =
        fields.take("browsers").map_or(Some(0), |field| browsers(entry.name(), field, names, diagnostics));
    let uid = fields.take("uid").map(|field| integer("`uid`", field.value, UIDS, diagnostics));
    let bind_mount = flag(&mut fields, "bind_mount", diagnostics);
    let blind = flag(&mut fields, "blind", diagnostics);
    let open_files =
        fields.take("open_files").map(|field| integer("`open_files`", field.value, OPEN_FILES, diagnostics));
    let host = fields.take("host").map(|field| label("`host`", field.value, diagnostics));
    if let Some(Some(host)) = &host {
        names.declare_host(host);
    }
    let container = fields.take("container").map(|field| label("`container`", field.value, diagnostics));
    let link = fields.take("link").and_then(|field| {
        let link = label("`link`", field.value, diagnostics)?;
        names.declare_link(&link, state.as_deref(), field.value.span());
        Some(link)
    });
    let tmpdir = fields.take("tmpdir").and_then(|field| label("`tmpdir`", field.value, diagnostics));
    let supervisor = fields.take("supervisor");
    if supervisor.is_some() {
        names.supervise(entry.name());
    }
    let supervisor = supervisor.map(|field| supervised(field, diagnostics));
    fields.finish(diagnostics);
    Some(Gateway {
        name: entry.name().to_owned(),
        state: state?,
        port: port?,
        config: config.flatten(),
        allow_file_lock: allow_file_lock?,
        allow_remote_fs: allow_remote_fs?,
        force: force?,
        park: park?,
        takeover: takeover?,
        workspace: workspace.flatten(),
        pins: pins.unwrap_or_default(),
        browsers: browsers?,
        uid: uid.flatten(),
        bind_mount: bind_mount?,
        blind: blind?,
        open_files: open_files.flatten(),
        host: host.flatten().filter(|host| host != LOCAL_HOST),
        container: container.flatten(),
        link,
        tmpdir,
        // One that cannot be read is told, and the scenario is not run.
        supervisor: supervisor.flatten(),
    })
}

/// `[process.*]`
pub(super) fn bystanders(
    field: Option<Field<'_>>,
    names: &mut Names,
    diagnostics: &mut Diagnostics,
) -> Vec<Bystander> {
    let Some(field) = field else { return Vec::new() };
    let Some(tables) = table("`process`", field.value, diagnostics) else { return Vec::new() };
    let mut bystanders = Vec::new();
    for entry in in_file_order(tables) {
        check_name(entry, diagnostics);
        names.declare(entry.name(), Kind::Bystander, entry.key.span(), diagnostics);
        bystanders.extend(bystander(entry, names, diagnostics));
    }
    bystanders
}

fn bystander(entry: Field<'_>, names: &mut Names, diagnostics: &mut Diagnostics) -> Option<Bystander> {
    let place = format!("`[process.{}]`", entry.name());
    let mut fields = Fields::of(place, entry.key.span(), entry.value, diagnostics)?.listed(PROCESS);
    let looks_like = fields.require("looks_like", "looks_like = \"/usr/sbin/cron -f\"");
    let looks_like = looks_like.and_then(|field| command("`looks_like`", field.value, diagnostics));
    let listens = fields.take("listens").and_then(|field| list("`listens`", field.value, diagnostics));
    let listens = listens.map(|list| addresses("listens", list, diagnostics)).unwrap_or_default();
    let connects = fields.take("connects").and_then(|field| list("`connects`", field.value, diagnostics));
    let connects = connects.map(|list| addresses("connects", list, diagnostics)).unwrap_or_default();
    let does = fields.take("does").map(|field| deed(field, names, diagnostics));
    if does.as_ref().is_some_and(|deed| !matches!(deed, Some(Deed::Write { .. }))) {
        names.keep_busy(entry.name());
    }
    let is_idle = does.is_none();
    let answers = fields.take("answers").map(|field| {
        check_answers(field, is_idle, !listens.is_empty(), diagnostics);
        word("`answers`", field.value, &ANSWERS, diagnostics)
    });
    fields.finish(diagnostics);
    let does = match does {
        None => None,
        // One that cannot be read is told, and the scenario is not run.
        Some(deed) => Some(deed?),
    };
    if let Some(Deed::KillByPort { .. }) = does {
        names.declare_killer();
    }
    Some(Bystander {
        name: entry.name().to_owned(),
        looks_like: looks_like?,
        listens,
        connects,
        does,
        answers: answers.unwrap_or(Some(Answers::NeverAccepts))?,
        browser_of: None,
    })
}

/// Only somebody who listens and does nothing else can answer.
fn check_answers(field: Field<'_>, is_idle: bool, is_listening: bool, diagnostics: &mut Diagnostics) {
    let problem = |message: &str| Problem::new(message, field.key.span());
    if !is_listening {
        diagnostics.add_if_whole(
            problem("`answers` without `listens` answers nobody")
                .label("nobody can connect to it")
                .help("say where it listens, for instance `listens = [18789]`"),
        );
    } else if !is_idle {
        diagnostics.add(
            problem("a process that answers does nothing else")
                .label("it has a `does`")
                .help("make it two processes"),
        );
    }
}

/// A command line is a list of C strings in the end, so it holds no NUL.
fn command(what: &str, value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = text(what, value, diagnostics)?;
    if text.contains(char::is_control) {
        diagnostics.add(
            Problem::new(format!("{what} holds a control character"), value.span())
                .label("no command line looks like this"),
        );
        return None;
    }
    Some(text.to_owned())
}

fn addresses(key: &str, values: &[Value<'_>], diagnostics: &mut Diagnostics) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for value in values {
        let Some(address) = address(key, value, diagnostics) else { continue };
        if addresses.contains(&address) {
            diagnostics
                .add(Problem::new(format!("`{address}` is listed twice"), value.span()).label("again here"));
        }
        addresses.push(address);
    }
    addresses
}

fn address(key: &str, value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<SocketAddr> {
    match value.get_ref() {
        DeValue::Integer(_) => integer(&format!("a port of `{key}`"), value, PORTS, diagnostics)
            .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        DeValue::String(text) => {
            let parsed = text.parse::<SocketAddr>().ok();
            let usable = parsed
                .filter(|address| address.port() != 0)
                .filter(|address| address.ip().is_loopback() || address.ip().is_unspecified());
            if usable.is_none() {
                diagnostics.add(
                    Problem::new(format!("`{text}` is no address to listen on"), value.span())
                        .label("not a loopback or wildcard address with a port")
                        .help("write a port, or for instance \"127.0.0.1:18789\", \"[::1]:18789\", \"0.0.0.0:18789\""),
                );
            }
            usable
        }
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            wrong_type(&format!("an entry of `{key}`"), "a port or an address", value, diagnostics);
            None
        }
    }
}

/// `[mount.*]`
pub(super) fn mounts(
    field: Option<Field<'_>>,
    names: &mut Names,
    diagnostics: &mut Diagnostics,
) -> Vec<Mount> {
    let Some(field) = field else { return Vec::new() };
    let Some(tables) = table("`mount`", field.value, diagnostics) else { return Vec::new() };
    let mut mounts = Vec::new();
    for entry in in_file_order(tables) {
        let state = names.resolve_state(entry.name(), entry.key.span(), diagnostics);
        let place = format!("`[mount.{}]`", entry.name());
        let Some(fields) = Fields::of(place, entry.key.span(), entry.value, diagnostics) else {
            continue;
        };
        let mut fields = fields.listed(MOUNT);
        let locks = fields.take("locks");
        let directory_locks = match &locks {
            None => fields.require_without("locks", "directory_locks", "directory_locks = false"),
            Some(_) => fields.take("directory_locks"),
        };
        let directory_locks = directory_locks
            .map_or(locks.map(|_| true), |field| boolean("`directory_locks`", field.value, diagnostics));
        let remote = fields.take("remote");
        let remote = remote.map_or(Some(false), |field| boolean("`remote`", field.value, diagnostics));
        let locks = locks.map(|field| word("`locks`", field.value, &LOCKS, diagnostics));
        let persistence = fields.take("persistence");
        let persistence = persistence.map_or(Some(Persistence::Kept), |field| {
            word("`persistence`", field.value, &PERSISTENCE, diagnostics)
        });
        fields.finish(diagnostics);
        if let Some(state) = &state {
            names.declare_mount(state);
        }
        if let (Some(state), Some(directory_locks), Some(remote), Some(persistence)) =
            (state, directory_locks, remote, persistence)
        {
            mounts.push(Mount { state, directory_locks, locks: locks.flatten(), remote, persistence });
        }
    }
    mounts
}

pub(super) const LOCKS: [(&str, Locks); 4] = [
    ("per-host", Locks::PerHost),
    ("emulated", Locks::Emulated),
    ("nothing", Locks::Nothing),
    ("unenforced", Locks::Unenforced),
];

pub(super) const PERSISTENCE: [(&str, Persistence); 5] = [
    ("kept", Persistence::Kept),
    ("ext4", Persistence::Ext4),
    ("ordered", Persistence::Ordered),
    ("posix", Persistence::Posix),
    ("tmpfs", Persistence::Tmpfs),
];

/// A label of a directory or a file.
fn label(what: &str, value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = text(what, value, diagnostics)?;
    if !is_label(text) {
        diagnostics.add(
            Problem::new(format!("{what} is `{text}`, which is no label"), value.span())
                .label("a letter, then letters, digits and `-`")
                .help("a label stands for a place that the executor chooses; it is not a path"),
        );
        return None;
    }
    Some(text.to_owned())
}

/// Labels with a `/` between them, the directory around first.
fn nested(what: &str, value: &Value<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = text(what, value, diagnostics)?;
    if !text.split('/').all(is_label) {
        diagnostics.add(
            Problem::new(
                format!("{what} is `{text}`, which is neither a label nor labels with `/` between them"),
                value.span(),
            )
            .label("for instance `W`, or `W/inner` inside it"),
        );
        return None;
    }
    Some(text.to_owned())
}

fn pins(value: &Value<'_>, diagnostics: &mut Diagnostics) -> Vec<Port> {
    let values = list("`pins`", value, diagnostics).unwrap_or_default();
    let ports = values.iter().filter_map(|value| integer("a port of `pins`", value, PORTS, diagnostics));
    ports.filter_map(Port::new).collect()
}

fn check_name(entry: Field<'_>, diagnostics: &mut Diagnostics) {
    let name = entry.name();
    if name == RESERVED_NAME {
        diagnostics.add(
            Problem::new(format!("no process may be called `{name}`"), entry.key.span())
                .label("reserved")
                .help("`refusal.names = \"owner\"` means whoever owns at that moment"),
        );
    } else if !is_name(name) {
        diagnostics.add(
            Problem::new(format!("`{name}` is no name for a process"), entry.key.span())
                .label("a lower-case letter, then lower-case letters, digits and `-`"),
        );
    }
}
