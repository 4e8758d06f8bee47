//! Decides which archives are unsettled, in which order, and which will never be loaded. It merges three
//! listings as their pages arrive.

// The newest bad archives, for a status.
mod newest_bad;
// From the merged listings to a plan, which forgets settled archives.
mod planner;
// Three listings in key order, merged.
mod merge;
// The decisions.
mod plan;
// An object, and what its markers may say about it.
mod object;

pub use self::merge::{Disorder, Listed, Listing, Merge, Step};
pub use self::newest_bad::NewestBad;
pub use self::object::{AmbiguousMarker, LARGEST_COPY_BYTES, MarkerRevisions, Object, settles};
pub use self::plan::{Archive, ArchiveState, Forgotten, Plan, ReloadRefused, Selection};
pub use self::planner::{Kept, Planner};

// The plan from whole listings, which tests compare with the merged one.
#[cfg(test)]
mod whole;

#[cfg(test)]
mod tests;
