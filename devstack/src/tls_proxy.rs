//! Puts TLS in front of a server on this machine that has none, and counts the bytes on the wire.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_native_tls::TlsAcceptor;

use crate::certificates::{self, Certificate};
use crate::guard::Directory;

/// The number of bytes read at once: a few TLS records, which have 16 KiB at most (RFC 8446, section 5.1).
const BUFFER_BYTES: usize = 64 * 1024;

/// A running proxy. Dropping it ends its connections and removes its authority's file.
pub struct TlsProxy {
    port: u16,
    authority: Directory,
    wire: Arc<Wire>,
    server: JoinHandle<()>,
}

/// The numbers of bytes at the clients' sockets: TLS with its handshakes, without TCP and IP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WireBytes {
    /// The number of bytes from the clients.
    pub received: u64,
    /// The number of bytes to the clients.
    pub sent: u64,
}

impl TlsProxy {
    /// Starts a proxy in front of the server on a port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The port cannot be bound, or the certificate or the temporary directory cannot be created or written.
    pub async fn start(server_port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let identity = certificates::identity(&names, Certificate::Issued)?;
        let authority = Directory::make("tls-")?;
        fs::write(authority.path().join("ca.pem"), identity.ca_pem)?;
        let wire = Arc::new(Wire::default());
        let server = tokio::spawn(serve(listener, identity.acceptor, server_port, Arc::clone(&wire)));
        Ok(Self { port, authority, wire, server })
    }

    /// Returns the URL at which the server is reached through TLS.
    pub fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the file of the certificate authority to trust: the value of `SSL_CERT_FILE` for the AWS SDK.
    pub fn certificates(&self) -> PathBuf {
        self.authority.path().join("ca.pem")
    }

    /// Returns the numbers of bytes so far.
    pub fn wire_bytes(&self) -> WireBytes {
        WireBytes {
            received: self.wire.received.load(Ordering::Relaxed),
            sent: self.wire.sent.load(Ordering::Relaxed),
        }
    }

    /// Sets the numbers of bytes to zero.
    pub fn clear_wire_bytes(&self) {
        self.wire.received.store(0, Ordering::Relaxed);
        self.wire.sent.store(0, Ordering::Relaxed);
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, server_port: u16, wire: Arc<Wire>) {
    // Connections end with the proxy, not after it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (acceptor, wire) = (acceptor.clone(), Arc::clone(&wire));
        connections.spawn(async move {
            if let Err(error) = pass(stream, &acceptor, server_port, wire).await {
                tracing::debug!(%error, "a TLS connection ended");
            }
        });
    }
}

/// Passes a connection's bytes on, until either side ends it.
async fn pass(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    server_port: u16,
    wire: Arc<Wire>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut client = acceptor
        .accept(CountedStream { stream, wire })
        .await
        .map_err(|error| io::Error::other(error.to_string()))?;
    let mut server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    server.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES).await.map(drop)
}

#[derive(Default)]
struct Wire {
    received: AtomicU64,
    sent: AtomicU64,
}

/// A connection whose bytes are counted.
struct CountedStream {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.wire.received.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.wire.sent.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
