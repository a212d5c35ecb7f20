//! A unit is written whole, replaces only what was written here, and never lies beside one that owns the same.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Output;

use crate::room::{Room, USER, read};

/// What a command says, with the places of the room left out, and how it ends.
fn shown(room: &Room, output: &Output) -> String {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).replace(&room.at("").display().to_string(), "HOME/");
        text.replace(&room.base.to_string(), "BASE").replace(&(room.base + 110).to_string(), "LAST")
    };
    format!("{}{}exit {:?}", text(&output.stdout), text(&output.stderr), output.status.code())
}

const UNIT: &str = ".config/systemd/user/refgate.service";

#[test]
fn a_unit_says_what_the_environment_said_and_is_written_once() {
    let room = Room::new(25, None);
    let dry = room.run(&["gateway", "install", "--dry-run"]);
    assert!(!room.at(".config").exists());
    insta::assert_snapshot!(shown(&room, &dry), @r#"
    would write HOME/.config/systemd/user/refgate.service:

    # Written by `refgate gateway install`, which replaces this file as long as this line stands here.
    # refgate-unit {"format":1,"state":"HOME/state","config":"HOME/openclaw.json","ports":[BASE,LAST],"pinned":[]}

    [Unit]
    Description=refgate, the gateway on port BASE

    [Service]
    Type=notify
    NotifyAccess=main
    ExecStart="@HOME/refgate" "refgate" "gateway" "--port" "BASE"
    ExecReload=/bin/kill -USR1 $MAINPID
    Environment="OPENCLAW_STATE_DIR=HOME/state"
    Environment="OPENCLAW_CONFIG_PATH=HOME/openclaw.json"
    UnsetEnvironment=OPENCLAW_PROFILE OPENCLAW_GATEWAY_PORT OPENCLAW_WORKSPACE_DIR
    # 75 may pass by itself and is tried again; 2, 77 and 78 last until somebody acts.
    Restart=on-failure
    RestartPreventExitStatus=78 77 2
    RestartSec=2
    # SIGTERM goes to the gateway alone, which then drains; what is left is killed.
    KillMode=mixed
    TimeoutStopSec=10

    [Install]
    WantedBy=default.target

    next:
      systemctl --user daemon-reload
      systemctl --user enable --now refgate.service
      loginctl enable-linger    # if it is to run while nobody is logged in
    exit Some(0)
    "#);
    let written = room.run(&["gateway", "install"]);
    insta::assert_snapshot!(shown(&room, &written), @"
    wrote HOME/.config/systemd/user/refgate.service
    next:
      systemctl --user daemon-reload
      systemctl --user enable --now refgate.service
      loginctl enable-linger    # if it is to run while nobody is logged in
    exit Some(0)
    ");
    let text = String::from_utf8(read(&room.at(UNIT))).expect("it is text");
    assert!(String::from_utf8_lossy(&dry.stdout).contains(&text), "{text}");
    let files = room.files();
    let again = shown(&room, &room.run(&["gateway", "install"]));
    assert!(again.starts_with("HOME/.config/systemd/user/refgate.service is as it should be\n"), "{again}");
    assert_eq!(room.files(), files);
    let changed = shown(&room, &room.run(&["gateway", "install", "--allow-file-lock"]));
    assert!(changed.starts_with("replaced HOME/.config/systemd/user/refgate.service\n"), "{changed}");
    let left: Vec<_> = fs::read_dir(room.at(".config/systemd/user")).expect("it is there").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
fn move_away(room: &Room) {
    fs::rename(room.at(UNIT), room.at("elsewhere")).expect("it is there");
}

#[test]
fn what_was_not_written_here_stays_and_what_would_collide_is_named() {
    let room = Room::new(26, None);
    fs::DirBuilder::new().recursive(true).create(room.at(".config/systemd/user")).expect("a directory");
    room.put(UNIT, b"[Service]\nExecStart=/bin/true\n");
    let files = room.files();
    insta::assert_snapshot!(shown(&room, &room.run(&["gateway", "install"])), @"
    refgate: HOME/.config/systemd/user/refgate.service was not written by this program
    refgate: note: look at it, and move it away if nobody needs it: HOME/.config/systemd/user/refgate.service
    exit Some(78)
    ");
    assert_eq!(room.files(), files);
    move_away(&room);
    symlink("/dev/null", room.at(UNIT)).expect("the name is free");
    let masked = shown(&room, &room.run(&["gateway", "install", "--dry-run"]));
    assert!(masked.ends_with("exit Some(78)"), "{masked}");
    // The state and the configuration of the environment are those of the first profile as well.
    assert!(room.run(&["gateway", "install", "--profile", "one"]).status.success());
    insta::assert_snapshot!(shown(&room, &room.run(&["gateway", "install", "--profile", "two"])), @"
    refgate: note: --profile two does not change OPENCLAW_STATE_DIR=HOME/state: the environment wins
    refgate: note: --profile two does not change OPENCLAW_CONFIG_PATH=HOME/openclaw.json: the environment wins
    refgate: HOME/.config/systemd/user/refgate-one.service is for a gateway that owns the state directory HOME/state
    refgate: note: give this gateway a profile of its own (--profile NAME), or remove the other unit
    exit Some(78)
    ");
    let mut apart = room.refgate(None, &["gateway", "install", "--profile", "two"]);
    apart.env_remove("OPENCLAW_STATE_DIR").env_remove("OPENCLAW_CONFIG_PATH");
    let apart = shown(&room, &apart.output().expect("it runs"));
    let expected = "refgate: HOME/.config/systemd/user/refgate-one.service is for a gateway that owns port BASE: it has BASE-LAST\n";
    assert!(apart.starts_with(expected), "{apart}");
    assert!(!room.at(".config/systemd/user/refgate-two.service").exists());
}

#[test]
fn nothing_is_written_where_that_is_not_allowed() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let room = Room::new(27, Some(USER));
    fs::create_dir(room.at(".config")).expect("a directory");
    fs::set_permissions(room.at(".config"), fs::Permissions::from_mode(0o555)).expect("it is mine");
    insta::assert_snapshot!(shown(&room, &room.run(&["gateway", "install"])), @"
    refgate: cannot create HOME/.config/systemd: Permission denied (os error 13)
    refgate: note: ls -ld 'HOME/.config/systemd'
    exit Some(77)
    ");
}

#[test]
fn units_are_looked_for_wherever_systemd_reads_them_from() {
    let directories = [
        (".local/share/systemd/user", None),
        ("run/systemd/user", Some("XDG_RUNTIME_DIR")),
        ("run/systemd/user.control", Some("XDG_RUNTIME_DIR")),
        ("data/systemd/user", Some("XDG_DATA_HOME")),
        ("shared/systemd/user", Some("XDG_DATA_DIRS")),
        ("site/systemd/user", Some("XDG_CONFIG_DIRS")),
        // The service manager need not know of the variable.
        (".config/systemd/user", Some("XDG_CONFIG_HOME")),
    ];
    for (directory, variable) in directories {
        let room = Room::new(21, None);
        assert!(room.run(&["gateway", "install", "--profile", "one"]).status.success());
        let unit = read(&room.at(".config/systemd/user/refgate-one.service"));
        fs::remove_dir_all(room.at(".config")).expect("it is there");
        fs::DirBuilder::new().recursive(true).create(room.at(directory)).expect("a directory");
        let install = |arguments: &[&str]| {
            let mut command = room.refgate(None, &[&["gateway", "install"], arguments].concat());
            if let Some(variable) = variable {
                let base = directory.split_once("/systemd/").map_or(directory, |(base, _)| base);
                let base = if variable == "XDG_CONFIG_HOME" { "elsewhere" } else { base };
                command.env(variable, room.at(base));
            }
            shown(&room, &command.output().expect("it runs"))
        };
        room.put(&format!("{directory}/refgate-one.service"), &unit);
        let told = install(&[]);
        let expected = format!(
            "refgate: HOME/{directory}/refgate-one.service is for a gateway that owns the state directory HOME/state\n"
        );
        assert!(told.starts_with(&expected), "{told}");
        // One of the same name would hide it or be hidden.
        room.put(&format!("{directory}/refgate-one.service"), b"[Service]\nExecStart=/bin/true\n");
        let told = install(&["--profile", "one"]);
        let expected =
            format!("refgate: HOME/{directory}/refgate-one.service was not written by this program\n");
        assert!(told.contains(&expected), "{told}");
        assert!(told.ends_with("exit Some(78)"), "{told}");
    }
}

#[test]
fn a_secret_of_the_environment_is_not_written_into_the_unit() {
    let room = Room::new(39, None);
    let mut install = room.refgate(None, &["gateway", "install", "--dry-run"]);
    let output = install.env("OPENCLAW_GATEWAY_TOKEN", "s3cret").output().expect("it runs");
    let told = shown(&room, &output);
    assert!(told.contains("note: OPENCLAW_GATEWAY_TOKEN is not written into the unit"), "{told}");
    assert!(!told.contains("s3cret") && told.ends_with("exit Some(0)"), "{told}");
}
