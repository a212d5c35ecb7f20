//! `refgate why` names who it is in each situation, whatever the owner record says, and changes nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::room::{Mortal, OTHER, Orphan, Room, Running, USER, object, users};

/// What is in the way, held until it is dropped.
#[expect(dead_code, reason = "what is in it is only held")]
enum Held {
    Nothing,
    Gateway(Running),
    Orphan(Orphan),
    Process(Mortal),
    Socket(std::os::fd::OwnedFd),
}

/// What `why` is to say: verdict, situation, how sure, who.
type Expected = (&'static str, &'static str, &'static str, Option<u32>);

/// Sets one stage.
type Case = (&'static str, fn(&Room) -> (Held, Expected));

fn cases() -> Vec<Case> {
    vec![
        ("nothing", |_| (Held::Nothing, ("free", "free", "proved", None))),
        ("healthy", |room| {
            let gateway = room.gateway(&[]);
            let pid = gateway.pid();
            (Held::Gateway(gateway), ("held-ready", "expected-gateway", "proved", Some(pid)))
        }),
        ("paused", |room| {
            let gateway = room.gateway(&[]);
            gateway.pause();
            let pid = gateway.pid();
            (Held::Gateway(gateway), ("held-stopped", "stale-process", "proved", Some(pid)))
        }),
        ("an orphan that has the descriptor", |room| {
            let orphan = Orphan::new(room);
            let pid = orphan.0;
            (Held::Orphan(orphan), ("held-orphan", "stale-process", "proved", Some(pid)))
        }),
        ("a program of this user on the port", |room| {
            let program = Room::idle(room.uid, room.listener());
            let pid = program.pid();
            (Held::Process(program), ("port-foreign", "unknown-holder", "proved", Some(pid)))
        }),
        ("a program of another user on the port", |room| match room.uid {
            // Nobody hides from root.
            None => {
                let program = Room::idle(Some(OTHER), room.listener());
                let pid = program.pid();
                (Held::Process(program), ("port-foreign", "unknown-holder", "proved", Some(pid)))
            }
            // This test itself, which runs as root and lets nobody look.
            Some(_) => (Held::Socket(room.listener()), ("port-foreign", "unknown-holder", "proved", None)),
        }),
        ("the end of a gateway", |room| {
            drop(room.gateway(&[]));
            (Held::Nothing, ("free", "free", "proved", None))
        }),
    ]
}

/// Whether `why` sees the whole machine, so that nothing is nothing.
fn sees_everything() -> bool {
    let own = fs::read_link("/proc/self/ns/pid").expect("it is there");
    own.as_os_str() == "pid:[4026531836]"
}

#[test]
fn where_nothing_is_in_the_way_the_next_command_means_the_gateway_that_was_asked_about() {
    let room = Room::new(35, None);
    for command in ["why", "doctor"] {
        let asked = [command, "--json", "--profile", "other", "--allow-file-lock"];
        let output = room.refgate(None, &asked).output().expect("it runs");
        let said = object(&output.stdout);
        assert_eq!(said["verdict"], "free", "{said}");
        let port = room.base;
        assert_eq!(
            said["next"],
            format!("refgate gateway --port {port} --profile other --allow-file-lock"),
            "{said}"
        );
    }
}

#[test]
fn why_names_the_true_holder_whoever_asks_and_whatever_the_owner_record_says() {
    let rooms = users().into_iter().flat_map(|uid| [(uid, false), (uid, true)]);
    let threads: Vec<_> = (0_u16..)
        .zip(rooms)
        .map(|(number, (uid, lies))| std::thread::spawn(move || every_case(number, uid, lies)))
        .collect();
    for thread in threads {
        thread.join().expect("it holds");
    }
}

fn every_case(number: u16, uid: Option<u32>, lies: bool) {
    for (what, hold) in cases() {
        if what.contains("another user") && !rustix::process::geteuid().is_root() {
            continue;
        }
        let room = Room::new(number, uid);
        let (held, (verdict, situation, certainty, pid)) = hold(&room);
        let innocent = Room::idle(uid, Stdio::null());
        if lies {
            room.lie(innocent.pid());
        }
        let before = room.files();
        let said = room.why(uid);
        assert_eq!(room.files(), before, "{what}: something was changed");
        let certainty = if verdict == "free" && !sees_everything() { "likely" } else { certainty };
        let seen = (&said["verdict"], &said["situation"], &said["certainty"]);
        assert_eq!(
            seen,
            (&verdict.into(), &situation.into(), &certainty.into()),
            "{what} as {uid:?}: {said}"
        );
        assert_eq!(said["holder"]["pid"].as_u64(), pid.map(u64::from), "{what} as {uid:?}: {said}");
        assert_eq!(said["exit"] == 0, verdict == "free", "{said}");
        if verdict == "port-foreign" && pid.is_none() {
            let message = said["message"].as_str().unwrap_or_default();
            assert!(message.contains("a process of uid 0 "), "{said}");
        }
        if lies {
            let record = said["record"].as_str().unwrap_or_default();
            assert!(record.contains(&format!("pid {}, which is sleep", innocent.pid())), "{what}: {said}");
            assert!(record.starts_with("not believed"), "{what}: {record}");
        }
        assert_documented(&said);
        // A process that is stopped is killed like any other.
        drop(held);
    }
}

/// A gateway is killed and its pid goes to another process, in a pid namespace where that can be made to happen. Then `why` is
/// asked, with the owner record of the dead gateway or with one that names the shell, which has nothing to do with it.
const RECYCLE: &str = r#"
set -eu
as() { exec setpriv --reuid "$ID" --regid "$ID" --clear-groups "$@"; }
as "$REFGATE" gateway --json --port "$BASE" > "$OUT" & old=$!
until grep -q '"event":"ready"' "$OUT"; do :; done
kill -KILL $old
wait $old || true
[ -z "$LIE" ] || printf '%s\n' "$LIE" > "$OPENCLAW_STATE_DIR/gateway.owner.json"
echo $((old - 1)) > /proc/sys/kernel/ns_last_pid
sleep 600 & new=$!
test $new = $old
(as "$REFGATE" why --json --port "$BASE") || true
kill -KILL $new
"#;

#[test]
fn a_process_that_has_the_pid_of_a_dead_gateway_is_in_nobodys_way_and_taken_for_nobody() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for (uid, lies) in users().into_iter().flat_map(|uid| [(uid, false), (uid, true)]) {
        let room = Room::new(7, uid);
        let lie = if lies { room.untruth(1).to_string() } else { String::new() };
        let output = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--kill-child", "/bin/sh", "-c", RECYCLE])
            .env("OPENCLAW_STATE_DIR", room.at("state"))
            .env("OPENCLAW_CONFIG_PATH", room.at("openclaw.json"))
            .env("HOME", room.at(""))
            .env("REFGATE", room.at("refgate"))
            .env("BASE", room.base.to_string())
            .env("ID", uid.unwrap_or_default().to_string())
            .env("OUT", room.at("said"))
            .env("LIE", lie)
            .output()
            .expect("it runs");
        let said = object(&output.stdout);
        let context = format!("as {uid:?}: {said}, {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!((&said["verdict"], &said["holder"]), (&"free".into(), &Value::Null), "{context}");
        assert_eq!(said["certainty"], "likely", "it is in a pid namespace: {context}");
        let record = said["record"].as_str().unwrap_or_default();
        let expected = if lies {
            "not believed: the owner record names pid 1, which is sh "
        } else {
            "the last owner was pid "
        };
        assert!(record.starts_with(expected), "{context}");
        let who = if lies { "; epoch 1 was begun by pid " } else { ", epoch 1, which is sleep at present" };
        assert!(record.contains(who), "{context}");
    }
}

#[test]
fn a_state_that_a_later_version_has_used_is_told_and_its_leftovers_are_left_to_it() {
    let room = Room::new(8, None);
    drop(room.gateway(&[]));
    let epoch = room.why(None)["epoch"].as_u64();
    assert_eq!(epoch, Some(1));
    room.put("state/journal.99999999999999999999", b"");
    room.put("state/gateway.owner.json.tmp", b"");
    let before = room.files();
    let said = room.why(None);
    assert_eq!(
        (&said["verdict"], &said["situation"]),
        (&"newer-epoch".into(), &"newer-version".into()),
        "{said}"
    );
    assert_eq!((&said["exit"], &said["certainty"]), (&78.into(), &"proved".into()), "{said}");
    assert_documented(&said);
    let fixed = room.run(&["doctor", "--fix"]);
    let text = String::from_utf8_lossy(&fixed.stdout);
    assert_eq!(fixed.status.code(), Some(78), "{text}");
    assert!(text.contains("left alone (newer-epoch)"), "{text}");
    let refused = object(&room.run(&["gateway", "--json"]).stdout);
    assert_eq!(refused["code"], said["verdict"], "{refused}");
    assert_eq!(room.files(), before);
    // A gateway of that version runs: then the first thing in the way is that gateway.
    let owner = Orphan::new(&room);
    let said = room.why(None);
    assert_eq!(
        (&said["verdict"], &said["also"][0]["code"]),
        (&"held-orphan".into(), &"newer-epoch".into()),
        "{said}"
    );
    drop(owner);
}

/// Whether a report is what `why.schema.json` says.
fn assert_documented(said: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../../why.schema.json")).expect("valid JSON");
    let known = schema["properties"].as_object().expect("an object");
    let told = said.as_object().expect("an object");
    for key in told.keys() {
        assert!(known.contains_key(key), "{key} of {said}");
    }
    for key in schema["required"].as_array().expect("an array") {
        assert!(told.contains_key(key.as_str().expect("a name")), "{key} is missing in {said}");
    }
    for key in ["verdict", "certainty", "situation"] {
        let words = known[key]["enum"].as_array().expect("an array");
        assert!(words.contains(&said[key]), "{key} of {said}");
    }
}

#[test]
fn every_verdict_and_situation_has_its_place_in_the_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../why.schema.json")).expect("valid JSON");
    let words = |key: &str| -> Vec<String> {
        let list = schema["properties"][key]["enum"].as_array().expect("an array").iter();
        list.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let mut verdicts = vec!["free".to_owned()];
    verdicts.extend(gateway::Reason::ALL.iter().map(|reason| reason.code().to_owned()));
    assert_eq!(words("verdict"), verdicts);
    let situations: Vec<String> =
        gateway::why::Situation::ALL.iter().map(|situation| situation.code().to_owned()).collect();
    assert_eq!(words("situation"), situations);
    let document = include_str!("../../REFUSALS.md");
    for reason in gateway::Reason::ALL {
        let situation = gateway::why::Situation::of(reason);
        let row = document.lines().find(|line| line.starts_with(&format!("| {} |", situation.code())));
        let row = row.unwrap_or_else(|| panic!("{situation:?} has no row"));
        let is_listed = row.contains(&format!("`{}`", reason.code())) || row.contains("all others");
        assert!(is_listed, "{reason:?} is missing in {row}");
    }
}

#[test]
fn the_gateway_of_another_user_is_named_to_root_and_to_the_ordinary_user_who_may_not_look_into_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for (lives_here, asks) in [(None, Some(USER)), (Some(USER), None)] {
        let room = Room::new(5, lives_here);
        let gateway = room.gateway(&[]);
        let said = room.why(asks);
        assert_eq!(said["verdict"], "insecure-directory", "{said}");
        let also = said["also"].as_array().expect("more than that");
        let held =
            also.iter().find(|also| also["code"].as_str().is_some_and(|code| code.starts_with("held-")));
        let held = held.unwrap_or_else(|| panic!("{said}"));
        assert_eq!(held["holder"]["pid"], gateway.pid(), "{said}");
        let certainty = if asks.is_none() { "proved" } else { "likely" };
        assert_eq!(held["certainty"], certainty, "{said}");
    }
}

#[test]
fn the_text_fits_a_screen_and_says_verdict_evidence_and_what_to_do() {
    let room = Room::new(6, None);
    let gateway = room.gateway(&[]);
    gateway.pause();
    let output = room.run(&["why"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
    let names: Vec<&str> = text
        .lines()
        .skip(1)
        .map(|line| line.get(2..10).unwrap_or_default().trim())
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(
        names,
        ["verdict", "holder", "command", "evidence", "record", "so", "next", "do not"],
        "{text}"
    );
    assert!(text.contains(&format!("kill -CONT {}", gateway.pid())), "{text}");
    assert!(output.stderr.is_empty());
}

#[test]
fn a_lock_file_that_cannot_be_opened_is_in_the_way() {
    if users().len() == 1 {
        // Only root can leave a file to another user.
        return;
    }
    let room = Room::new(36, Some(USER));
    room.put("state/gateway.lock", b"");
    chown(room.at("state/gateway.lock"), Some(0), Some(0)).expect("this is root");
    fs::set_permissions(room.at("state/gateway.lock"), fs::Permissions::from_mode(0o600))
        .expect("it is mine");
    let said = room.why(Some(USER));
    assert_eq!((&said["verdict"], &said["certainty"]), (&"permission".into(), &"proved".into()), "{said}");
    assert_eq!(said["exit"], 77, "{said}");
}
