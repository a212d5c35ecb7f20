//! Every mistake that can be made with what a step waits for, with limits, with tampering and with writes has its message.

use crate::told::told;

const WAIT: &str = r#"{ wait = "settled" }"#;
const EXPECT: &str = "[expect]";

/// A text of the valid file, what is written instead, and all that is said about it: line, message, remedy.
const MISTAKES: [(&str, &str, &[&str]); 10] = [
    (WAIT, r#"{ wait = "cron.owner" }"#, &["14: `cron` tells nothing"]),
    (
        WAIT,
        r#"{ kill = "b" }, { resume = "a", when = "b.refused" }"#,
        &["14: `a` is not paused", "14: `b` may have been killed before it was refused"],
    ),
    (
        WAIT,
        r#"{ kill = "b", when = "b.redy" }, { kill = "a", after_ms = 0 }"#,
        &[
            "14: `b.redy` is nothing to wait for; did you mean `b.ready`?",
            "14: `after_ms` is 0, which is out of range; times are in milliseconds, up to a year",
        ],
    ),
    (
        EXPECT,
        "[limits]\nstates = 0\nreal_ms = 99\nsteps = 7\n[expect]",
        &[
            "17: `states` is 0, which is out of range",
            "18: `real_ms` is 99, which is out of range; a try on real processes takes between 0.1 s and an hour",
            "19: `[limits]` has no key `steps`; its keys are: `states`, `real_ms`",
        ],
    ),
    (
        "outcomes",
        "refusal = { never_says = [], within_ms = 0 }\noutcomes",
        &[
            "18: `never_says` is empty",
            "18: `within_ms` is 0, which is out of range; a refusal comes within an hour, in milliseconds",
        ],
    ),
    (
        "outcomes",
        "refusal = { never_says = [\"dead\", \"Dead\", \"\"] }\noutcomes",
        &["18: `Dead` is listed twice", "18: an entry of `never_says` is empty"],
    ),
    (
        WAIT,
        r#"{ tamper = "lock-file" }"#,
        &[
            r#"14: `tamper` does not say of which state directory; name the label, for instance `state = "S"`"#,
            r#"14: `tamper` does not say with what; add it, for instance `with = "empty"`"#,
        ],
    ),
    (
        WAIT,
        r#"{ tamper = "lock-file", state = "S", with = "pid" }, { tamper = "lock-file", state = "S", with = "half", of = "a" }"#,
        &[
            r#"14: `tamper` does not say whose pid; name a process, for instance `with = "pid", of = "cron"`"#,
            r#"14: `of` belongs to `with = "pid"`; leave it out"#,
        ],
    ),
    (
        WAIT,
        r#"{ tamper = "lock-files", state = "S", with = "emty" }, { stop = "a", with = "half" }"#,
        &[
            "14: `tamper` cannot be `lock-files`; did you mean `lock-file`?",
            "14: `with` cannot be `emty`; did you mean `empty`?",
            "14: `with` belongs to `tamper`; leave it out",
        ],
    ),
    (
        WAIT,
        r#"{ write = ["a", "cron"] }, { kill = "b" }, { write = "b" }"#,
        &["14: `cron` writes nothing", "14: `b` was killed before"],
    ),
];

/// The valid file with one text replaced, and one line for each problem of the result.
#[test]
fn every_mistake_has_its_message() {
    for (right, wrong, seen) in MISTAKES {
        assert_eq!(told(right, wrong), seen, "{wrong}");
    }
}
