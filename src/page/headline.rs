//! Describes the state of a dataset in words, and what to do about it.

use super::overview::{Counts, LedgerState, MadeBy, Overview};
use super::words::{age, count, minute};

/// The urgency of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// There is nothing to do.
    Good,
    /// An archive is waiting, and the next run deals with it.
    Waiting,
    /// The operator or the uploader must act.
    Act,
}

/// The state in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headline {
    /// The urgency.
    pub level: Level,
    /// The state in a few words.
    pub title: String,
    /// A sentence with the details.
    pub detail: String,
    /// The tasks, the most urgent first.
    pub tasks: Vec<Task>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The task and its reason.
    pub text: String,
    /// The id and the name of the section with the details.
    pub section: Option<(&'static str, &'static str)>,
}

impl Overview {
    /// Returns the state in words. Tasks take precedence over waiting archives, and these over a good state.
    pub fn headline(&self) -> Headline {
        let (level, title) = self.title();
        Headline { level, title, detail: self.detail(), tasks: self.tasks() }
    }

    fn title(&self) -> (Level, String) {
        let Counts { good, bad_and_missing, waiting, disagreements, .. } = self.counts;
        if let Some((failure, lasts)) = self.failure() {
            let (level, title) = if lasts {
                (Level::Act, "The last run failed: someone must act")
            } else if bad_and_missing == 0 {
                (Level::Waiting, "The last run ended early: the next one tries again")
            } else {
                (Level::Act, "The last run ended early, and an archive is bad")
            };
            return (level, format!("{title} ({failure})"));
        }
        match (bad_and_missing, &self.ledger, disagreements, waiting, good) {
            (1, ..) => (Level::Act, "1 archive is bad: it must be corrected".to_owned()),
            (2.., ..) => {
                (Level::Act, format!("{} are bad: they must be corrected", count(bad_and_missing, "archive")))
            }
            (0, LedgerState::Unread(_), ..) => {
                (Level::Act, "The ledger in Redshift cannot be read".to_owned())
            }
            (_, _, 1.., ..) => {
                let title = format!("Markers and ledger disagree in {}", count(disagreements, "place"));
                (Level::Act, title)
            }
            _ if self.has_unusable_key() => {
                (Level::Act, "An upload cannot be loaded because of its name".to_owned())
            }
            (_, _, _, 1, _) => (Level::Waiting, "1 archive waits to be loaded".to_owned()),
            (_, _, _, 2.., _) => (Level::Waiting, format!("{} wait to be loaded", count(waiting, "archive"))),
            (.., 0) => (Level::Waiting, "No archive has been loaded yet".to_owned()),
            _ if self.truncate => (Level::Good, "The newest archive is loaded".to_owned()),
            (.., 1) => (Level::Good, "The only archive is loaded".to_owned()),
            _ => (Level::Good, format!("All {} are loaded", count(good, "archive"))),
        }
    }

    /// Returns the type of the last run's failure, and whether the failure lasts until the operator acts.
    fn failure(&self) -> Option<(&'static str, bool)> {
        match &self.made_by {
            MadeBy::Run { failure: Some(failure), .. } => Some((failure.error_type, failure.lasts())),
            _ => None,
        }
    }

    /// Checks whether there is an object that should have been an archive, but cannot be one because of its
    /// key.
    fn has_unusable_key(&self) -> bool {
        self.passed_over.iter().any(|object| object.why.is_unusable_key())
    }

    fn detail(&self) -> String {
        let last = self.latest().map(|load| {
            let lasted = age(self.made_at - load.loaded_at);
            format!("The last load was at {}, {lasted} before this page was made.", minute(load.loaded_at))
        });
        let last = last.unwrap_or_else(|| match self.ledger {
            LedgerState::Read | LedgerState::Absent if self.counts.good == 0 => {
                "Nothing has been loaded yet.".to_owned()
            }
            _ => "The time of the last load is not known.".to_owned(),
        });
        let oldest = self.waiting.first().map(|oldest| {
            let waited = age(self.made_at - oldest.last_modified);
            format!(
                " The oldest archive that waits was uploaded at {}, {waited} before.",
                minute(oldest.last_modified)
            )
        });
        last + &oldest.unwrap_or_default()
    }

    fn tasks(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        let mut add = |text: String, section| tasks.push(Task { text, section });
        if let MadeBy::Run { failure: Some(failure), request_id } = &self.made_by {
            let who = if failure.lasts() {
                "The operator of the loader must act; until then each run fails."
            } else {
                "The next run tries again. Nothing needs to be done unless this lasts."
            };
            add(format!("The last run ({request_id}) failed: {}. {who}", failure.message), None);
        }
        let missing = self.counts.bad_and_missing;
        if missing > 0 {
            let (subject, object) =
                if missing == 1 { ("archive is", "it") } else { ("archives are", "them") };
            let text = format!(
                "{missing} {subject} bad, and nothing of {object} is loaded. The uploader must correct {object} and upload {object} again."
            );
            add(text, Some(("bad", "Bad archives")));
        }
        if let LedgerState::Unread(why) = &self.ledger {
            add(
                format!(
                    "The loaded archives are not known, since the ledger in Redshift could not be read: {why}"
                ),
                None,
            );
        }
        if self.counts.disagreements > 0 {
            let text = "S3 and Redshift disagree about some archives.".to_owned();
            add(text, Some(("disagreements", "Disagreements")));
        }
        if self.has_unusable_key() {
            let text = "Some objects cannot be loaded because of their names: rename them.".to_owned();
            add(text, Some(("passed-over", "Passed over")));
        }
        tasks
    }
}
