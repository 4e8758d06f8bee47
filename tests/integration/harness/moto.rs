//! Runs moto, a stand-in for AWS's other services by other authors, and the AWS command line.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use devstack::guard::{self, OwnerPipe};
use devstack::python;
use serde_json::Value;

/// The limit after which a wait is reported as hanging.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// A server that ends with its owner.
pub struct Moto {
    server: Child,
    owner: Option<OwnerPipe>,
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.owner.take());
        let _ = self.server.wait();
    }
}

/// Returns the programs of moto's environment. PyYAML and boto3 come with moto; the translator does what
/// CloudFormation does with a SAM template.
pub fn bin() -> PathBuf {
    python::venv("moto-5.2.5", &["moto[server]==5.2.5", "aws-sam-translator==1.115.0"]).unwrap()
}

/// Returns the AWS command line.
pub fn aws() -> PathBuf {
    python::venv("awscli-1.46.3", &["awscli==1.46.3"]).unwrap().join("aws")
}

pub async fn start() -> Moto {
    tokio::task::spawn_blocking(start_and_wait).await.unwrap()
}

/// Starts moto on a free port, which it prints when it listens.
fn start_and_wait() -> Moto {
    let (mut command, owner) = guard::command(bin().join("moto_server")).unwrap();
    command.args(["-H", "127.0.0.1", "-p", "0"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap());
    let mut said = String::new();
    let port = loop {
        let begin = said.len();
        assert_ne!(log.read_line(&mut said).unwrap(), 0, "moto did not start: {said}");
        if let Some((_, port)) = said[begin..].split_once("Running on http://127.0.0.1:") {
            break port.trim().parse().unwrap();
        }
    };
    // A full pipe would stop it.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Moto { server, owner: Some(owner), port }
}

impl Moto {
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Runs a piece of Python and parses the JSON that it prints. In it, `boto` makes a client of boto3, and
    /// `sys.argv[1:]` are the arguments.
    pub async fn python(&self, code: &str, arguments: &[&str]) -> Value {
        let code = format!(
            "import boto3, json, sys\nboto = lambda name: boto3.client(name, region_name='ca-central-1', endpoint_url='{}', \
             aws_access_key_id='id', aws_secret_access_key='key')\n{code}",
            self.endpoint()
        );
        let (mut command, _owner) = guard::command(bin().join("python")).unwrap();
        command.arg("-c").arg(&code).args(arguments);
        let python = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = tokio::time::timeout(HANGS_AFTER, python).await.expect("python hangs").unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Creates a queue, and returns its ARN.
    pub async fn queue(&self, name: &str) -> String {
        let code = "
url = boto('sqs').create_queue(QueueName=sys.argv[1])['QueueUrl']
print(json.dumps(boto('sqs').get_queue_attributes(QueueUrl=url, AttributeNames=['QueueArn'])['Attributes']['QueueArn']))";
        self.python(code, &[name]).await.as_str().unwrap().to_owned()
    }

    /// Takes every message out of a queue, and returns their bodies, which are JSON.
    pub async fn drain(&self, name: &str) -> Vec<Value> {
        let code = "
sqs, bodies = boto('sqs'), []
url = sqs.get_queue_url(QueueName=sys.argv[1])['QueueUrl']
while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get('Messages', []):
    for message in messages:
        bodies.append(json.loads(message['Body']))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message['ReceiptHandle'])
print(json.dumps(bodies))";
        self.python(code, &[name]).await.as_array().unwrap().clone()
    }

    /// Subscribes a queue to a topic.
    pub async fn hear(&self, topic: &str) {
        let queue = self.queue("notices").await;
        self.python("boto('sns').subscribe(TopicArn=sys.argv[1], Protocol='sqs', Endpoint=sys.argv[2])\nprint('null')", &[topic, &queue]).await;
    }

    /// Returns the messages that the queue received since the last call: subjects and bodies.
    pub async fn heard(&self) -> Vec<(String, String)> {
        let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
        self.drain("notices")
            .await
            .iter()
            .map(|message| (text(message, "Subject"), text(message, "Message")))
            .collect()
    }
}
