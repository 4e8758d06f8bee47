//! moto: AWS's other services, by people who did not write this project; and the AWS command line.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use devstack::lambda::eventually;
use devstack::python;
use serde_json::Value;

/// A server that ends with its owner.
pub struct Moto {
    server: Child,
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The programs of moto's environment. PyYAML and boto3 come with moto; the translator is what CloudFormation
/// makes of a SAM template.
pub fn bin() -> PathBuf {
    python::venv("moto-5.2.5", &["moto[server]==5.2.5", "aws-sam-translator==1.115.0"]).unwrap()
}

/// The AWS command line.
pub fn aws() -> PathBuf {
    python::venv("awscli-1.46.3", &["awscli==1.46.3"]).unwrap().join("aws")
}

pub async fn start() -> Moto {
    let server = bin().join("moto_server");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new(server);
    server.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let moto = Moto { server: server.spawn().unwrap(), port };
    eventually(Duration::from_secs(60), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        .await
        .unwrap();
    moto
}

impl Moto {
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Runs a piece of Python and reads the JSON that it prints. In it, `boto` makes a client of boto3, and
    /// `sys.argv[1:]` are the arguments.
    pub async fn python(&self, code: &str, arguments: &[&str]) -> Value {
        let code = format!(
            "import boto3, json, sys\nboto = lambda name: boto3.client(name, region_name='ca-central-1', endpoint_url='{}', \
             aws_access_key_id='id', aws_secret_access_key='key')\n{code}",
            self.endpoint()
        );
        let python = tokio::process::Command::new(bin().join("python"))
            .arg("-c")
            .arg(&code)
            .args(arguments)
            .kill_on_drop(true)
            .output();
        let output =
            tokio::time::timeout(Duration::from_secs(120), python).await.expect("python hangs").unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Makes a queue, and says its ARN.
    pub async fn queue(&self, name: &str) -> String {
        let code = "
url = boto('sqs').create_queue(QueueName=sys.argv[1])['QueueUrl']
print(json.dumps(boto('sqs').get_queue_attributes(QueueUrl=url, AttributeNames=['QueueArn'])['Attributes']['QueueArn']))";
        self.python(code, &[name]).await.as_str().unwrap().to_owned()
    }

    /// Takes every message out of a queue: their bodies, which are JSON.
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

    /// Makes a queue hear a topic.
    pub async fn hear(&self, topic: &str) {
        let queue = self.queue("notices").await;
        self.python("boto('sns').subscribe(TopicArn=sys.argv[1], Protocol='sqs', Endpoint=sys.argv[2])\nprint('null')", &[topic, &queue]).await;
    }

    /// What the queue heard since it was asked last: subjects and messages.
    pub async fn heard(&self) -> Vec<(String, String)> {
        let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
        self.drain("notices")
            .await
            .iter()
            .map(|message| (text(message, "Subject"), text(message, "Message")))
            .collect()
    }
}
