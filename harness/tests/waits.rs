//! A script that can go no further is not passed over, and "settled" means the same as on real processes.

use std::path::Path;

use harness::designs::Design;
use harness::scenario::{Paint, parse};
use harness::simulate::run_case;
use harness::verdict::Verdict;

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
