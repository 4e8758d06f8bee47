//! Serves the part of Redshift's API that issues IAM logins: for a cluster (`GetClusterCredentials`,
//! `GetClusterCredentialsWithIAM`, `DescribeClusters`) and for a workgroup (`GetCredentials`,
//! `GetWorkgroup`).
//!
//! Requests and answers have the form of the Amazon Redshift API Reference (a form, answered in XML) and of
//! the Redshift Serverless API Reference (JSON 1.1). The connected stand-in accepts the logins that this API
//! issues. A policy can limit the requests, with the resources of the Service Authorization Reference.

// A module uses only modules listed below it.

// The operations.
mod operation;

// The settings that the answers depend on.
mod settings;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request as HttpRequest, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::operation::{Answered, Refusal, answer, required_permissions};
use self::settings::Settings;
use crate::fault::{self, Faults};
use crate::http_server::{Answer, serve};
use crate::redshift::Redshift;
use crate::s3::policy::{Permission, Policy};

pub use self::settings::{CLUSTER, REGION, ROLE, WORKGROUP, WORKGROUP_ID};

/// A fault that refuses requests of an operation with a status and an error code.
pub type Fault = fault::Fault<&'static str, (u16, &'static str)>;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The operation.
    pub operation: String,
    /// The request's parameters, by their names in the API.
    pub parameters: BTreeMap<String, String>,
    /// The permissions that the request's signer needs.
    pub required_permissions: Vec<Permission>,
    /// The answer's HTTP status.
    pub status: u16,
}

/// A running API. Dropping it stops it.
pub struct RedshiftApi {
    port: u16,
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    settings: Mutex<Settings>,
    requests: Mutex<Vec<Request>>,
    faults: Faults<&'static str, (u16, &'static str)>,
}

impl RedshiftApi {
    /// Starts an API that is not connected to a stand-in yet.
    ///
    /// # Errors
    ///
    /// The port cannot be bound.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let server = tokio::spawn(serve(listener, move |request| served(request, Arc::clone(&shared))));
        Ok(Self { port, state, server })
    }

    /// Returns the API's URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Issues logins for this stand-in from now on.
    pub fn serve(&self, redshift: &Redshift) {
        self.settings().redshift = Some((redshift.issuer(), redshift.port()));
    }

    /// Allows only requests that the policy allows, from now on.
    pub fn restrict(&self, policy: Policy) {
        self.settings().policy = Some(policy);
    }

    /// Sets the number of seconds for which passwords issued from now on are valid. If it is negative, they
    /// have already expired.
    pub fn set_lifetime(&self, seconds: i64) {
        self.settings().seconds = seconds;
    }

    /// Makes the API issue this password from now on, or new ones if it is `None`. The stand-in is not told
    /// of this password and still accepts the earlier ones.
    pub fn fix_password(&self, password: Option<&str>) {
        self.settings().password = password.map(str::to_owned);
    }

    /// Sets the status of the cluster and the workgroup; they have an endpoint if it is `available`.
    pub fn set_status(&self, status: &'static str) {
        self.settings().status = status;
    }

    /// Returns every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Injects a fault into matching requests from now on.
    pub fn inject(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.state.settings()
    }
}

impl Drop for RedshiftApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers and records a request.
async fn served(request: HttpRequest<Incoming>, state: Arc<State>) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (form, operation, parameters) = read(&parts.headers, &body);
    let service = form.service();
    let signed = parts.headers.get("authorization").and_then(|text| text.to_str().ok()).unwrap_or_default();
    let is_signed = signed.contains(&format!("/{REGION}/{service}/aws4_request"));
    let required_permissions = required_permissions(&operation, &parameters);
    let mut settings = state.settings();
    let answered = if !is_signed {
        Err(Refusal::new(403, "SignatureDoesNotMatch", "signed for another service"))
    } else if let Some((status, code)) = state.faults.take(|wanted| *wanted == operation) {
        Err(Refusal::new(status, code, "a fault on demand"))
    } else if let Some(missing) = settings
        .policy
        .as_ref()
        .and_then(|policy| required_permissions.iter().find(|permission| !policy.allows(permission)))
    {
        let message =
            format!("not authorized to perform: {} on resource: {}", missing.action, missing.resource);
        Err(Refusal::new(if form == Form::Json { 400 } else { 403 }, form.denied(), &message))
    } else {
        answer(&operation, &parameters, &mut settings)
    };
    drop(settings);
    let response = form.response(&operation, answered);
    let status = response.status().as_u16();
    let request = Request { operation, parameters, required_permissions, status };
    state.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    Ok(response)
}

/// The form of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Query,
    Json,
}

fn read(headers: &HeaderMap, body: &Bytes) -> (Form, String, BTreeMap<String, String>) {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    if let Some(operation) = target.and_then(|target| target.strip_prefix("RedshiftServerless.")) {
        let fields: BTreeMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fields = fields.into_iter().map(|(name, value)| (name, text(value))).collect();
        return (Form::Json, operation.to_owned(), fields);
    }
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let body = String::from_utf8_lossy(body);
    let mut fields: BTreeMap<String, String> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    fields.remove("Version");
    let operation = fields.remove("Action").unwrap_or_default();
    (Form::Query, operation, fields)
}

impl Form {
    fn service(self) -> &'static str {
        match self {
            Self::Query => "redshift",
            Self::Json => "redshift-serverless",
        }
    }

    /// Returns the name of the error for a missing permission (Common Errors of both references).
    fn denied(self) -> &'static str {
        match self {
            Self::Query => "AccessDenied",
            Self::Json => "AccessDeniedException",
        }
    }

    fn response(self, operation: &str, answered: Answered) -> Answer {
        let (status, kind, body) = match (self, answered) {
            (Self::Query, Ok(fields)) => (
                200,
                "text/xml",
                format!(
                    "<{operation}Response xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\"><{operation}Result>{}</{operation}Result>\
                     <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{operation}Response>",
                    xml(&fields)
                ),
            ),
            (Self::Query, Err(refusal)) => (
                refusal.status,
                "text/xml",
                format!(
                    "<ErrorResponse xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\"><Error><Type>Sender</Type><Code>{}</Code>\
                     <Message>{}</Message></Error><RequestId>1</RequestId></ErrorResponse>",
                    refusal.code, refusal.message
                ),
            ),
            (Self::Json, Ok(fields)) => (200, "application/x-amz-json-1.1", fields.to_string()),
            (Self::Json, Err(refusal)) => (
                refusal.status,
                "application/x-amz-json-1.1",
                serde_json::json!({"__type": refusal.code, "message": refusal.message}).to_string(),
            ),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
        response
    }
}

/// Returns a value as XML, in which each member of an object is an element with the member's name.
fn xml(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let element = |(name, value)| format!("<{name}>{}</{name}>", xml(value));
            fields.iter().map(element).collect::<Vec<_>>().concat()
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
