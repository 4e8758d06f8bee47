//! Writes the status page as an HTML document.

// The loaded archives.
mod loaded;
// The bad archives, and the reasons.
mod bad;
// The lists of waiting archives, disagreements, and objects passed over.
mod lists;
// Bars for the last loads.
mod bars;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::headline::{Headline, Level};
use super::overview::{MadeBy, Overview};
use super::words::{number, time};

/// The style sheet, which is part of the page.
const STYLE: &str = include_str!("html/style.css");

/// The content security policy: the page may fetch and run nothing. The icon is part of the page too.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

impl Level {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "waiting",
            Self::Act => "act",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Good => "All is well",
            Self::Waiting => "Nothing to do",
            Self::Act => "To do",
        }
    }

    /// Returns a disc in the level's colour. Without an icon in the page, a browser would request one.
    fn icon(self) -> &'static str {
        match self {
            Self::Good => {
                "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%231a7f37'/%3E%3C/svg%3E"
            }
            Self::Waiting => {
                "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%230969da'/%3E%3C/svg%3E"
            }
            Self::Act => {
                "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23cf222e'/%3E%3C/svg%3E"
            }
        }
    }
}

impl Overview {
    /// Returns the page: a complete HTML document, which requests nothing and runs nothing.
    pub fn html(&self) -> String {
        let headline = self.headline();
        let Headline { level, title, .. } = &headline;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="robots" content="noindex, nofollow";
                    meta name="referrer" content="no-referrer";
                    meta name="color-scheme" content="light dark";
                    title { (title) " - " (self.dataset) }
                    link rel="icon" href=(level.icon());
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (self.top(&headline))
                    main {
                        (to_do(&headline))
                        (self.figures())
                        (self.loaded())
                        (self.bad_archives())
                        (self.waiting())
                        (self.disagreements())
                        (self.passed_over())
                    }
                    (self.bottom())
                }
            }
        };
        page.into_string()
    }

    fn top(&self, headline: &Headline) -> Markup {
        let Headline { level, title, detail, .. } = headline;
        html! {
            header class=(level.class()) {
                p.dataset { "Dataset " strong { (self.dataset) } }
                p.badge { (level.word()) }
                h1 { (title) }
                p { (detail) }
            }
        }
    }

    fn figures(&self) -> Markup {
        let counts = self.counts;
        let mut figures = vec![("Loaded", counts.good), ("Waiting", counts.waiting), ("Bad", counts.bad)];
        if self.truncate {
            figures.push(("Superseded", counts.superseded));
        }
        html! {
            section aria-labelledby="figures" {
                h2 id="figures" { "Archives" }
                dl.figures {
                    @for (name, many) in figures {
                        div { dt { (name) } dd { (number(many as u64)) } }
                    }
                }
                p.note {
                    "Archives are uploaded below " code { bdi { (self.uploads) } } ". "
                    @if self.truncate {
                        "Each load replaces the rows of the tables. Of several waiting archives, only the newest is loaded; older ones are \
                         superseded, and never loaded."
                    } @else {
                        "Each load adds rows to the tables. Archives are loaded one after the other, oldest first."
                    }
                }
            }
        }
    }

    fn bottom(&self) -> Markup {
        html! {
            footer {
                p {
                    "Made at " (time(self.made_at)) " "
                    @match &self.made_by {
                        MadeBy::Command => { "by the command " code { "status --html" } "." }
                        MadeBy::Run { request_id, .. } => {
                            "after the run " code { (request_id) }
                            ". The function writes this page after each run. If this time is long past, the function is not running."
                        }
                    }
                }
            }
        }
    }
}

fn to_do(headline: &Headline) -> Markup {
    html! {
        @if !headline.tasks.is_empty() {
            section aria-labelledby="to-do" {
                h2 id="to-do" { "What to do" }
                ol.tasks {
                    @for task in &headline.tasks {
                        li {
                            (task.text)
                            @if let Some((id, name)) = task.section { " " a href={ "#" (id) } { (name) } }
                        }
                    }
                }
            }
        }
    }
}

/// Returns a note about how many elements of a list are shown; nothing if all are.
fn left_out(shown: usize, all: usize, which: &str) -> Markup {
    html! {
        @if all > shown {
            p.note { (number(shown as u64)) " of " (number(all as u64)) " are shown, " (which) "." }
        }
    }
}
