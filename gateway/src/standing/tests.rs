//! What the kernel shows and what answers make one situation, whatever the two are.

use portcullis_os::{Errno, Pid, ProcessState, Tick};

use super::{Kind, hearer, judge};
use crate::client::{Close, Ended, Gateway, Hello, Look, Refused};
use crate::lock::{Blocked, Certainty, Survey};
use crate::refusal::{Holder, Reason, Refusal};

fn blocked(reason: Reason) -> Blocked {
    let holder = Holder {
        pid: Pid::new(40).expect("a pid"),
        name: "refgate".to_owned(),
        command: String::new(),
        state: ProcessState::Running,
        start: Tick(1),
        age_seconds: 1,
        uid: None,
    };
    let told = Refusal::from_errno("lock", "/s", Errno::WouldBlock);
    let refusal = Refusal { reason, holder: Some(Box::new(holder)), ..told };
    Blocked { refusal, certainty: Certainty::Proved, instance: Some("ab".to_owned()) }
}

fn survey(reasons: &[Reason]) -> Survey {
    let blocked = reasons.iter().copied().map(blocked).collect();
    Survey { blocked, unseen: Vec::new(), last_owner: None, begun: None }
}

fn hello(instance: &str) -> Result<Hello, Ended> {
    Ok(Hello { instance: Some(instance.to_owned()), ..Hello::default() })
}

fn refused() -> Box<Refused> {
    Box::new(Refused {
        code: "X".to_owned(),
        message: "m".to_owned(),
        details: serde_json::Value::Null,
        retryable: false,
        retry_after_ms: None,
        close: None,
    })
}

fn silent() -> Result<Hello, Ended> {
    Err(Ended::Silent { waiting_for: "an answer", waited: std::time::Duration::from_secs(1) })
}

fn stranger() -> Result<Hello, Ended> {
    Err(Ended::Stranger { answered: "HTTP 200: a page".to_owned() })
}

#[test]
fn what_the_kernel_shows_and_what_answers_make_one_situation() {
    let unauthorized = || Err(Ended::Unauthorized(refused()));
    for (reasons, rpc, expected) in [
        (&[][..], Err(Ended::Nobody), Kind::None),
        (&[Reason::PortRange], Err(Ended::Nobody), Kind::None),
        (&[Reason::PortGateway], unauthorized(), Kind::OtherGateway),
        (&[Reason::PortForeign], stranger(), Kind::Foreign),
        (&[Reason::PortForeign], silent(), Kind::Silent),
        // A gateway that knows nothing of these locks.
        (&[Reason::PortForeign], hello("cd"), Kind::OtherGateway),
        (&[], hello("cd"), Kind::OtherGateway),
        (&[Reason::HeldReady], hello("ab"), Kind::Ready),
        (&[Reason::HeldReady], hello("cd"), Kind::OtherGateway),
        (&[Reason::HeldReady], unauthorized(), Kind::Unauthorized),
        (&[Reason::HeldReady], Err(Ended::Mismatch(refused())), Kind::Mismatch),
        (&[Reason::HeldReady], Err(Ended::Nobody), Kind::Elsewhere),
        (&[Reason::HeldReady, Reason::PortForeign], stranger(), Kind::Elsewhere),
        (&[Reason::HeldHung], silent(), Kind::Silent),
        (&[Reason::HeldStopped], silent(), Kind::Paused),
        (&[Reason::HeldStarting], silent(), Kind::Starting),
        (&[Reason::HeldDraining], Err(Ended::Nobody), Kind::Draining),
        (&[Reason::HeldOrphan], Err(Ended::Nobody), Kind::Held),
        (&[Reason::HeldUnknown], hello("ab"), Kind::Ready),
        (&[Reason::HeldUnknown], silent(), Kind::Held),
    ] {
        assert_eq!(judge(Some(&survey(reasons)), &rpc, None), expected, "{reasons:?} {rpc:?}");
    }
}

#[test]
fn an_address_alone_is_judged_by_what_it_answers() {
    let says = |startup: &str| {
        Look::Gateway(Gateway { is_ready: None, failing: Vec::new(), startup: Some(startup.to_owned()) })
    };
    let closed = || Err(Ended::Closed(Close { code: 1006, reason: String::new() }));
    for (rpc, look, expected) in [
        (Err(Ended::Nobody), None, Kind::None),
        (Err(Ended::Unreachable("no route".to_owned())), None, Kind::Unreachable),
        (silent(), Some(Look::Silent), Kind::Silent),
        (stranger(), Some(Look::Stranger("a page".to_owned())), Kind::Foreign),
        (stranger(), Some(says("draining")), Kind::Draining),
        (stranger(), Some(says("starting")), Kind::Starting),
        (stranger(), Some(says("started")), Kind::Refused),
        (closed(), Some(says("draining")), Kind::Draining),
        (closed(), None, Kind::Refused),
        (Err(Ended::Starting(refused())), None, Kind::Starting),
        (Err(Ended::Draining(refused())), None, Kind::Draining),
        (Err(Ended::Refused(refused())), None, Kind::Refused),
        (hello("ab"), None, Kind::Ready),
    ] {
        assert_eq!(judge(None, &rpc, look.as_ref()), expected, "{rpc:?}");
    }
}

#[test]
fn a_secret_is_for_a_gateway_that_owns_the_state_and_for_nobody_who_only_holds_a_lock() {
    for (reasons, expected) in [
        (&[Reason::HeldReady][..], true),
        (&[Reason::HeldHung], true),
        (&[], false),
        (&[Reason::PortForeign], false),
        (&[Reason::PortGateway], false),
        (&[Reason::HeldReady, Reason::PortForeign], false),
        (&[Reason::HeldUnknown], false),
        (&[Reason::HeldOrphan], false),
        (&[Reason::HeldWriters], false),
    ] {
        assert_eq!(hearer(&survey(reasons)).is_some(), expected, "{reasons:?}");
    }
    let mut unseen = survey(&[Reason::HeldReady]);
    unseen.blocked[0].certainty = Certainty::Likely;
    assert_eq!(hearer(&unseen), None);
}
