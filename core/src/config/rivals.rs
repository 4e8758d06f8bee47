//! Finds datasets that match the same keys. An archive of two datasets would be loaded by one of them, and
//! settled for both.

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::dataset::{Dataset, Rival};

impl Dataset {
    /// Returns the name of another dataset that also matches this key, if there is one.
    pub fn rival_of(&self, key: &str) -> Option<&str> {
        let wants = |rival: &&Rival| key.starts_with(&rival.source_prefix) && rival.doc.is_match(key);
        self.matches(key).then(|| self.rivals.iter().find(wants))?.map(|rival| rival.name.as_str())
    }

    /// Records `other` as a rival if both datasets' keys can be the same.
    pub fn add_rival(&mut self, other: &Self) {
        let (mine, theirs) = (self.source_prefix(), other.source_prefix());
        if self.bucket == other.bucket
            && self.name != other.name
            && (mine.starts_with(&theirs) || theirs.starts_with(&mine))
        {
            self.rivals.push(Rival {
                name: other.name.clone(),
                source_prefix: theirs,
                doc: other.doc.clone(),
            });
        }
    }

    /// Returns a key that two datasets match, if one is found. If none is found, there may still be one.
    pub(super) fn common_key(&self, other: &Self) -> Option<String> {
        if self.bucket != other.bucket {
            return None;
        }
        let (mine, theirs) = (self.source_prefix(), other.source_prefix());
        let prefix = if mine.starts_with(&theirs) { mine } else { theirs };
        let (ours, others) = (examples(&self.doc), examples(&other.doc));
        // Names are not joined: no archive has such a name, and nearly any two patterns with `.*` match it.
        let both = ours.into_iter().chain(others);
        both.flat_map(|name| [format!("{prefix}{name}"), format!("{prefix}{name}.tgz"), name])
            .find(|key| self.matches(key) && other.matches(key))
    }
}

impl Dataset {
    /// Returns a key that an archive of this dataset may have, if one is found. If none is found, there may
    /// still be one.
    pub fn example_key(&self) -> Option<String> {
        let prefix = self.source_prefix();
        let examples = examples(&self.doc);
        let usual = examples.iter().map(|name| {
            let below = name.strip_prefix(&prefix).unwrap_or(name).trim_start_matches('/');
            format!("{prefix}{}.tgz", below.strip_suffix(".tgz").unwrap_or(below))
        });
        let others = examples.iter().flat_map(|name| [name.clone(), format!("{prefix}{name}")]);
        usual.chain(others).find(|key| self.matches(key))
    }
}

/// Returns some texts that a pattern matches, if it has a usual form.
fn examples(pattern: &Regex) -> Vec<String> {
    let Ok(hir) = regex_syntax::parse(pattern.as_str()) else { return Vec::new() };
    let mut examples: Vec<String> =
        (0..4).flat_map(|choice| [0, 1].map(|least| example(&hir, choice, least))).collect();
    examples.sort();
    examples.dedup();
    examples
}

/// Returns a text that a pattern matches. It uses alternative number `choice`, and repeats at least `least`
/// times what may be repeated.
fn example(hir: &Hir, choice: usize, least: u32) -> String {
    let part = |part: &Hir| example(part, choice, least);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => String::new(),
        HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).into_owned(),
        HirKind::Class(class) => character(class, choice).into_iter().collect(),
        // A pattern may ask for a thousand repetitions; no key has that many.
        HirKind::Repetition(repetition) => {
            part(&repetition.sub).repeat(repetition.min.max(least).min(1024) as usize)
        }
        HirKind::Capture(capture) => part(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(part).collect(),
        HirKind::Alternation(parts) => parts.iter().cycle().nth(choice).map(part).unwrap_or_default(),
    }
}

/// Returns a character of a class: number `choice` of the usual ones and of its first ones.
fn character(class: &Class, choice: usize) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let has = |wanted: &char| class.iter().any(|range| (range.start()..=range.end()).contains(wanted));
    let usual = ['a', '0', 'A', '_', '-', '.'].into_iter().filter(has);
    let first = class.iter().flat_map(|range| range.start()..=range.end()).take(4);
    let characters: Vec<char> = usual.chain(first).collect();
    characters.iter().cycle().nth(choice).copied()
}

#[cfg(test)]
mod tests {
    use super::super::parse_all;
    use std::collections::BTreeMap;

    const SHIPPED: &str = include_str!("../../../config.d/cmslite_user_group_metadata.json");

    /// Returns the result of parsing two datasets with these patterns, and the rival of the first for a key.
    fn with(docs: [&str; 2], directories: [&str; 2], key: &str) -> Result<Option<String>, String> {
        let config = |n: usize| {
            SHIPPED
                .replace("cms-analytics-csv.*", &docs[n].replace('\\', "\\\\"))
                .replace("\"cmslite_gdx\"", &format!("\"{}\"", directories[n]))
        };
        let files = BTreeMap::from([("a.json".to_owned(), config(0)), ("b.json".to_owned(), config(1))]);
        let datasets = parse_all(&files).map_err(|mistakes| mistakes.to_string())?;
        Ok(datasets[0].rival_of(key).map(str::to_owned))
    }

    #[test]
    fn a_key_is_shown_that_the_pattern_matches() {
        for (doc, expected) in [
            ("cms-analytics-csv.*", Some("client/d/cms-analytics-csv.tgz")),
            (r"(x|y)_\\d{8}\\.tgz", Some("client/d/x_00000000.tgz")),
            (r"client/d/export_[a-c]+\\.tar\\.gz", Some("client/d/export_a.tar.gz")),
            (r"/export[^/]*\\.tgz", Some("client/d/export.tgz")),
            ("^export.*", None),
            (r"\\.md5", None),
        ] {
            let config = SHIPPED.replace("cms-analytics-csv.*", doc).replace("\"cmslite_gdx\"", "\"d\"");
            let dataset = super::super::parse("a.json", &config).unwrap();
            let example = dataset.example_key();
            assert_eq!(example.as_deref(), expected, "{doc}");
            assert!(example.is_none_or(|key| dataset.matches(&key)), "{doc}");
        }
    }

    #[test]
    fn patterns_that_overlap_are_found_at_start() {
        for docs in [
            ["x.*", "x.*"],
            ["cms.*", "cms-2024.*"],
            ["a.*", r".*b\.tgz"],
            [r"(x|y)_\d{8}\.tgz", r"y_[0-9]+\.tgz"],
            ["export.*", ".*"],
        ] {
            let found = with(docs, ["d", "d"], "").unwrap_err();
            assert!(found.starts_with("b.json:7:10: doc: ") && found.contains("a.json"), "{docs:?}: {found}");
        }
        let nested = with(["x.*", "x.*"], ["d", "d/e"], "").unwrap_err();
        assert!(nested.contains("client/d/e/x"), "{nested}");
    }

    #[test]
    fn what_does_not_show_at_start_shows_by_the_first_key() {
        let docs = [r"/[a-z]*z7", r"/\w*zz\d"];
        for (key, rival) in [("client/d/abzz7", Some("b")), ("client/d/abz7", None), ("client/e/abzz7", None)]
        {
            assert_eq!(with(docs, ["d", "d"], key), Ok(rival.map(str::to_owned)), "{key}");
        }
    }

    #[test]
    fn other_places_and_other_names_are_nobody_s_business() {
        assert_eq!(with(["x.*", "x.*"], ["d", "e"], "client/d/x"), Ok(None));
        for docs in [
            [r"x_\d+\.tgz", r"y_\d+\.tgz"],
            ["x_.*", "y_.*"],
            [r"x_.*\.tgz", r"y_.*\.tgz"],
            ["cms-analytics-csv.*", "cms-pages-csv.*"],
        ] {
            let key = format!("client/d/{}1.tgz", &docs[0][..2]);
            assert_eq!(with(docs, ["d", "d"], &key), Ok(None), "{docs:?}");
        }
    }
}
