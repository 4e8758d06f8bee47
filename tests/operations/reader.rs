//! Acts as a reader of the runbook: a shell on the local stack, with the template's stack in moto.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use devstack::lambda::{self, Lambda};
use devstack::stack::{self, LOADER, LOADER_PASSWORD};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::page::Section;
use crate::harness::moto::{self, Moto};
use crate::harness::{HANGS_AFTER, Harness, PROGRAM, temporary};

/// S3, Redshift and Lambda of the local stack, and moto for every other service. The function has the
/// variables that the template gives it.
pub struct Reader {
    pub harness: Harness,
    pub moto: Moto,
    /// The outputs of the stack.
    pub outputs: Value,
    pub directory: tempfile::TempDir,
    /// The number of bytes of the function's log that moto has.
    logged: usize,
}

/// The result of a command.
pub struct Ran {
    pub status: i32,
    pub output: String,
}

impl Reader {
    /// Deploys the template, and follows the runbook's first section. `config` is the configuration of the
    /// dataset.
    pub async fn start(config: &str) -> Self {
        let moto = moto::start().await;
        let mut harness = Harness::builder().config(config).start().await;
        let create = "print(json.dumps(boto('secretsmanager').create_secret(Name='first', SecretString=sys.argv[1])['ARN']))";
        let secret = moto.python(create, &[LOADER_PASSWORD]).await;
        let deployed =
            deploy(&moto, harness.stack.redshift.port(), &harness.stack.database, secret.as_str().unwrap())
                .await;

        let name = deployed["outputs"]["FunctionName"].as_str().unwrap();
        let variables = "print(json.dumps(boto('lambda').get_function_configuration(FunctionName=sys.argv[1])['Environment']['Variables']))";
        let variables = moto.python(variables, &[name]).await;
        harness
            .environment
            .retain(|(name, _)| !name.starts_with("PG") && name != "pgpass" || name == "PGSSLROOTCERT");
        harness.environment.extend(
            variables
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())),
        );
        for service in ["AWS_ENDPOINT_URL_SNS", "AWS_ENDPOINT_URL_SECRETS_MANAGER"] {
            harness.environment.push((service.to_owned(), moto.endpoint()));
        }
        harness.lambda =
            Lambda::start(lambda::Options::new(PROGRAM, harness.environment.clone())).await.unwrap();

        let directory = place(&harness, &moto, config);
        let mut reader = Self { harness, moto, outputs: deployed["outputs"].clone(), directory, logged: 0 };
        reader.settle_in(&deployed).await;
        reader
    }

    async fn settle_in(&mut self, deployed: &Value) {
        let mut section = Section::of("runbook.md", "Before you start");
        for part in ["STACK=", "CONFIG=", "output()", "FUNCTION=", "logs()"] {
            self.run(section.take(part)).await;
        }
        self.run(section.take("get-function-configuration")).await;
        self.run(section.take("loader.env")).await;
        let sounding = "
for name in sys.argv[1:]:
    boto('cloudwatch').put_metric_alarm(AlarmName=name, MetricName='x', Namespace='x', Period=60, EvaluationPeriods=1, Threshold=1,
                                        ComparisonOperator='LessThanThreshold', Statistic='Sum')
boto('cloudwatch').set_alarm_state(AlarmName=sys.argv[1], StateValue='ALARM', StateReason='because')
print('null')";
        let alarms: Vec<&str> =
            deployed["alarms"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(alarms.len(), 9);
        self.moto.python(sounding, &alarms).await;
        let told = self.run(section.take("describe-alarms")).await;
        assert!(told.contains(alarms[0]) && told.contains("because") && !told.contains(alarms[1]), "{told}");
        let told = self.run(section.take("status")).await;
        assert!(told.contains("Queue 0, superseded 0, bad 0, good 0"), "{told}");
    }

    /// Runs a line of the runbook, which must succeed.
    pub async fn run(&mut self, line: &str) -> String {
        let Ran { status, output } = self.try_to(line, "").await;
        assert_eq!(status, 0, "{line}\n{output}");
        output
    }

    /// Runs a line in the reader's shell. Variables that a line sets exist in the next one.
    pub async fn try_to(&mut self, line: &str, input: &str) -> Ran {
        let script = format!(
            "set -euo pipefail\nif [ -f .state ]; then . ./.state; fi\ntrap 'status=$?; set +e; {{ export -p; declare -f; }} >.state; exit $status' EXIT\nset -a\n{line}\n"
        );
        let mut command = tokio::process::Command::new("bash");
        command.args(["-c", &script]).current_dir(self.directory.path()).env_clear().kill_on_drop(true);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.directory.path().join("bin").display()))
            .env("HOME", self.directory.path());
        let keys = stack::uploader_keys();
        command.envs([
            ("AWS_ACCESS_KEY_ID", keys.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key),
        ]);
        let inherited = [
            "AWS_REGION",
            "PGSSLROOTCERT",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_SNS",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        ];
        command.envs(
            self.harness.environment.iter().filter(|(name, _)| inherited.contains(&name.as_str())).cloned(),
        );
        command.env("AWS_DEFAULT_REGION", "ca-central-1");
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let output = tokio::time::timeout(HANGS_AFTER, child.wait_with_output())
            .await
            .expect("the command hangs")
            .unwrap();
        let text =
            [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
        Ran { status: output.status.code().unwrap_or(-1), output: text }
    }

    /// Copies to CloudWatch Logs what the function wrote, up to its last report.
    pub async fn log_arrives(&mut self) {
        let log = self.harness.log().await;
        let log = log.get(self.logged..).unwrap_or_default();
        let file = self.directory.path().join("function.log");
        fs::write(&file, log).unwrap();
        self.logged += log.len();
        let put = "
import time
group, stream = sys.argv[1], str(time.time_ns())
boto('logs').create_log_stream(logGroupName=group, logStreamName=stream)
events = [{'timestamp': int(time.time() * 1000), 'message': line.rstrip('\\n')} for line in open(sys.argv[2], encoding='utf-8')]
if events:
    boto('logs').put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
print('null')";
        let group = self.outputs["LogGroup"].as_str().unwrap();
        self.moto.python(put, &[group, file.to_str().unwrap()]).await;
    }
}

/// Creates the template's stack, which uses a secret for the login.
pub async fn deploy(moto: &Moto, port: u16, database: &str, secret: &str) -> Value {
    deploy_by_secret(moto, port, database, secret, &[]).await
}

/// Creates the template's stack, which uses a secret for the login, with other parameters, as NAME=VALUE.
pub async fn deploy_by_secret(
    moto: &Moto,
    port: u16,
    database: &str,
    secret: &str,
    others: &[&str],
) -> Value {
    let parameters = [
        "RedshiftHost=localhost".to_owned(),
        format!("RedshiftPort={port}"),
        format!("RedshiftDatabase={database}"),
        format!("RedshiftUser={LOADER}"),
        format!("PasswordSecretArn={secret}"),
        "AlarmEmail=team@example.org".to_owned(),
    ];
    let others = others.iter().map(|parameter| (*parameter).to_owned());
    let parameters: Vec<String> = parameters.into_iter().chain(others).collect();
    deploy_with(moto, &parameters).await
}

/// Creates the template's stack with these parameters.
pub async fn deploy_with(moto: &Moto, parameters: &[String]) -> Value {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml");
    let arguments: Vec<&str> =
        std::iter::once(template).chain(parameters.iter().map(String::as_str)).collect();
    let deployed = moto.python(include_str!("deploy.py"), &arguments).await;
    for name in ["Loader", "LoaderRole", "SweepRule", "LogGroup", "FailedEvents", "Notices"] {
        assert!(deployed["made"][name].is_string(), "{name}: {deployed}");
    }
    moto.hear(deployed["outputs"]["NoticesTopic"].as_str().unwrap()).await;
    deployed
}

/// Creates a directory that looks like a clone, with the program and an `aws` that uses the local stack.
fn place(harness: &Harness, moto: &Moto, config: &str) -> tempfile::TempDir {
    let directory = temporary();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["ddl", "events"] {
        symlink(here.join(name), directory.path().join(name)).unwrap();
    }
    for name in ["config.d", "bin"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    fs::write(directory.path().join("config.d/cmslite_user_group_metadata.json"), config).unwrap();
    let bin = directory.path().join("bin");
    symlink(PROGRAM, bin.join("cmslite-user-data-to-redshift")).unwrap();
    let aws = format!(
        "#!/bin/sh\ncase \"$1 $2\" in\n's3 '*) at={} ;;\n'lambda invoke') at={} ;;\n*) at={} ;;\nesac\nexec {} --endpoint-url \"$at\" \"$@\"\n",
        harness.stack.s3.endpoint(),
        harness.lambda.endpoint(),
        moto.endpoint(),
        moto::aws().display()
    );
    fs::write(bin.join("aws"), aws).unwrap();
    fs::set_permissions(bin.join("aws"), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}
