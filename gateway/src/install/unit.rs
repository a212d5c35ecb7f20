//! The text of a systemd user unit, and what it says about itself so that the next one can tell whether the two collide.
//!
//! The first line marks a file as written here; only such a file is ever replaced. The second says, as JSON, what the
//! gateway of this unit owns. systemd reads neither.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// The first line of each unit that is written here. Frozen: another version must find it.
const MARK: &str =
    "# Written by `refgate gateway install`, which replaces this file as long as this line stands here.";
/// What the second line begins with.
const OWNS: &str = "# refgate-unit ";
/// How long a gateway may take to stop before it is killed, in seconds: more than it waits for its clients.
pub(super) const STOP_SECONDS: u32 = 10;

/// A unit for one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// What it is called in lists of units.
    pub(super) description: String,
    /// The executable.
    pub(super) program: String,
    /// Its arguments, the name that it is called by first.
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
    /// Variables that it must not have, whatever the service manager has.
    pub(super) unset: Vec<&'static str>,
    pub(super) owns: Owns,
}

/// What the gateway of a unit owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owns {
    /// The version of this line: 1.
    pub(super) format: u32,
    pub(super) state: String,
    pub(super) config: String,
    /// The first and the last port of its block.
    pub(super) ports: (u16, u16),
    /// The ports outside of it.
    pub(super) pinned: Vec<u16>,
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was written here, for a gateway that owns this.
    Here(Owns),
    /// It was written here by a version that says it in another way.
    HereOtherwise,
    /// It was not written here.
    Elsewhere,
}

impl Unit {
    /// The unit as systemd reads it (systemd.service(5)).
    pub(super) fn text(&self) -> String {
        // A struct of strings and integers always serialises.
        let owns = serde_json::to_string(&self.owns).unwrap_or_default();
        // After an `@` the first argument is the name that the program is called by.
        let mut command = word(&format!("@{}", self.program));
        let mut environment = String::new();
        for argument in &self.arguments {
            command.push(' ');
            command.push_str(&word(argument).replace('$', "$$"));
        }
        for (name, value) in &self.environment {
            // Writing to a `String` cannot fail.
            let _ = writeln!(environment, "Environment={}", word(&format!("{name}={value}")));
        }
        if !self.unset.is_empty() {
            let _ = writeln!(environment, "UnsetEnvironment={}", self.unset.join(" "));
        }
        format!(
            "{MARK}\n{OWNS}{owns}\n\n\
             [Unit]\nDescription={}\n\n\
             [Service]\nType=notify\nNotifyAccess=main\nExecStart={command}\nExecReload=/bin/kill -USR1 $MAINPID\n{environment}\
             # 75 may pass by itself and is tried again; 2, 77 and 78 last until somebody acts.\n\
             Restart=on-failure\nRestartPreventExitStatus=78 77 2\nRestartSec=2\n\
             # SIGTERM goes to the gateway alone, which then drains; what is left is killed.\n\
             KillMode=mixed\nTimeoutStopSec={STOP_SECONDS}\n\n\
             [Install]\nWantedBy=default.target\n",
            self.description.replace('%', "%%")
        )
    }
}

/// A value as one word of a line: quoted, and without a meaning for systemd.
fn word(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// What a file says of itself.
pub(super) fn read(text: &str) -> Written {
    let mut lines = text.lines();
    if lines.next() != Some(MARK) {
        return Written::Elsewhere;
    }
    let owns = lines.next().and_then(|line| serde_json::from_str::<Owns>(line.strip_prefix(OWNS)?).ok());
    owns.filter(|owns| owns.format == 1).map_or(Written::HereOtherwise, Written::Here)
}

impl Owns {
    /// What both own, as a fragment of a sentence.
    pub(super) fn shared_with(&self, other: &Self) -> Option<String> {
        if self.state == other.state {
            return Some(format!("the state directory {}", self.state));
        }
        if self.config == other.config {
            return Some(format!("the configuration {}", self.config));
        }
        let port = self.all_ports().find(|port| other.all_ports().any(|theirs| theirs == *port))?;
        Some(format!("port {port}: it has {}-{}", other.ports.0, other.ports.1))
    }

    fn all_ports(&self) -> impl Iterator<Item = u16> {
        (self.ports.0..=self.ports.1).chain(self.pinned.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::{Owns, Unit, Written, read, word};

    fn owns(state: &str, config: &str, base: u16, pinned: &[u16]) -> Owns {
        Owns {
            format: 1,
            state: state.to_owned(),
            config: config.to_owned(),
            ports: (base, base + 110),
            pinned: pinned.to_vec(),
        }
    }

    #[test]
    fn a_unit_says_what_it_owns_and_what_it_says_is_read() {
        let owns = owns("/home/u/.refgate", "/home/u/.refgate/openclaw.json", 18_789, &[9222]);
        let unit = Unit {
            description: "refgate, 100%".to_owned(),
            program: "/opt/a b/refgate".to_owned(),
            arguments: ["refgate", "gateway", "--port", "18789"].map(str::to_owned).to_vec(),
            environment: vec![("OPENCLAW_STATE_DIR", "/home/u/it's \"50%\"".to_owned())],
            unset: vec!["OPENCLAW_PROFILE", "OPENCLAW_GATEWAY_PORT"],
            owns: owns.clone(),
        };
        insta::assert_snapshot!(unit.text(), @r#"
        # Written by `refgate gateway install`, which replaces this file as long as this line stands here.
        # refgate-unit {"format":1,"state":"/home/u/.refgate","config":"/home/u/.refgate/openclaw.json","ports":[18789,18899],"pinned":[9222]}

        [Unit]
        Description=refgate, 100%%

        [Service]
        Type=notify
        NotifyAccess=main
        ExecStart="@/opt/a b/refgate" "refgate" "gateway" "--port" "18789"
        ExecReload=/bin/kill -USR1 $MAINPID
        Environment="OPENCLAW_STATE_DIR=/home/u/it's \"50%%\""
        UnsetEnvironment=OPENCLAW_PROFILE OPENCLAW_GATEWAY_PORT
        # 75 may pass by itself and is tried again; 2, 77 and 78 last until somebody acts.
        Restart=on-failure
        RestartPreventExitStatus=78 77 2
        RestartSec=2
        # SIGTERM goes to the gateway alone, which then drains; what is left is killed.
        KillMode=mixed
        TimeoutStopSec=10

        [Install]
        WantedBy=default.target
        "#);
        assert_eq!(read(&unit.text()), Written::Here(owns));
        assert_eq!(read(&unit.text().replace("\"format\":1", "\"format\":2")), Written::HereOtherwise);
        assert_eq!(read(&format!("\n{}", unit.text())), Written::Elsewhere);
        assert_eq!(read(""), Written::Elsewhere);
    }

    #[test]
    fn nothing_in_a_value_means_anything_to_systemd() {
        for (value, expected) in
            [("a", r#""a""#), ("a b", r#""a b""#), (r#"a"b\c"#, r#""a\"b\\c""#), ("%h", r#""%%h""#)]
        {
            assert_eq!(word(value), expected);
        }
    }

    #[test]
    fn units_collide_in_a_state_directory_a_configuration_or_any_port() {
        let ours = owns("/s", "/c", 20_000, &[9222]);
        for (theirs, expected) in [
            (owns("/s", "/d", 30_000, &[]), Some("the state directory /s")),
            (owns("/t", "/c", 30_000, &[]), Some("the configuration /c")),
            (owns("/t", "/d", 20_110, &[]), Some("port 20110: it has 20110-20220")),
            (owns("/t", "/d", 20_111, &[]), None),
            (owns("/t", "/d", 30_000, &[9222]), Some("port 9222: it has 30000-30110")),
            (owns("/t", "/d", 9_200, &[]), Some("port 9222: it has 9200-9310")),
            (owns("/t", "/d", 30_000, &[20_005]), Some("port 20005: it has 30000-30110")),
        ] {
            assert_eq!(ours.shared_with(&theirs).as_deref(), expected, "{theirs:?}");
        }
    }
}
