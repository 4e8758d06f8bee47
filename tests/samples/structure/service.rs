//! Behind a feature.
