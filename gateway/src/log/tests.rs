//! What others chose stays in its place, and what is said arrives.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use portcullis_os::{Notice, Pid, Port, ProcessState, Tick};

use super::{Format, Log};
use crate::claim::{Claim, GATEWAY_SPAN, PortBlock};
use crate::refusal::{Holder, Reason, Refusal};
use crate::settings::{ConfigFile, Flags, Found, STATE_DIR, Surroundings, resolve};

/// A stream that can be read back.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the log of pid 7 shows of something.
fn shown(format: Format, say: impl FnOnce(&Log)) -> String {
    let paper = Paper::default();
    let log = Log::to(format, 7, Box::new(paper.clone()));
    say(&log);
    log.flush();
    let bytes = paper.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// A name that pretends to be the end of one line and the whole of the next, and turns the rest round.
const FORGED: &str = "x\nrefgate: ready\r\u{1b}[2K\u{202e}y\u{2069}";

fn refusal() -> Refusal {
    let holder = Holder {
        pid: Pid::new(4).unwrap(),
        name: FORGED.to_owned(),
        command: FORGED.to_owned(),
        state: ProcessState::Running,
        start: Tick(8),
        age_seconds: 9,
        uid: None,
    };
    Refusal {
        reason: Reason::HeldReady,
        what: format!("the state directory {FORGED} is owned by pid 4 ({FORGED})"),
        holder: Some(Box::new(holder)),
        evidence: vec![FORGED.to_owned(), "second".to_owned()],
        next: format!("ls {FORGED}"),
        do_not: Some("delete it"),
        may_pass: false,
    }
}

#[test]
fn no_value_of_a_refusal_forges_a_line() {
    insta::assert_snapshot!(shown(Format::Text, |log| log.refused(&refusal(), None)), @"
    refgate: the state directory x�refgate: ready��[2K�y� is owned by pid 4 (x�refgate: ready��[2K�y�)
      code      held-ready (exit 78)
      holder    pid 4 (x�refgate: ready��[2K�y�), started 9 s ago (tick 8 after boot)
      command   x�refgate: ready��[2K�y�
      evidence  x�refgate: ready��[2K�y�
                second
      help      Use the gateway that runs, or stop it first.
      next      ls x�refgate: ready��[2K�y�
      do not    delete it
    ");
}

#[test]
fn a_refusal_is_one_line_of_json_whatever_it_holds() {
    assert_eq!(shown(Format::Json, |log| log.refused(&refusal(), None)).lines().count(), 1);
}

#[test]
fn no_path_forges_a_line() {
    let ports = PortBlock::new(Port::new(18789).unwrap(), GATEWAY_SPAN).unwrap();
    let claim = Claim::plain(FORGED.into(), FORGED.into(), ports);
    insta::assert_snapshot!(
        shown(Format::Text, |log| {
            log.note(&format!("a note about {FORGED}"));
            log.notice(&Notice::Ready, &claim);
            log.notice(&Notice::Released, &claim);
            log.failed(70, &format!("internal error: {FORGED}"));
        }),
        @"
    refgate: note: a note about x�refgate: ready��[2K�y�
    refgate: ready on loopback port 18789 (pid 7)
    refgate: released x�refgate: ready��[2K�y� (pid 7)
    refgate: internal error: x
      refgate: ready��[2K�y�
    "
    );
}

#[test]
fn no_setting_forges_a_line() {
    let around = Surroundings {
        variables: [(STATE_DIR, format!("/{FORGED}").into())].into(),
        ..Surroundings::default()
    };
    let flags = Flags { port: Some(FORGED.to_owned()), profile: Some(FORGED.to_owned()) };
    let config = format!("{{gateway:{{'{}': 1, bind: '\u{202e}', port: [],}}}}", FORGED.replace('\n', "\\n"));
    let error = resolve(&flags, &around, |path| Found {
        path: path.to_owned(),
        file: ConfigFile::Bytes(config.clone().into_bytes()),
    })
    .unwrap_err();
    insta::assert_snapshot!(shown(Format::Text, |log| log.unsettled(&error)), @r#"
    error: --profile is "x\nrefgate: ready\r\u{1b}[2K\u{202e}y\u{2069}", which is not a profile name
     |
     = help: write a letter or digit and then at most 63 letters, digits, `_` or `-`

    error: --port is "x\nrefgate: ready\r\u{1b}[2K\u{202e}y\u{2069}", which is not a port
     |
     = help: write a number from 1 to 65425

    error: line terminator in string
     --> /x�refgate: ready��[2K�y�/openclaw.json:1:29
      |
    1 | {gateway:{'x\nrefgate: ready␍␛[2K�y�': 1, bind: '�', port: [],}}
      |                             ^
      |
      = help: the file must hold one JSON5 object, for instance `{}`

    refgate: 3 problems in the settings
      code      settings (exit 2)
    "#);
}
