//! Tests the status page in Chromium: its layout, whether everyone can read it, and that no markup in it is
//! active.
//!
//! These tests are ignored by default, since a test cannot fetch Chromium and its driver: `.ci/run` installs
//! them and runs `cargo test --test browser -- --ignored`. With `PICTURES=1` the test of the layout writes
//! the pictures of the documentation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

// The pages to test.
mod pages;
// Chromium.
mod webdriver;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use pages::{IMAGE, Pages, SCRIPT};
use webdriver::Browser;

/// The widths in pixels: a small phone, a tablet, and a desktop.
const WIDTHS: [u32; 3] = [360, 768, 1440];

/// The SHA-256 of `axe.min.js` in the version that `.ci/axe` fetches.
const AXE_SHA256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: .ci/run has it"]
async fn the_page_can_be_read_by_everybody_and_nothing_in_it_comes_to_life() {
    let (pages, browser) = (Pages::make().await, Browser::start().await);
    let axe = axe();
    for name in Pages::ALL {
        for is_dark in [false, true] {
            for width in WIDTHS {
                let shown = format!("{name}, {width} px, dark: {is_dark}");
                browser.show_as(width, 900, is_dark).await;
                browser.open(&pages.url(name)).await;
                opens_in_its_colours(&browser, is_dark, &shown).await;
                fits(&browser, width, &shown).await;
                is_inert(&browser, &shown).await;
                has_no_finding(&browser, &axe, &shown).await;
                assert_eq!(browser.console().await, [Value::Null; 0], "{shown}");
            }
        }
    }
    markup_is_text(&browser, &pages).await;
    is_worked_by_keyboard(&browser, &pages).await;
    if std::env::var_os("PICTURES").is_some() {
        take_pictures(&browser, &pages).await;
    }
}

/// Checks that the page follows `prefers-color-scheme`.
async fn opens_in_its_colours(browser: &Browser, is_dark: bool, shown: &str) {
    let colour = browser.run("return getComputedStyle(document.body).backgroundColor").await;
    assert_eq!(colour, if is_dark { "rgb(13, 17, 23)" } else { "rgb(255, 255, 255)" }, "{shown}");
}

/// Checks that nothing is wider than the window, with all details opened.
async fn fits(browser: &Browser, width: u32, shown: &str) {
    let found = browser
        .run(
            "document.querySelectorAll('details').forEach(details => details.open = true);
            const wide = [...document.querySelectorAll('body *')].filter(element => {
                const box = element.getBoundingClientRect();
                return box.right > innerWidth + 0.5 || box.left < -0.5;
            });
            return [innerWidth, document.documentElement.scrollWidth, wide.map(element => element.outerHTML.slice(0, 200))]",
        )
        .await;
    assert_eq!(found, json!([width, width, []]), "{shown}");
}

/// Checks that there is no script, no element from untrusted text, and no request.
async fn is_inert(browser: &Browser, shown: &str) {
    let found = browser
        .run(
            "return [
                document.querySelectorAll('script, img, iframe, object, embed, form, [onerror], [onload], [onclick]').length,
                performance.getEntriesByType('resource').map(entry => entry.name),
                document.querySelectorAll('h1').length,
                document.documentElement.lang,
            ]",
        )
        .await;
    assert_eq!(found, json!([0, [], 1, "en"]), "{shown}");
}

async fn has_no_finding(browser: &Browser, axe: &str, shown: &str) {
    browser.run(axe).await;
    let found = browser
        .run_to_end(
            "const {violations, passes} = await axe.run();
            return {
                passed: passes.length,
                violations: violations.map(({id, help, nodes}) => [id, help, nodes.map(({html, failureSummary}) => [html, failureSummary])]),
            }",
        )
        .await;
    assert!(found["passed"].as_u64() > Some(20), "{shown}: axe has looked at nothing: {found}");
    assert_eq!(found["violations"], json!([]), "{shown}: {found:#}");
}

/// Checks that untrusted text is visible as text.
async fn markup_is_text(browser: &Browser, pages: &Pages) {
    for name in ["function-markup", "command"] {
        browser.open(&pages.url(name)).await;
        let texts =
            browser.run("return [...document.querySelectorAll('bdi')].map(text => text.textContent)").await;
        for told in [
            format!("client/cmslite_gdx/cms-analytics-csv_{SCRIPT}.tgz"),
            format!("client/cmslite_gdx/cms-analytics-csv_{SCRIPT}-waits.tgz"),
            // Cells that are not booleans.
            SCRIPT.to_owned(),
            IMAGE.to_owned(),
        ] {
            assert!(
                texts.as_array().unwrap().contains(&told.as_str().into()),
                "{told:?} is not in {name}: {texts}"
            );
        }
    }
}

/// Checks that Tab reaches links and details in the page's order, and Enter opens details.
async fn is_worked_by_keyboard(browser: &Browser, pages: &Pages) {
    browser.open(&pages.url("function")).await;
    let mut reached = Vec::new();
    for _ in 0..2 {
        browser.press("Tab", "", 9).await;
        reached.push(browser.run("return document.activeElement.tagName").await);
    }
    assert_eq!(reached, ["A", "SUMMARY"]);
    let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, "solid", "who works by keyboard does not see where");
    browser.press("Enter", "\r", 13).await;
    assert_eq!(browser.run("return document.querySelector('details').open").await, true);
}

/// Takes the pictures of the documentation.
async fn take_pictures(browser: &Browser, pages: &Pages) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    fs::create_dir_all(&directory).unwrap();
    for (name, width, height, is_dark) in
        [("status-page-light", 1100, 1150, false), ("status-page-dark", 360, 1150, true)]
    {
        browser.show_as(width, height, is_dark).await;
        browser.open(&pages.url("function")).await;
        let picture = browser.picture().await;
        fs::write(directory.join(format!("{name}.png")), base64(&picture)).unwrap();
    }
}

/// Returns axe-core, compared with the version for which these tests were written.
fn axe() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/axe");
    let output = Command::new(&script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = String::from_utf8(output.stdout).unwrap();
    let axe = fs::read(file.trim()).unwrap();
    let found =
        openssl::sha::sha256(&axe).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert_eq!(found, AXE_SHA256, "{file}");
    String::from_utf8(axe).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    openssl::base64::decode_block(text).unwrap()
}
