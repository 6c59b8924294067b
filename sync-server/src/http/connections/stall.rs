//! A connection that ends when its client takes nothing for too long.
//!
//! Without it an answer to a client that is gone, or that never reads, would be kept until the machine's
//! TCP gives up, which is never as long as the client's machine answers.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream whose writes fail when none went on for some time.
pub struct Unstalled<S> {
    stream: S,
    stall_max: Duration,
    /// Runs while a write waits.
    ends: Option<Pin<Box<Sleep>>>,
}

impl<S> Unstalled<S> {
    /// The stream, which may stall for so long.
    pub fn new(stream: S, stall_max: Duration) -> Self {
        Self { stream, stall_max, ends: None }
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, poll: Poll<Result<T>>) -> Poll<Result<T>> {
        if poll.is_ready() {
            self.ends = None;
            return poll;
        }
        let stall_max = self.stall_max;
        let ends = self.ends.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
        ends.as_mut().poll(context).map(|()| {
            tracing::debug!("a client takes nothing of its answer");
            Err(Error::new(ErrorKind::TimedOut, "the client takes nothing"))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unstalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, poll)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_write_that_nobody_takes_fails() {
        let (near, _far) = tokio::io::duplex(8);
        let mut near = Unstalled::new(near, Duration::from_millis(20));
        let error = near.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_takes_a_little_now_and_then_gets_it_all() {
        let (near, mut far) = tokio::io::duplex(8);
        // Together longer than it may stall.
        let (stall_max, pause, parts) = (Duration::from_secs(1), Duration::from_millis(150), 10);
        let reading = async {
            let mut taken = 0;
            while taken < 8 * parts {
                tokio::time::sleep(pause).await;
                taken += far.read(&mut [0; 8]).await.unwrap();
            }
        };
        let mut near = Unstalled::new(near, stall_max);
        let all = vec![0; 8 * parts];
        let (written, ()) = tokio::join!(near.write_all(&all), reading);
        written.unwrap();
    }
}
