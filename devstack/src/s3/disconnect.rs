//! Wraps a connection that can be broken after a certain byte. Earlier bytes reach the client, however slowly
//! it reads.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A request to end a connection. It is passed with each of the connection's requests as an extension.
#[derive(Clone, Default)]
pub(super) struct Disconnect(Arc<AtomicBool>);

impl Disconnect {
    /// Breaks the connection when everything that was written to it has been passed to the system.
    pub(super) fn when_flushed(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection that breaks on request.
pub(super) struct BreakableStream {
    stream: TcpStream,
    disconnect: Disconnect,
}

impl BreakableStream {
    pub(super) fn new(stream: TcpStream, disconnect: Disconnect) -> Self {
        Self { stream, disconnect }
    }
}

impl AsyncRead for BreakableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BreakableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Flushes the connection, or breaks it if that was requested. `hyper` flushes when its own buffer is
    /// empty.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.disconnect.0.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
