//! Every mistake that a scenario can hold about supervisors, hosts, disks, clocks and processes that act has its own message.

use crate::told::told;

/// A text of the valid file, what is written instead, and all that is said about it: line, message, remedy.
struct Mistake {
    right: &'static str,
    wrong: &'static str,
    seen: &'static [&'static str],
}

const MISTAKES: [Mistake; 25] = [
    Mistake {
        right: r#"state = "S"
port = 18789"#,
        wrong: r#"state = "S"
port = 18789
link = "S""#,
        seen: &[r#"6: the link `S` is a state directory; give the link a label of its own"#],
    },
    Mistake {
        right: r#"port = 18789
[gateway.b]
state = "S""#,
        wrong: r#"port = 18789
link = "L"
[gateway.b]
link = "L"
state = "T""#,
        seen: &[r#"8: the link `L` leads to two directories; give one of them another label"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ service_stop = "a" }"#,
        seen: &[
            r#"14: `a` has no supervisor; give it one, for instance `supervisor = { kind = "systemd" }`"#,
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ move = "off", state = "S" }"#,
        seen: &[r#"14: `move` cannot be `off`; it can be: `away`, `back`"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ move = "away" }"#,
        seen: &[
            r#"14: `move` does not say of which state directory; name the label, for instance `state = "S"`"#,
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ chmod = "state-directory", state = "S" }"#,
        seen: &[r#"14: `chmod` does not say which mode; add it, for instance `mode = 0o755`"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ chmod = "state-directory", state = "S", mode = 0o77777 }"#,
        seen: &[
            r#"14: `mode` is 0o77777, which is out of range; permission bits are written in octal, for instance `0o755`"#,
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ disk = "ful", state = "S" }"#,
        seen: &[
            r#"14: `disk` cannot be `ful`; did you mean `full`?"#,
            r#"14: `S` lies on no mount of its own; declare one: `[mount.S]`"#,
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ lose = "locks", state = "S" }"#,
        seen: &[r#"14: `S` lies on no mount of its own; declare one: `[mount.S]`"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ step_clock_ms = 1, host = "one" }"#,
        seen: &[r#"14: no gateway runs on a host `one`; hosts are: `local`"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ suspend_ms = 0 }"#,
        seen: &[r#"14: `suspend_ms` is 0, which is out of range; times are in milliseconds, up to a year"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ pass_ms = 1, mode = 1 }"#,
        seen: &[r#"14: `mode` belongs to `chmod`; leave it out"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ pass_ms = 1, host = "local" }"#,
        seen: &[r#"14: `host` belongs to `step_clock_ms`; leave it out"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ reboot = "remote" }"#,
        seen: &[r#"14: no gateway runs on a host `remote`; hosts are: `local`"#],
    },
    Mistake {
        right: r#"state = "S"
port = 18789"#,
        wrong: r#"state = "S"
port = 18789
supervisor = { kind = "system", most_starts = 0 }"#,
        seen: &[
            r#"6: no supervisor is called `system`; did you mean `systemd`?"#,
            r#"6: `most_starts` is 0, which is out of range; each start is explored from its first step on; 2 or 3 show a loop"#,
        ],
    },
    Mistake {
        right: r#"state = "S"
port = 18789"#,
        wrong: r#"state = "S"
port = 18789
supervisor = { restart = "always" }"#,
        seen: &[r#"6: `supervisor` has no `kind`; add `kind`, for instance `kind = "systemd"`"#],
    },
    Mistake {
        right: r#"state = "S"
port = 18789"#,
        wrong: r#"state = "S"
port = 18789
supervisor = { kind = "systemd", restart = "allways", never_after = [256, "SIGHUP", true], keep_alive = "always" }"#,
        seen: &[
            r#"6: `restart` cannot be `allways`; did you mean `always`?"#,
            r#"6: a status of `never_after` is 256, which is out of range; an exit status is one byte"#,
            r#"6: `SIGHUP` is no end of a process; write an exit status, or a signal: `SIGINT`, `SIGKILL`, `SIGTERM`"#,
            r#"6: an entry of `never_after` must be an exit status or a signal, not a boolean"#,
            r#"6: `supervisor` has no key `keep_alive`; its keys are: `kind`, `most_starts`, `reuse_pids`, `restart`, `delay_ms`, `burst`, `interval_ms`, `success`, `never_after`, `always_after`, `stop_timeout_ms`"#,
        ],
    },
    Mistake {
        right: r#"state = "S"
port = 18789"#,
        wrong: r#"state = "S"
port = 18789
host = "a b""#,
        seen: &[
            r#"6: `host` is `a b`, which is no label; a label stands for a place that the executor chooses; it is not a path"#,
        ],
    },
    Mistake {
        right: r#"looks_like = "cron -f""#,
        wrong: r#"looks_like = "cron -f"
does = { kind = "kill" }"#,
        seen: &[
            r#"11: no process does `kill`; what can be done is: `kill-by-port`, `read`, `clean`, `write`, `edit-config`"#,
        ],
    },
    Mistake {
        right: r#"looks_like = "cron -f""#,
        wrong: r#"looks_like = "cron -f"
does = { kind = "kill-by-port", signal = "SIGSTOP" }"#,
        seen: &[
            r#"11: `does` has no `port`; add `port`, for instance `port = 18789`"#,
            r#"11: `signal` cannot be `SIGSTOP`; it can be: `SIGKILL`, `SIGTERM`"#,
        ],
    },
    Mistake {
        right: r#"looks_like = "cron -f""#,
        wrong: r#"looks_like = "cron -f"
does = { kind = "edit-config", of = "cron" }"#,
        seen: &[r#"11: `cron` has no configuration"#],
    },
    Mistake {
        right: r#"looks_like = "cron -f""#,
        wrong: r#"looks_like = "cron -f"
connects = [0]"#,
        seen: &[r#"11: a port of `connects` is 0, which is out of range"#],
    },
    Mistake {
        right: r#"[expect]"#,
        wrong: r#"[mount.S]
locks = "some"
[expect]"#,
        seen: &[
            r#"17: `locks` cannot be `some`; it can be: `per-host`, `emulated`, `nothing`, `unenforced`"#,
        ],
    },
    Mistake {
        right: r#"b = "refused:held""#,
        wrong: r#"b = "restarting""#,
        seen: &[r#"18: `b` cannot end restarting"#],
    },
    Mistake {
        right: "[expect]",
        wrong: "[explore]\nslow_release = true\n[expect]",
        seen: &["17: `slow_release` is for gateways with few ports; add `span`, 2 at most, before it"],
    },
];

/// The valid file with one text replaced, and one line for each problem of the result.
#[test]
fn every_mistake_about_the_world_outside_has_its_message() {
    for mistake in &MISTAKES {
        assert_eq!(told(mistake.right, mistake.wrong), mistake.seen, "{}", mistake.wrong);
    }
}
