//! A check that cannot fail proves nothing: each one is broken by some lock, and held by the one that ships.

use std::path::Path;

use harness::designs::{Design, Endless, Naive, Slip, Token};
use harness::scenario::{Check, Paint, Scenario, parse};
use harness::simulate::run_case;
use harness::verdict::{Evidence, Verdict};

/// Two gateways that differ in whatever the table says, a bystander, and what happens to them.
fn scenario(always: &str, gateways: &str, run: &str, explore: &str) -> Scenario {
    let text = format!(
        "schema = 1\ntitle = \"t\"\n[gateway]\n{gateways}\n[process]\ncron = {{ looks_like = \"cron -f\" }}\n[run]\n{run}\n\
         [expect]\nalways = [\"{always}\"]\noutcomes = [{{ cron = \"running\" }}]\n[explore]\nspan = 1\n{explore}\n"
    );
    parse(Path::new("table.toml"), &text).unwrap_or_else(|problems| {
        let drawn: Vec<String> = problems
            .iter()
            .map(|problem| problem.render(Path::new("table.toml"), &text, Paint::Plain))
            .collect();
        panic!("{}", drawn.join("\n"))
    })
}

const RIVALS: &str = "a = { state = \"S\", port = 18789 }\nb = { state = \"S\", port = 18789 }";
const ALONE: &str = "a = { state = \"S\", port = 18789 }";
const RACE: &str = "steps = [{ start = [\"cron\", \"a\", \"b\"] }, { wait = \"settled\" }]";
const SERVICE: &str = "steps = [{ start = [\"cron\", \"a\"] }, { wait = \"settled\" }]";
const AFTER: &str = "setup = [{ start = [\"cron\", \"a\"] }, { wait = \"a.ready\" }]\nsteps = [{ start = \"b\" }, { wait = \"settled\" }]";
const STALE: &str = "setup = [{ start = [\"cron\", \"a\"] }, { wait = \"a.ready\" }, { kill = \"a\" }]\n\
                     steps = [{ start = [\"b\", \"c\"] }, { wait = \"settled\" }]";
const SUCCEEDED: &str = "setup = [{ start = [\"cron\", \"a\"] }, { wait = \"a.ready\" }, { kill = \"a\" }]\n\
                         steps = [{ start = \"b\" }, { wait = \"settled\" }]";
const RESTARTED: &str = "setup = [{ start = [\"cron\", \"a\"] }, { wait = \"a.ready\" }]\n\
                         steps = [{ restart = \"a\" }, { wait = \"settled\" }]";
const RECYCLED: &str = "setup = [{ start = \"a\" }, { wait = \"a.ready\" }, { kill = \"a\" }, { recycle = \"a\", as = \"cron\" }]\n\
                        steps = [{ start = \"b\" }, { wait = \"settled\" }]";

/// The design that breaks a check, and where.
fn broken_by(check: Check) -> (Design, String, &'static str, &'static str) {
    let three = format!("{RIVALS}\nc = {{ state = \"S\", port = 18789 }}");
    let apart = |more: &str| {
        format!("a = {{ state = \"A\", port = 18789{more} }}\nb = {{ state = \"B\", port = 19001{more} }}")
    };
    match check {
        Check::SingleWriter => (Design::Slipping(Slip::EpochNotRaised), RIVALS.to_owned(), SUCCEEDED, ""),
        Check::SingleOwner | Check::NoTheft => (Design::Naive(Naive::PidfileUnlinkStale), three, STALE, ""),
        Check::NoForeignUnlink => (Design::Naive(Naive::PidfileUnlinkStale), three, STALE, ""),
        Check::NoCollateral => (Design::Naive(Naive::PidfileKillOwner), RIVALS.to_owned(), RECYCLED, ""),
        Check::PortsDisjoint => {
            let overlap =
                "a = { state = \"A\", port = 18789 }\nb = { state = \"B\", port = 18790 }".to_owned();
            (Design::Without(Token::Ports), overlap, RACE, "")
        }
        Check::ConfigIdentity => (Design::Without(Token::Config), apart(", config = \"C\""), RACE, ""),
        Check::EffectAfterLock => (Design::Naive(Naive::PidfileUnlinkStale), RIVALS.to_owned(), RACE, ""),
        Check::NoWedge => (Design::Naive(Naive::PidfileUnlinkStale), RIVALS.to_owned(), RACE, "kills = 2"),
        // Killed between create and write, it leaves a file that it cannot judge when it is started again.
        Check::NoDeadEnd => {
            let supervised = "a = { state = \"S\", port = 18789, supervisor = { kind = \"systemd\", restart = \"on-failure\" } }";
            (Design::Naive(Naive::PidfileUnlinkStale), supervised.to_owned(), SERVICE, "kills = 1")
        }
        // A signal that it knows nothing of ends it.
        Check::Handoff => (Design::Naive(Naive::FlockNeverUnlink), ALONE.to_owned(), RESTARTED, ""),
        // It calls an owner "held" that has not told so yet: nobody owns between create and announcement.
        Check::Truthful => (Design::Naive(Naive::PidfileUnlinkStale), RIVALS.to_owned(), RACE, ""),
        Check::FailFast | Check::ClockFree => {
            (Design::Naive(Naive::LeaseWallClock), RIVALS.to_owned(), AFTER, "")
        }
    }
}

fn verdict(scenario: &Scenario, design: Design) -> Verdict {
    let cases = scenario.cases();
    assert_eq!(cases.len(), 1);
    run_case(&cases[0], design)
}

#[test]
fn every_check_is_broken_by_some_lock_and_held_by_the_one_that_ships() {
    for check in Check::ALL {
        let (design, gateways, run, explore) = broken_by(check);
        let scenario = scenario(check.id(), &gateways, run, explore);
        match verdict(&scenario, design) {
            Verdict::Fail(failure) => assert_eq!(failure.check, check.id(), "{}", failure.says),
            other @ (Verdict::Pass(_)
            | Verdict::Known(_)
            | Verdict::Inconclusive(_)
            | Verdict::Unsupported(_)) => {
                panic!("{} does not break {check}: {other:?}", design.name())
            }
        }
        let shipped = verdict(&scenario, Design::Refgate);
        assert!(matches!(shipped, Verdict::Pass(_)), "{check}: {shipped:?}");
    }
}

#[test]
fn services_that_go_round_for_ever_are_a_dead_end_as_well() {
    let service = |name: &str| {
        format!(
            "{name} = {{ state = \"S\", port = 18789, supervisor = {{ kind = \"systemd\", restart = \"always\" }} }}"
        )
    };
    let gateways = [service("a"), service("b")].join("\n");
    let scenario = scenario("no-dead-end", &gateways, RACE, "");
    let Verdict::Fail(failure) = verdict(&scenario, Design::Endless(Endless::Retreats)) else {
        panic!("two that retreat from each other settle")
    };
    assert_eq!(failure.check, "no-dead-end");
    assert_eq!(failure.says, "nobody owns the state directory, and the supervisor of a waits for it");
}

#[test]
fn one_that_asks_until_the_owner_has_ended_settles_though_it_could_be_kept_from_its_turn_for_ever() {
    let handed_over = "setup = [{ start = [\"cron\", \"a\"] }, { wait = \"a.ready\" }]\n\
                       steps = [{ start = \"b\" }, { stop = \"a\" }, { wait = \"settled\" }]";
    let kept = "setup = [{ start = [\"cron\", \"a\"] }, { wait = \"a.ready\" }]\n\
                steps = [{ start = \"b\" }, { wait = \"settled\" }, { stop = \"a\" }]";
    let run = |run| verdict(&scenario("single-owner", RIVALS, run, ""), Design::Endless(Endless::Insists));
    assert!(matches!(run(handed_over), Verdict::Pass(Evidence::Complete { .. })), "{:?}", run(handed_over));
    let Verdict::Fail(failure) = run(kept) else {
        panic!("the owner is told to stop only if its rival settles")
    };
    assert_eq!(failure.says, "b goes on for ever and never settles, while a owns");
}
