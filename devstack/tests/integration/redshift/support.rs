//! Provides one PostgreSQL for all tests, and for each test its own database, S3 and stand-in.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devstack::postgres::Postgres;
use devstack::redshift::{Options, Redshift, Role};
use devstack::s3::{self, Credentials, S3};
use futures_util::{StreamExt as _, stream};
use tokio::sync::OnceCell;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage};

/// The limit of every wait. Only a wait that would never end takes this long.
pub const LIMIT: Duration = Duration::from_secs(300);

pub const BUCKET: &str = "bucket";
pub const ROLE: &str = "arn:aws:iam::123456789012:role/copy";
/// The credentials of a COPY unless a test needs others: the keys of S3's owner.
pub const KEYS: &str = "ACCESS_KEY_ID 'AKIAOWNER' SECRET_ACCESS_KEY 'owner/secret'";

static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub async fn postgres() -> &'static Postgres {
    POSTGRES.get_or_init(|| async { Postgres::start().await.unwrap() }).await
}

pub struct Stack {
    pub s3: S3,
    pub redshift: Redshift,
    pub database: String,
}

/// A client, and the notices that the server has sent to it.
pub struct Session {
    pub client: Client,
    notices: Arc<Mutex<Vec<DbError>>>,
}

pub async fn stack() -> Stack {
    stack_with(|_| {}).await
}

pub async fn stack_with(change: impl FnOnce(&mut Options)) -> Stack {
    let postgres = postgres().await;
    let credentials = vec![
        Credentials::long_term("AKIAOWNER", "owner/secret"),
        Credentials::temporary("ASIAROLE", "role/secret", "role-token"),
        Credentials::long_term("AKIANOGET", "noget/secret").denying("GetObject"),
    ];
    let s3 = S3::start(s3::Options { credentials, ..s3::Options::default() }).await.unwrap();
    s3.create_bucket(BUCKET);
    let mut options = Options::new(postgres.socket_directory(), s3.endpoint(), "super");
    options.users.push(("loader".to_owned(), "load".to_owned()));
    options.users.push(("analyst".to_owned(), "look".to_owned()));
    options.roles.push(Role {
        arn: ROLE.to_owned(),
        credentials: ("ASIAROLE".to_owned(), "role/secret".to_owned(), Some("role-token".to_owned())),
    });
    change(&mut options);
    let redshift = Redshift::start(options).await.unwrap();
    let database = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    postgres.create_database(&database).await.unwrap();
    Stack { s3, redshift, database }
}

impl Stack {
    pub fn put(&self, key: &str, text: impl AsRef<[u8]>) {
        self.s3.put_at(BUCKET, key, text.as_ref(), "2024-05-01T00:00:00Z".parse().unwrap()).unwrap();
    }

    /// Puts a manifest of mandatory files.
    pub fn put_manifest(&self, key: &str, keys: &[&str]) {
        let entries: Vec<String> = keys
            .iter()
            .map(|key| format!("{{\"url\":\"s3://{BUCKET}/{key}\",\"mandatory\":true}}"))
            .collect();
        self.put(key, format!("{{\"entries\":[{}]}}", entries.join(",")));
    }

    pub fn config(&self, user: &str, password: &str) -> Config {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.redshift.port())
            .user(user)
            .password(password)
            .dbname(&self.database);
        config
    }

    pub async fn session(&self) -> Session {
        Session::open(&self.config("postgres", "super")).await.unwrap()
    }

    pub async fn session_of(&self, user: &str, password: &str) -> Session {
        Session::open(&self.config(user, password)).await.unwrap()
    }
}

impl Session {
    pub async fn open(config: &Config) -> Result<Self, tokio_postgres::Error> {
        let (client, mut connection) = config.connect(NoTls).await?;
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&notices);
        tokio::spawn(async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    heard.lock().unwrap().push(notice);
                }
            }
        });
        Ok(Self { client, notices })
    }

    /// Runs statements that must succeed.
    pub async fn run(&self, sql: &str) {
        if let Err(error) = self.client.batch_execute(sql).await {
            panic!(
                "{sql}: {:?}",
                error.as_db_error().map_or_else(|| error.to_string(), |error| format!("{error:?}"))
            );
        }
    }

    /// Returns rows by the simple protocol, with cells joined by `|` and NULL as `~`.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let messages = match self.client.simple_query(sql).await {
            Ok(messages) => messages,
            Err(error) => panic!("{sql}: {:?}", error.as_db_error()),
        };
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len()).map(|at| row.get(at).unwrap_or("~").to_owned()).collect::<Vec<_>>().join("|"),
            ),
            _ => None,
        };
        messages.into_iter().filter_map(row).collect()
    }

    /// Returns the only row, in the form of [`rows`](Self::rows).
    pub async fn only_row(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows[0].clone()
    }

    /// Waits until a query for one number returns this number. The number is sure to come; the limit is for a
    /// test that hangs.
    pub async fn until(&self, sql: &str, number: &str) {
        let reached = async {
            while self.only_row(sql).await != number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, reached).await.unwrap_or_else(|_| panic!("never {number}: {sql}"));
    }

    /// Returns the error of a statement that must be refused.
    pub async fn refusal(&self, sql: &str) -> DbError {
        match self.client.simple_query(sql).await {
            Ok(_) => panic!("not refused: {sql}"),
            Err(error) => error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}")).clone(),
        }
    }

    /// Returns the SQLSTATE and the message of the error of a statement that must be refused.
    pub async fn refused(&self, sql: &str) -> (String, String) {
        let error = self.refusal(sql).await;
        (error.code().code().to_owned(), error.message().to_owned())
    }

    /// Returns the notices that the server has sent since the last call.
    pub fn notices(&self) -> Vec<String> {
        self.notices
            .lock()
            .unwrap()
            .drain(..)
            .map(|notice| format!("{}: {}", notice.severity(), notice.message()))
            .collect()
    }
}

pub fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| format!("no SQLSTATE: {error}"), |code| code.code().to_owned())
}
