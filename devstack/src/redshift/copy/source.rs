//! Finds the source objects of COPY: keys by prefix or manifest, with the credentials in the statement.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use serde::Deserialize;

use super::statement::{Authorization, CopyStatement};
use crate::redshift::options::{Options, Role};
use crate::redshift::wire::Report;

/// An object that COPY loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Source {
    pub(super) fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

#[derive(Deserialize)]
struct Manifest {
    entries: Vec<Entry>,
}

/// An entry of a manifest: "mandatory … default false" (`loading-data-files-using-manifest.md`).
#[derive(Deserialize)]
struct Entry {
    url: String,
    #[serde(default)]
    mandatory: bool,
}

/// A reader of S3 with the permissions of a COPY.
pub(super) struct S3Reader {
    client: Client,
}

impl S3Reader {
    /// Creates a reader with the credentials of a statement. Those of a role come from the stand-in's
    /// options.
    pub(super) fn new(options: &Options, copy: &CopyStatement) -> Result<Self, Report> {
        let role = |wanted: &str| options.roles.iter().find(|role| role.arn == wanted);
        let keys = match &copy.authorization {
            Authorization::Keys { id, secret, token } => {
                Credentials::new(id, secret, token.clone(), None, "copy")
            }
            Authorization::Role(arn) => role_keys(role(arn), arn)?,
            Authorization::DefaultRole => {
                role_keys(options.roles.first().filter(|_| options.default_role), "default")?
            }
        };
        let region = copy.options.region.clone().unwrap_or_else(|| options.region.clone());
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .endpoint_url(&options.s3_endpoint)
            .force_path_style(true)
            .credentials_provider(keys)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(Self { client: Client::from_conf(config) })
    }

    /// Returns the objects that a COPY names.
    pub(super) async fn sources(&self, copy: &CopyStatement) -> Result<Vec<Source>, Report> {
        let sources = if copy.options.manifest {
            self.manifest(copy).await?
        } else {
            self.prefix(&copy.bucket, &copy.key).await?
        };
        if sources.is_empty() {
            // Text and code as in 3scale/apisonator#196.
            return Err(s3_error(format!("The specified S3 prefix '{}' does not exist", copy.key)));
        }
        Ok(sources)
    }

    /// Lists the objects: "COPY loads every key that begins with the prefix"
    /// (`copy-parameters-data-source-s3.md`).
    async fn prefix(&self, bucket: &str, prefix: &str) -> Result<Vec<Source>, Report> {
        let mut sources = Vec::new();
        let mut pages = self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused(&error))?;
            sources.extend(
                page.contents
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|object| object.key)
                    .map(|key| Source { bucket: bucket.to_owned(), key }),
            );
        }
        Ok(sources)
    }

    async fn manifest(&self, copy: &CopyStatement) -> Result<Vec<Source>, Report> {
        let place = Source { bucket: copy.bucket.clone(), key: copy.key.clone() };
        let body = match self.open(&place).await? {
            Some(body) => body.collect().await.map_err(|error| broken(&error))?,
            // PostHog/posthog#61603
            None => {
                return Err(s3_error(
                    "COPY with MANIFEST parameter requires full path of an S3 object.".to_owned(),
                ));
            }
        };
        let manifest: Manifest = serde_json::from_slice(&body.into_bytes())
            .map_err(|error| s3_error(format!("Manifest file is not in correct json format: {error}")))?;
        let mut sources = Vec::new();
        for entry in manifest.entries {
            let (bucket, key) = entry
                .url
                .strip_prefix("s3://")
                .and_then(|path| path.split_once('/'))
                .ok_or_else(|| s3_error(format!("Invalid S3 path {:?} in the manifest", entry.url)))?;
            let source = Source { bucket: bucket.to_owned(), key: key.to_owned() };
            match self.exists(&source).await? {
                true => sources.push(source),
                false if entry.mandatory => {
                    return Err(s3_error(format!(
                        "Problem reading manifest file - {}: {}",
                        NO_SUCH_KEY, entry.url
                    )));
                }
                false => {}
            }
        }
        Ok(sources)
    }

    async fn exists(&self, source: &Source) -> Result<bool, Report> {
        match self.client.head_object().bucket(&source.bucket).key(&source.key).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) => {
                Ok(false)
            }
            Err(error) => Err(refused(&error)),
        }
    }

    /// Returns an object's bytes; `None` if it does not exist.
    pub(super) async fn open(&self, source: &Source) -> Result<Option<ByteStream>, Report> {
        match self.client.get_object().bucket(&source.bucket).key(&source.key).send().await {
            Ok(object) => Ok(Some(object.body)),
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) => {
                Ok(None)
            }
            Err(error) => Err(refused(&error)),
        }
    }
}

fn role_keys(role: Option<&Role>, name: &str) -> Result<Credentials, Report> {
    let role = role.ok_or_else(|| {
        s3_error(format!("User arn:aws:redshift:::dbuser is not authorized to assume IAM Role {name}"))
    })?;
    let keys = &role.credentials;
    Ok(Credentials::new(&keys.0, &keys.1, keys.2.clone(), None, "role"))
}

const NO_SUCH_KEY: &str = "S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey";

/// Returns the error for an object that has gone since it was listed.
pub(super) fn gone(source: &Source) -> Report {
    s3_error(format!("{NO_SUCH_KEY}: {}", source.url()))
}

/// Returns the error for a body that ends too early.
pub(super) fn broken(error: &dyn std::error::Error) -> Report {
    s3_error(format!("S3ServiceException:{error},Status 0,Error Unknown"))
}

/// Returns an S3 error in Redshift's words (`s3serviceexception-error.md`).
fn refused<E: ProvideErrorMetadata, R: Status>(error: &SdkError<E, R>) -> Report {
    let status = error.raw_response().map_or(0, Status::status);
    // An answer to HEAD has no body, and so no code.
    let (code, message) = match (error.code(), status) {
        (Some(code), _) => (code, error.message().unwrap_or(code)),
        (None, 403) => ("AccessDenied", "Access Denied"),
        (None, _) => ("Unknown", "no answer"),
    };
    s3_error(format!("S3ServiceException:{message},Status {status},Error {code},Rid devstack"))
}

/// Returns an error with the DETAIL block of 3scale/apisonator#196.
pub(super) fn s3_error(message: String) -> Report {
    let rule = "-----------------------------------------------";
    let detail = format!(
        "\n  {rule}\n  error:  {message}\n  code:      8001\n  context:   \n  query:     0\n  location:  s3_utility.cpp:0\n  process:   devstack [pid=0]\n  {rule}\n"
    );
    Report::error("XX000", message).with_detail(detail)
}

/// The HTTP status of an answer.
pub(super) trait Status {
    fn status(&self) -> u16;
}

impl Status for aws_sdk_s3::config::http::HttpResponse {
    fn status(&self) -> u16 {
        self.status().as_u16()
    }
}
