//! How much is said of long lists and messages, so that it fits where it is sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// The most bytes of an answer, and of a log event. Lambda takes an answer of 6 MB from a function that is waited
/// for, and 1 MB of one that is not (AWS Lambda Developer Guide, Lambda quotas); a log event in CloudWatch has at
/// most 1 MB (Amazon CloudWatch Logs User Guide, quotas), 256 KB before 2025. A person reads less.
pub const MOST_BYTES: usize = 200_000;

/// How much of a report is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    /// The most elements of a list at each of its ends; those between are counted.
    pub ends: usize,
    /// The most bytes of a message.
    pub message_bytes: usize,
}

/// From what fits nearly always to what fits always.
const DETAILS: [Detail; 6] = [
    Detail { ends: 20, message_bytes: 16_000 },
    Detail { ends: 10, message_bytes: 8_000 },
    Detail { ends: 5, message_bytes: 4_000 },
    Detail { ends: 2, message_bytes: 2_000 },
    Detail { ends: 1, message_bytes: 1_000 },
    Detail { ends: 0, message_bytes: 200 },
];

impl Detail {
    /// Everything.
    pub const FULL: Self = Self { ends: usize::MAX, message_bytes: usize::MAX };

    /// The most detail with which what `form` makes is below [`MOST_BYTES`]; the least if there is none.
    pub fn that_fits(form: impl Fn(Self) -> String) -> Self {
        let [.., least] = DETAILS;
        DETAILS.into_iter().find(|detail| form(*detail).len() < MOST_BYTES).unwrap_or(least)
    }
}

/// A list of which both ends are said.
#[derive(Clone, Copy)]
pub struct Ends<'a, T> {
    first: &'a [T],
    last: &'a [T],
    /// How many elements are left out between them.
    pub omitted: usize,
}

impl<'a, T> Ends<'a, T> {
    /// The first and the last `most` elements of a list.
    pub fn of(list: &'a [T], most: usize) -> Self {
        let (first, others) = list.split_at(list.len().min(most));
        let omitted = others.len().saturating_sub(most);
        Self { first, last: others.get(omitted..).unwrap_or_default(), omitted }
    }
}

impl<T: JsonSchema> JsonSchema for Ends<'_, T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

impl<T: Serialize> Serialize for Ends<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.first.iter().chain(self.last))
    }
}

/// How many elements each list leaves out, by its name; lists that leave out none are not named.
pub fn omitted<const N: usize>(lists: [(&'static str, usize); N]) -> BTreeMap<&'static str, usize> {
    lists.into_iter().filter(|(_, omitted)| *omitted > 0).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_list_is_cut_to_its_ends_and_its_length_is_said() {
        for (length, expected, left_out) in
            [(0, vec![], 0), (3, vec![0, 1, 2], 0), (4, vec![0, 1, 2, 3], 0), (6, vec![0, 1, 4, 5], 2)]
        {
            let list: Vec<usize> = (0..length).collect();
            let ends = Ends::of(&list, 2);
            assert_eq!(serde_json::to_value(ends).unwrap(), Value::from(expected));
            assert_eq!(ends.omitted, left_out);
        }
    }
}
