//! The keys of those who take part: gateways, supervisors, bystanders and mounts.

use super::{Key, Kind, LABEL, NESTED, Shape, optional, required, words};
use crate::scenario::answers::ANSWERS;
use crate::scenario::browsers::BROWSERS;
use crate::scenario::declared::{BASE_PORTS, LOCKS, OPEN_FILES, PERSISTENCE, PORTS, UIDS};
use crate::scenario::{deeds, supervised};

const A_LABEL: Shape = Shape::Matching(LABEL);
const A_PORT: Shape = Shape::Integer(PORTS);

/// A loopback or wildcard address with a port, however the zeros of an IPv6 address are written.
const AN_ADDRESS: Shape =
    Shape::Matching(r"^(127(\.[0-9]{1,3}){3}|0\.0\.0\.0|\[[0:.]*1?\]):0*[1-9][0-9]{0,4}$");
const ADDRESSES: Shape =
    Shape::List { of: &Shape::Either(&[A_PORT, AN_ADDRESS]), may_be_empty: true, is_a_set: true };

/// `[gateway.NAME]`
pub(in crate::scenario) const GATEWAY: &[Key] = &[
    required(
        "state",
        A_LABEL,
        "the label of its state directory: equal labels are one directory, so those gateways are rivals",
    ),
    required(
        "port",
        Shape::Integer(BASE_PORTS),
        "its base port, 1 to 65425, because it claims the 110 ports above it as well",
    ),
    optional(
        "config",
        A_LABEL,
        "the label of its configuration file: equal labels are one file. Default: the one in its state directory",
    ),
    optional(
        "allow_file_lock",
        Shape::Boolean,
        "`true`: it may rely on the lock file alone where a directory cannot be locked. Default: `false`",
    ),
    optional(
        "allow_remote_fs",
        Shape::Boolean,
        "`true`: it trusts the locks of a network file system. Default: `false`",
    ),
    optional(
        "force",
        Shape::Boolean,
        "`true`: it is started with `--force` by somebody at a terminal, so it ends an owner of its state directory that is stopped. Default: `false`. Simulator only",
    ),
    optional(
        "park",
        Shape::Boolean,
        "`true`: it is started with `--on-conflict=park`, so it waits until a gateway that is in its way has ended. Default: `false`. Simulator only",
    ),
    optional(
        "takeover",
        Shape::Boolean,
        "`true`: it is started with `--takeover`, so it has a gateway that serves the same hand over everything. Default: `false`. Simulator only",
    ),
    optional(
        "workspace",
        Shape::Matching(NESTED),
        "the label of the directory that its agents work in; `W/inner` is a directory inside `W`. Default: none",
    ),
    optional(
        "pins",
        Shape::List { of: &A_PORT, may_be_empty: true, is_a_set: false },
        "ports that it claims besides its block, for its browsers. Default: none. Simulator only",
    ),
    optional(
        "browsers",
        Shape::Integer(BROWSERS),
        "how many browsers it opens, 1 to 100: processes `NAME-browser-1` and so on, each of which listens on a port of its own, from the base + 11 on. Default: none",
    ),
    optional(
        "uid",
        Shape::Integer(UIDS),
        "the number of the user that it runs as, to whom its state directory belongs. Default: the same for everybody. Simulator only",
    ),
    optional(
        "bind_mount",
        Shape::Boolean,
        "`true`: it is given another path to its state directory, a bind mount of it. Default: `false`. Simulator only",
    ),
    optional(
        "blind",
        Shape::Boolean,
        "`true`: it sees no other process, and nobody answers it, as with `/proc` hidden and connections forbidden. Default: `false`. Simulator only",
    ),
    optional(
        "open_files",
        Shape::Integer(OPEN_FILES),
        "how many descriptors it may have open, 4 to 1024 (`RLIMIT_NOFILE`). Default: as many as it likes. Simulator only",
    ),
    optional(
        "host",
        A_LABEL,
        "the label of the host that it runs on, with clocks, pids and ports of its own; files are the same everywhere. Default: `local`. Simulator only",
    ),
    optional(
        "container",
        A_LABEL,
        "the label of the container that it runs in, with pids and ports of its own. Default: none. Simulator only",
    ),
    optional(
        "link",
        A_LABEL,
        "the label of a symbolic link to its state directory, by which it is told where that is. Default: by its own name. Simulator only",
    ),
    optional(
        "tmpdir",
        A_LABEL,
        "the label of its temporary directory (`TMPDIR`), which lies in the state directory of that label, if there is one. Default: that of its host or container. Simulator only",
    ),
    optional(
        "supervisor",
        Shape::Kinds(SUPERVISORS),
        "who starts it again when it has ended, see below. Default: nobody",
    ),
];

const ENDINGS: Shape = Shape::List {
    of: &Shape::Either(&[Shape::Integer(supervised::STATUS), Shape::Word(|| words(&supervised::SIGNALS))]),
    may_be_empty: false,
    is_a_set: false,
};
const A_TIME: Shape = Shape::Integer(supervised::DAY);

/// What every supervisor has besides its `kind`.
pub(in crate::scenario) const SUPERVISOR: &[Key] = &[
    optional(
        "most_starts",
        Shape::Integer(supervised::STARTS),
        "how many processes are started; then the gateway is left `restarting`, and a pass is no longer `complete`. Default: 3",
    ),
    optional(
        "reuse_pids",
        Shape::Boolean,
        "`true`: a process that is started again has a new pid or any that was given before and is free, and each is tried. Default: `false`",
    ),
];

pub(in crate::scenario) const SYSTEMD: &[Key] = &[
    optional(
        "restart",
        Shape::Word(|| words(&supervised::RESTARTS)),
        "`Restart=`: `\"no\"`, the default, `\"always\"`, `\"on-success\"`, `\"on-failure\"`, `\"on-abnormal\"`, `\"on-abort\"`",
    ),
    optional("delay_ms", A_TIME, "`RestartSec=`. Default: 100"),
    optional(
        "burst",
        Shape::Integer(supervised::BURST),
        "`StartLimitBurst=`: more starts than this in `interval_ms`, and it is given up; 0: any number. Default: 5",
    ),
    optional("interval_ms", A_TIME, "`StartLimitIntervalSec=`. Default: 10000"),
    optional("success", ENDINGS, "`SuccessExitStatus=`: a list of ends that are no failure"),
    optional("never_after", ENDINGS, "`RestartPreventExitStatus=`: a list of ends"),
    optional("always_after", ENDINGS, "`RestartForceExitStatus=`: a list of ends"),
    optional(
        "stop_timeout_ms",
        A_TIME,
        "`TimeoutStopSec=`: how long after SIGTERM comes SIGKILL; 0: never. Default: 90000",
    ),
];

pub(in crate::scenario) const LAUNCHD: &[Key] = &[
    optional(
        "keep_alive",
        Shape::Word(|| words(&supervised::KEEP_ALIVES)),
        "`KeepAlive`: `\"always\"`, the default, `\"never\"`, `\"after-success\"`, `\"after-failure\"`",
    ),
    optional("throttle_ms", A_TIME, "`ThrottleInterval`: at most one start in that time. Default: 10000"),
    optional(
        "exit_timeout_ms",
        A_TIME,
        "`ExitTimeOut`: how long after SIGTERM comes SIGKILL; 0: never. Default: 20000",
    ),
];

pub(in crate::scenario) const TASK_SCHEDULER: &[Key] = &[];

/// Each kind of supervisor.
pub(in crate::scenario) const SUPERVISORS: &[Kind] = &[
    Kind { word: "systemd", keys: [SUPERVISOR, SYSTEMD] },
    Kind { word: "launchd", keys: [SUPERVISOR, LAUNCHD] },
    Kind { word: "task-scheduler", keys: [SUPERVISOR, TASK_SCHEDULER] },
];

/// `[process.NAME]`
pub(in crate::scenario) const PROCESS: &[Key] = &[
    required("looks_like", Shape::Matching(r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$"), "its command line"),
    optional(
        "listens",
        ADDRESSES,
        "where it listens: a port means that port on 127.0.0.1; an address is a loopback or wildcard one",
    ),
    optional(
        "connects",
        ADDRESSES,
        "the local ports, or addresses, of connections that it has to other machines. Simulator only",
    ),
    optional(
        "answers",
        Shape::Word(|| words(&ANSWERS)),
        "what comes of a connection to it: `\"never-accepts\"` (the kernel completes it and nobody takes it, the default), `\"nothing\"` (it takes it and stays silent), `\"closes\"` (it takes it and hangs up), `\"http-404\"`, `\"healthz-200\"` (it fakes a gateway that is well)",
    ),
    optional(
        "does",
        Shape::Kinds(DEEDS),
        "what it does, once, before it ends, see below. Default: nothing. Simulator only",
    ),
];

const OF_STATE: Key = required("state", A_LABEL, "the label of the state directory");

/// Each thing that a process can do.
pub(in crate::scenario) const DEEDS: &[Kind] = &[
    Kind {
        word: "kill-by-port",
        keys: [
            &[],
            &[
                required("port", A_PORT, "the port"),
                optional(
                    "signal",
                    Shape::Word(|| words(&deeds::SIGNALS)),
                    "`\"SIGTERM\"`, the default, or `\"SIGKILL\"`",
                ),
            ],
        ],
    },
    Kind {
        word: "read",
        keys: [
            &[],
            &[
                OF_STATE,
                optional(
                    "lock",
                    Shape::Word(|| words(&deeds::READ_LOCKS)),
                    "`\"flock\"`, `\"process\"` (fcntl) or `\"none\"`, the default",
                ),
            ],
        ],
    },
    Kind {
        word: "clean",
        keys: [
            &[],
            &[OF_STATE, required("older_than_ms", Shape::Integer(deeds::AGES), "for how many milliseconds")],
        ],
    },
    Kind { word: "write", keys: [&[], &[OF_STATE]] },
    Kind { word: "edit-config", keys: [&[], &[required("of", Shape::Matching(super::NAME), "the gateway")]] },
];

/// The keys of one of [`DEEDS`].
pub(in crate::scenario) fn deed(word: &str) -> &'static [Key] {
    DEEDS.iter().find(|kind| kind.word == word).map_or(&[], |kind| kind.keys[1])
}

/// `[mount.LABEL]`
pub(in crate::scenario) const MOUNT: &[Key] = &[
    optional(
        "directory_locks",
        Shape::Boolean,
        "`false`: the directory of that label lies on a mount where flock fails on directories",
    ),
    optional(
        "locks",
        Shape::Word(|| words(&LOCKS)),
        "what locks do there: `\"per-host\"` (they exclude nobody on another host), `\"emulated\"` (a flock is a byte range lock, as on NFS), `\"nothing\"` (they are refused), `\"unenforced\"` (they are granted to everybody). Simulator only",
    ),
    optional("remote", Shape::Boolean, "`true`: it says that it is NFS. Simulator only"),
    optional(
        "persistence",
        Shape::Word(|| words(&PERSISTENCE)),
        "what a loss of power leaves there: `\"kept\"` (everything, the default), `\"ext4\"`, `\"ordered\"` (a file may be empty, names come in order), `\"posix\"` (only what was synced, any of the rest), `\"tmpfs\"` (nothing). Simulator only",
    ),
];
