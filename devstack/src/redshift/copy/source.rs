//! Where COPY reads from: keys by prefix or manifest, with the credentials that the statement brings.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use serde::Deserialize;

use super::super::wire::Report;
use super::super::{Options as Front, Role};
use super::statement::{Authorization, Copy};

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

/// "mandatory … default false" (`loading-data-files-using-manifest.md`).
#[derive(Deserialize)]
struct Entry {
    url: String,
    #[serde(default)]
    mandatory: bool,
}

/// S3 as a COPY may see it.
pub(super) struct Reader {
    client: Client,
}

impl Reader {
    /// S3 with the credentials of a statement; a role's come from the front's own list.
    pub(super) fn new(front: &Front, copy: &Copy) -> Result<Self, Report> {
        let role = |wanted: &str| front.roles.iter().find(|role| role.arn == wanted);
        let keys = match &copy.authorization {
            Authorization::Keys { id, secret, token } => Credentials::new(id, secret, token.clone(), None, "copy"),
            Authorization::Role(arn) => role_keys(role(arn), arn)?,
            Authorization::DefaultRole => role_keys(front.roles.first().filter(|_| front.default_role), "default")?,
        };
        let region = copy.options.region.clone().unwrap_or_else(|| front.region.clone());
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .endpoint_url(&front.s3_endpoint)
            .force_path_style(true)
            .credentials_provider(keys)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(Self { client: Client::from_conf(config) })
    }

    /// The objects that a COPY names.
    pub(super) async fn sources(&self, copy: &Copy) -> Result<Vec<Source>, Report> {
        let sources = if copy.options.manifest { self.manifest(copy).await? } else { self.prefix(&copy.bucket, &copy.key).await? };
        if sources.is_empty() {
            // Text and code as in 3scale/apisonator#196.
            let message = format!("The specified S3 prefix '{}' does not exist", copy.key);
            return Err(Report::error("XX000", message.clone()).with_detail(detail(&message)));
        }
        Ok(sources)
    }

    /// "COPY loads every key that begins with the prefix" (`copy-parameters-data-source-s3.md`).
    async fn prefix(&self, bucket: &str, prefix: &str) -> Result<Vec<Source>, Report> {
        let mut sources = Vec::new();
        let mut pages = self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused(&error))?;
            sources.extend(
                page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).map(|key| Source { bucket: bucket.to_owned(), key }),
            );
        }
        Ok(sources)
    }

    async fn manifest(&self, copy: &Copy) -> Result<Vec<Source>, Report> {
        let unreadable = || {
            let message = "COPY with MANIFEST parameter requires full path of an S3 object.";
            Report::error("XX000", message).with_detail(detail(message))
        };
        let place = Source { bucket: copy.bucket.clone(), key: copy.key.clone() };
        let body = match self.open(&place).await? {
            Some(body) => body.collect().await.map_err(|error| Report::error("XX000", format!("S3ServiceException:{error}")))?,
            None => return Err(unreadable()),
        };
        let manifest: Manifest = serde_json::from_slice(&body.into_bytes())
            .map_err(|error| Report::error("XX000", format!("Manifest file is not in correct json format: {error}")))?;
        let mut sources = Vec::new();
        for entry in manifest.entries {
            let (bucket, key) = entry
                .url
                .strip_prefix("s3://")
                .and_then(|path| path.split_once('/'))
                .ok_or_else(|| Report::error("XX000", format!("Invalid S3 path {:?} in the manifest", entry.url)))?;
            let source = Source { bucket: bucket.to_owned(), key: key.to_owned() };
            match self.exists(&source).await? {
                true => sources.push(source),
                false if entry.mandatory => {
                    return Err(Report::error(
                        "XX000",
                        format!(
                            "Problem reading manifest file - S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey: {}",
                            entry.url
                        ),
                    ));
                }
                false => {}
            }
        }
        Ok(sources)
    }

    async fn exists(&self, source: &Source) -> Result<bool, Report> {
        match self.client.head_object().bucket(&source.bucket).key(&source.key).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) => Ok(false),
            Err(error) => Err(refused(&error)),
        }
    }

    /// An object's bytes; none if it is not there.
    pub(super) async fn open(&self, source: &Source) -> Result<Option<ByteStream>, Report> {
        match self.client.get_object().bucket(&source.bucket).key(&source.key).send().await {
            Ok(object) => Ok(Some(object.body)),
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }
}

fn role_keys(role: Option<&Role>, name: &str) -> Result<Credentials, Report> {
    let role = role.ok_or_else(|| Report::error("XX000", format!("User arn:aws:redshift:::dbuser is not authorized to assume IAM Role {name}")))?;
    let keys = &role.credentials;
    Ok(Credentials::new(&keys.0, &keys.1, keys.2.clone(), None, "role"))
}

/// An S3 error as Redshift words it (`s3serviceexception-error.md`), with the DETAIL block of 3scale/apisonator#196.
fn refused<E: ProvideErrorMetadata, R: Status>(error: &SdkError<E, R>) -> Report {
    let status = error.raw_response().map_or(0, Status::status);
    let code = error.code().unwrap_or("Unknown");
    let message = format!("S3ServiceException:{},Status {status},Error {code},Rid devstack", error.message().unwrap_or("no answer"));
    Report::error("XX000", message.clone()).with_detail(detail(&message))
}

fn detail(error: &str) -> String {
    format!(
        "\n  -----------------------------------------------\n  error:  {error}\n  code:      8001\n  context:   Listing bucket\n  query:     1\n  location:  s3_utility.cpp:0\n  process:   devstack\n  -----------------------------------------------\n"
    )
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
