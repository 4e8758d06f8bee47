//! Drives Chromium through WebDriver (<https://www.w3.org/TR/webdriver2/>) and, where that lacks something,
//! through Chromium's own protocol.
//!
//! It is written by hand, since only a few requests are needed, and the crates for it bring in licences and
//! versions that nothing else here has.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use devstack::guard::{self, Directory, OwnerPipe};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// The message if there is no browser.
const MISSING: &str =
    "the page's tests need Chromium and its driver (Debian: apt-get install chromium chromium-driver)";

/// A browser for this test alone, without a window.
pub struct Browser {
    http: Client<HttpConnector, Full<Bytes>>,
    session: String,
    driver: Child,
    _owner: OwnerPipe,
    _profile: Directory,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its guard kills the processes that it has started.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Starts a browser.
    pub async fn start() -> Self {
        let profile = Directory::make("browser-").unwrap();
        let (mut command, owner) = guard::command("chromedriver").unwrap();
        let mut driver = command
            .arg("--port=0")
            // Its own files are removed with the profile.
            .env("TMPDIR", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.unwrap_or_else(|| panic!("{MISSING}"));
        // A full pipe would stop it.
        std::thread::spawn(move || said.for_each(drop));
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
        ];
        if guard::is_root().unwrap() {
            arguments.push("--no-sandbox".to_owned());
        }
        let mut browser = Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            session: format!("http://127.0.0.1:{port}/session"),
            driver,
            _owner: owner,
            _profile: profile,
        };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.request(Method::POST, "", &wanted).await;
        let id = session["sessionId"].as_str().unwrap_or_else(|| panic!("{MISSING}: {session}")).to_owned();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Sends a request and returns the value of the answer.
    async fn request(&self, method: Method, path: &str, body: &Value) -> Value {
        let uri = format!("{}{path}", self.session);
        let request = Request::builder().method(method).uri(&uri).body(Full::from(body.to_string())).unwrap();
        let answer = self.http.request(request).await.unwrap();
        let is_success = answer.status().is_success();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        let value = answer["value"].clone();
        assert!(is_success, "{uri}: {value}");
        value
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.request(Method::POST, path, &body).await
    }

    /// Sends a command of Chromium's own protocol (<https://chromedevtools.github.io/devtools-protocol/>).
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": name, "params": parameters})).await
    }

    /// Sets the size of the viewport in pixels, and whether dark pages are preferred.
    pub async fn show_as(&self, width: u32, height: u32, is_dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// Opens a page, and returns when it is loaded.
    pub async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// Runs the body of a function and returns its result.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Runs the body of a function and returns the result of its promise.
    pub async fn run_to_end(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, error => done(String(error)))"
        );
        self.post("/execute/async", json!({"script": script, "args": []})).await
    }

    /// Presses a key by its name, such as `Tab`.
    pub async fn press(&self, key: &str, text: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.command("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Returns the console messages since the last call.
    pub async fn console(&self) -> Vec<Value> {
        let said = self.post("/se/log", json!({"type": "browser"})).await;
        said.as_array().cloned().unwrap_or_default()
    }

    /// Returns a picture of the viewport, as PNG in base64.
    pub async fn picture(&self) -> String {
        let picture = self.command("Page.captureScreenshot", json!({"format": "png"})).await;
        picture["data"].as_str().unwrap().to_owned()
    }
}
