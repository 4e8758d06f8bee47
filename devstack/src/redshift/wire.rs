//! Reads and writes messages of the PostgreSQL protocol, version 3: a tag, a length, a body.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A stream of any kind: plain or TLS, socket or pipe.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The maximum size of a message; a larger one is a protocol error.
const LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The message's tag.
    pub(super) tag: u8,
    /// The message's body, without tag and length.
    pub(super) body: Bytes,
}

impl Frame {
    pub(super) fn new(tag: u8, body: impl Into<Bytes>) -> Self {
        Self { tag, body: body.into() }
    }

    /// Creates a message whose body is a text.
    pub(super) fn text(tag: u8, text: &str) -> Self {
        let mut body = BytesMut::new();
        put_text(&mut body, text);
        Self::new(tag, body)
    }

    /// Creates `ReadyForQuery`: `I`dle, in a `T`ransaction, or in a failed one (`E`).
    pub(super) fn ready(status: u8) -> Self {
        Self::new(b'Z', vec![status])
    }

    /// Returns the fields of an `ErrorResponse` or `NoticeResponse`.
    pub(super) fn fields(&self) -> Vec<(u8, String)> {
        let mut fields = Vec::new();
        let mut rest = self.body.clone();
        while rest.has_remaining() {
            let kind = rest.get_u8();
            if kind == 0 {
                break;
            }
            fields.push((kind, take_text(&mut rest)));
        }
        fields
    }
}

/// The contents of an error or a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) severity: &'static str,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) detail: Option<String>,
}

impl Report {
    pub(super) fn error(code: &str, message: impl Into<String>) -> Self {
        Self { severity: "ERROR", code: code.to_owned(), message: message.into(), detail: None }
    }

    pub(super) fn fatal(code: &str, message: impl Into<String>) -> Self {
        Self { severity: "FATAL", ..Self::error(code, message) }
    }

    pub(super) fn info(message: impl Into<String>) -> Self {
        Self { severity: "INFO", ..Self::error("00000", message) }
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(super) fn of(frame: &Frame) -> Self {
        let mut report = Self::error("XX000", "");
        for (kind, text) in frame.fields() {
            match kind {
                b'C' => report.code = text,
                b'M' => report.message = text,
                b'D' => report.detail = Some(text),
                b'S' if text == "FATAL" => report.severity = "FATAL",
                _ => {}
            }
        }
        report
    }

    pub(super) fn frame(&self) -> Frame {
        let mut body = BytesMut::new();
        let mut field = |kind: u8, text: &str| {
            body.put_u8(kind);
            put_text(&mut body, text);
        };
        field(b'S', self.severity);
        field(b'C', &self.code);
        field(b'M', &self.message);
        if let Some(detail) = &self.detail {
            field(b'D', detail);
        }
        body.put_u8(0);
        Frame::new(if self.severity == "INFO" { b'N' } else { b'E' }, body)
    }
}

pub(super) fn put_text(body: &mut BytesMut, text: &str) {
    body.put_slice(text.replace('\0', "").as_bytes());
    body.put_u8(0);
}

/// Takes a text up to its zero byte.
pub(super) fn take_text(body: &mut Bytes) -> String {
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    let text = String::from_utf8_lossy(&body.split_to(end)).into_owned();
    if body.has_remaining() {
        body.advance(1);
    }
    text
}

/// A connection that is read and written as frames. [`Framed::next`] may be cancelled and repeated without
/// loss.
pub(super) struct Framed {
    stream: Box<dyn Stream>,
    read: BytesMut,
    write: BytesMut,
}

impl Framed {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, read: BytesMut::with_capacity(16 * 1024), write: BytesMut::new() }
    }

    /// Returns the length of the first message, without its tag, if that much has arrived.
    fn length(&self) -> Option<usize> {
        let bytes = self.read.get(1..5)?.try_into().ok()?;
        Some(usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX))
    }

    /// Checks whether the next message has arrived completely.
    pub(super) fn has_next(&self) -> bool {
        self.length().is_some_and(|length| self.read.len() > length)
    }

    /// Returns the next message, or `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if self.length().is_some_and(|length| !(4..=LIMIT_BYTES).contains(&length)) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of an impossible length"));
            }
            if let (true, Some(length)) = (self.has_next(), self.length()) {
                let mut frame = self.read.split_to(length + 1);
                let tag = frame.get_u8();
                frame.advance(4);
                return Ok(Some(Frame::new(tag, frame.freeze())));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Returns the first message of a connection, which has no tag; `None` at the end.
    pub(super) async fn next_untagged(&mut self) -> io::Result<Option<Bytes>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(8..=10_000).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a client of this protocol"));
        }
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).await?;
        Ok(Some(body.into()))
    }

    /// Queues a message; [`Framed::flush`] sends it.
    pub(super) fn put(&mut self, frame: &Frame) {
        self.write.put_u8(frame.tag);
        self.write.put_u32(u32::try_from(frame.body.len() + 4).unwrap_or(u32::MAX));
        self.write.put_slice(&frame.body);
    }

    /// Queues bytes unchanged.
    pub(super) fn put_raw(&mut self, bytes: &[u8]) {
        self.write.put_slice(bytes);
    }

    /// Sends the queue.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.write).await?;
        self.write.clear();
        self.stream.flush().await
    }

    /// Queues a message and sends it.
    pub(super) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.put(frame);
        self.flush().await
    }

    /// Returns the underlying stream, to wrap it in TLS. Nothing may have been read ahead.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }
}
