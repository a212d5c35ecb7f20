//! What is asked of the service of a bot, over one connection that is used again, with a bound on whatever it answers and a
//! deadline for all of it. Dropping what is under way closes the connection.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use portcullis_os::{Listener, Os};
use serde_json::Value;
use tokio::time::timeout;

use crate::auth::Word;
use crate::settings::ApiRoot;
use crate::text::{brief, one_line};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;
/// The longest body of an answer, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It was certainly not asked.
    Unsent(String),
    /// It was asked, and nobody knows what came of it.
    Unknown(String),
    /// It refuses.
    Refused {
        /// With this code.
        code: u16,
        /// After so many seconds it may be asked again.
        retry_after_s: Option<u64>,
        /// In these words.
        what: String,
    },
}

impl Failed {
    /// As an operator reads it.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Unsent(why) | Self::Unknown(why) => why.clone(),
            Self::Refused { code, what, .. } => format!("{code} {what}"),
        }
    }
}

type Stream<O> = TokioIo<<<O as Os>::Listener as Listener>::Stream>;
type Connection<O> = Pin<Box<http1::Connection<Stream<O>, Full<Bytes>>>>;

/// An open connection.
struct Line<O: Os> {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: Connection<O>,
}

/// The service of one bot.
pub(super) struct Api<O: Os> {
    os: O,
    root: ApiRoot,
    token: Word,
    line: Option<Line<O>>,
}

impl<O: Os> Api<O> {
    pub(super) fn new(os: &O, root: &ApiRoot, token: &Word) -> Self {
        Self { os: os.clone(), root: root.clone(), token: token.clone(), line: None }
    }

    /// The result of a method.
    ///
    /// # Errors
    ///
    /// Why there is none. No secret is in it.
    pub(super) async fn call(
        &mut self,
        method: &str,
        params: &Value,
        longest: Duration,
    ) -> Result<Value, Failed> {
        let request = self.request(method, params).map_err(|why| Failed::Unsent(self.shown(&why)))?;
        let mut line = self.open().await?;
        let answered = timeout(longest, exchange(&mut line, request)).await;
        let (status, body) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(failed)) => return Err(failed),
            Err(_) => return Err(Failed::Unknown(format!("no answer came within {} s", longest.as_secs()))),
        };
        self.line = Some(line);
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 && said["ok"] == true {
            return Ok(said["result"].clone());
        }
        let code = said["error_code"].as_u64().and_then(|code| u16::try_from(code).ok());
        let Some(what) = said["description"].as_str() else {
            let what = format!("HTTP {status}, and nothing that a Bot API says");
            return Err(match status {
                400.. => Failed::Refused { code: status, retry_after_s: None, what },
                _ => Failed::Unknown(what),
            });
        };
        let retry_after_s = said["parameters"]["retry_after"].as_u64();
        Err(Failed::Refused { code: code.unwrap_or(status), retry_after_s, what: self.shown(what) })
    }

    /// What was said by somebody else, short, on one line and without the token.
    fn shown(&self, text: &str) -> String {
        one_line(&brief(&text.replace(self.token.said(), "***")))
    }

    fn request(&self, method: &str, params: &Value) -> Result<Request<Full<Bytes>>, String> {
        Request::post(format!("{}/bot{}/{method}", self.root.path, self.token.said()))
            .header(HOST, self.root.authority())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("refgate/", env!("CARGO_PKG_VERSION")))
            .body(Full::from(params.to_string()))
            .map_err(|_| "the address of the service is none".to_owned())
    }

    /// The connection of the last call if it is still there, or a new one.
    async fn open(&mut self) -> Result<Line<O>, Failed> {
        if let Some(mut line) = self.line.take() {
            // What the service has said meanwhile is taken in, above all that it has closed.
            let is_open = poll_fn(|cx| Poll::Ready(line.connection.as_mut().poll(cx).is_pending())).await;
            if is_open && line.sender.is_ready() {
                return Ok(line);
            }
        }
        let root = &self.root;
        let at = root.authority();
        let stream = match timeout(CONNECT, self.os.dial(&root.host, root.port)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(Failed::Unsent(format!("{at} cannot be reached: {}", error.kind())));
            }
            Err(_) => return Err(Failed::Unsent(format!("{at} cannot be reached in time"))),
        };
        let shaken = http1::Builder::new().max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(stream)).await;
        let (sender, connection) =
            shaken.map_err(|_| Failed::Unsent(format!("{at} closed the connection")))?;
        Ok(Line { sender, connection: Box::pin(connection) })
    }
}

/// Asks, and hears the whole answer: status and body.
async fn exchange<O: Os>(line: &mut Line<O>, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), Failed> {
    let Line { sender, connection } = line;
    let asked = async {
        let response = sender.try_send_request(request).await.map_err(|mut error| {
            if error.take_message().is_some() {
                Failed::Unsent("the connection was closed before it was used".to_owned())
            } else {
                Failed::Unknown("the connection broke before an answer came".to_owned())
            }
        })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|_| Failed::Unknown("the answer broke off, or is too long".to_owned()))?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(asked);
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            outcome = &mut asked => return outcome,
            _ = connection.as_mut(), if is_open => is_open = false,
        }
    }
}
