//! Finds the known name that was probably meant.

/// The minimum similarity of two names, by the measure of Jaro and Winkler, where 1 is the same. At 0.8,
/// `delimiter` matches `delim`, and `bucket` does not match `files`.
const ALIKE: f64 = 0.8;

/// Returns the name in `known` that is most similar to `wanted`, if any is similar.
pub fn closest<'k>(wanted: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let wanted = wanted.to_lowercase();
    let likeness = |name: &'k str| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name);
    let alike = known.into_iter().map(likeness).filter(|(alike, _)| *alike >= ALIKE);
    alike.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_recognised_however_it_was_misspelt() {
        let known = ["bucket", "delim", "column_count", "columns", "dbtable", "truncate", "null_as"];
        for (wanted, meant) in [
            ("buckett", Some("bucket")),
            ("delimiter", Some("delim")),
            ("column", Some("columns")),
            ("columncount", Some("column_count")),
            ("table", Some("dbtable")),
            ("TRUNCATE", Some("truncate")),
            ("null", Some("null_as")),
            ("host", None),
            ("", None),
            ("名前", None),
        ] {
            assert_eq!(closest(wanted, known), meant, "{wanted}");
        }
    }
}
