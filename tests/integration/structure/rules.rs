//! Checks a crate's sources against the rules of its structure: a function from sources to findings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::source::{CrateSource, Files, Module, Target};

/// The rules of a crate besides the order of its modules.
pub struct Rules {
    /// The external names that only some modules may use.
    pub rooms: &'static [Room],
    /// The maximum number of lines of a file without its tests.
    pub most_lines: usize,
}

/// A path that only some modules may use.
pub struct Room {
    /// A crate, or a path in one. A segment may end with `*`.
    pub path: &'static str,
    /// The modules that may use it, with those below them. `main` is `main.rs`.
    pub only: &'static [&'static str],
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub sentence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.sentence)
    }
}

/// Returns all violations in these sources, in the order of files and lines.
pub fn findings(files: &Files, rules: &Rules) -> Result<Vec<Finding>, String> {
    let source = CrateSource::parse(files)?;
    let mut findings = Vec::new();
    let mut find =
        |file: &str, line, sentence| findings.push(Finding { file: file.to_owned(), line, sentence });
    for file in &source.files {
        if file.lines > rules.most_lines {
            let sentence =
                format!("the file has {} lines, tests apart; the most is {}", file.lines, rules.most_lines);
            find(&file.name, 1, sentence);
        }
        if file.name == "lib.rs" {
            for line in &file.feature_lines {
                find(&file.name, *line, "lib.rs has a cfg of a feature: a crate is built whole".to_owned());
            }
        }
    }
    for file in &source.unreached {
        find(file, 1, "no mod line leads to this file".to_owned());
    }

    let mut edges = Edges::new();
    let mut seen = BTreeSet::new();
    for reference in &source.references {
        let from = &source.modules[reference.module];
        let file = &source.files[from.file].name;
        match source.target(reference) {
            Target::Outside(path) => {
                for room in rules.rooms.iter().filter(|room| room.holds(&path) && !room.admits(from)) {
                    if seen.insert((from.file, room.path.to_owned())) {
                        find(file, reference.line, room.sentence());
                    }
                }
            }
            Target::Inside(target) => {
                let to = &source.modules[target];
                if to.file == from.file {
                    continue;
                }
                if let Some(sentence) = against_order(&source, from, to)
                    && seen.insert((from.file, source.files[to.file].name.clone()))
                {
                    find(file, reference.line, sentence);
                }
                if !(reference.is_re_export && to.path.starts_with(&from.path)) {
                    let line = edges.entry(from.file).or_default().entry(to.file).or_insert(reference.line);
                    *line = reference.line.min(*line);
                }
            }
        }
    }
    for circle in circles(&edges) {
        let names: Vec<&str> = circle.iter().map(|file| source.files[*file].name.as_str()).collect();
        let steps: Vec<String> = (0..circle.len())
            .map(|at| {
                let next = (at + 1) % circle.len();
                format!("{} names {} in line {}", names[at], names[next], edges[&circle[at]][&circle[next]])
            })
            .collect();
        find(names[0], edges[&circle[0]][&circle[1]], format!("a circle: {}", steps.join(", ")));
    }
    findings.sort();
    Ok(findings)
}

impl Room {
    /// Checks whether this room is for a path outside the crate. `use a::*` includes all paths below `a`.
    fn holds(&self, path: &[String]) -> bool {
        let mut segments = path.iter();
        for wanted in self.path.split("::") {
            let is_like = |segment: &String| match wanted.strip_suffix('*') {
                Some(start) => segment.starts_with(start),
                None => segment == wanted,
            };
            match segments.next() {
                Some(segment) if segment == "*" => return true,
                Some(segment) if is_like(segment) => {}
                _ => return false,
            }
        }
        true
    }

    fn admits(&self, module: &Module) -> bool {
        self.only.iter().any(|room| {
            let room: Vec<&str> = room.split("::").collect();
            module.path.len() >= room.len() && module.path.iter().zip(room).all(|(a, b)| a == b)
        })
    }

    fn sentence(&self) -> String {
        if self.only.is_empty() {
            format!("{} is for no module of this crate", self.path)
        } else {
            format!("{} is only for {}", self.path, self.only.join(", "))
        }
    }
}

/// Returns the finding if `from` uses a module whose `mod` line is above its own, or above that of the module
/// that contains it.
fn against_order(source: &CrateSource, from: &Module, to: &Module) -> Option<String> {
    let common = from.path.iter().zip(&to.path).take_while(|(a, b)| a == b).count();
    let (own, named) = (from.path.get(common)?, to.path.get(common)?);
    let parent = source.modules.iter().find(|module| module.path == from.path[..common])?;
    let place = |name: &String| parent.children.iter().position(|(child, _)| child == name);
    if place(named)? > place(own)? {
        return None;
    }
    let list = &source.files[parent.file].name;
    Some(format!(
        "{} names {}, but in {list} mod {named} stands above mod {own}: a file names only modules further down",
        from.path.join("::"),
        to.path.join("::")
    ))
}

/// Which file uses which other file, with the first such line.
type Edges = BTreeMap<usize, BTreeMap<usize, usize>>;

/// Returns a shortest circle for each use that is part of one. Each circle is returned once, from its first
/// file.
fn circles(edges: &Edges) -> BTreeSet<Vec<usize>> {
    let steps = edges.iter().flat_map(|(from, to)| to.keys().map(|to| (*from, *to)));
    let circles = steps.filter_map(|(from, to)| {
        let mut circle = way(edges, to, from)?;
        let first = circle.iter().enumerate().min_by_key(|(_, file)| **file)?.0;
        circle.rotate_left(first);
        Some(circle)
    });
    circles.collect()
}

/// Returns the files of a shortest path from one file to another, with both ends.
fn way(edges: &Edges, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut before = BTreeMap::from([(from, from)]);
    let mut next = VecDeque::from([from]);
    while let Some(file) = next.pop_front() {
        if file == to {
            let mut way = vec![to];
            while let Some(last) = way.last().copied().filter(|last| *last != from) {
                way.push(before[&last]);
            }
            way.reverse();
            return Some(way);
        }
        for reached in edges.get(&file).into_iter().flat_map(BTreeMap::keys) {
            if !before.contains_key(reached) {
                before.insert(*reached, file);
                next.push_back(*reached);
            }
        }
    }
    None
}
