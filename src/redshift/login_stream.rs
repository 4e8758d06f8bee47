//! Wraps the stream between TLS and the driver. It answers Redshift's own SHA-256 login, which the driver
//! does not support, and leaves everything else unchanged.
//!
//! The request is an authentication request with tag 13, which carries an algorithm, a salt and a nonce. The
//! answer is a message `d` with a digest and the client's nonce (`core.py` of AWS's driver
//! `redshift_connector`, 2.2.0).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, BufMut as _, BytesMut};
use postgres_native_tls::{MakeTlsConnector, TlsConnector};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use crate::secret::Secret;

/// The message about a request with tag 13 that is not understood.
pub(super) const UNKNOWN_DIGEST: &str = "unknown form of SHA-256 authentication";

/// The maximum size of a message that is examined. A request is far shorter. A longer message is passed on
/// without being examined.
const LONGEST: usize = 64 * 1024;

/// A connector for TLS, and for a stream within TLS that answers with a password.
#[derive(Clone)]
pub(super) struct LoginTls {
    tls: MakeTlsConnector,
    password: Secret,
}

impl LoginTls {
    pub(super) fn new(tls: MakeTlsConnector, password: Secret) -> Self {
        Self { tls, password }
    }
}

impl<S> MakeTlsConnect<S> for LoginTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = LoginStream<postgres_native_tls::TlsStream<S>>;
    type TlsConnect = LoginTlsConnect;
    type Error = native_tls::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<LoginTlsConnect, native_tls::Error> {
        let tls = <MakeTlsConnector as MakeTlsConnect<S>>::make_tls_connect(&mut self.tls, host)?;
        Ok(LoginTlsConnect { tls, password: self.password.clone() })
    }
}

/// A [`LoginTls`] for one host.
pub(super) struct LoginTlsConnect {
    tls: TlsConnector,
    password: Secret,
}

impl<S> TlsConnect<S> for LoginTlsConnect
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = LoginStream<postgres_native_tls::TlsStream<S>>;
    type Error = native_tls::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, native_tls::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.tls.connect(stream);
        Box::pin(async move { Ok(LoginStream::new(connecting.await?, self.password)) })
    }
}

/// A stream that answers a request for a SHA-256 login itself.
pub(super) struct LoginStream<S> {
    stream: S,
    /// The password for the answer, until the server has requested a login method.
    password: Option<Secret>,
    /// The message that is being examined, or the rest of it for the driver.
    message: BytesMut,
    /// Whether `message` is for the driver.
    for_driver: bool,
    /// The rest of the answer to send.
    answer: BytesMut,
    answered: bool,
}

impl<S> LoginStream<S> {
    fn new(stream: S, password: Secret) -> Self {
        Self {
            stream,
            password: Some(password),
            message: BytesMut::new(),
            for_driver: false,
            answer: BytesMut::new(),
            answered: true,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for LoginStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            while !this.answer.is_empty() {
                let sent = ready!(Pin::new(&mut this.stream).poll_write(context, &this.answer))?;
                if sent == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                this.answer.advance(sent);
            }
            if !this.answered {
                ready!(Pin::new(&mut this.stream).poll_flush(context))?;
                this.answered = true;
            }
            if this.for_driver {
                let length = this.message.len().min(buffer.remaining());
                buffer.put_slice(&this.message[..length]);
                this.message.advance(length);
                this.for_driver = !this.message.is_empty();
                return Poll::Ready(Ok(()));
            }
            let Some(password) = &this.password else {
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            };
            match next_step(&this.message, password, nonce)? {
                Step::Read(missing) => {
                    let mut bytes = [0; 1024];
                    let mut bytes = ReadBuf::new(&mut bytes[..missing.min(1024)]);
                    ready!(Pin::new(&mut this.stream).poll_read(context, &mut bytes))?;
                    if bytes.filled().is_empty() {
                        // The driver gets the bytes received so far, and then the end of the stream.
                        this.password = None;
                        this.for_driver = !this.message.is_empty();
                    }
                    this.message.extend_from_slice(bytes.filled());
                }
                Step::Pass => this.for_driver = true,
                Step::PassAll => {
                    this.password = None;
                    this.for_driver = true;
                }
                Step::Answer(answer) => {
                    this.password = None;
                    this.message.clear();
                    this.answer = answer;
                    this.answered = false;
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LoginStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for LoginStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// The action for the received part of a message.
enum Step {
    /// This many more bytes are needed.
    Read(usize),
    /// The message is for the driver, and the next one is to be examined too.
    Pass,
    /// The message is for the driver, and so is everything that follows.
    PassAll,
    /// The message is to be answered with these bytes.
    Answer(BytesMut),
}

fn next_step(message: &[u8], password: &Secret, nonce: impl Fn() -> String) -> io::Result<Step> {
    let Some((head, mut body)) = message.split_at_checked(5) else {
        return Ok(Step::Read(5 - message.len()));
    };
    let (tag, mut length) = (head[0], &head[1..]);
    let length = usize::try_from(length.get_u32()).unwrap_or(usize::MAX);
    if !matches!(tag, b'R' | b'N') || !(4..=LONGEST).contains(&length) {
        return Ok(Step::PassAll);
    }
    if message.len() <= length {
        return Ok(Step::Read(length + 1 - message.len()));
    }
    if tag == b'N' {
        return Ok(Step::Pass);
    }
    if body.try_get_u32() != Ok(13) {
        return Ok(Step::PassAll);
    }
    let unknown = || io::Error::other(UNKNOWN_DIGEST);
    // 0 is SHA-256; there is no other algorithm.
    if body.try_get_u32() != Ok(0) {
        return Err(unknown());
    }
    let (salt, server_nonce) = (take(&mut body).ok_or_else(unknown)?, take(&mut body).ok_or_else(unknown)?);
    Ok(Step::Answer(answer(password, salt, server_nonce, nonce().as_bytes())))
}

/// Takes bytes from the start of `body`, where their length precedes them.
fn take<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(body.try_get_u32().ok()?).ok()?;
    let (taken, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(taken)
}

fn answer(password: &Secret, salt: &[u8], server_nonce: &[u8], nonce: &[u8]) -> BytesMut {
    let stored = Sha256::new().chain_update(password.expose()).chain_update(salt).finalize();
    let digest = Sha256::new().chain_update(stored).chain_update(server_nonce).chain_update(nonce).finalize();
    let mut body = BytesMut::new();
    for part in [&digest[..], nonce] {
        body.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
        body.put_slice(part);
    }
    let mut message = BytesMut::new();
    message.put_u8(b'd');
    message.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
    message.put_slice(&body);
    message
}

/// Returns the milliseconds since 1970 as text, as AWS's driver does.
fn nonce() -> String {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()).to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const REQUEST: &[u8] = b"R\0\0\0\x1b\0\0\0\x0d\0\0\0\0\0\0\0\x04salt\0\0\0\x03non";

    /// Lets the server send `said` byte by byte; returns what the driver reads, and what the server receives.
    async fn exchange(said: &[u8]) -> (io::Result<Vec<u8>>, Vec<u8>) {
        let (client, server) = duplex(1);
        let (mut hearing, mut saying) = tokio::io::split(server);
        let mut stream = LoginStream::new(client, Secret::new("secret"));
        let said = said.to_vec();
        let listening = tokio::spawn(async move {
            let mut heard = Vec::new();
            let say = async {
                saying.write_all(&said).await.unwrap();
                saying.shutdown().await.unwrap();
            };
            let _ = tokio::join!(say, hearing.read_to_end(&mut heard));
            heard
        });
        let mut read = Vec::new();
        let outcome = stream.read_to_end(&mut read).await.map(|_| read);
        drop(stream);
        (outcome, listening.await.unwrap())
    }

    #[tokio::test]
    async fn a_request_is_answered_and_what_follows_is_the_drivers() {
        let said = [b"N\0\0\0\x05\0", REQUEST, b"R\0\0\0\x08\0\0\0\0", REQUEST].concat();
        let (read, heard) = exchange(&said).await;
        assert_eq!(read.unwrap(), [b"N\0\0\0\x05\0", &b"R\0\0\0\x08\0\0\0\0"[..], REQUEST].concat());
        assert_eq!(&heard[..9], b"d\0\0\0\x39\0\0\0\x20");
        assert_eq!(&heard[41..45], b"\0\0\0\x0d");
        assert_eq!(heard.len(), 58);
    }

    #[tokio::test]
    async fn all_else_is_the_drivers() {
        for said in [
            &b"R\0\0\0\x0c\0\0\0\x05salt"[..],
            b"R\0\0\0\x08\0\0\0\x03",
            b"E\0\0\0\x05\0",
            b"R\0\0",
            b"",
            b"R\0\0\0\x02\0\0",
            b"R\xff\xff\xff\xff\0\0\0\x0d",
            b"N\0\0\0\x09\0",
        ] {
            let (read, heard) = exchange(said).await;
            assert_eq!(read.unwrap(), said);
            assert!(heard.is_empty());
        }
    }

    #[tokio::test]
    async fn a_request_of_another_form_is_refused() {
        for said in [
            &b"R\0\0\0\x08\0\0\0\x0d"[..],
            b"R\0\0\0\x0c\0\0\0\x0d\0\0\0\x01",
            b"R\0\0\0\x10\0\0\0\x0d\0\0\0\0\0\0\0\x04",
            b"R\0\0\0\x10\0\0\0\x0d\0\0\0\0\xff\xff\xff\xff",
        ] {
            let (read, heard) = exchange(said).await;
            assert_eq!(read.unwrap_err().to_string(), UNKNOWN_DIGEST);
            assert!(heard.is_empty());
        }
    }
}
