//! Shows the last loads, and the rows of each table.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::bars::bars;
use crate::page::overview::{LedgerState, Overview};
use crate::page::words::{age, count, number, time};
use crate::redshift::RecentLoad;

impl Overview {
    pub(super) fn loaded(&self) -> Markup {
        html! {
            section aria-labelledby="loaded" {
                h2 id="loaded" { "What is loaded" }
                @match (&self.ledger, self.latest()) {
                    (_, Some(latest)) => { (self.latest_load(latest)) (self.tables(latest)) (self.last_loads()) }
                    (LedgerState::Unread(why), None) => { p { "The ledger could not be read: " (why) } }
                    (_, None) => { p { "Nothing has been loaded yet." } }
                }
            }
        }
    }

    fn latest_load(&self, latest: &RecentLoad) -> Markup {
        html! {
            p {
                @if self.truncate { "The tables hold " } @else { "The last archive that was loaded is " }
                code { bdi { (latest.key) } } ", uploaded at " (time(latest.last_modified)) " and loaded at "
                (time(latest.loaded_at)) ", " (age(self.made_at - latest.loaded_at)) " before this page was made. It has "
                (number(latest.rows)) " rows."
            }
        }
    }

    /// Returns a list of all tables that the last loads name, with a row for each.
    fn tables(&self, latest: &RecentLoad) -> Markup {
        let names: BTreeSet<&String> = self.loads.iter().flat_map(|load| load.tables.keys()).collect();
        html! {
            @if !names.is_empty() {
                table role="table" {
                    caption { "Rows by table" }
                    thead role="rowgroup" {
                        tr role="row" {
                            th scope="col" role="columnheader" { "Table" }
                            th.number scope="col" role="columnheader" { "Rows of the last load" }
                            th scope="col" role="columnheader" { "Rows of the last loads, oldest first" }
                        }
                    }
                    tbody role="rowgroup" {
                        @for name in names {
                            @let rows: Vec<Option<u64>> = self.loads.iter().map(|load| load.tables.get(name).copied()).collect();
                            tr role="row" {
                                th scope="row" role="rowheader" { code { (name) } }
                                td.number role="cell" data-label="Last load" {
                                    (latest.tables.get(name).map_or("not known".to_owned(), |rows| number(*rows)))
                                }
                                td role="cell" data-label="Last loads" { (bars(name, &rows)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn last_loads(&self) -> Markup {
        html! {
            @if self.loads.len() > 1 {
                details {
                    summary { "The last " (count(self.loads.len(), "load")) }
                    table role="table" {
                        caption { "The last loads, newest first" }
                        thead role="rowgroup" {
                            tr role="row" {
                                th scope="col" role="columnheader" { "Archive" }
                                th scope="col" role="columnheader" { "Loaded at" }
                                th.number scope="col" role="columnheader" { "Rows" }
                            }
                        }
                        tbody role="rowgroup" {
                            @for load in self.loads.iter().rev() {
                                tr role="row" {
                                    th scope="row" role="rowheader" { code { bdi { (load.key) } } }
                                    td role="cell" data-label="Loaded at" { (time(load.loaded_at)) }
                                    td.number role="cell" data-label="Rows" { (number(load.rows)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
