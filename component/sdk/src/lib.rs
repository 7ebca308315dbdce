//! The library for writing a recording source.
//!
//! Implement [`Source`] for a type without fields and name it in [`export!`]:
//! that is a component. Built for `wasm32-unknown-unknown` it imports nothing;
//! built for any other target it is ordinary Rust, and [`TestDriver`] runs it
//! against recorded answers without wasm and without a network.
//!
//! The needs that sources have in common are met here: [`splits!`] names the kinds of splits,
//! [`options`] reads the configuration, [`json`] a vendor's answers, [`time`] cuts the ranges of a
//! search, [`url`] escapes parts of requests, and the types of the interface have constructors for
//! the usual cases.

mod builders;
pub mod json;
pub mod options;
mod split;
mod test_driver;
pub mod time;
pub mod url;

pub use bindings::exports::recording::source::source::Guest;
pub use bindings::recording::source::types::*;
pub use builders::{NOT_ENDED, excerpt};
pub use split::{SplitKind, Splits};
pub use test_driver::TestDriver;

/// The result of a request: the server's response, whatever its status, or the reason why there is none.
pub type RequestResult = Result<Response, RequestError>;

// The macro below does not tell cargo which file it reads: a change there must not go unnoticed.
const _: &str = include_str!("../wit/source.wit");

// For the code that `splits!` writes.
#[doc(hidden)]
pub use serde;

/// The bindings of the WIT package `recording:source`; use the re-exports at the root.
#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "recording-source",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "recording_source_sdk::bindings",
        additional_derives: [PartialEq, Eq],
        generate_all,
    });
}

/// A recording source: three pure functions.
///
/// Nothing may be kept between calls. A call may be repeated, with the same
/// input, by another instance, on another machine.
pub trait Source {
    /// Describes the source and its needs.
    fn describe() -> Descriptor;

    /// Checks `options`, a JSON object, and says where a run for `purpose` begins.
    ///
    /// # Errors
    /// [`SourceError::Options`] names the option that is wrong.
    fn start(options: &str, purpose: Purpose, now: Timestamp) -> Result<Started, SourceError>;

    /// Takes the split with this `state` one step further.
    ///
    /// # Errors
    /// The variant says whether a later attempt can succeed.
    fn step(options: &str, state: State, event: Event, now: Timestamp)
    -> Result<Step, SourceError>;
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Exported<S>(std::marker::PhantomData<S>);

impl<S: Source + 'static> Guest for Exported<S> {
    fn describe() -> Descriptor {
        S::describe()
    }

    fn start(options: String, purpose: Purpose, now: Timestamp) -> Result<Started, SourceError> {
        S::start(&options, purpose, now)
    }

    fn step(
        options: String,
        state: State,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        S::step(&options, state, event, now)
    }
}

/// Makes a component of a type that implements [`Source`]. On targets other than wasm it does nothing.
#[macro_export]
macro_rules! export {
    ($source:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            type Component = $crate::Exported<$source>;
    $crate::bindings::export_world!(Component with_types_in $crate::bindings);
        };
    };
}
