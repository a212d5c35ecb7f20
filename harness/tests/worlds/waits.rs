//! A script that can go no further is not passed over, and "settled" means the same as on real processes.

use std::path::Path;

use harness::designs::Design;
use harness::scenario::{Paint, parse};
use harness::simulate::run_case;
use harness::verdict::{Evidence, Verdict};

fn verdict(run: &str, outcome: &str) -> Verdict {
    let text = format!(
        "schema = 1\ntitle = \"t\"\n[gateway]\na = {{ state = \"S\", port = 18789 }}\nb = {{ state = \"S\", port = 18789 }}\n\
         [process]\np = {{ looks_like = \"web\", listens = [18789] }}\nq = {{ looks_like = \"web\", listens = [18789] }}\n\
         [run]\n{run}\n[expect]\noutcomes = [{outcome}]\n[explore]\nspan = 1\n"
    );
    let parsed = parse(Path::new("table.toml"), &text);
    let scenario = parsed.unwrap_or_else(|problems| {
        let draw = |problem: &harness::scenario::Problem| {
            problem.render(Path::new("table.toml"), &text, Paint::Plain)
        };
        panic!("{}", problems.iter().map(draw).collect::<Vec<_>>().join("\n"))
    });
    run_case(&scenario.cases()[0], Design::Refgate)
}

fn broken(verdict: Verdict) -> String {
    match verdict {
        Verdict::Fail(failure) => format!("{}: {}", failure.check, failure.says),
        other @ (Verdict::Pass(_)
        | Verdict::Known(_)
        | Verdict::Inconclusive(_)
        | Verdict::Unsupported(_)) => {
            format!("{other:?}")
        }
    }
}

#[test]
fn a_wait_for_what_never_comes_is_a_failure_that_names_it() {
    let run = "setup = [{ start = [\"a\", \"p\", \"q\"] }, { wait = \"a.ready\" }]\n\
               steps = [{ start = \"b\" }, { wait = \"b.ready\" }]";
    assert!(broken(verdict(run, "{ a = \"ready\" }")).starts_with("setup: "), "p has the port of a");
    let run = "setup = [{ start = \"a\" }, { wait = \"a.ready\" }]\n\
               steps = [{ start = [\"b\", \"p\", \"q\"] }, { wait = \"b.ready\" }]";
    assert_eq!(
        broken(verdict(run, "{ a = \"ready\" }")),
        "stuck: the script comes no further than `wait = \"b.ready\"`"
    );
}

#[test]
fn an_owner_that_was_asked_to_stop_is_not_settled_before_it_is_gone() {
    let run = "setup = [{ start = \"a\" }, { wait = \"a.ready\" }]\n\
               steps = [{ stop = \"a\" }, { wait = \"settled\" }, { start = [\"b\", \"p\", \"q\"] }, { wait = \"settled\" }]";
    let verdict = verdict(run, "{ a = \"exited\", b = \"ready\" }, { a = \"exited\", b = \"refused:port\" }");
    assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
}

#[test]
fn a_bystander_that_cannot_have_its_port_ends() {
    let run = "steps = [{ start = [\"p\", \"q\"] }, { start = [\"a\", \"b\"] }, { wait = \"settled\" }]";
    let verdict = verdict(run, "{ p = \"running\", q = \"exited\" }");
    assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
}

#[test]
fn what_a_gateway_has_told_stays_told_whatever_becomes_of_it() {
    let run = "setup = [{ start = \"a\" }, { wait = \"a.ready\" }]\n\
               steps = [{ stop = \"a\" }, { wait = \"a.gone\" }, { wait = \"a.owner\" }, { wait = \"a.draining\" }, \
               { wait = \"a.released\" }, { start = [\"b\", \"p\", \"q\"] }, { wait = \"settled\" }]";
    let verdict = verdict(run, "{ a = \"exited\" }");
    assert!(matches!(verdict, Verdict::Pass(_)), "{verdict:?}");
}

#[test]
fn a_step_is_held_back_until_a_gateway_has_told_what_it_waits_for() {
    let killed = |when: &str| {
        let run = format!(
            "steps = [{{ start = \"a\" }}, {{ kill = \"a\"{when} }}, {{ wait = \"settled\" }}, \
             {{ start = [\"p\", \"q\", \"b\"] }}, {{ wait = \"settled\" }}]"
        );
        let Verdict::Pass(Evidence::Complete { states, .. }) = verdict(&run, "{ a = \"killed\" }") else {
            panic!("{when}")
        };
        states
    };
    let (at_any_call, as_owner, ready) =
        (killed(""), killed(", when = \"a.owner\""), killed(", when = \"a.ready\""));
    assert!(at_any_call > as_owner && as_owner > ready, "{at_any_call} {as_owner} {ready}");
}

#[test]
fn what_is_never_told_is_waited_for_in_vain_and_what_was_told_before_the_wait_is_not() {
    let run = |wait: &str| {
        format!(
            "setup = [{{ start = \"a\" }}, {{ wait = \"a.ready\" }}]\n\
             steps = [{{ start = \"b\" }}, {{ wait = \"b.gone\" }}, {{ start = [\"p\", \"q\"], when = \"{wait}\" }}, \
             {{ wait = \"settled\" }}]"
        )
    };
    let refused = verdict(&run("b.refused"), "{ a = \"ready\", b = \"refused:held\" }");
    assert!(matches!(refused, Verdict::Pass(_)), "{refused:?}");
    assert_eq!(
        broken(verdict(&run("b.owner"), "{ a = \"ready\" }")),
        "stuck: the script comes no further than `wait = \"b.owner\"`"
    );
}

#[test]
fn time_passes_before_a_step_that_is_held_back_by_it() {
    let text = "schema = 1\ntitle = \"t\"\n[gateway.a]\nstate = \"S\"\nport = 18789\n[run]\n\
                steps = [{ start = \"a\" }, { kill = \"a\", when = \"a.ready\", after_ms = 500 }, { wait = \"settled\" }]\n\
                [expect]\noutcomes = [{ a = \"killed\" }]\n";
    let told = text.replace(
        "kill = \"a\", when = \"a.ready\", after_ms = 500",
        "wait = \"a.ready\" }, { pass_ms = 500 }, { kill = \"a\"",
    );
    let steps = |text: &str| -> Vec<String> {
        let Ok(scenario) = parse(Path::new("t.toml"), text) else { panic!("{text}") };
        assert_eq!(scenario.warnings(), [], "{text}");
        scenario.steps.iter().map(|step| step.value.to_string()).collect()
    };
    assert_eq!(steps(text), steps(&told));
    assert_eq!(steps(text), ["start a", "wait for a.ready", "let 500 ms pass", "kill a", "wait for settled"]);
}
