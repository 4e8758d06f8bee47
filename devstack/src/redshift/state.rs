//! Holds the state that all sessions share.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio_native_tls::TlsAcceptor;
use tokio_postgres::NoTls;

use super::faults::Faults;
use super::options::Options;
use super::statement_log::StatementLog;
use super::system_tables;

pub(super) struct State {
    pub(super) options: Options,
    pub(super) acceptor: TlsAcceptor,
    pub(super) log: StatementLog,
    pub(super) faults: Faults,
    pub(super) sessions: AtomicU64,
    pub(super) queries: AtomicI64,
    prepared: tokio::sync::Mutex<HashSet<String>>,
    /// The users who sent a password, and whether it was right.
    logins: Mutex<Vec<(String, bool)>>,
    /// The passwords by user.
    passwords: Mutex<HashMap<String, Password>>,
}

/// The password of a user.
#[derive(Clone)]
pub(super) struct Password {
    pub(super) text: String,
    /// The time when it expires; `None` for the user's own password, which IAM did not issue.
    pub(super) until: Option<SystemTime>,
}

impl State {
    pub(super) fn new(options: Options, acceptor: TlsAcceptor) -> Self {
        Self {
            passwords: Mutex::new(
                options
                    .users
                    .iter()
                    .map(|(user, text)| (user.clone(), Password { text: text.clone(), until: None }))
                    .collect(),
            ),
            logins: Mutex::default(),
            options,
            acceptor,
            log: StatementLog::default(),
            faults: Faults::default(),
            sessions: AtomicU64::new(0),
            queries: AtomicI64::new(0),
            prepared: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn password(&self, user: &str) -> Option<Password> {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }

    pub(super) fn set_password(&self, user: &str, text: &str, until: Option<SystemTime>) {
        let mut passwords = self.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        passwords.insert(user.to_owned(), Password { text: text.to_owned(), until });
    }

    pub(super) fn record_login(&self, user: &str, accepted: bool) {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).push((user.to_owned(), accepted));
    }

    pub(super) fn logins(&self) -> Vec<(String, bool)> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn postgres_socket(&self) -> PathBuf {
        self.options.postgres_socket_directory.join(".s.PGSQL.5432")
    }

    pub(super) async fn superuser(
        &self,
        database: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(&self.options.postgres_socket_directory)
            .port(5432)
            .user("postgres")
            .dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Makes a database look like one of Redshift's before its first session. A database that is dropped and
    /// created again under the same name needs another stand-in.
    pub(super) async fn prepare(&self, database: &str) -> Result<(), tokio_postgres::Error> {
        let mut prepared = self.prepared.lock().await;
        if prepared.contains(database) {
            return Ok(());
        }
        system_tables::prepare(&self.superuser(database).await?, self.options.sys_tables).await?;
        prepared.insert(database.to_owned());
        Ok(())
    }
}
