//! What a session wants of whoever has its socket.

use hyper::body::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// What a session wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary one.
    Binary(Bytes),
    /// A sign of life is asked for.
    Ping,
    /// Nothing further for so many milliseconds.
    Pause(u64),
    /// The end, with a code and a reason.
    Close(u16, String),
    /// The end without a word: nobody listens any more.
    Drop,
}

impl Out {
    pub(super) fn text(text: String) -> Self {
        Self::Text(text.into())
    }
}
