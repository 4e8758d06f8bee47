//! Writes the files that `sam local invoke` needs to run the function in a container against a stack on this
//! machine.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::{env, fs};

use devstack::stack::Stack;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The directory for the files that this module writes.
pub const DIRECTORY: &str = "devstack.sam";

/// The output of `sam build` for the template's function.
const BUILT: &str = ".aws-sam/build/Loader/bootstrap";

/// The name of the file with the stack's certificates, beside the program.
const CERTIFICATES: &str = "devstack-ca.pem";

/// Writes a template whose function is the built program with the stack's certificates, and the variables
/// with which the function reaches the stack at `bridge`.
///
/// The variables are in a separate file. SAM prefers the shell's variables to the template's, and a file's to
/// the shell's, but it uses only those that the template names.
pub fn write(stack: &Stack, bridge: IpAddr) -> Result<(), Box<dyn Error>> {
    let code = Path::new(DIRECTORY).join("code");
    fs::create_dir_all(&code)?;
    fs::copy(BUILT, code.join("bootstrap"))
        .map_err(|error| format!("{BUILT}: {error}; run `sam build` first"))?;
    fs::copy(stack.certificates(), code.join(CERTIFICATES))?;
    let variables = stack.function_environment().into_iter().map(|(name, value)| {
        let value = match name.as_str() {
            "AWS_ENDPOINT_URL" => value.replace("127.0.0.1", &bridge.to_string()),
            "PGHOST" => bridge.to_string(),
            "PGSSLROOTCERT" => format!("/var/task/{CERTIFICATES}"),
            _ => value,
        };
        (name, value)
    });
    let variables: BTreeMap<String, String> = variables.collect();
    let template = json!({
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {"Loader": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "CodeUri": env::current_dir()?.join(&code),
                "Handler": "bootstrap",
                "Runtime": "provided.al2023",
                "MemorySize": 512,
                "Timeout": 900,
                "Environment": {"Variables": variables.keys().map(|name| (name.as_str(), "")).collect::<BTreeMap<_, _>>()},
            },
        }},
    });
    let write =
        |name: &str, value: &Value| fs::write(Path::new(DIRECTORY).join(name), format!("{value:#}\n"));
    write("template.json", &template)?;
    write("variables.json", &json!({"Loader": variables}))?;
    Ok(())
}

/// Makes `port` of 127.0.0.1 reachable at another address of this machine, as long as the process runs.
pub async fn forward(address: IpAddr, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((address, port)).await.map_err(|error| {
        io::Error::other(format!(
            "{address}:{port}: {error}; --bridge says where containers reach this machine"
        ))
    })?;
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut served) = TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = copy_bidirectional(&mut caller, &mut served).await;
                }
            });
        }
    });
    Ok(())
}
