//! The service over connections in memory, in a time that passes when nobody has anything to do: the same code as on sockets.

#![expect(clippy::expect_used, reason = "a test that cannot set its stage has failed")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bot::{Deed, Fault, Host as _, Machine, Rules, Service};
use portcullis_os::Listener;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;

/// Where connections come from.
struct Door(mpsc::Receiver<DuplexStream>, u16);

impl Listener for Door {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        self.1 += 1;
        let from = (Ipv4Addr::LOCALHOST, self.1).into();
        match self.0.recv().await {
            Some(stream) => Ok((stream, from)),
            None => std::future::pending().await,
        }
    }
}

struct Stage {
    machine: Machine,
    service: Service<Machine>,
    door: mpsc::Sender<DuplexStream>,
}

impl Stage {
    fn new() -> Self {
        let (door, connections) = mpsc::channel(16);
        let machine = Machine::new();
        let service = Service::new(Rules { lease_ms: 30_000 }, machine);
        service.add("7:x", "echo_bot");
        service.serve(Door(connections, 0));
        Self { machine, service, door }
    }

    async fn connect(&self) -> DuplexStream {
        let (near, far) = duplex(64 * 1024);
        self.door.send(far).await.expect("it listens");
        near
    }

    /// What is answered on a connection of its own, up to its end.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_as_long_as_it_says_and_is_answered_as_soon_as_there_is_something() {
    let stage = Stage::new();
    let answer = stage.ask("GET /bot7:x/getUpdates?timeout=20&offset=%31").await;
    assert!(answer.ends_with("{\"ok\":true,\"result\":[]}"), "{answer}");
    assert_eq!(stage.machine.now_ms(), 20_000);
    let (answer, ()) = tokio::join!(stage.ask("POST /bot7:x/getUpdates?timeout=50"), async {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        stage.service.say("7:x", 5, "hello").expect("a bot");
    });
    assert!(answer.contains("\"text\":\"hello\""), "{answer}");
    assert_eq!(stage.machine.now_ms(), 25_000);
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_while_it_polls_leaves_a_lease_behind_and_faults_come_as_they_were_asked_for() {
    let stage = Stage::new();
    let mut stream = stage.connect().await;
    stream
        .write_all(b"GET /bot7:x/getUpdates?timeout=50 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("it is read");
    let has = |deed: Deed| {
        move |bots: &bot::Bots| bots.record().happenings().any(|one| one.deed == deed).then_some(())
    };
    stage.service.until(has(Deed::Polled(None))).await;
    drop(stream);
    stage.service.until(has(Deed::Vanished)).await;
    let answer = stage.ask("GET /bot7:x/getUpdates").await;
    assert!(answer.starts_with("HTTP/1.1 409 ") && answer.contains("\"error_code\":409"), "{answer}");
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert!(stage.ask("GET /bot7:x/getUpdates").await.starts_with("HTTP/1.1 200 "), "its time is up");
    for fault in [Fault::Drop, Fault::ErrorAfter, Fault::TooMany(3)] {
        assert!(stage.service.fault("sendMessage", fault));
    }
    let send = "POST /bot7:x/sendMessage?chat_id=5&text=a+b";
    assert_eq!(stage.ask(send).await, "", "the connection is closed");
    assert!(stage.ask(send).await.starts_with("HTTP/1.1 500 "));
    assert!(stage.ask(send).await.ends_with("\"parameters\":{\"retry_after\":3}}"));
    assert_eq!(stage.service.record().sent("echo_bot"), [(5, "a b".to_owned()), (5, "a b".to_owned())]);
    for (path, expected) in
        [("/bot8:x/getMe", "401"), ("/bot7:x/nope", "404"), ("/nope", "404"), ("/bot7:x/getMe", "200")]
    {
        let answer = stage.ask(&format!("GET {path}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {answer}");
    }
}
