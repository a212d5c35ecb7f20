//! What is kept on a disk: it is answered once it is there, it is there after a restart, and a disk that is full ends nothing.

use std::future::poll_fn;
use std::net::IpAddr;
use std::time::Duration;

use portcullis_os::{Call, Fd, Open, Os};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::pairing::{Asks, ELSEWHERE};
use super::{NOW, Said, connect, message, posted, request, said};
use crate::auth::{Auth, Secret};
use crate::control::{About, Control, Outbox, Peer, Session, SessionLimits, keep};
use crate::identity::{Identity, Phase, PhaseName};
use crate::settings::{CronJob, Schedule};
use crate::store::Record;
use crate::store::tests::{Fault, Faulty, written};

/// A state directory, and a gateway in it that has no network.
pub(super) struct Stand {
    directory: tempfile::TempDir,
    pub(super) os: Faulty,
    state: Fd,
    epoch: u64,
    pub(super) control: Control,
    keeper: Option<tokio::task::JoinHandle<()>>,
}

impl Stand {
    pub(super) async fn new(cron: Vec<CronJob>) -> Self {
        let (directory, os) = (tempfile::tempdir().expect("a directory"), Faulty::new());
        let open = Open { directory: true, ..Open::read() };
        let state = os.open(directory.path(), open).await.expect("it is there").leak();
        let control = Self::control(&cron);
        let mut stand = Self { directory, os, state, epoch: 0, control, keeper: None };
        stand.begin().await;
        stand
    }

    fn control(cron: &[CronJob]) -> Control {
        let about = About { auth: Auth::Token(Secret::new("t")), cron: cron.to_vec(), ..About::open() };
        Control::new(about, SessionLimits::openclaw())
    }

    /// Begins the next epoch, and waits until what was kept is read.
    async fn begin(&mut self) {
        self.start().await.await.expect("it tells");
    }

    /// Begins the next epoch. Answers what is told once what was kept is read.
    async fn start(&mut self) -> oneshot::Receiver<()> {
        self.epoch += 1;
        let identity = Identity {
            schema: 1,
            instance: format!("instance{}", self.epoch),
            pid: 7,
            phase: None,
            state: self.directory.path().display().to_string(),
            state_device: 0,
            state_inode: 0,
            config: String::new(),
            base: 18_789,
            span: 110,
            pinned: Vec::new(),
            version: String::new(),
        };
        let (desk, is_loaded) = self.control.become_one(&identity, self.epoch);
        let phase = Phase::default();
        phase.set(PhaseName::Ready);
        self.control.opened(&phase, NOW, Some([u8::try_from(self.epoch).expect("few"); 32]));
        let state = self.os.descriptor(Call::Duplicate { fd: self.state }).await.expect("it is there");
        self.keeper = Some(tokio::spawn(keep(self.os.clone(), state, None, self.control.clone(), desk)));
        is_loaded
    }

    /// Ends this owner in order, and begins the next one, which knows nothing but what was kept.
    pub(super) async fn again(&mut self) {
        self.control.rest();
        self.keeper.take().expect("it runs").await.expect("it ends");
        let cron = self.control.about().cron.clone();
        self.control = Self::control(&cron);
        self.begin().await;
    }

    /// Kills it at the next await, and begins the next one.
    pub(super) async fn crash(&mut self) {
        self.keeper.take().expect("it runs").abort();
        let cron = self.control.about().cron.clone();
        self.control = Self::control(&cron);
        self.begin().await;
    }

    fn stranger(&self, address: IpAddr) -> Session {
        let stranger = self.control.stranger(address).expect("there is room");
        let peer = Peer { address, origin_is_own: true };
        let words = [super::NONCE.to_owned(), "c".to_owned()];
        Session::open(self.control.clone(), stranger, peer, words, NOW, &mut Outbox::default())
    }

    pub(super) fn client(&self) -> Client {
        let mut session = self.stranger(super::HERE);
        let mut params = connect();
        params["scopes"] = json!(["operator.admin"]);
        let mut out = Outbox::default();
        session.frame(&request("0", "connect", &params), NOW, &mut out);
        let out = said(&mut out);
        assert_eq!(message(&out[0])["ok"], true, "{out:?}");
        Client { session, heard: Vec::new() }
    }

    #[expect(clippy::disallowed_methods, reason = "a test sets its stage")]
    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("it is written");
    }

    #[expect(clippy::disallowed_methods, reason = "a test looks at what was made")]
    fn file(&self) -> String {
        let path = self.directory.path().join(format!("control.{}.jsonl", self.epoch));
        std::fs::read_to_string(path).expect("it is there")
    }

    fn artefacts(&self) -> usize {
        let folder = std::fs::read_dir(self.directory.path().join("cron-runs"));
        folder.map(Iterator::count).unwrap_or_default()
    }
}

/// A client, and what it has heard that was no answer to it.
pub(super) struct Client {
    session: Session,
    heard: Vec<Value>,
}

impl Client {
    /// What is said until something is.
    async fn until(&mut self, mut out: Outbox, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let texts = said(&mut out).into_iter().filter(|said| matches!(said, Said::Text(_)));
            self.heard.extend(texts.map(|text| message(&text)));
            if let Some(found) = self.heard.iter().position(&is_it) {
                return self.heard.remove(found);
            }
            let mailbox = self.session.mailbox().expect("it is open");
            poll_fn(|context| mailbox.poll_posted(context)).await;
            self.session.posted(true, NOW, &mut out);
        }
    }

    /// The answer to a request, whenever it comes.
    pub(super) async fn answer(&mut self, method: &str, params: &Value) -> Value {
        let mut out = Outbox::default();
        self.session.frame(&request("a", method, params), NOW, &mut out);
        self.until(out, |said| said["id"] == "a").await
    }

    /// Waits until it has heard that event.
    pub(super) async fn hears(&mut self, event: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.until(Outbox::default(), |said| said["event"] == event && is_it(&said["payload"])).await["payload"]
            .clone()
    }

    async fn texts(&mut self) -> Vec<String> {
        let history = self.answer("chat.history", &json!({"sessionKey": "main"})).await;
        let messages = history["payload"]["messages"].as_array().cloned().unwrap_or_default();
        let text = |message: &Value| message["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        messages.iter().map(text).collect()
    }
}

fn send(run: &str) -> Value {
    json!({"sessionKey": "main", "message": run, "idempotencyKey": run})
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_crash_and_the_same_key_says_nothing_twice() {
    let mut stand = Stand::new(Vec::new()).await;
    let mut client = stand.client();
    let said = client.answer("chat.send", &send("k")).await;
    assert_eq!(said["payload"], json!({"runId": "k", "status": "started"}));
    assert!(stand.file().contains("\"said\""), "it is there before it is answered");
    stand.crash().await;
    let mut client = stand.client();
    // What was not answered is answered by the next one, before or after the client has come.
    if client.texts().await.len() < 2 {
        client.hears("chat", |_| true).await;
    }
    assert_eq!(client.texts().await, ["k", "echo: k"]);
    let again = client.answer("chat.send", &send("k")).await;
    assert_eq!(again["payload"], json!({"runId": "k", "status": "ok"}));
    let key = client.answer("gateway.identity.get", &json!({})).await;
    stand.again().await;
    let mut client = stand.client();
    assert_eq!(client.answer("gateway.identity.get", &json!({})).await, key);
    assert_eq!(client.texts().await, ["k", "echo: k"]);
}

#[tokio::test]
async fn a_full_disk_is_told_to_whoever_asks_and_ends_nothing() {
    let stand = Stand::new(Vec::new()).await;
    let mut client = stand.client();
    for fault in [Fault::Full, Fault::FullAfter(20), Fault::FullForGood(20), Fault::Sync] {
        stand.os.set(Some(fault));
        let before = client.texts().await.len();
        let refused = client.answer("chat.send", &send("k")).await["error"].clone();
        assert_eq!(
            (&refused["code"], &refused["retryable"]),
            (&json!("UNAVAILABLE"), &json!(true)),
            "{fault:?}"
        );
        let told = refused["message"].as_str().unwrap_or_default();
        assert!(told.starts_with("the gateway cannot remember that: "), "{told}");
        assert_eq!(client.texts().await.len(), before, "nothing of it is remembered");
        assert_eq!(client.answer("health", &json!({})).await["ok"], true);
        stand.os.set(None);
        // It says when it writes again.
        tokio::time::sleep(Duration::from_millis(refused["retryAfterMs"].as_u64().expect("a time"))).await;
        let run = format!("after {fault:?}");
        assert_eq!(client.answer("chat.send", &send(&run)).await["ok"], true);
        client.hears("chat", |payload| payload["runId"] == run.as_str()).await;
        assert_eq!(client.texts().await.last(), Some(&format!("echo: {run}")));
    }
    let happened = client.answer("diagnostics.stability", &json!({"type": "memory.failed"})).await;
    assert_eq!(happened["payload"]["count"], 4, "{happened}");
}

#[tokio::test]
async fn a_keeper_that_outlives_its_epoch_changes_nothing_and_what_it_was_asked_for_has_failed() {
    let mut stand = Stand::new(Vec::new()).await;
    let mut client = stand.client();
    stand.os.set(Some(Fault::SlowSync));
    let mut out = Outbox::default();
    for run in ["first", "second"] {
        client.session.frame(&request(run, "chat.send", &send(run)), NOW, &mut out);
    }
    stand.os.hangs().await;
    // The gateway begins anew in place, as it does once its patience is over.
    stand.control.rest();
    stand.control.rested();
    let late = stand.keeper.take().expect("it runs");
    stand.begin().await;
    stand.os.go_on();
    late.await.expect("it ends");
    for run in ["first", "second"] {
        let told = client.until(std::mem::take(&mut out), |said| said["id"] == run).await;
        let why = "the gateway cannot remember that: the gateway has begun anew";
        assert_eq!(told["error"]["message"], why, "{told}");
    }
    // The first one was on the disk when the next epoch read it, the second one never came there.
    let mut client = stand.client();
    if client.texts().await.len() < 2 {
        client.hears("chat", |_| true).await;
    }
    assert_eq!(client.texts().await, ["first", "echo: first"]);
    stand.again().await;
    assert_eq!(stand.client().texts().await, ["first", "echo: first"]);
}

#[tokio::test]
async fn what_an_earlier_epoch_reads_late_takes_the_place_of_nothing() {
    let mut stand = Stand::new(Vec::new()).await;
    stand.control.rest();
    stand.keeper.take().expect("it runs").await.expect("it ends");
    stand.os.set(Some(Fault::SlowList));
    let _not_yet = stand.start().await;
    stand.os.hangs().await;
    stand.control.rest();
    let late = stand.keeper.take().expect("it runs");
    stand.begin().await;
    let mut client = stand.client();
    assert_eq!(client.answer("chat.send", &send("k")).await["ok"], true);
    client.hears("chat", |payload| payload["runId"] == "k").await;
    stand.os.go_on();
    late.await.expect("it ends");
    assert_eq!(client.texts().await, ["k", "echo: k"]);
}

#[tokio::test]
async fn a_device_that_is_being_let_in_is_not_rejected_meanwhile() {
    let stand = Stand::new(Vec::new()).await;
    let mut owner = stand.client();
    let far = Asks { from: ELSEWHERE, ..Asks::secret() };
    let mut device = Client { session: stand.stranger(far.from), heard: Vec::new() };
    let asked = device.answer("connect", &far.params()).await["error"]["details"].clone();
    let request_id = json!({"requestId": asked["requestId"]});
    stand.os.set(Some(Fault::SlowSync));
    let mut out = Outbox::default();
    owner.session.frame(&request("1", "device.pair.approve", &request_id), NOW, &mut out);
    stand.os.hangs().await;
    owner.session.frame(&request("2", "device.pair.reject", &request_id), NOW, &mut out);
    stand.os.go_on();
    let approved = owner.until(out, |said| said["id"] == "1").await;
    assert_eq!(approved["ok"], true, "{approved}");
    let rejected = owner.until(Outbox::default(), |said| said["id"] == "2").await;
    assert_eq!(rejected["ok"], false, "it is settled: {rejected}");
}

#[tokio::test]
async fn a_device_that_cannot_be_remembered_is_told_why_it_has_to_come_again() {
    let stand = Stand::new(Vec::new()).await;
    stand.os.set(Some(Fault::Full));
    let mut device = stand.stranger(super::HERE);
    let mut out = Outbox::default();
    device.frame(&request("1", "connect", &Asks::secret().params()), NOW, &mut out);
    let mut heard = said(&mut out);
    while !matches!(heard.last(), Some(Said::Close(..))) {
        let mailbox = device.mailbox().expect("it is there");
        poll_fn(|context| mailbox.poll_posted(context)).await;
        heard.extend(posted(&mut device, true));
    }
    let why = "the gateway cannot remember that: no space left on device";
    assert_eq!(heard.last(), Some(&Said::Close(1013, why.to_owned())));
}

#[tokio::test]
async fn a_job_that_cannot_be_begun_is_tried_again_with_patience() {
    let often = CronJob {
        id: "often".to_owned(),
        name: "Often".to_owned(),
        enabled: true,
        schedule: Schedule::Every(1_000),
        message: "wake up".to_owned(),
    };
    let stand = Stand::new(vec![often]).await;
    stand.os.set(Some(Fault::Full));
    let looks = stand.os.looks_until_refused(2).await;
    assert!(looks < 100, "{looks} looks at the clock");
}

#[tokio::test]
async fn a_client_may_ask_for_so_much_at_once_and_every_request_is_answered() {
    let stand = Stand::new(Vec::new()).await;
    let mut client = stand.client();
    let mut out = Outbox::default();
    for number in 0..40 {
        let number = number.to_string();
        client.session.frame(&request(&number, "chat.send", &send(&number)), NOW, &mut out);
    }
    let busy: Vec<Value> = said(&mut out).iter().map(|out| message(out)["error"].clone()).collect();
    assert_eq!(busy.len(), 8, "32 are worked on");
    assert!(
        busy.iter().all(|error| error["code"] == "UNAVAILABLE" && error["retryable"] == true),
        "{busy:?}"
    );
    assert_eq!(busy[0]["message"], "The server is busy. Please try again in a moment.");
    for number in 0..32 {
        let number = number.to_string();
        assert_eq!(client.until(Outbox::default(), |said| said["id"] == number.as_str()).await["ok"], true);
    }
    client.hears("chat", |payload| payload["runId"] == "31").await;
    assert_eq!(client.texts().await.len(), 64);
}

#[tokio::test]
async fn a_job_runs_once_a_slot_and_leaves_what_says_by_whom() {
    let every = CronJob {
        id: "often".to_owned(),
        name: "Often".to_owned(),
        enabled: true,
        schedule: Schedule::Every(1_000),
        message: "wake up".to_owned(),
    };
    let off = CronJob { id: "off".to_owned(), enabled: false, ..every.clone() };
    let mut stand = Stand::new(vec![every, off]).await;
    let mut client = stand.client();
    for _ in 0..2 {
        client.hears("cron", |event| event["action"] == "finished" && event["jobId"] == "often").await;
    }
    let asked = client.answer("cron.run", &json!({"id": "off"})).await["payload"].clone();
    assert_eq!(asked["enqueued"], true, "{asked}");
    client.hears("cron", |event| event["action"] == "finished" && event["runId"] == asked["runId"]).await;
    let disabled = client.answer("cron.run", &json!({"id": "off", "mode": "if-enabled"})).await;
    assert_eq!(disabled["payload"], json!({"ok": true, "ran": false, "reason": "disabled"}));
    assert_eq!(client.answer("cron.run", &json!({"id": "none"})).await["ok"], false);
    stand.again().await;
    let mut client = stand.client();
    let runs = client.answer("cron.runs", &json!({})).await["payload"]["entries"].clone();
    let runs = runs.as_array().expect("a list");
    assert!(runs.iter().all(|run| run["status"] == "ok"), "{runs:?}");
    assert!(runs.len() >= 3 && stand.artefacts() >= runs.len(), "{runs:?}");
    let jobs = client.answer("cron.list", &json!({"includeDisabled": true})).await;
    assert_eq!(jobs["payload"]["total"], 2);
    let status = client.answer("cron.status", &json!({})).await;
    assert_eq!((&status["payload"]["enabled"], &status["payload"]["jobs"]), (&json!(true), &json!(2)));
}

#[tokio::test]
async fn a_run_that_was_begun_when_its_gateway_ended_is_an_error_and_is_not_run_again() {
    let at = CronJob {
        id: "once".to_owned(),
        name: "Once".to_owned(),
        enabled: true,
        schedule: Schedule::At { at_ms: 5, text: "1970-01-01T00:00:00.005Z".to_owned() },
        message: "wake up".to_owned(),
    };
    let mut stand = Stand::new(vec![at]).await;
    stand.control.rest();
    stand.keeper.take().expect("it runs").await.expect("it ends");
    let (job, run) = ("once".to_owned(), "r".to_owned());
    let begun = written(&Record::Begun { job, run, slot_ms: Some(5), at_ms: 6 });
    stand.put("control.1.jsonl", &(stand.file() + &begun));
    stand.keeper = Some(tokio::spawn(std::future::pending()));
    stand.crash().await;
    let mut client = stand.client();
    let runs = client.answer("cron.runs", &json!({"id": "once"})).await["payload"]["entries"].clone();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    assert_eq!(runs[0]["error"], "interrupted: the gateway ended while it ran");
    let due = client.answer("cron.run", &json!({"id": "once", "mode": "due"})).await;
    assert_eq!(due["payload"]["reason"], "not-due", "{due}");
    assert_eq!(stand.artefacts(), 0);
}

#[tokio::test]
async fn damage_is_told_to_whoever_asks_what_has_happened() {
    let mut stand = Stand::new(Vec::new()).await;
    stand.control.rest();
    stand.keeper.take().expect("it runs").await.expect("it ends");
    stand.put("control.1.jsonl", &stand.file().replace("\"seed\"", "\"sead\""));
    stand.keeper = Some(tokio::spawn(std::future::pending()));
    stand.crash().await;
    let happened = stand.client().answer("diagnostics.stability", &json!({"type": "memory.damaged"})).await;
    assert_eq!(happened["payload"]["count"], 1, "{happened}");
    assert!(happened.to_string().contains("control.1.jsonl.damaged"), "{happened}");
}

#[tokio::test]
async fn a_gateway_whose_memory_cannot_be_read_lets_clients_in_and_says_so() {
    let mut stand = Stand::new(Vec::new()).await;
    // A later gateway has begun: what this one would keep is read by nobody.
    stand.put("control.9.jsonl", "");
    stand.crash().await;
    let mut client = stand.client();
    let why = "the gateway cannot remember that: a later gateway has this state directory";
    for (method, params) in [("chat.history", json!({"sessionKey": "main"})), ("chat.send", send("k"))] {
        assert_eq!(client.answer(method, &params).await["error"]["message"], why, "{method}");
    }
    assert_eq!(client.answer("health", &json!({})).await["ok"], true);
}
