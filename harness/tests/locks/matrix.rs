//! The matrix agrees with what is known of OpenClaw's lock and of the naive locks, and the least way to break each is pinned.
//!
//! The numbers of states and steps are part of the snapshot, so that a smaller search or a check that looks away shows.

#![expect(clippy::unwrap_used, reason = "a test panics where its premises fail")]

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use harness::designs::{Design, Naive};
use harness::matrix::{self, Answer, CONTESTS, Cell, Format, KNOWN, Known, Matrix, Row};
use harness::scenario::{Case, Paint, Scenario, load};
use harness::simulate::Simulation;
use insta::assert_snapshot;
use sim::Who;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn portcullis(arguments: &[&str]) -> Output {
    cargo_bin_cmd!("portcullis").current_dir(root()).args(arguments).output().unwrap()
}

fn shown(output: &Output) -> String {
    let (out, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{complaints}(exit {})", output.status.code().unwrap())
}

fn library() -> Vec<Scenario> {
    load(&[root().join("scenarios")]).unwrap_or_else(|errors| panic!("{}", errors.render(Paint::Plain)))
}

fn case(id: &str) -> Case {
    library().iter().flat_map(Scenario::cases).find(|case| case.id == id).unwrap()
}

#[test]
fn every_generation_does_in_every_known_case_what_is_known_of_it() {
    let output = shown(&portcullis(&["matrix"]));
    let (table, key) = output.split_once("\n\n").unwrap();
    assert_snapshot!(table, @"
         refgate      G1           G2           G3           G4           G5           G6
    K1   holds 427587 holds 210    holds 3158   broken 30    broken 30    holds 5297   holds 25225
    K2   holds 110    broken 8     holds 20     broken 18    broken 18    holds 10     holds 10
    K4   holds 275037 -            broken 39    broken 36    broken 36    holds 1446   holds 4565
    K5   holds 1922   -            broken 22    broken 22    broken 22    holds 75     holds 132
    K6   holds 62     holds 10     holds 22     holds 22     holds 22     holds 76     holds 99
    K7   holds 62     holds 10     holds 23     holds 22     holds 22     holds 80     holds 104
    K8   holds 171    holds 10     broken 0     holds 22     holds 22     broken 0     broken 0
    K10  holds 2691   holds 50     broken 6     broken 6     broken 6     broken 27    broken 35
    K11  holds 740    -            -            -            -            broken 29    broken 37
    K12  holds 61     holds 15     holds 41     broken 42    broken 42    holds 21     holds 21
    K14  holds 110    broken 8     broken 12    broken 12    broken 12    holds 10     holds 10
    K15  holds 110    broken 8     broken 12    broken 12    broken 12    holds 10     holds 10
    K16  holds 110    broken 8     broken 12    broken 12    broken 12    holds 10     holds 10
    K17  holds 6059   broken 17    holds 1055   broken 33    broken 33    broken 97    broken 145
    K18  holds 24     broken 8     broken 12    broken 12    broken 12    holds 27     holds 35
    K20  holds 3667   broken 9     broken 13    broken 13    broken 13    broken 43    holds 78
    K21  holds 111    broken 17    broken 27    broken 27    broken 27    broken 129   broken 175
    K24  holds 278    broken 5     broken 17    broken 19    broken 19    broken 66    broken 99
    K25  holds 281    outcomes 9   outcomes 15  outcomes 15  outcomes 15  outcomes 51  outcomes 75
    K26  holds 55     broken 5     broken 17    broken 19    broken 19    broken 66    broken 99
    K27  holds 190    -            -            broken 9     broken 9     broken 10    broken 11
    K30  holds 110    holds 7      holds 20     holds 102    holds 129    holds 10     outcomes 9
    K31  bounded      bounded      broken 35    broken 30    broken 30    bounded      bounded
    K32  holds 44945  broken 17    broken 27    broken 27    broken 27    broken 97    broken 145
    K35  holds 62     -            broken 0     broken 0     holds 16     holds 46     holds 68
    ");
    assert!(key.ends_with("by these promises\n(exit 0)"), "{key}");
}

/// What `matrix --format tsv` says of some designs, without the line of names: one list of fields for each cell.
fn cells(arguments: &[&str], designs: &[Design]) -> Vec<Vec<String>> {
    let names: Vec<String> = designs.iter().map(|design| format!("--design={}", design.name())).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let output = portcullis(&[&["matrix", "--format", "tsv"], arguments, &names].concat());
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn answers(known: &Known, answer: Answer) -> impl Iterator<Item = Naive> {
    Naive::all().filter(move |naive| known.answer(Design::Naive(*naive)) == answer)
}

#[test]
fn every_naive_lock_is_broken_in_its_contest_and_the_right_ones_hold_in_all_but_one() {
    let designs: Vec<Design> = Naive::all().map(Design::Naive).collect();
    let cells = cells(&["--naive"], &designs);
    assert_eq!(cells.len(), designs.len() * CONTESTS.len());
    let broken: Vec<String> = cells
        .iter()
        .filter(|cell| cell[7] == "broken")
        .map(|cell| {
            let [known, _, design, _, check, steps, ..] = cell.as_slice() else { panic!("{cell:?}") };
            let id = Design::of(design).and_then(Design::id).unwrap();
            format!("{known:<3} {id:<4} {check:<13} {steps}")
        })
        .collect();
    assert_snapshot!(broken.join("\n"), @"
    C1  N1   single-owner  15
    C1  N21  single-owner  24
    C2  N1   single-owner  16
    C2  N2   single-owner  20
    C2  N8   single-owner  29
    C2  N16  single-owner  18
    C2  N17  single-owner  28
    C2  N26  single-owner  15
    C3  N22  no-theft      15
    C4  N3   single-owner  29
    C4  N4   single-owner  31
    C4  N6   single-owner  35
    C5  N7   single-owner  37
    C5  N10  single-owner  53
    C6  N4   no-wedge      0
    C6  N25  no-wedge      0
    C7  N24  no-collateral 8
    C8  N4   no-wedge      7
    C9  N9   no-wedge      11
    C10 N11  single-owner  21
    C10 N12  single-owner  22
    C10 N12b single-owner  26
    C11 N13  single-owner  10
    C11 N14  single-owner  8
    C11 N15  single-owner  10
    C12 N5   single-owner  29
    C12 N18  single-owner  22
    C12 N23  single-owner  34
    C13 N5   single-owner  27
    C14 N18b single-owner  10
    C15 N19  single-owner  19
    C16 N3   outcomes      10
    C16 N24  outcomes      21
    C17 N20  single-owner  8
    C18 N24b no-collateral 8
    C19 N1   truthful      6
    ");
    for naive in Naive::all() {
        let held = CONTESTS.iter().filter(|known| known.answer(Design::Naive(naive)) == Answer::Holds);
        let held: Vec<&str> = held.map(|known| known.id).collect();
        let is_broken = CONTESTS.iter().any(|known| answers(known, Answer::Broken).any(|one| one == naive));
        assert!(is_broken, "nothing breaks {}", naive.name());
        assert!(held.is_empty() || held.len() + 1 == CONTESTS.len(), "{}: {held:?}", naive.name());
    }
}

#[test]
fn a_lock_that_is_asked_for_without_end_is_broken_where_somebody_could_ask_for_ever() {
    let designs = ["flock-without-limit", "flock-upgrade", "N14"].map(|name| Design::of(name).unwrap());
    let cells = cells(&["--naive", "scenarios/race/two-gateways.toml"], &designs);
    let found: Vec<String> = cells.iter().map(|cell| cell[..=5].join(" ").trim_end().to_owned()).collect();
    assert_snapshot!(found.join("\n"), @"
    C2 race/two-gateways flock-without-limit broken outcomes 12
    C2 race/two-gateways flock-upgrade broken outcomes 9
    C2 race/two-gateways flock-never-unlink holds
    C3 race/two-gateways flock-without-limit broken outcomes 12
    C3 race/two-gateways flock-upgrade broken outcomes 9
    C3 race/two-gateways flock-never-unlink holds
    ");
}

#[test]
fn every_contest_is_in_the_library_and_the_reference_lock_holds_it() {
    let cases: Vec<Case> = library().iter().flat_map(Scenario::cases).collect();
    for known in &CONTESTS {
        assert!(cases.iter().any(|case| case.id == known.case), "{}", known.case);
        assert_eq!(known.answer(Design::Refgate), Answer::Holds, "{}", known.id);
    }
    // The races are part of the matrix of the generations.
    let quick = ["C14", "C15", "C16", "C17", "C18", "C19"];
    let files = CONTESTS.iter().filter(|known| quick.contains(&known.id));
    let files: Vec<String> = files.map(|known| format!("scenarios/{}.toml", known.case)).collect();
    let paths: Vec<&str> = files.iter().map(String::as_str).collect();
    let cells = cells(&[&["--naive"], &paths[..]].concat(), &[Design::Refgate]);
    let held = cells.iter().filter(|cell| quick.contains(&cell[0].as_str()) && cell[3] == "holds").count();
    assert_eq!(held, quick.len());
}

#[test]
fn a_row_whose_scenario_asks_for_a_sample_says_how_many_schedules_were_drawn() {
    let cells = cells(
        &["scenarios/race/three-gateways-with-all-ports.toml"],
        &["refgate", "N14"].map(|id| Design::of(id).unwrap()),
    );
    let found: Vec<String> = cells.iter().map(|cell| cell[2..=5].join(" ").trim_end().to_owned()).collect();
    assert_snapshot!(found.join("\n"), @"
    refgate sampled
    flock-never-unlink broken ports-disjoint 16
    ");
}

#[test]
fn every_known_case_is_in_the_library_and_the_scenarios_made_for_one_say_which() {
    let library = library();
    let cases: Vec<Case> = library.iter().flat_map(Scenario::cases).collect();
    let lost: Vec<&str> =
        KNOWN.iter().map(|known| known.case).filter(|id| !cases.iter().any(|case| case.id == *id)).collect();
    assert_eq!(lost, Vec::<&str>::new());
    let made_for_one = library.iter().filter(|scenario| scenario.name.starts_with("known/"));
    for Scenario { name, tags, .. } in made_for_one {
        let known = KNOWN
            .iter()
            .find(|known| known.case == name)
            .unwrap_or_else(|| panic!("{name} shows no known case"));
        assert_eq!(tags[..2], ["known".to_owned(), known.id.to_lowercase()], "{name}");
    }
}

#[test]
fn the_matrix_is_the_same_bytes_however_many_cells_are_worked_on_at_once() {
    let tsv = |jobs| {
        let paths =
            ["scenarios/known/other-port.toml", "scenarios/known/reclaimer-killed.toml", "scenarios/pid"];
        let designs = ["--design", "G4", "--design", "G5", "--design", "pidfile-unlink-stale"];
        let output =
            portcullis(&[&["matrix", "--format", "tsv", "--jobs", jobs], &paths[..], &designs[..]].concat());
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let one_by_one = tsv("1");
    assert_eq!(one_by_one, tsv("3"));
    assert_snapshot!(one_by_one, @"
    known	case	design	found	check	steps	states	answer	agrees
    K2	known/other-port	openclaw-g4	broken	single-owner	18		broken	yes
    K2	known/other-port	openclaw-g5	holds			10	holds	yes
    K2	known/other-port	pidfile-unlink-stale	holds			11	?	yes
    K4	pid/stale-lock-race	openclaw-g4	broken	single-owner	36		broken	yes
    K4	pid/stale-lock-race	openclaw-g5	holds			1446	holds	yes
    K4	pid/stale-lock-race	pidfile-unlink-stale	broken	single-owner	29		?	yes
    K8	pid/recycled-pid[cron]	openclaw-g4	holds			22	holds	yes
    K8	pid/recycled-pid[cron]	openclaw-g5	broken	no-wedge	0		broken	yes
    K8	pid/recycled-pid[cron]	pidfile-unlink-stale	broken	no-wedge	0		?	yes
    K11	known/reclaimer-killed	openclaw-g4	-				-	yes
    K11	known/reclaimer-killed	openclaw-g5	broken	no-wedge	29		broken	yes
    K11	known/reclaimer-killed	pidfile-unlink-stale	broken	no-wedge	11		?	yes
    	pid/recycled-pid[api-gateway]	openclaw-g4	broken	clock-free	0		?	yes
    	pid/recycled-pid[api-gateway]	openclaw-g5	broken	clock-free	0		?	yes
    	pid/recycled-pid[api-gateway]	pidfile-unlink-stale	broken	no-wedge	0		?	yes
    	pid/stale-lock-three-starters	openclaw-g4	broken	single-owner	36		?	yes
    	pid/stale-lock-three-starters	openclaw-g5	bounded			45571	?	yes
    	pid/stale-lock-three-starters	pidfile-unlink-stale	broken	single-owner	29		?	yes
    ");
}

#[test]
fn a_cell_that_is_not_as_known_is_marked_and_told() {
    let known = KNOWN.iter().find(|known| known.id == "K6").unwrap();
    let designs = ["G1", "G2", "G3"].map(|id| Design::of(id).unwrap()).to_vec();
    let cells = vec![
        Cell::Holds { states: 7 },
        Cell::Broken { check: "no-wedge".to_owned(), steps: Some(5) },
        Cell::Cut { states: 9 },
    ];
    let row = Row { case: case(known.case), known: Some(*known), cells };
    let matrix = Matrix { designs, rows: vec![row] };
    let mut text = Vec::new();
    matrix::render(&mut text, &matrix, Format::Text).unwrap();
    let text = anstream::adapter::strip_str(std::str::from_utf8(&text).unwrap()).to_string();
    assert_snapshot!(text, @"
        G1           G2           G3
    K6  holds 7      broken 5 !   cut !

    K6   known/owner-killed: no-wedge
         The owner is killed and a gateway starts

    holds N    every schedule keeps the promises of the row, in N states
    bounded    every schedule within the bounds of the scenario does
    broken N   one is broken, N steps after the setup at the earliest
    -          the row is not about this design
    refgate is judged by all that a scenario expects, other designs by these promises
    not as known: openclaw-g2 in K6: known is `holds`, found is `breaks no-wedge`
    not as known: openclaw-g3 in K6: known is `holds`, found is `undecided after 9 states`
    ");
    assert_eq!(matrix.surprises().count(), 2);
    assert!(matrix.is_cut());
}

#[test]
fn what_is_left_open_agrees_with_everything_and_a_search_that_was_cut_with_nothing_else() {
    let cut = Cell::Cut { states: 1 };
    let agreeing =
        [Answer::Holds, Answer::Broken, Answer::Open, Answer::Apart].map(|answer| cut.agrees(answer));
    assert_eq!(agreeing, [false, false, true, false]);
    assert!(Cell::Bounded { states: 1 }.agrees(Answer::Holds) && Cell::Apart.agrees(Answer::Apart));
}

#[test]
fn a_matrix_of_cases_of_which_nothing_is_known_must_be_asked_for_by_name() {
    assert_snapshot!(shown(&portcullis(&["matrix", "--tag", "restart"])), @"
    error: nothing is known of any of these cases
      = help: name scenarios or directories, for instance `portcullis matrix scenarios`, and every case of them is a row
    (exit 4)
    ");
}

/// A generation, a known case that it breaks, the check that says so, and the faults, preemptions and steps that it takes:
/// nothing less breaks it.
const LEAST: [(&str, &str, &str, [usize; 3]); 14] = [
    ("G1", "K2", "single-owner", [0, 0, 8]),
    ("G1", "K24", "truthful", [0, 0, 5]),
    ("G2", "K4", "single-owner", [0, 1, 39]),
    ("G2", "K5", "no-theft", [0, 0, 22]),
    ("G2", "K10", "no-wedge", [0, 0, 6]),
    ("G2", "K31", "single-owner", [0, 1, 35]),
    ("G3", "K1", "single-owner", [0, 1, 30]),
    ("G3", "K12", "single-owner", [0, 0, 42]),
    ("G4", "K2", "single-owner", [0, 0, 18]),
    ("G4", "K27", "no-collateral", [0, 0, 9]),
    ("G5", "K11", "no-wedge", [0, 0, 29]),
    ("G5", "K20", "single-owner", [0, 0, 43]),
    ("G6", "K10", "no-wedge", [0, 0, 35]),
    ("G6", "K21", "single-owner", [0, 1, 175]),
];

#[test]
fn the_least_execution_that_breaks_each_generation_is_known_to_the_step() {
    let mut seen = Vec::new();
    for (id, number, ..) in LEAST {
        let (design, known) =
            (Design::of(id).unwrap(), KNOWN.iter().find(|known| known.id == number).unwrap());
        let simulation =
            Simulation::new(&matrix::judged(&case(known.case).scenario, Some(known), design), design);
        let (setup, checks, bounds) = (&simulation.setup, &simulation.checks, &simulation.bounds);
        let found = sim::explore(setup, checks, bounds).found.unwrap();
        assert!(found.is_shortest, "{id} in {number}");
        let trace = sim::replay(setup, checks, bounds, &found.schedule);
        assert_eq!(trace.violation.as_ref(), Some(&found.violation), "{id} in {number}");
        let steps = || trace.steps.iter().filter(|step| !step.in_setup);
        let faults = steps().filter(|step| matches!(step.who, Who::Fault(_))).count();
        let preemptions = steps().filter(|step| step.is_preemption).count();
        seen.push((id, number, found.violation.check.clone(), [faults, preemptions, steps().count()]));
    }
    let wanted = LEAST.map(|(id, number, check, least)| (id, number, check.to_owned(), least));
    assert_eq!(seen, wanted);
}
