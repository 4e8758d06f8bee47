//! Shows the waiting archives, the disagreements, and the objects that are not archives.

use maud::{Markup, html};

use super::left_out;
use crate::page::overview::Overview;
use crate::page::words::{age, bytes, time};

impl Overview {
    pub(super) fn waiting(&self) -> Markup {
        html! {
            section aria-labelledby="waiting" {
                h2 id="waiting" { "What waits" }
                @if self.waiting.is_empty() {
                    p { "No archive waits." }
                } @else {
                    table role="table" {
                        caption { "Archives that wait to be loaded, the oldest first" }
                        thead role="rowgroup" {
                            tr role="row" {
                                @for name in ["Archive", "Uploaded at", "Waits for", "Size"] {
                                    th scope="col" role="columnheader" { (name) }
                                }
                            }
                        }
                        tbody role="rowgroup" {
                            @for archive in &self.waiting {
                                tr role="row" {
                                    th scope="row" role="rowheader" { code { bdi { (archive.key) } } }
                                    td role="cell" data-label="Uploaded at" { (time(archive.last_modified)) }
                                    td role="cell" data-label="Waits for" { (age(self.made_at - archive.last_modified)) }
                                    td role="cell" data-label="Size" { (bytes(archive.size_bytes)) }
                                }
                            }
                        }
                    }
                    (left_out(self.waiting.len(), self.counts.waiting, "the oldest first"))
                }
            }
        }
    }

    pub(super) fn disagreements(&self) -> Markup {
        html! {
            section aria-labelledby="disagreements" {
                h2 id="disagreements" { "Disagreements" }
                @match &self.disagreements {
                    None => p {
                        "The markers in S3 and the ledger in Redshift were not compared, since that would need a look at every archive. "
                        code { "status CONFIG --html FILE" } " compares them."
                    },
                    Some(found) if found.is_empty() => p { "The markers in S3 and the ledger in Redshift agree." },
                    Some(found) => {
                        table role="table" {
                            caption { "Archives about which S3 and Redshift, or two markers in S3, disagree" }
                            thead role="rowgroup" {
                                tr role="row" {
                                    @for name in ["Archive", "What disagrees, and what to do"] {
                                        th scope="col" role="columnheader" { (name) }
                                    }
                                }
                            }
                            tbody role="rowgroup" {
                                @for disagreement in found {
                                    tr role="row" {
                                        th scope="row" role="rowheader" { code { bdi { (disagreement.key) } } }
                                        td role="cell" { (disagreement.kind) }
                                    }
                                }
                            }
                        }
                        (left_out(found.len(), self.counts.disagreements, "the first ones"))
                    }
                }
            }
        }
    }

    pub(super) fn passed_over(&self) -> Markup {
        html! {
            @if self.counts.passed_over > 0 {
                section aria-labelledby="passed-over" {
                    h2 id="passed-over" { "Passed over" }
                    p.note { "These objects are beside the archives, but are not archives, by their names. They are not loaded." }
                    ul {
                        @for object in &self.passed_over {
                            li { code { bdi { (object.key) } } ": " (object.why) }
                        }
                    }
                    (left_out(self.passed_over.len(), self.counts.passed_over, "the last ones"))
                }
            }
        }
    }
}
