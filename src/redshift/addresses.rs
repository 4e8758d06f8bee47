//! Tries a host's addresses in order, each one only if the previous one did not answer.
//!
//! The driver tries the next address after any failure, even after a refused login (`tokio-postgres` 0.7.18,
//! `connect.rs`): a wrong password would be refused once for each address, and five refusals lock a user.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};

/// The time limit for name look-up, connection, TLS and login together.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// Returns the addresses of a host, in the system's order, each once.
///
/// # Errors
///
/// The system's error, or `NotFound` if the name has no address.
pub(super) async fn look_up(host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for found in lookup_host((host, port)).await? {
        if !addresses.contains(&found.ip()) {
            addresses.push(found.ip());
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// Connects to one of the addresses and logs in there; `None` if there are no addresses. Each address gets an
/// equal part of the time for a connection.
///
/// # Errors
///
/// The driver's error for the first address whose server answers, else for the last address.
pub(super) async fn connect<T>(
    config: &Config,
    addresses: &[IpAddr],
    tls: &T,
) -> Option<Result<(Client, Connection<Socket, T::Stream>), Error>>
where
    T: MakeTlsConnect<Socket> + Clone,
{
    let each = CONNECT_WITHIN / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = None;
    for address in addresses {
        let mut config = config.clone();
        let connected = config.hostaddr(*address).connect_timeout(each).connect(tls.clone()).await;
        let is_answered = match &connected {
            Ok(_) => true,
            Err(error) => error.as_db_error().is_some(),
        };
        last = Some(connected);
        if is_answered {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_postgres::NoTls;

    use super::*;

    /// Starts a server at an address of this machine that answers every start-up message with `answer` and
    /// hangs up. Returns its port and the number of its connections.
    async fn server(address: Ipv4Addr, port: u16, answer: &'static [u8]) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut length = [0; 4];
                stream.read_exact(&mut length).await.unwrap();
                let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
                stream.read_exact(&mut rest).await.unwrap();
                stream.write_all(answer).await.unwrap();
            }
        });
        (port, asked)
    }

    const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
    const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const REFUSED: &[u8] = b"E\0\0\0\x23SFATAL\0VFATAL\0C28P01\0Mrefused\0\0";

    async fn connected_to_both(port: u16) -> Error {
        let mut config = Config::new();
        config.host("cluster").port(port).user("loader").password("wrong");
        let addresses = [IpAddr::V4(FIRST), IpAddr::V4(SECOND)];
        connect(&config, &addresses, &NoTls).await.unwrap().err().unwrap()
    }

    #[tokio::test]
    async fn a_login_that_one_address_refuses_is_not_tried_at_the_next() {
        let (port, first) = server(FIRST, 0, REFUSED).await;
        let (_, second) = server(SECOND, port, REFUSED).await;
        let error = connected_to_both(port).await;
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("28P01"), "{error}");
        assert_eq!((first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)), (1, 0));
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_is_passed_over() {
        let (port, first) = server(FIRST, 0, b"").await;
        let (_, second) = server(SECOND, port, REFUSED).await;
        let error = connected_to_both(port).await;
        assert!(error.as_db_error().is_some(), "{error}");
        assert_eq!((first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)), (1, 1));
    }

    #[tokio::test]
    async fn addresses_are_told_once() {
        assert_eq!(look_up("127.0.0.1", 5439).await.unwrap(), [IpAddr::V4(FIRST)]);
        assert!(look_up("nowhere.invalid", 5439).await.is_err());
    }
}
