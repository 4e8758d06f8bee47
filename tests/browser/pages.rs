//! Makes the pages to test: the program makes them from a real stack, and they are written to files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use chrono::{TimeDelta, Utc};
use devstack::dataset::Dataset;
use devstack::guard::Directory;
use devstack::lambda::{Lambda, Options};
use devstack::samples::{self, Member};
use devstack::stack::{self, BUCKET, Stack};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cmslite-user-data-to-redshift");
const CONFIG: &str = include_str!("../../config.d/cmslite_user_group_metadata.json");
const DATASET: &str = "cmslite_user_group_metadata";

/// Markup as a name and as a cell. It must not be active.
pub const SCRIPT: &str = "<script>alert(1)</script>";
pub const IMAGE: &str = "<img src=x onerror=alert(2)>";

/// The pages by name, in files.
pub struct Pages {
    directory: Directory,
}

impl Pages {
    /// The names of all pages.
    pub const ALL: [&str; 4] = ["empty", "function", "function-markup", "command"];

    /// Returns the file of a page.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.html"))
    }

    /// Returns the address of a page.
    pub fn url(&self, name: &str) -> String {
        format!("file://{}", self.file(name).display())
    }

    /// Makes the pages: of an empty dataset; of one with eight loads, a bad archive and one that waits; and
    /// of the same with markup in names and cells.
    pub async fn make() -> Self {
        let pages = Self { directory: Directory::make("pages-").unwrap() };
        let stack = Stack::start(stack::Options::default()).await.unwrap();
        let config = pages.directory.path().join(format!("{DATASET}.json"));
        let text = CONFIG.replace("\"truncate\": true", "\"truncate\": false");
        fs::write(&config, text.replace("\"quote_cells\": false", "\"quote_cells\": true")).unwrap();
        let mut environment = stack.function_environment();
        environment.push(("CONFIG_DIR".to_owned(), pages.directory.path().display().to_string()));
        environment.push(("STATUS_PAGE".to_owned(), "on".to_owned()));
        let by_command = async |name: &str| {
            let mut command = Command::new(PROGRAM);
            command.arg("status").arg(&config).arg("--html").arg(pages.file(name));
            command.current_dir(pages.directory.path()).env_clear().envs(environment.clone());
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        by_command("empty").await;

        let lambda = Lambda::start(Options::new(PROGRAM, environment.clone())).await.unwrap();
        let begun = Utc::now() - TimeDelta::hours(10);
        let put = |hour: i64, name: &str, members: &[Member]| {
            let key = format!("client/cmslite_gdx/cms-analytics-csv_{name}.tgz");
            let archive = samples::archive(members).unwrap();
            stack.s3.put_at(BUCKET, &key, &archive, begun + TimeDelta::hours(hour)).unwrap();
        };
        // The answer does not matter: after a bad archive, one waits.
        let sweep = async || drop(lambda.invoke(json!({"dataset": DATASET})).await);
        let by_function = |name: &str| {
            let page = stack.s3.read(BUCKET, &Dataset::shipped().unwrap().page).expect("there is no page");
            fs::write(pages.file(name), page).unwrap();
        };
        for (hour, rows) in [40, 44, 43, 51, 12, 55, 58, 57].into_iter().enumerate() {
            let hour = i64::try_from(hour).unwrap();
            put(
                hour,
                &format!("2026-03-0{}", hour + 1),
                &samples::real_dataset(7 + hour.unsigned_abs(), rows).unwrap(),
            );
        }
        sweep().await;
        put(8, "2026-03-09", &with("1,Editors,t,site\n2,Authors,perhaps,site\n3,Readers\n"));
        put(9, "2026-03-10", &samples::real_dataset(20, 60).unwrap());
        sweep().await;
        by_function("function");

        sweep().await;
        put(10, SCRIPT, &with(&format!("1,a,{SCRIPT},site\n2,b,{IMAGE},site\n")));
        put(11, &format!("{SCRIPT}-waits"), &samples::real_dataset(21, 3).unwrap());
        sweep().await;
        by_function("function-markup");
        by_command("command").await;
        lambda.stop().await;
        pages
    }
}

/// Returns the four files, one of them with these rows.
fn with(groups: &str) -> Vec<Member> {
    let mut members = samples::real_dataset(9, 20).unwrap();
    for member in members.iter_mut().filter(|member| member.name == "analytics_group.csv") {
        *member = Member::new(&member.name, format!("id,name,active,site_key\n{groups}"));
    }
    members
}
