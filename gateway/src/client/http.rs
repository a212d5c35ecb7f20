//! What a port answers to three questions by HTTP: one status line and a short body each, read strictly and never further
//! than a bound.

use std::io::ErrorKind;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame::clip;
use super::{Address, Deadlines};
use crate::text::{brief, one_line};

/// The longest answer that is read, head and body, in bytes.
const LONGEST: usize = 64 * 1024 + 16 * 1024;

/// What a port answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nobody listens.
    Nobody,
    /// It cannot be reached, and why.
    Unreachable(String),
    /// Somebody listens and says nothing.
    Silent,
    /// Something that is no gateway, and what it says.
    Stranger(String),
    /// What a gateway says.
    Gateway(Gateway),
}

/// What a gateway says of itself by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Whether it is ready; `None`: it does not tell.
    pub is_ready: Option<bool>,
    /// What it waits for.
    pub failing: Vec<String>,
    /// How far its start has come; `None`: it does not tell.
    pub startup: Option<String>,
}

/// Asks whether a gateway lives there, whether it is ready and how far it has come.
pub async fn look(address: &Address, deadlines: &Deadlines) -> Look {
    let live = match get(address, "/healthz", deadlines).await {
        Ok(answer) => answer,
        Err(failed) => return failed,
    };
    // Some answer every path with a page, so the body counts and not the status.
    if live.json["status"] != "live" {
        return Look::Stranger(live.shown());
    }
    let (ready, startup) =
        tokio::join!(get(address, "/readyz", deadlines), get(address, "/startupz", deadlines));
    let json = |answer: Result<Answer, Look>| answer.map_or(Value::Null, |answer| answer.json);
    let (ready, startup) = (json(ready), json(startup));
    let failing = ready["failing"].as_array().map(Vec::as_slice).unwrap_or_default();
    Look::Gateway(Gateway {
        is_ready: ready["ready"].as_bool(),
        failing: failing.iter().take(8).filter_map(|why| Some(clip(why.as_str()?))).collect(),
        startup: startup["status"].as_str().map(clip),
    })
}

/// An answer.
struct Answer {
    status: u16,
    body: String,
    json: Value,
}

impl Answer {
    fn shown(&self) -> String {
        shown(self.status, &self.body)
    }
}

/// An answer of a stranger, short and harmless.
pub(super) fn shown(status: u16, body: &str) -> String {
    let words: Vec<&str> = body.split_whitespace().take(40).collect();
    format!("HTTP {status}: {}", one_line(&brief(&words.join(" "))))
}

async fn get(address: &Address, path: &str, deadlines: &Deadlines) -> Result<Answer, Look> {
    let bytes = match timeout(deadlines.http, exchange(address, path)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return Err(Look::Nobody),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {
            return Err(Look::Stranger("it closed the connection without an answer".to_owned()));
        }
        Ok(Err(error)) => return Err(Look::Unreachable(error.to_string())),
        Err(_) => return Err(Look::Silent),
    };
    parse(&bytes).ok_or_else(|| {
        let begins = String::from_utf8_lossy(bytes.get(..80).unwrap_or(&bytes)).into_owned();
        Look::Stranger(match begins.trim() {
            "" => "it closed the connection without an answer".to_owned(),
            begins => format!("no HTTP: {}", one_line(begins)),
        })
    })
}

/// Everything that is answered, up to the bound.
async fn exchange(address: &Address, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address.place()).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address.authority());
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while bytes.len() < LONGEST && !is_whole(&bytes) {
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            // What has come before is an answer all the same.
            Err(_) if !bytes.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// The head of an answer, and where its body begins.
fn head(bytes: &[u8]) -> Option<(&str, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, end + 4))
}

/// Whether as much has come as was announced. Some keep a connection open though they were asked not to.
fn is_whole(bytes: &[u8]) -> bool {
    let Some((head, body)) = head(bytes) else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    length.is_some_and(|length| bytes.len() - body >= length)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let (head, body) = head(bytes)?;
    let rest = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?;
    let digits = rest.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let status = digits.parse().ok().filter(|status| (100..600).contains(status))?;
    let body = String::from_utf8_lossy(&bytes[body..]).into_owned();
    // In pieces or not: what stands between the outermost braces is the object.
    let object = body.find('{').zip(body.rfind('}')).and_then(|(from, to)| body.get(from..=to));
    let json = object.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    Some(Answer { status, body, json })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{is_whole, parse};

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), body in ".{0,50}") {
            let _ = (parse(&bytes), is_whole(&bytes));
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            prop_assert!(is_whole(answer.as_bytes()) && parse(answer.as_bytes()).is_some());
        }
    }

    #[test]
    fn an_answer_is_read_strictly_and_its_object_wherever_it_stands() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"ok\":true}").expect("an answer");
        assert_eq!((answer.status, &answer.json["ok"]), (200, &true.into()));
        let chunked = b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"ok\":true}\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).expect("an answer").json["ok"], true);
        let page = parse(b"HTTP/1.0 200 OK\r\n\r\n<!DOCTYPE\n HTML>\x1b[2J").expect("an answer");
        assert_eq!(page.shown(), "HTTP 200: <!DOCTYPE HTML>\u{fffd}[2J");
        for strange in [
            "",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 2x0\r\n\r\n",
            "HTTP/1.1 999\r\n\r\n",
            "HTTP/1.1 200",
        ] {
            assert!(parse(strange.as_bytes()).is_none(), "{strange}");
        }
        assert!(is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\nok"));
    }
}
