//! What a session wants of whoever has its socket.

use hyper::body::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// So much is much, in bytes: what is answered beyond it is made once this is sent.
const MUCH: usize = 1 << 20;

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

    /// How much of it waits to be sent, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Ping | Self::Pause(_) | Self::Close(..) | Self::Drop => 0,
        }
    }

    /// Whether so much of that waits to be sent that nothing more should be made before it is.
    pub(super) fn is_much(waiting: &[Self]) -> bool {
        waiting.iter().map(Self::bytes).sum::<usize>() >= MUCH
    }
}
