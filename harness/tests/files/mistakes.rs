//! Every mistake that a scenario file can hold has its own message, its line and, where there is one, its remedy.

use crate::told::told;

/// A text of the valid file, what is written instead, and all that is said about it: line, message, remedy.
struct Mistake {
    right: &'static str,
    wrong: &'static str,
    seen: &'static [&'static str],
}

const MISTAKES: [Mistake; 70] = [
    Mistake {
        right: "schema = 1",
        wrong: "schema = 2",
        seen: &[
            "1: `schema` is 2, which is out of range; this program reads schema 1; newer files need a newer program",
        ],
    },
    Mistake {
        right: "schema = 1",
        wrong: r#"schema = "1""#,
        seen: &["1: `schema` must be an integer, not a string; write it without quotes: `1`"],
    },
    Mistake {
        right: "schema = 1\n",
        wrong: "",
        seen: &["1: the file has no `schema`; add `schema`, for instance `schema = 1`"],
    },
    Mistake { right: r#"title = "t""#, wrong: r#"title = " ""#, seen: &["2: `title` is empty"] },
    Mistake {
        right: r#"title = "t""#,
        wrong: "title = \"t\"\nrefs = \"r\"",
        seen: &["3: `refs` must be a list, not a string; put it in brackets: `[ ... ]`"],
    },
    Mistake {
        right: r#"title = "t""#,
        wrong: "title = \"t\"\ntags = [\"a\", \"a\", \"B\"]",
        seen: &["3: `a` is listed twice", "3: `B` is no tag; for instance `race` or `pid-reuse`"],
    },
    Mistake {
        right: r#"title = "t""#,
        wrong: "title = \"t\"\ngate = 1",
        seen: &["3: the file has no key `gate`; did you mean `gateway`?"],
    },
    Mistake {
        right: "[gateway.b]",
        wrong: "[gateway.B]",
        seen: &[
            "6: `B` is no name for a process",
            "13: no process is called `b`; did you mean `B`?",
            "18: no process is called `b`; did you mean `B`?",
        ],
    },
    Mistake {
        right: "[gateway.b]",
        wrong: "[gateway.owner]",
        seen: &[
            r#"6: no process may be called `owner`; `refusal.names = "owner"` means whoever owns at that moment"#,
            "6: `owner` is never started; start it in `[run]`, or remove it",
            "13: no process is called `b`; declared are: `a`, `owner`, `cron`",
            "18: no process is called `b`; declared are: `a`, `owner`, `cron`",
        ],
    },
    Mistake {
        right: "[process.cron]",
        wrong: "[process.b]",
        seen: &[
            "9: `b` is declared twice; gateways and processes share one set of names: rename one of them",
            "13: no process is called `cron`; declared are: `a`, `b`",
        ],
    },
    Mistake {
        right: "port = 18789",
        wrong: "port = 0",
        seen: &[
            "5: `port` is 0, which is out of range; a gateway claims its base port and the 110 above it, so 65425 is the highest base",
        ],
    },
    Mistake {
        right: "port = 18789",
        wrong: "port = 65426",
        seen: &[
            "5: `port` is 65426, which is out of range; a gateway claims its base port and the 110 above it, so 65425 is the highest base",
        ],
    },
    Mistake {
        right: "port = 18789",
        wrong: "port = 99999999999999999999",
        seen: &[
            "5: `port` is 99999999999999999999, which is out of range; a gateway claims its base port and the 110 above it, so 65425 is the highest base",
        ],
    },
    Mistake {
        right: "port = 18789",
        wrong: "port = 18789.0",
        seen: &["5: `port` must be an integer, not a float"],
    },
    Mistake {
        right: "port = 18789",
        wrong: "prot = 18789",
        seen: &["5: `[gateway.a]` has no key `prot`; did you mean `port`?"],
    },
    Mistake {
        right: r#"state = "S""#,
        wrong: r#"state = "/var/lib""#,
        seen: &[
            "4: `state` is `/var/lib`, which is no label; a label stands for a place that the executor chooses; it is not a path",
        ],
    },
    Mistake {
        right: r#"state = "S""#,
        wrong: "state = \"S\"\nallow_file_lock = \"true\"",
        seen: &[
            "5: `allow_file_lock` must be `true` or `false`, not a string; write it without quotes: `true`",
        ],
    },
    Mistake {
        right: r#"state = "S""#,
        wrong: "state = \"S\"\nbind_mount = \"elsewhere\"",
        seen: &["5: `bind_mount` must be `true` or `false`, not a string"],
    },
    Mistake {
        right: r#"state = "S""#,
        wrong: "state = \"S\"\nconfig = \"\"",
        seen: &["5: `config` is empty"],
    },
    Mistake {
        right: r#"looks_like = "cron -f""#,
        wrong: r#"looks_like = """#,
        seen: &["10: `looks_like` is empty"],
    },
    Mistake {
        right: r#"looks_like = "cron -f""#,
        wrong: r#"looks_like = "a\u0000b""#,
        seen: &["10: `looks_like` holds a control character"],
    },
    Mistake {
        right: r#""cron -f""#,
        wrong: "\"cron -f\"\nlistens = [0, 70000, \"localhost:1\", \"[::1]:0\", \"8.8.8.8:53\", 1, \"127.0.0.1:1\"]",
        seen: &[
            "11: a port of `listens` is 0, which is out of range",
            "11: a port of `listens` is 70000, which is out of range",
            r#"11: `localhost:1` is no address to listen on; write a port, or for instance "127.0.0.1:18789", "[::1]:18789", "0.0.0.0:18789""#,
            r#"11: `[::1]:0` is no address to listen on; write a port, or for instance "127.0.0.1:18789", "[::1]:18789", "0.0.0.0:18789""#,
            r#"11: `8.8.8.8:53` is no address to listen on; write a port, or for instance "127.0.0.1:18789", "[::1]:18789", "0.0.0.0:18789""#,
            "11: `127.0.0.1:1` is listed twice",
        ],
    },
    Mistake {
        right: "[run]",
        wrong: "[mount.T]\ndirectory_locks = false\n[run]",
        seen: &["11: no gateway has the state `T`; labels in use are: `S`"],
    },
    Mistake {
        right: "[run]",
        wrong: "[mount.S]\n[run]",
        seen: &[
            "11: `[mount.S]` has no `directory_locks`; add `directory_locks`, for instance `directory_locks = false`",
        ],
    },
    Mistake {
        right: "[run]",
        wrong: "[[run]]",
        seen: &[
            "11: `[run]` must be a table, not a list; a table is `{ key = value }`, or keys below a `[header]`",
        ],
    },
    Mistake { right: "steps = [", wrong: "steps = []\nsetup = [", seen: &["12: `steps` is empty"] },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: "{}",
        seen: &[
            "14: this step does nothing; the verbs are: `start`, `stop`, `kill`, `pause`, `resume`, `restart`, `write`, `service_stop`, `service_restart`, `open_browsers`, `recycle`, `remove`, `tamper`, `move`, `chmod`, `disk`, `lose`, `step_clock_ms`, `suspend_ms`, `pass_ms`, `reboot`, `wait`",
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ as = "cron" }"#,
        seen: &[
            "14: this step does nothing; the verbs are: `start`, `stop`, `kill`, `pause`, `resume`, `restart`, `write`, `service_stop`, `service_restart`, `open_browsers`, `recycle`, `remove`, `tamper`, `move`, `chmod`, `disk`, `lose`, `step_clock_ms`, `suspend_ms`, `pass_ms`, `reboot`, `wait`",
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#""wait""#,
        seen: &[
            "14: a step must be a table, not a string; a table is `{ key = value }`, or keys below a `[header]`",
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: "{ sleep = 1 }",
        seen: &[
            "14: a step has no key `sleep`; its keys are: `start`, `stop`, `kill`, `pause`, `resume`, `restart`, `write`, `service_stop`, `service_restart`, `open_browsers`, `recycle`, `remove`, `tamper`, `move`, `chmod`, `disk`, `lose`, `step_clock_ms`, `suspend_ms`, `pass_ms`, `reboot`, `wait`, `as`, `state`, `mode`, `host`, `with`, `of`, `when`, `after_ms`",
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ start = "a" }"#,
        seen: &["14: `a` is started twice; each name has one life: declare another one"],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ kill = ["a", "a"] }"#,
        seen: &["14: `a` is named twice in one step"],
    },
    Mistake { right: r#"{ wait = "settled" }"#, wrong: "{ kill = [] }", seen: &["14: `kill` is empty"] },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ kill = "cron" }, { pause = "cron" }"#,
        seen: &["14: `cron` was killed before"],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ resume = "a" }, { pause = "b" }, { pause = "b" }"#,
        seen: &["14: `a` is not paused", "14: `b` is paused already"],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ wait = "a" }"#,
        seen: &[
            "14: `a` is nothing to wait for; one can wait for: `a.ready`, `a.settled`, `a.gone`, `a.owner`, `a.draining`, `a.released`, `a.refused`, `settled`",
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ wait = "c.ready" }"#,
        seen: &["14: no process is called `c`; declared are: `a`, `b`, `cron`"],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ wait = "cron.ready" }"#,
        seen: &["14: `cron` is never ready"],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ wait = "cron.gone" }"#,
        seen: &[r#"14: nothing ends `cron`; a bystander does not end by itself: add `{ stop = "cron" }`"#],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ kill = "b" }, { wait = "b.ready" }"#,
        seen: &["14: `b` can no longer become ready"],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ recycle = "a" }"#,
        seen: &[
            r#"14: `recycle` does not say who gets the pid; name a bystander, for instance `recycle = "old", as = "cron"`"#,
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ recycle = "a", as = "b" }"#,
        seen: &["14: `b` is a gateway"],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ recycle = "a", as = "cron" }"#,
        seen: &[
            r#"14: `a` may still be alive; add `{ kill = "a" }` before this step"#,
            "14: `cron` is started twice; each name has one life: declare another one",
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ remove = "lock", state = "S" }"#,
        seen: &[
            "14: an operator cannot remove `lock`; what can be removed is: `lock-file`, `state-directory`",
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ remove = "lock-file", state = "s" }"#,
        seen: &["14: no gateway has the state `s`; did you mean `S`?"],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ remove = "lock-file" }"#,
        seen: &[
            r#"14: `remove` does not say whose lock file; name the label, for instance `remove = "lock-file", state = "S"`"#,
        ],
    },
    Mistake {
        right: r#"{ wait = "settled" }"#,
        wrong: r#"{ wait = "settled", state = "S" }"#,
        seen: &["14: `state` belongs to `remove`; leave it out"],
    },
    Mistake {
        right: r#"["a", "b", "cron"]"#,
        wrong: r#"["a", "b"]"#,
        seen: &["9: `cron` is never started; start it in `[run]`, or remove it"],
    },
    Mistake {
        right: r#"  { start = ["a", "b", "cron"] },"#,
        wrong: r#"  { stop = "b" }, { start = ["a", "b", "cron"] },"#,
        seen: &[r#"13: `b` is not started before this step; add `{ start = "b" }` before it"#],
    },
    Mistake {
        right: r#"["single-owner"]"#,
        wrong: r#"["single-owner", "no-thief", "single-owner", 1]"#,
        seen: &[
            "17: no check is called `no-thief`; did you mean `no-theft`?",
            "17: `single-owner` is listed twice",
            "17: a check must be a string, not an integer; put it in quotes",
        ],
    },
    Mistake {
        right: r#"outcomes = [{ a = "ready", b = "refused:held" }]"#,
        wrong: r#"reach = "all""#,
        seen: &[
            r#"16: `[expect]` has no `outcomes`; add `outcomes`, for instance `outcomes = [{ a = "ready" }]`"#,
            "18: `reach` cannot be `all`; it can be: `every-outcome`",
        ],
    },
    Mistake {
        right: "outcomes = [",
        wrong: r#"outcomes = [{ b = "refused:held", a = "ready" }, "#,
        seen: &["18: this outcome is listed twice"],
    },
    Mistake {
        right: "outcomes = [",
        wrong: "reach = \"every-outcomes\"\noutcomes = [",
        seen: &["18: `reach` cannot be `every-outcomes`; did you mean `every-outcome`?"],
    },
    Mistake {
        right: r#"b = "refused:held""#,
        wrong: r#"b = "held""#,
        seen: &["18: no final state is called `held`; did you mean `refused:held`?"],
    },
    Mistake {
        right: r#"b = "refused:held""#,
        wrong: r#"b = "refused:""#,
        seen: &[
            "18: no refusal has the reason ``; the reasons are: `held`, `held-ready`, `held-starting`, `held-draining`, `held-stopped`, `held-hung`, `held-unknown`, `held-orphan`, `held-writers`, `port`, `port-range`, `port-gateway`, `port-foreign`, `port-other-user`, `port-ephemeral`, `port-reserved`, `port-unknown`, `address-unavailable`, `config-shared`, `workspace-shared`, `workspace-nested`, `unsupported-fs`, `locks-not-enforced`, `remote-fs`, `insecure-directory`, `permission`, `read-only`, `disk-full`, `descriptor-limit`, `invalid-path`, `path-unstable`, `newer-epoch`, `fenced`, `error`",
        ],
    },
    Mistake {
        right: r#"b = "refused:held""#,
        wrong: r#"b = "killed", cron = "ready""#,
        seen: &["18: `b` cannot end killed", "18: `cron` cannot end ready"],
    },
    Mistake {
        right: r#"b = "refused:held""#,
        wrong: r#"b = "paused""#,
        seen: &["18: `b` cannot end paused"],
    },
    Mistake {
        right: "outcomes = [",
        wrong: "refusal = {}\noutcomes = [",
        seen: &[r#"18: `refusal` demands nothing; for instance `{ names = "owner", exit = [75, 78] }`"#],
    },
    Mistake {
        right: "outcomes = [",
        wrong: "refusal = { names = \"nobody\", exit = 0 }\noutcomes = [",
        seen: &[
            "18: no process is called `nobody`; declared are: `a`, `b`, `cron`",
            "18: an exit status is 0, which is out of range; an exit status is one byte, and 0 means success",
        ],
    },
    Mistake {
        right: "outcomes = [",
        wrong: "refusal = { name = \"a\", exit = [78, 78, 256, \"75\"] }\noutcomes = [",
        seen: &[
            "18: `refusal` has no key `name`; did you mean `names`?",
            "18: 78 is listed twice",
            "18: an exit status is 256, which is out of range; an exit status is one byte, and 0 means success",
            "18: an exit status must be an integer, not a string; write it without quotes: `75`",
        ],
    },
    Mistake {
        right: "[expect]",
        wrong: "[explore]\npolicy = \"random\"\nkills = 5\nspan = 0\ntries = 0\nseed = 1\n[expect]",
        seen: &[
            "17: no policy is called `random`; say how many schedules are drawn, for instance `{ random = 2000 }`",
            "18: `kills` is 5, which is out of range",
            "19: `span` is 0, which is out of range; a gateway never claims more than 110 ports above its base",
            "20: `tries` is 0, which is out of range",
            "21: `[explore]` has no key `seed`; its keys are: `policy`, `kills`, `power_losses`, `span`, `slow_release`, `tries`",
        ],
    },
    Mistake {
        right: "[expect]",
        wrong: "[explore]\npolicy = { exhaustive = 101 }\n[expect]",
        seen: &["17: the bound on preemptions is 101, which is out of range"],
    },
    Mistake {
        right: "[expect]",
        wrong: "[explore]\npolicy = 3\n[expect]",
        seen: &[
            r#"17: `policy` must be `"exhaustive"`, `{ exhaustive = PREEMPTIONS }` or `{ random = SCHEDULES }`, not an integer"#,
        ],
    },
    Mistake {
        right: "[expect]",
        wrong: "[explore]\npolicy = { pct = 0, depth = 101, seed = -1 }\n[expect]",
        seen: &[
            "17: the number of schedules is 0, which is out of range",
            "17: `depth` is 101, which is out of range",
            "17: `seed` is -1, which is out of range",
        ],
    },
    Mistake {
        right: "[expect]",
        wrong: "[explore]\npolicy = { swarm = 9, depth = 3, exhaustive = 1 }\n[expect]",
        seen: &[
            "17: `policy` has no key `depth`; its keys are: `random`, `pct`, `swarm`, `exhaustive`, `seed`",
            "17: `policy` is two things at once; leave one of them out",
        ],
    },
    Mistake {
        right: "[expect]",
        wrong: "[vary]\n\"gateway.a.port\" = []\n[expect]",
        seen: &["17: `gateway.a.port` is empty"],
    },
    Mistake {
        right: "[expect]",
        wrong: "[vary]\n\"gateway.a.port\" = [1, 1, 0]\n[expect]",
        seen: &[
            "17: this value is listed twice",
            "17: `port` is 0, which is out of range; a gateway claims its base port and the 110 above it, so 65425 is the highest base",
        ],
    },
    Mistake {
        right: "[expect]",
        wrong: "[vary]\n\"gateway.c.port\" = [1]\n[expect]",
        seen: &["17: `gateway.c.port` is nothing that can vary; did you mean `gateway.a.port`?"],
    },
    Mistake {
        right: "[expect]",
        wrong: "[vary]\ngateway.b.state = [\"T\", \"/\"]\n[expect]",
        seen: &[
            "17: `state` is `/`, which is no label; a label stands for a place that the executor chooses; it is not a path",
        ],
    },
    Mistake {
        right: "[expect]",
        wrong: "[vary]\n\"explore.kills\" = [1, 9]\n[expect]",
        seen: &["17: `kills` is 9, which is out of range"],
    },
];

/// The valid file with one text replaced, and one line for each problem of the result.
#[test]
fn every_mistake_has_its_message() {
    for mistake in &MISTAKES {
        assert_eq!(told(mistake.right, mistake.wrong), mistake.seen, "{}", mistake.wrong);
    }
}

#[test]
fn too_many_cases_are_a_mistake() {
    let numbers: Vec<_> = (1..=17).map(|number| number.to_string()).collect();
    let list = numbers.join(", ");
    let vary = format!("[vary]\n\"gateway.a.port\" = [{list}]\n\"gateway.b.port\" = [{list}]\n[expect]");
    assert_eq!(
        told("[expect]", &vary),
        [
            "16: `[vary]` makes 289 cases; every value is combined with every other; split the scenario or vary less"
        ]
    );
}
