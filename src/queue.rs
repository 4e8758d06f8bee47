//! Which archives are unsettled, in which order, and which will never be loaded: a function of three listings.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::config::Dataset;

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The key.
    pub key: String,
    /// The `ETag` as S3 gives it, quotes included.
    pub etag: String,
    /// Whole seconds; for a multipart upload the time at which it began.
    pub last_modified: DateTime<Utc>,
    /// Bytes.
    pub size: u64,
}

impl Object {
    /// The order in which archives are loaded: oldest first, ties by key.
    fn age(&self) -> (DateTime<Utc>, &str) {
        (self.last_modified, &self.key)
    }
}

/// What a dataset's listings say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Archives to load, oldest first.
    pub queue: Vec<Object>,
    /// Unsettled archives older than the newest under truncate: never loaded.
    pub superseded: Vec<Object>,
    /// Archives settled as good.
    pub good: usize,
    /// Archives settled as bad.
    pub bad: usize,
    /// Every archive found, settled or not, oldest first.
    pub found: Vec<String>,
}

/// Makes the plan of `dataset` from the listings of its source, good and bad prefixes.
///
/// An archive is unsettled if it has no marker whose `LastModified` is at or after its own: a re-upload is a new
/// revision. Under truncate only the newest archive, settled or not, may be loaded.
pub fn plan(dataset: &Dataset, source: Vec<Object>, good: &[Object], bad: &[Object]) -> Plan {
    let markers =
        |objects: &[Object]| -> HashMap<String, DateTime<Utc>> { objects.iter().map(|object| (object.key.clone(), object.last_modified)).collect() };
    let (good, bad) = (markers(good), markers(bad));
    let settled = |markers: &HashMap<String, DateTime<Utc>>, key: &str, object: &Object| {
        markers.get(key).is_some_and(|settled| *settled >= object.last_modified)
    };
    let mut archives: Vec<Object> = source.into_iter().filter(|object| dataset.matches(&object.key)).collect();
    archives.sort_by(|a, b| a.age().cmp(&b.age()));

    let mut plan = Plan { found: archives.iter().map(|archive| archive.key.clone()).collect(), ..Plan::default() };
    let newest = archives.len().saturating_sub(1);
    for (n, archive) in archives.into_iter().enumerate() {
        if settled(&bad, &dataset.bad_key(&archive.key), &archive) {
            plan.bad += 1;
        } else if settled(&good, &dataset.good_key(&archive.key), &archive) {
            plan.good += 1;
        } else if dataset.truncate && n < newest {
            plan.superseded.push(archive);
        } else {
            plan.queue.push(archive);
        }
    }
    plan
}

impl Plan {
    /// Cuts the queue after the last of `keys`, as an event for them asks; keys that are settled or gone ask for nothing
    /// beyond the archives before them.
    #[must_use]
    pub fn up_to(mut self, keys: &HashSet<String>) -> Self {
        let last = self.found.iter().rposition(|key| keys.contains(key));
        let wanted: HashSet<&String> = match last {
            Some(last) => self.found.iter().take(last + 1).collect(),
            None => HashSet::new(),
        };
        self.queue.retain(|archive| wanted.contains(&archive.key));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(truncate: bool) -> Dataset {
        let text = include_str!("../config.d/cmslite_user_group_metadata.json").replace("true", if truncate { "true" } else { "false" });
        crate::config::parse("d.json", &text).unwrap()
    }

    fn object(key: &str, seconds: i64) -> Object {
        Object { key: key.to_owned(), etag: format!("\"{seconds}\""), last_modified: DateTime::from_timestamp(seconds, 0).unwrap(), size: 1 }
    }

    fn archive(name: &str, seconds: i64) -> Object {
        object(&format!("client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
    }

    fn good(name: &str, seconds: i64) -> Object {
        object(&format!("processed/good/client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
    }

    fn bad(name: &str, seconds: i64) -> Object {
        object(&format!("processed/bad/client/cmslite_gdx/cms-analytics-csv_{name}.tgz"), seconds)
    }

    fn names(objects: &[Object]) -> Vec<&str> {
        objects.iter().map(|o| o.key.trim_start_matches("client/cmslite_gdx/cms-analytics-csv_").trim_end_matches(".tgz")).collect()
    }

    #[test]
    fn the_oldest_comes_first_and_ties_go_by_key() {
        let plan = plan(&dataset(false), vec![archive("b", 5), archive("a", 5), archive("z", 1), object("client/cmslite_gdx/readme", 0)], &[], &[]);
        assert_eq!(names(&plan.queue), ["z", "a", "b"]);
        assert_eq!(plan.found.len(), 3);
    }

    #[test]
    fn a_marker_settles_only_what_is_not_newer() {
        let plan = plan(&dataset(false), vec![archive("a", 5), archive("b", 5), archive("c", 5)], &[good("a", 5)], &[bad("b", 9), bad("c", 4)]);
        assert_eq!(names(&plan.queue), ["c"]);
        assert_eq!((plan.good, plan.bad), (1, 1));
    }

    #[test]
    fn under_truncate_only_the_newest_of_all_may_be_loaded() {
        let unsettled = plan(&dataset(true), vec![archive("a", 1), archive("b", 2), archive("c", 3)], &[], &[]);
        assert_eq!((names(&unsettled.queue), names(&unsettled.superseded)), (vec!["c"], vec!["a", "b"]));
        let settled = plan(&dataset(true), vec![archive("a", 1), archive("b", 2), archive("c", 3)], &[good("c", 4)], &[]);
        assert_eq!((names(&settled.queue), names(&settled.superseded)), (vec![], vec!["a", "b"]));
    }

    #[test]
    fn an_event_asks_for_the_queue_up_to_its_key() {
        let plan = plan(&dataset(false), vec![archive("a", 1), archive("b", 2), archive("c", 3)], &[], &[]);
        let key = |name: &str| HashSet::from([archive(name, 0).key]);
        assert_eq!(names(&plan.clone().up_to(&key("b")).queue), ["a", "b"]);
        assert!(plan.up_to(&key("gone")).queue.is_empty());
    }
}
