//! The pages over connections in memory.

use data_encoding::BASE64;
use proptest::prelude::*;
use serde_json::Value;

use super::{Page, Shown, word};
use crate::auth::{Auth, Secret, Word};
use crate::control::{About, Control, SessionLimits};
use crate::identity::{Identity, PhaseName};
use crate::server::tests::Stand;
use crate::server::{Limits, Service};
use crate::settings::ChannelAccount;

fn identity() -> Identity {
    Identity {
        schema: 1,
        instance: "0123456789abcdef".to_owned(),
        pid: 4711,
        phase: None,
        state: "/home/<b>/.refgate".to_owned(),
        state_device: 2049,
        state_inode: 77,
        config: "/home/o/.refgate/openclaw.json".to_owned(),
        base: 18789,
        span: 110,
        pinned: vec![9222],
        version: "0.1.0".to_owned(),
    }
}

fn stand(auth: Auth) -> Stand {
    let control = Control::new(About { auth, ..About::open() }, SessionLimits::openclaw());
    control.become_one(&identity(), 3);
    Stand::with(Limits::personal(), Service::Gateway(control))
}

fn closed() -> Stand {
    stand(Auth::Token(Secret::new("t0ken")))
}

async fn ask(stand: &Stand, path: &str, headers: &str) -> String {
    let head = "Host: localhost\r\nConnection: close";
    stand.ask(&format!("GET {path} HTTP/1.1\r\n{head}\r\n{headers}\r\n")).await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn body(answer: &str) -> &str {
    answer.split_once("\n\n").expect("a body").1
}

#[tokio::test(start_paused = true)]
async fn whoever_must_know_a_secret_to_connect_must_know_it_here() {
    let basic = |pair: &str| format!("Authorization: Basic {}\r\n", BASE64.encode(pair.as_bytes()));
    for (headers, expected) in [
        (String::new(), "401"),
        ("Authorization: Bearer t0ken\r\n".to_owned(), "200"),
        ("authorization: bearer  t0ken \r\n".to_owned(), "200"),
        (basic("anybody:t0ken"), "200"),
        (basic(":t0ken"), "200"),
        (basic("t0ken"), "401"),
        (basic("anybody:token"), "401"),
        ("Authorization: Bearer t0ke\r\n".to_owned(), "401"),
        ("Authorization: Bearer\r\n".to_owned(), "401"),
        ("Authorization: Digest t0ken\r\n".to_owned(), "401"),
        ("Authorization: Basic !\r\n".to_owned(), "401"),
        ("Authorization: Bearer t0ken\r\nAuthorization: Bearer t0ken\r\n".to_owned(), "401"),
    ] {
        for path in ["/", "/metrics"] {
            let answer = ask(&closed(), path, &headers).await;
            assert_eq!(status(&answer), expected, "{path} {headers}");
            assert_eq!(answer.contains("\nwww-authenticate: Basic realm="), expected == "401", "{answer}");
        }
    }
    assert_eq!(status(&ask(&stand(Auth::Open), "/", "").await), "200");
    assert_eq!(status(&ask(&stand(Auth::Password(Secret::new("p"))), "/", &basic("x:p")).await), "200");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_answered_late_and_no_secret_at_once() {
    let stand = closed();
    for (headers, late_ms) in
        [("", 0), ("Authorization: Bearer x\r\n", 250), ("Authorization: Bearer x\r\n", 500), ("", 0)]
    {
        let began = tokio::time::Instant::now();
        assert_eq!(status(&ask(&stand, "/metrics", headers).await), "401");
        assert_eq!(began.elapsed().as_millis(), late_ms, "{headers}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_guesses_and_does_not_wait_is_not_listened_to() {
    let stand = closed();
    let wrong = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n";
    let mut hasty = stand.connect();
    tokio::io::AsyncWriteExt::write_all(&mut hasty, wrong.as_bytes()).await.expect("the server reads");
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    drop(hasty);
    let right = "Authorization: Bearer t0ken\r\n";
    let refused = ask(&stand, "/metrics", right).await;
    assert_eq!(status(&refused), "429", "it would be told which guess was right");
    assert!(refused.contains("\nretry-after: 1\n"), "{refused}");
    assert_eq!(status(&ask(&stand, "/identity", "").await), "200", "nothing was shown");
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    assert_eq!(status(&ask(&stand, "/metrics", right).await), "200");
}

#[tokio::test(start_paused = true)]
async fn everybody_is_told_which_gateway_this_is_and_only_who_may_connect_what_it_owns() {
    let answer = ask(&closed(), "/identity", "").await;
    insta::assert_snapshot!(body(&answer), @r#"{"epoch":3,"instance":"0123456789abcdef","phase":"ready","schema":1,"service":"refgate","version":"0.1.0"}"#);
    let known = ask(&closed(), "/identity", "Authorization: Bearer t0ken\r\n").await;
    let told: Value = serde_json::from_str(body(&known)).expect("JSON");
    assert_eq!((&told["pid"], &told["stateInode"]), (&4711.into(), &77.into()));
    assert_eq!(
        (&told["base"], &told["span"], &told["pinned"][0]),
        (&18789.into(), &110.into(), &9222.into())
    );
    assert_eq!(status(&ask(&closed(), "/identity", "Authorization: Bearer x\r\n").await), "401");
}

#[tokio::test(start_paused = true)]
async fn numbers_are_told_as_scrapers_read_them() {
    let stand = stand(Auth::Open);
    let mut client = stand.socket().await.expect("a handshake");
    let hello = super::super::gateway_tests::connect(0);
    futures_util::SinkExt::send(&mut client, hello.into()).await.expect("it is sent");
    while !futures_util::StreamExt::next(&mut client)
        .await
        .is_some_and(|said| said.expect("it is open").into_text().is_ok_and(|text| text.contains("hello-ok")))
    {
    }
    let answer = ask(&stand, "/metrics", "").await;
    assert!(answer.contains("\ncontent-type: text/plain; version=0.0.4; charset=utf-8\n"), "{answer}");
    insta::assert_snapshot!(body(&answer), @r#"
    # HELP refgate_info Which gateway this is.
    # TYPE refgate_info gauge
    refgate_info{instance="0123456789abcdef",version="0.1.0"} 1
    # HELP refgate_epoch The epoch of its ownership.
    # TYPE refgate_epoch gauge
    refgate_epoch 3
    # HELP refgate_phase How far it has come: 1 for the present phase.
    # TYPE refgate_phase gauge
    refgate_phase{phase="starting"} 0
    refgate_phase{phase="ready"} 1
    refgate_phase{phase="draining"} 0
    # HELP refgate_uptime_seconds How long it has served since it last began to.
    # TYPE refgate_uptime_seconds gauge
    refgate_uptime_seconds 0.000
    # HELP refgate_clients Clients that have said who they are.
    # TYPE refgate_clients gauge
    refgate_clients 1
    # HELP refgate_strangers Connections that have not.
    # TYPE refgate_strangers gauge
    refgate_strangers 0
    # HELP refgate_connects_total Requests to connect.
    # TYPE refgate_connects_total counter
    refgate_connects_total{result="admitted"} 1
    refgate_connects_total{result="refused"} 0
    # HELP refgate_requests_total Requests of clients, by method; those that were taken may fail later.
    # TYPE refgate_requests_total counter
    # HELP refgate_slow_consumers_total Clients sent away because they did not read.
    # TYPE refgate_slow_consumers_total counter
    refgate_slow_consumers_total 0
    "#);
}

#[tokio::test(start_paused = true)]
async fn the_bots_of_a_gateway_are_counted_and_their_tokens_shown_nowhere() {
    let bot = ChannelAccount {
        id: "home".to_owned(),
        name: None,
        enabled: true,
        token: Some(Word::new("7:s3cret")),
        source: "config",
        root: None,
        poll_s: 30,
    };
    let control = Control::new(About { channels: vec![bot], ..About::open() }, SessionLimits::openclaw());
    control.become_one(&identity(), 3);
    let stand = Stand::with(Limits::personal(), Service::Gateway(control));
    let metrics = ask(&stand, "/metrics", "").await;
    let metrics: Vec<_> =
        body(&metrics).lines().filter(|line| line.starts_with("refgate_channel_")).collect();
    insta::assert_snapshot!(metrics.join("\n"), @r#"
    refgate_channel_connected{channel="telegram",account="home"} 0
    refgate_channel_conflicts_total{channel="telegram",account="home"} 0
    refgate_channel_messages_total{channel="telegram",account="home"} 0
    refgate_channel_replies_sent_total{channel="telegram",account="home"} 0
    refgate_channel_replies_refused_total{channel="telegram",account="home"} 0
    refgate_channel_replies_waiting{channel="telegram",account="home"} 0
    refgate_channel_replies_unconfirmed{channel="telegram",account="home"} 0
    "#);
    let page = ask(&stand, "/", "").await;
    let row = "<td>telegram</td><td>home</td><td>stopped</td><td>0 wait, 0 unconfirmed</td><td>-</td>";
    assert!(page.contains(row) && !page.contains("s3cret"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn the_page_for_people_needs_nothing_from_elsewhere_and_believes_no_name() {
    let stand = stand(Auth::Open);
    let answer = ask(&stand, "/", "").await;
    assert!(
        answer.contains("\ncontent-security-policy: default-src 'none'; style-src 'unsafe-inline'; "),
        "{answer}"
    );
    assert!(answer.contains("\nx-frame-options: DENY\n"), "{answer}");
    let page = body(&answer);
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page}");
    assert!(page.contains("<title>refgate ready on port 18789</title>"), "{page}");
    assert!(page.contains("/home/&lt;b&gt;/.refgate") && !page.contains("<b>"), "{page}");
    for strange in ["<script", "http://", "https://", "src=", "href="] {
        assert!(!page.contains(strange), "{strange}: {page}");
    }
    stand.phase.set(PhaseName::Draining);
    assert!(ask(&stand, "/", "").await.contains("refgate is <span class=\"draining\">draining</span>"));
}

#[tokio::test(start_paused = true)]
async fn a_page_is_looked_at_and_not_written_to() {
    let stand = stand(Auth::Open);
    for path in ["/", "/metrics", "/identity", "/__openclaw__/canvas/"] {
        let answer = stand.status(&format!("POST {path}"), &["Host: localhost"]).await;
        assert_eq!(answer, "HTTP/1.1 405 Method Not Allowed", "{path}");
    }
    let head = stand.ask("HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\n") && head.ends_with("\n\n"), "{head}");
    let foreign = stand.status("GET /", &["Host: localhost", "Origin: https://evil.example"]).await;
    assert_eq!(foreign, "HTTP/1.1 403 Forbidden");
}

#[test]
fn a_drawing_has_a_plain_name() {
    for path in
        ["/__openclaw__/canvas/", "/__openclaw__/canvas/a.html", "/__openclaw__/canvas/a/b-c_d/e.min.js"]
    {
        assert!(matches!(Page::at(path), Some(Page::Canvas(_))), "{path}");
    }
    for path in [
        "/__openclaw__/canvas",
        "/__openclaw__/canvasx/a",
        "/__openclaw__/canvas//a",
        "/__openclaw__/canvas/../gateway.lock",
        "/__openclaw__/canvas/./a",
        "/__openclaw__/canvas/.hidden",
        "/__openclaw__/canvas/a/.hidden/b",
        "/__openclaw__/canvas/%2e%2e/gateway.lock",
        "/__openclaw__/canvas/a%00",
        "/__openclaw__/",
        "/nope",
    ] {
        assert_eq!(Page::at(path), None, "{path}");
    }
    assert_eq!(Page::at(&format!("/__openclaw__/canvas/{}", "a/".repeat(16))), None);
}

proptest! {
    #[test]
    fn no_path_and_no_header_makes_it_panic(path in "[ -~]{0,64}", header in "[ -~]{0,48}") {
        let _ = Page::at(&path);
        let _ = word(&header);
        let _ = Shown::of(&hyper::HeaderMap::new());
    }
}
