//! A stream that gathers writes and sends them when nothing more can be read: what a library needs that writes each message
//! by itself, so that it is compared at its best.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is gathered at most, in bytes.
const MOST: usize = 64 * 1024;
/// What is as long as this goes out as it is, because to copy it costs more than to send it.
const LONG: usize = 8 * 1024;

/// The stream.
#[derive(Debug)]
pub(super) struct Cork<S> {
    stream: S,
    gathered: Vec<u8>,
    sent: usize,
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, gathered: Vec::new(), sent: 0 }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.gathered.get(self.sent..) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.gathered.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Cork<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        // The other end waits for what was gathered, whether or not all of it can go now.
        if read.is_pending()
            && let Poll::Ready(Err(error)) = self.poll_send(context)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length >= LONG || self.gathered.len() + length > MOST {
            ready!(self.poll_send(context))?;
        }
        if length >= LONG {
            return Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        }
        for part in parts {
            self.gathered.extend_from_slice(part);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::runtime::Builder;

    use super::{Cork, LONG};

    #[test]
    fn what_is_short_waits_until_nothing_can_be_read_and_order_is_kept() {
        Builder::new_current_thread().build().unwrap().block_on(async {
            let (near, mut far) = tokio::io::duplex(64 * 1024);
            let mut corked = Cork::new(near);
            corked.write_all(b"one ").await.unwrap();
            corked.write_all(b"two ").await.unwrap();
            corked.flush().await.unwrap();
            let mut heard = [0; 8];
            assert!(futures_util::FutureExt::now_or_never(far.read(&mut heard)).is_none());
            let long = vec![b'x'; LONG];
            corked.write_all(&long).await.unwrap();
            far.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"one two ");
            let mut rest = vec![0; LONG];
            far.read_exact(&mut rest).await.unwrap();
            assert_eq!(rest, long);
            corked.write_all(b"three").await.unwrap();
            assert!(futures_util::FutureExt::now_or_never(corked.read(&mut heard)).is_none());
            far.read_exact(&mut heard[..5]).await.unwrap();
            assert_eq!(&heard[..5], b"three");
        });
    }
}
