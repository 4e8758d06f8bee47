//! Takes a client from its first byte to a session: TLS, the user, and the password.

use std::collections::HashMap;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::options::{Auth, Tls};
use super::state::{Password, State};
use super::wire::{Frame, Framed, Report, take_text};

const PROTOCOL_3: u32 = 196_608;
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// The settings that a client may send at start-up and that PostgreSQL also has
/// (`cm_chap_ConfigurationRef.md`).
const SETTINGS: [&str; 6] =
    ["application_name", "datestyle", "extra_float_digits", "search_path", "statement_timeout", "timezone"];

/// Further settings, which have no effect here.
const WITHOUT_EFFECT: [&str; 9] = [
    "client_encoding",
    "client_protocol_version",
    "driver_discovery_version",
    "driver_version",
    "enable_result_cache_for_session",
    "os_version",
    "plugin_name",
    "query_group",
    "wlm_query_slot_count",
];

/// A user who has logged in.
pub(super) struct Login {
    pub(super) client: Framed,
    pub(super) user: String,
    pub(super) database: String,
    /// The settings for the session, by name.
    pub(super) settings: Vec<(String, String)>,
}

/// Handles a connection up to the point where its session can begin; `None` if it does not get there.
pub(super) async fn accept(stream: TcpStream, state: &State) -> io::Result<Option<Login>> {
    let mut client = Framed::new(Box::new(stream));
    let mut secured = false;
    let settings = loop {
        let Some(mut packet) = client.next_untagged().await? else { return Ok(None) };
        match packet.get_u32() {
            SSL if state.options.tls != Tls::Disabled && !secured => {
                client.put_raw(b"S");
                client.flush().await?;
                if let Some(bytes) = state.faults.of_handshake() {
                    let mut stream = client.into_stream();
                    // Reads the client's hello, which arrives at once and complete.
                    let _ = stream.read(&mut [0; 4096]).await?;
                    stream.write_all(bytes).await?;
                    stream.shutdown().await?;
                    return Ok(None);
                }
                let tls = state.acceptor.accept(client.into_stream()).await.map_err(io::Error::other)?;
                client = Framed::new(Box::new(tls));
                secured = true;
            }
            SSL | GSS => {
                client.put_raw(b"N");
                client.flush().await?;
            }
            CANCEL => {
                // The request names the PostgreSQL process of a session, so PostgreSQL checks it.
                let mut request = BytesMut::new();
                request.put_u32(16);
                request.put_u32(CANCEL);
                request.put_slice(&packet);
                if let Ok(mut postgres) = UnixStream::connect(state.postgres_socket()).await {
                    postgres.write_all(&request).await?;
                }
                return Ok(None);
            }
            PROTOCOL_3.. => break settings(packet),
            _ => return Ok(None),
        }
    };
    if state.options.tls == Tls::Required && !secured {
        client.send(&Report::fatal("28000", "no pg_hba.conf entry for this host, SSL off").frame()).await?;
        return Ok(None);
    }
    let user = settings.get("user").cloned().unwrap_or_default();
    let database = settings.get("database").cloned().unwrap_or_else(|| user.clone());
    let accepted = authenticate(&mut client, &user, state).await?;
    state.record_login(&user, accepted);
    if !accepted {
        let report = Report::fatal("28P01", format!("password authentication failed for user \"{user}\""));
        client.send(&report.frame()).await?;
        return Ok(None);
    }
    // "The new user name has the same database permissions as the user named in DbUser" (GetClusterCredentials).
    let named = user.strip_prefix("IAM:").or_else(|| user.strip_prefix("IAMA:")).map(str::to_owned);
    let user = named.unwrap_or(user);
    match session_settings(settings) {
        Ok(settings) => Ok(Some(Login { client, user, database, settings })),
        Err(report) => {
            client.send(&report.frame()).await?;
            Ok(None)
        }
    }
}

fn settings(mut packet: Bytes) -> HashMap<String, String> {
    let mut settings = HashMap::new();
    while packet.has_remaining() && packet[0] != 0 {
        let name = take_text(&mut packet);
        settings.insert(name, take_text(&mut packet));
    }
    settings
}

/// Returns the settings with which the session begins: from start-up and from `options`. An unknown one is
/// FATAL (sqlalchemy#9494), and so is `extra_float_digits=3` (sqlx#956).
fn session_settings(start_up: HashMap<String, String>) -> Result<Vec<(String, String)>, Report> {
    let mut settings = Vec::new();
    let mut given: Vec<(String, String)> = Vec::new();
    for (name, value) in start_up {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => given.extend(options(&value)?),
            _ if name.starts_with("_pq_.") => {}
            _ => given.push((name, value)),
        }
    }
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        if name == "extra_float_digits" && !value.parse().is_ok_and(|digits| (-15..=2).contains(&digits)) {
            return Err(Report::fatal(
                "22023",
                format!("{value} is outside the valid range for parameter \"extra_float_digits\" (-15 .. 2)"),
            ));
        }
        if SETTINGS.contains(&name.as_str()) {
            settings.push((name, value));
        } else if !WITHOUT_EFFECT.contains(&name.as_str()) {
            return Err(Report::fatal("42704", format!("unrecognized configuration parameter \"{name}\"")));
        }
    }
    Ok(settings)
}

/// Parses `-c name=value`, `-cname=value` and `--name=value`; a backslash keeps a blank in its word.
fn options(text: &str) -> Result<Vec<(String, String)>, Report> {
    let mut words = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) => word.extend(chars.next()),
            (c, _) if c.is_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next()
        } else {
            word.strip_prefix("-c").or(word.strip_prefix("--")).map(str::to_owned)
        };
        match setting.as_deref().and_then(|setting| setting.split_once('=')) {
            Some((name, value)) => settings.push((name.replace('-', "_"), value.to_owned())),
            None => {
                return Err(Report::fatal(
                    "42601",
                    format!("invalid command-line argument for server process: {word}"),
                ));
            }
        }
    }
    Ok(settings)
}

async fn authenticate(client: &mut Framed, user: &str, state: &State) -> io::Result<bool> {
    let password = state.password(user);
    let salt = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.subsec_nanos()).to_be_bytes();
    let nonce = Md5::digest(salt);
    let mut request = BytesMut::new();
    match state.options.auth {
        Auth::Cleartext => request.put_u32(3),
        Auth::Md5 => {
            request.put_u32(5);
            request.put_slice(&salt);
        }
        Auth::Sha256Digest => {
            request.put_u32(13);
            request.put_u32(0);
            put_counted(&mut request, &salt);
            put_counted(&mut request, &nonce);
        }
    }
    client.send(&Frame::new(b'R', request)).await?;
    let tag = if state.options.auth == Auth::Sha256Digest { b'd' } else { b'p' };
    let mut body = match client.next().await? {
        Some(frame) if frame.tag == tag => frame.body,
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let Some(Password { text: password, until }) = password else { return Ok(false) };
    if until.is_some_and(|until| until <= SystemTime::now()) {
        return Ok(false);
    }
    Ok(match state.options.auth {
        Auth::Cleartext => take_text(&mut body) == password,
        Auth::Md5 => {
            let inner = hex::encode(Md5::digest(format!("{password}{user}")));
            let outer = hex::encode(Md5::digest([inner.as_bytes(), &salt].concat()));
            take_text(&mut body) == format!("md5{outer}")
        }
        // `core.py` and `extensible_digest.py` of AWS's Python driver.
        Auth::Sha256Digest => {
            let (digest, client_nonce) = (take_counted(&mut body), take_counted(&mut body));
            let stored = Sha256::digest([password.as_bytes(), &salt].concat());
            digest[..] == Sha256::digest([&stored[..], &nonce, &client_nonce].concat())[..]
        }
    })
}

fn put_counted(body: &mut BytesMut, bytes: &[u8]) {
    body.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    body.put_slice(bytes);
}

/// Takes bytes that are preceded by their length; none if there are too few.
fn take_counted(body: &mut Bytes) -> Bytes {
    let length = body.try_get_u32().ok().and_then(|length| usize::try_from(length).ok());
    length.filter(|length| *length <= body.len()).map_or_else(Bytes::new, |length| body.split_to(length))
}
