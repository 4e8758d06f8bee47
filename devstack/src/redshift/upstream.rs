//! Connects one session to PostgreSQL.

use std::io;
use std::path::Path;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::net::UnixStream;

use super::wire::{Frame, Framed, Report, put_text};

/// The settings with which a session begins. A literal's backslash is an escape (`r_CREATE_USER.md`), and the
/// time zone is UTC.
const SETTINGS: [(&str, &str); 5] = [
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "off"),
    ("escape_string_warning", "off"),
    ("client_min_messages", "warning"),
    ("timezone", "UTC"),
];

/// The rows of one of the stand-in's own queries.
pub(super) type Rows = Vec<Vec<Option<String>>>;

pub(super) struct Upstream {
    framed: Framed,
    status: u8,
}

impl Upstream {
    /// Connects as a user, with the client's settings.
    pub(super) async fn connect(
        socket: &Path,
        user: &str,
        database: &str,
        settings: &[(String, String)],
    ) -> io::Result<Self> {
        let mut framed = Framed::new(Box::new(UnixStream::connect(socket).await?));
        let mut body = BytesMut::new();
        body.put_u32(196_608);
        let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in
            [("user", user), ("database", database)].into_iter().chain(SETTINGS).chain(settings)
        {
            put_text(&mut body, name);
            put_text(&mut body, value);
        }
        body.put_u8(0);
        let mut packet = BytesMut::new();
        packet.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
        packet.put_slice(&body);
        framed.put_raw(&packet);
        framed.flush().await?;
        Ok(Self { framed, status: b'I' })
    }

    /// Returns the transaction status: `I`dle, in a `T`ransaction, or in a failed one (`E`).
    pub(super) fn status(&self) -> u8 {
        self.status
    }

    /// Checks whether the next message has arrived completely.
    pub(super) fn has_next(&self) -> bool {
        self.framed.has_next()
    }

    pub(super) async fn next(&mut self) -> io::Result<Frame> {
        let frame = self.framed.next().await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if frame.tag == b'Z' {
            self.status = frame.body.first().copied().unwrap_or(b'I');
        }
        Ok(frame)
    }

    pub(super) fn put(&mut self, frame: &Frame) {
        self.framed.put(frame);
    }

    pub(super) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.framed.send(frame).await
    }

    /// Runs one of the stand-in's own queries.
    pub(super) async fn ask(&mut self, sql: &str) -> io::Result<Result<Rows, Report>> {
        self.send(&Frame::text(b'Q', sql)).await?;
        self.until_ready().await
    }

    /// Reads everything up to the end of a query.
    pub(super) async fn until_ready(&mut self) -> io::Result<Result<Rows, Report>> {
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let frame = self.next().await?;
            match frame.tag {
                b'Z' => return Ok(failure.map_or(Ok(rows), Err)),
                b'E' => failure = Some(Report::of(&frame)),
                b'D' => rows.push(cells(frame.body)),
                _ => {}
            }
        }
    }

    /// Waits until PostgreSQL is ready for COPY's data.
    pub(super) async fn until_copy_in(&mut self) -> io::Result<Result<(), Report>> {
        loop {
            let frame = self.next().await?;
            match frame.tag {
                b'G' => return Ok(Ok(())),
                b'E' => {
                    let report = Report::of(&frame);
                    let _ = self.until_ready().await?;
                    return Ok(Err(report));
                }
                _ => {}
            }
        }
    }
}

fn cells(mut body: Bytes) -> Vec<Option<String>> {
    let count = body.try_get_u16().unwrap_or(0);
    (0..count)
        .map(|_| {
            let length = usize::try_from(body.try_get_i32().unwrap_or(-1)).ok()?;
            Some(String::from_utf8_lossy(&body.split_to(length.min(body.len()))).into_owned())
        })
        .collect()
}
