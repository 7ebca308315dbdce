//! No code: this crate is its features.
