//! What is kept on a disk: it is answered once it is there, it is there after a restart, and a disk that is full ends nothing.

use std::time::Duration;

use portcullis_os::{Fd, Open, Os};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{NOW, connect, message, request};
use crate::auth::{Auth, Secret};
use crate::control::{About, Control, Out, Peer, Session, SessionLimits, keep};
use crate::identity::{Identity, Phase, PhaseName};
use crate::run::Place;
use crate::settings::{CronJob, Schedule};
use crate::store::tests::{Fault, Faulty};

/// A state directory, and a gateway in it that has no network.
struct Stand {
    directory: tempfile::TempDir,
    os: Faulty,
    state: Fd,
    epoch: u64,
    control: Control,
    keeper: Option<tokio::task::JoinHandle<()>>,
}

impl Stand {
    async fn new(cron: Vec<CronJob>) -> Self {
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

    /// Begins the next epoch.
    async fn begin(&mut self) {
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
        let jobs = self.control.become_one(&identity, self.epoch);
        let phase = Phase::default();
        phase.set(PhaseName::Ready);
        self.control.opened(&phase, NOW, Some([u8::try_from(self.epoch).expect("few"); 32]));
        let place = Place { state: self.state, workspace: None, epoch: self.epoch };
        let (loaded, is_loaded) = oneshot::channel();
        self.keeper = Some(tokio::spawn(keep(self.os.clone(), place, self.control.clone(), jobs, loaded)));
        is_loaded.await.expect("it tells");
    }

    /// Ends this owner in order, and begins the next one, which knows nothing but what was kept.
    async fn again(&mut self) {
        self.control.rest();
        self.keeper.take().expect("it runs").await.expect("it ends");
        let cron = self.control.about().cron.clone();
        self.control = Self::control(&cron);
        self.begin().await;
    }

    /// Kills it at the next await, and begins the next one.
    async fn crash(&mut self) {
        self.keeper.take().expect("it runs").abort();
        let cron = self.control.about().cron.clone();
        self.control = Self::control(&cron);
        self.begin().await;
    }

    fn client(&self) -> Client {
        let stranger = self.control.stranger(super::HERE).expect("there is room");
        let peer = Peer { address: super::HERE, origin_is_own: true };
        let words = [super::NONCE.to_owned(), "c".to_owned()];
        let mut session = Session::open(self.control.clone(), stranger, peer, words, NOW, &mut Vec::new());
        let mut params = connect();
        params["scopes"] = json!(["operator.admin"]);
        let mut out = Vec::new();
        session.frame(&request("0", "connect", &params), NOW, &mut out);
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
struct Client {
    session: Session,
    heard: Vec<Value>,
}

impl Client {
    /// What is said until something is.
    async fn until(&mut self, mut out: Vec<Out>, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let said = out.drain(..).filter(|out| matches!(out, Out::Text(_)));
            self.heard.extend(said.map(|out| message(&out)));
            if let Some(found) = self.heard.iter().position(&is_it) {
                return self.heard.remove(found);
            }
            self.session.mailbox().expect("it is open").posted().await;
            self.session.posted(true, NOW, &mut out);
        }
    }

    /// The answer to a request, whenever it comes.
    async fn answer(&mut self, method: &str, params: &Value) -> Value {
        let mut out = Vec::new();
        self.session.frame(&request("a", method, params), NOW, &mut out);
        self.until(out, |said| said["id"] == "a").await
    }

    /// Waits until it has heard that event.
    async fn hears(&mut self, event: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.until(Vec::new(), |said| said["event"] == event && is_it(&said["payload"])).await["payload"]
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
async fn a_client_may_ask_for_so_much_at_once_and_every_request_is_answered() {
    let stand = Stand::new(Vec::new()).await;
    let mut client = stand.client();
    let mut out = Vec::new();
    for number in 0..40 {
        let number = number.to_string();
        client.session.frame(&request(&number, "chat.send", &send(&number)), NOW, &mut out);
    }
    let busy: Vec<Value> = out.drain(..).map(|out| message(&out)["error"].clone()).collect();
    assert_eq!(busy.len(), 8, "32 are worked on");
    assert!(
        busy.iter().all(|error| error["code"] == "UNAVAILABLE" && error["retryable"] == true),
        "{busy:?}"
    );
    assert_eq!(busy[0]["message"], "The server is busy. Please try again in a moment.");
    for number in 0..32 {
        let number = number.to_string();
        assert_eq!(client.until(Vec::new(), |said| said["id"] == number.as_str()).await["ok"], true);
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
    let begun = "{\"kind\":\"begun\",\"job\":\"once\",\"run\":\"r\",\"slotMs\":5,\"atMs\":6}\n";
    stand.put("control.1.jsonl", &(stand.file() + begun));
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
