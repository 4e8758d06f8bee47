//! Decides which archives are unsettled, in which order, and which will never be loaded, from three
//! listings, which are merged as they come.

// The newest bad archives, for whoever shows them.
mod newest_bad;
// From the merged listings to a plan, which forgets what is settled.
mod planner;
// Three listings in key order, merged.
mod merge;
// What is decided.
mod plan;
// An object, and what its markers may say of it.
mod object;

pub use self::merge::{Disorder, Listed, Listing, Merge, Step};
pub use self::newest_bad::NewestBad;
pub use self::object::{AmbiguousMarker, LARGEST_COPY_BYTES, MarkerRevisions, Object, settles};
pub use self::plan::{Archive, ArchiveState, Forgotten, Plan, ReloadRefused, Selection};
pub use self::planner::{Kept, Planner};

// The same from whole listings.
#[cfg(test)]
mod whole;

#[cfg(test)]
mod tests;
