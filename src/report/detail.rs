//! Decides how much of long lists and messages is written, so that they fit the limits of their destination.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// The maximum size of an answer, and of a log event, in bytes. Lambda accepts an answer of 6 MB for a
/// synchronous invocation, and 1 MB for an asynchronous one (AWS Lambda Developer Guide, Lambda quotas); a
/// log event in CloudWatch has at most 1 MB (Amazon CloudWatch Logs User Guide, quotas), 256 KB before 2025.
/// A person reads less.
pub const MAX_BYTES: usize = 200_000;

/// The level of detail of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    /// The maximum number of elements at each end of a list; those in between are counted.
    pub ends: usize,
    /// The maximum number of bytes of a message.
    pub message_bytes: usize,
}

/// The levels, from the one that nearly always fits to the one that always fits.
const DETAILS: [Detail; 6] = [
    Detail { ends: 20, message_bytes: 16_000 },
    Detail { ends: 10, message_bytes: 8_000 },
    Detail { ends: 5, message_bytes: 4_000 },
    Detail { ends: 2, message_bytes: 2_000 },
    Detail { ends: 1, message_bytes: 1_000 },
    Detail { ends: 0, message_bytes: 200 },
];

impl Detail {
    /// The level that leaves nothing out.
    pub const FULL: Self = Self { ends: usize::MAX, message_bytes: usize::MAX };

    /// Returns the highest level at which the text made by `form` is shorter than [`MAX_BYTES`]; the lowest
    /// if there is none.
    pub fn that_fits(form: impl Fn(Self) -> String) -> Self {
        let [.., least] = DETAILS;
        DETAILS.into_iter().find(|detail| form(*detail).len() < MAX_BYTES).unwrap_or(least)
    }
}

/// Both ends of a list.
#[derive(Clone, Copy)]
pub struct Ends<'a, T> {
    first: &'a [T],
    last: &'a [T],
    /// The number of elements left out between them.
    pub omitted: usize,
}

impl<'a, T> Ends<'a, T> {
    /// Returns the first and the last `most` elements of a list.
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

/// Returns how many elements each list leaves out, by its name; complete lists are not named.
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
