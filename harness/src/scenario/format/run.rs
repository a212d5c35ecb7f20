//! The keys of what happens, of what must come of it, and of what is tried.

use super::{Key, LABEL, NAME, Need, Shape, list, optional, required, words};
use crate::scenario::vocabulary::{Check, FinalState, REASONS};
use crate::scenario::{expected, explored, operations, steps};

const A_NAME: Shape = Shape::Matching(NAME);
const A_LABEL: Shape = Shape::Matching(LABEL);
const NAMES: Shape =
    Shape::Either(&[A_NAME, Shape::List { of: &A_NAME, may_be_empty: false, is_a_set: true }]);

/// `[run]`
pub(in crate::scenario) const RUN: &[Key] = &[
    optional(
        "setup",
        Shape::List { of: &Shape::Step, may_be_empty: true, is_a_set: false },
        "steps that are carried out in order and are never interleaved with what they set in motion",
    ),
    required(
        "steps",
        Shape::List { of: &Shape::Step, may_be_empty: false, is_a_set: false },
        "steps that are issued in order; what they set in motion interleaves freely until a `wait`",
    ),
];

/// What a step can be.
pub(in crate::scenario) struct Step {
    /// Its verb, which it has exactly one of.
    pub(in crate::scenario) verb: Key,
    /// What else it says.
    pub(in crate::scenario) with: &'static [Key],
}

impl Step {
    /// Whether a modifier belongs to it.
    pub(in crate::scenario) fn takes(&self, modifier: &str) -> bool {
        self.with.iter().any(|key| key.name == modifier)
    }
}

const fn of_names(verb: &'static str, meaning: &'static str) -> Step {
    Step { verb: required(verb, NAMES, meaning), with: &[] }
}

const STATE: Key = required("state", A_LABEL, "the label of a state directory");
const HOST: Key = optional("host", A_LABEL, "the label of a host. Default: `local`");

/// Something that comes to be so.
const MOMENT: Shape =
    Shape::Matching(r"^(settled|[a-z][a-z0-9-]*\.(ready|settled|gone|owner|draining|released|refused))$");

/// What a step of every verb can be held back by, in that order.
pub(in crate::scenario) const GATES: &[Key] = &[
    optional("when", MOMENT, "the step is issued when this is so: the same as a `wait` before it"),
    optional(
        "after_ms",
        Shape::Integer(operations::SPANS),
        "the step is issued when so much time has passed: the same as `pass_ms` before it",
    ),
];

/// Every step, in the order in which verbs are listed for people.
pub(in crate::scenario) const STEPS: [Step; 22] = [
    of_names(
        "start",
        "starts a process, or several at once; each is started once, unless a supervisor is asked to",
    ),
    of_names("stop", "SIGTERM"),
    of_names("kill", "SIGKILL"),
    of_names("pause", "SIGSTOP"),
    of_names("resume", "SIGCONT"),
    of_names("restart", "SIGUSR1: an owner begins anew and keeps what it owns"),
    of_names("write", "SIGUSR2: an owner looks whether it still is one, and writes a line if so"),
    of_names("service_stop", "asks the supervisor to end it"),
    of_names("service_restart", "asks the supervisor to end it, and to start it when it has ended"),
    of_names(
        "open_browsers",
        "a gateway that serves opens its browsers; one whose port is taken ends at once",
    ),
    Step {
        verb: required("recycle", A_NAME, "a bystander is born with the pid that this dead process had"),
        with: &[required("as", A_NAME, "the bystander")],
    },
    Step {
        verb: required(
            "remove",
            Shape::Word(|| list(&[steps::LOCK_FILE, steps::STATE_DIRECTORY])),
            "an operator deletes the lock files of a state directory, or all of it",
        ),
        with: &[STATE],
    },
    Step {
        verb: required(
            "tamper",
            Shape::Word(|| words(&operations::TAMPERS)),
            "somebody overwrites the lock files of a state directory where they are",
        ),
        with: &[
            STATE,
            required("with", Shape::Word(|| words(&operations::CONTENTS)), "what they hold from then on"),
            optional("of", A_NAME, "whose pid, with `with = \"pid\"`"),
        ],
    },
    Step {
        verb: required(
            "move",
            Shape::Word(|| words(&operations::MOVES)),
            "an operator gives the state directory another name, or its old one again",
        ),
        with: &[STATE],
    },
    Step {
        verb: required(
            "chmod",
            Shape::Word(|| words(&operations::CHMODS)),
            "an operator changes its permission bits",
        ),
        with: &[STATE, required("mode", Shape::Integer(operations::MODES), "the permission bits")],
    },
    Step {
        verb: required("disk", Shape::Word(|| words(&operations::DISKS)), "how its mount is from now on"),
        with: &[STATE],
    },
    Step {
        verb: required("lose", Shape::Word(|| words(&operations::LOSSES)), "every lock on its mount is lost"),
        with: &[STATE],
    },
    Step {
        verb: required(
            "step_clock_ms",
            Shape::Integer(operations::STEPS),
            "the wall clock is set by so much",
        ),
        with: &[HOST],
    },
    Step {
        verb: required("suspend_ms", Shape::Integer(operations::SPANS), "the machine sleeps for so long"),
        with: &[HOST],
    },
    Step {
        verb: required("pass_ms", Shape::Integer(operations::SPANS), "so much time passes on all hosts"),
        with: &[],
    },
    Step {
        verb: required("reboot", A_LABEL, "a host reboots; supervisors start what they had started"),
        with: &[],
    },
    Step { verb: required("wait", MOMENT, "nothing more is issued until this is so"), with: &[] },
];

/// The step of a verb.
pub(in crate::scenario) fn step(verb: &str) -> &'static Step {
    static ALL: [Step; 22] = STEPS;
    let Some(step) = ALL.iter().find(|step| step.verb.name == verb) else {
        unreachable!("every verb that is read is listed")
    };
    step
}

/// `[expect]`
pub(in crate::scenario) const EXPECT: &[Key] = &[
    optional(
        "always",
        Shape::List {
            of: &Shape::Word(|| list(&Check::ALL.map(Check::id))),
            may_be_empty: true,
            is_a_set: true,
        },
        "checks that hold after every step of every schedule",
    ),
    required(
        "outcomes",
        Shape::List { of: &Shape::Map(&FINAL_STATE), may_be_empty: false, is_a_set: true },
        "the ways in which it may end; one must fit. A process that is not named may be anything",
    ),
    optional(
        "reach",
        Shape::Word(|| list(&[expected::EVERY_OUTCOME])),
        "`\"every-outcome\"`: each outcome must be shown by at least one schedule, or the scenario proves nothing",
    ),
    optional(
        "refusal",
        Shape::TableWithSome(REFUSAL, &["names", "exit", "never_says", "within_ms"]),
        "what every refusal must say",
    ),
];

const FINAL_STATE: Shape = Shape::Word(|| {
    let reasons = REASONS.iter().map(|reason| format!("refused:{}", reason.id));
    list(&FinalState::WORDS).into_iter().chain(reasons).collect()
});

const A_STATUS: Shape = Shape::Integer(expected::EXIT_STATUSES);

/// `refusal`
pub(in crate::scenario) const REFUSAL: &[Key] = &[
    optional("names", A_NAME, "whom it must name as the one in the way"),
    optional(
        "exit",
        Shape::Either(&[A_STATUS, Shape::List { of: &A_STATUS, may_be_empty: false, is_a_set: true }]),
        "an exit status or a list of them",
    ),
    optional(
        "never_says",
        Shape::List { of: &Shape::Text, may_be_empty: false, is_a_set: true },
        "words that do not occur in the sentence that people are told, in letters of either case",
    ),
    optional(
        "within_ms",
        Shape::Integer(expected::WITHIN),
        "how long after its start a gateway has given up at the latest, in milliseconds, 1 to 3600000",
    ),
];

/// `[explore]`
pub(in crate::scenario) const EXPLORE: &[Key] = &[
    optional("policy", Shape::Policy, "which schedules are tried"),
    optional(
        "kills",
        Shape::Integer(explored::KILLS),
        "how many gateways the explorer may kill, each at any call, 0 to 4",
    ),
    optional(
        "power_losses",
        Shape::Integer(explored::POWER_LOSSES),
        "how often the power may fail, each time at any call and with everything that the `persistence` of a mount allows, 0 to 2. Simulator only",
    ),
    optional(
        "span",
        Shape::Integer(explored::SPAN),
        "how many ports above its base a gateway claims in the simulator, 1 to 110",
    ),
    optional(
        "slow_release",
        Shape::Boolean,
        "`true`: a process that dies gives back its descriptors one by one, in any order, in the simulator; needs a `span` of at most 2",
    ),
    optional("tries", Shape::Integer(explored::TRIES), "how many runs real processes make, 1 to 10000"),
];

/// `[limits]`
pub(in crate::scenario) const LIMITS: &[Key] = &[
    optional(
        "states",
        Shape::Integer(explored::STATES),
        "how many states the simulator visits, 1 to 1000000000; `--max-states` wins over it",
    ),
    optional(
        "real_ms",
        Shape::Integer(explored::REAL_MS),
        "how long one try on real processes may take, in milliseconds, 100 to 3600000",
    ),
];

const SEED: Key = optional(
    "seed",
    Shape::Integer(explored::SEEDS),
    "what all random numbers come from: the same number, the same schedules. Default: 1",
);
const RUNS: Shape = Shape::Integer(explored::SCHEDULES);

/// Each way to choose schedules: its keys, the first of which names it.
pub(in crate::scenario) const POLICIES: [&[Key]; 4] = [
    &[required(
        "exhaustive",
        Shape::Integer(explored::PREEMPTIONS),
        "every schedule with so many preemptions at most",
    )],
    &[required("random", RUNS, "takes each possible step with the same probability"), SEED],
    &[
        required(
            "pct",
            RUNS,
            "gives each process a random priority, and lets the first in line fall back at `depth` - 1 random steps",
        ),
        optional(
            "depth",
            Shape::Integer(explored::DEPTHS),
            "how many steps must come in a certain order. Default: 3",
        ),
        SEED,
    ],
    &[required("swarm", RUNS, "draws how eager each process is and how long it keeps its turn"), SEED],
];

/// Whether a key must be there.
pub(in crate::scenario) const fn is_required(key: &Key) -> bool {
    matches!(key.need, Need::Required)
}
