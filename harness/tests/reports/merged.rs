//! Parts of a run make the whole again, and what is missing of it is no pass.

use super::{BROKEN, Room, lines, text, timeless};

fn run_part(room: &Room, by: &str, part: u32) -> String {
    let file = format!("{by}-{part}.jsonl");
    let partition = format!("{by}:{part}/3");
    room.portcullis(&["run", "-q", "--design", BROKEN, "--partition", &partition, "--jsonl", &file]);
    file
}

#[test]
fn the_parts_of_a_run_make_the_whole_again() {
    let room = Room::new();
    let whole = timeless(room.events(&["--design", BROKEN]));
    for by in ["hash", "slice"] {
        // In any order.
        let files: Vec<String> = [3, 1, 2].into_iter().map(|part| run_part(&room, by, part)).collect();
        let arguments = [
            "report",
            "merge",
            &files[0],
            &files[1],
            &files[2],
            "--message-format",
            "json",
            "--html",
            "m.html",
        ];
        let output = room.portcullis(&arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert_eq!(timeless(lines(&text(&output.stdout))), whole, "{by}");
        assert!(room.read("m.html").contains("a and b both own the state directory"));
    }
}

#[test]
fn a_part_that_is_missing_or_was_cut_is_told_and_is_no_pass() {
    let room = Room::new();
    let part = |part: u32| {
        let file = format!("{part}.jsonl");
        let partition = format!("slice:{part}/2");
        let arguments = ["run", "-q", "-E", "test(alone)", "--partition", &partition, "--jsonl", &file];
        assert_eq!(room.portcullis(&arguments).status.code(), Some(0));
    };
    part(1);
    part(2);
    let merge = |files: &[&str]| {
        let output = room.portcullis(&[&["report", "merge", "-q"], files].concat());
        (output.status.code().unwrap(), text(&output.stderr))
    };
    assert_eq!(merge(&["1.jsonl", "2.jsonl"]), (0, String::new()));
    let (status, told) = merge(&["1.jsonl"]);
    assert_eq!(
        (status, told.as_str()),
        (3, "error: part 2 of 2 is missing: what is here is not the whole run\n")
    );
    // A run that was killed leaves a beginning.
    let whole = room.read("1.jsonl");
    let cut: String = whole.split_inclusive('\n').take(4).collect();
    room.write("cut.jsonl", &cut[..cut.len() - 1]);
    let (status, told) = merge(&["cut.jsonl", "2.jsonl"]);
    assert_eq!(status, 3, "{told}");
    assert_eq!(
        told,
        "error: cut.jsonl was cut: 1 of 2 cases have ended, and alone[19189] on sim began and did not end: what is here \
         is not the whole run\n"
    );
}

#[test]
fn files_that_are_no_parts_of_one_run_are_refused_at_their_line() {
    let room = Room::new();
    let run = |file: &str, more: &[&str]| {
        room.portcullis(&[&["run", "-q", "-E", "test(alone)", "--jsonl", file], more].concat());
    };
    run("a.jsonl", &[]);
    run("other.jsonl", &["--design", "bind-only"]);
    room.write(
        "broken.jsonl",
        &room.read("a.jsonl").replacen("\"version\":1,\"index\"", "\"version\":9,\"index\"", 1),
    );
    room.write("empty.jsonl", "");
    room.write("headless.jsonl", room.read("a.jsonl").split_once('\n').unwrap().1);
    let table: [(&[&str], &str); 6] = [
        (&["a.jsonl", "a.jsonl"], "a.jsonl and a.jsonl both have alone[18789] on sim"),
        (
            &["a.jsonl", "other.jsonl"],
            "a.jsonl and other.jsonl cannot be parts of one run: they differ in the design",
        ),
        (&["broken.jsonl"], "broken.jsonl:2: this is no event: version 9 is not known, only 1"),
        (&["empty.jsonl"], "empty.jsonl is empty"),
        (&["headless.jsonl"], "headless.jsonl:1: a file has the events of one run"),
        (&["nowhere.jsonl"], "cannot read nowhere.jsonl: No such file"),
    ];
    for (files, wanted) in table {
        let output = room.portcullis(&[&["report", "merge"], files].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(wanted), "{told}");
    }
}

#[test]
fn reports_of_a_file_of_events_are_those_of_the_run_itself_byte_for_byte() {
    let room = Room::new();
    let all = |directory: &str| ["--artifacts".to_owned(), directory.to_owned()];
    let by = |arguments: &[&str], directory: &str| {
        let more = all(directory);
        room.portcullis(&[arguments, &[&more[0], &more[1]]].concat())
    };
    let run = by(&["run", "--design", BROKEN, "--jobs", "3"], "run");
    let merged = by(&["report", "merge", "run/run.jsonl"], "merged");
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(merged.status.code(), Some(1), "{}", text(&merged.stderr));
    assert_eq!(text(&run.stdout), text(&merged.stdout));
    for name in ["run.jsonl", "junit.xml", "report.html", "perfetto.json"] {
        assert_eq!(room.read(&format!("run/{name}")), room.read(&format!("merged/{name}")), "{name}");
    }
}
