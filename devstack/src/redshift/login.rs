//! From the first byte to a session: TLS, who is there, and the password.

use std::collections::HashMap;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use md5::{Digest as _, Md5};
use tokio::net::TcpStream;

use super::wire::{Frame, Framed, Report, take_text};
use super::{Auth, Shared, Tls};

const PROTOCOL_3: u32 = 196_608;
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// Settings that a client may send at start-up; an unknown one is FATAL (sqlalchemy#9494, sqlx#956).
const KNOWN_SETTINGS: [&str; 12] = [
    "user",
    "database",
    "client_encoding",
    "application_name",
    "options",
    "datestyle",
    "timezone",
    "search_path",
    "statement_timeout",
    "query_group",
    "replication",
    "client_protocol_version",
];

/// Who has logged in.
pub(super) struct Login {
    pub(super) client: Framed,
    pub(super) user: String,
    pub(super) database: String,
}

/// Brings a connection to the point where its session can begin; none if it does not come to that.
pub(super) async fn accept(stream: TcpStream, shared: &Shared) -> io::Result<Option<Login>> {
    let mut client = Framed::new(Box::new(stream));
    let mut secured = false;
    let settings = loop {
        let Some(mut packet) = client.next_untagged().await? else { return Ok(None) };
        match packet.get_u32() {
            SSL if shared.options.tls != Tls::Absent && !secured => {
                client.put_raw(b"S");
                client.flush().await?;
                let tls = shared.acceptor.accept(client.into_stream()).await.map_err(io::Error::other)?;
                client = Framed::new(Box::new(tls));
                secured = true;
            }
            SSL | GSS => {
                client.put_raw(b"N");
                client.flush().await?;
            }
            CANCEL => return Ok(None),
            PROTOCOL_3.. => break settings(packet),
            _ => return Ok(None),
        }
    };
    if let Err(report) = admit(&settings, secured, shared) {
        client.send(&report.frame()).await?;
        return Ok(None);
    }
    let user = settings.get("user").cloned().unwrap_or_default();
    let database = settings.get("database").cloned().unwrap_or_else(|| user.clone());
    if !authenticate(&mut client, &user, shared).await? {
        let report = Report::fatal("28P01", format!("password authentication failed for user \"{user}\""));
        client.send(&report.frame()).await?;
        return Ok(None);
    }
    Ok(Some(Login { client, user, database }))
}

fn settings(mut packet: Bytes) -> HashMap<String, String> {
    let mut settings = HashMap::new();
    while packet.has_remaining() && packet[0] != 0 {
        let name = take_text(&mut packet);
        settings.insert(name, take_text(&mut packet));
    }
    settings
}

fn admit(settings: &HashMap<String, String>, secured: bool, shared: &Shared) -> Result<(), Report> {
    if shared.options.tls == Tls::Required && !secured {
        let message = "no pg_hba.conf entry for this host, SSL off";
        return Err(Report::fatal("28000", message));
    }
    let unknown = settings.keys().find(|name| !KNOWN_SETTINGS.contains(&name.to_ascii_lowercase().as_str()) && !name.starts_with("_pq_."));
    match unknown {
        Some(name) if name == "extra_float_digits" => Err(Report::fatal("22023", "invalid value for parameter \"extra_float_digits\"")),
        Some(name) => Err(Report::fatal("42704", format!("unrecognized configuration parameter \"{name}\""))),
        None => Ok(()),
    }
}

async fn authenticate(client: &mut Framed, user: &str, shared: &Shared) -> io::Result<bool> {
    let password = shared.options.users.iter().find(|(known, _)| known == user).map(|(_, password)| password.as_str());
    let salt = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.subsec_nanos()).to_be_bytes();
    let mut request = BytesMut::new();
    match shared.options.auth {
        Auth::Cleartext => request.put_u32(3),
        Auth::Md5 => {
            request.put_u32(5);
            request.put_slice(&salt);
        }
        Auth::Sha256Digest => {
            request.put_u32(13);
            request.put_slice(&salt);
        }
    }
    client.send(&Frame::new(b'R', request)).await?;
    let Some(Frame { tag: b'p', mut body }) = client.next().await? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let given = take_text(&mut body);
    let Some(password) = password else { return Ok(false) };
    Ok(match shared.options.auth {
        Auth::Cleartext => given == password,
        Auth::Md5 => {
            let inner = hex::encode(Md5::digest(format!("{password}{user}")));
            let outer = hex::encode(Md5::digest([inner.as_bytes(), &salt].concat()));
            given == format!("md5{outer}")
        }
        // Nobody who is tested here can answer it.
        Auth::Sha256Digest => false,
    })
}
