//! Runs a source component: no imports, a fresh instance for each call, bounded memory and time.
//!
//! A [`SourceComponent`] is untrusted. Its data are turned into the types of the model at this edge,
//! so that nothing else knows which version of the interface it speaks. A [`Trace`] of the steps repeats
//! a run without network or sinks.

mod component;
mod convert;
mod failure;
mod text;
mod trace;

pub use component::{SandboxError, SourceComponent};
pub use recording_host_sandbox::{BUILTIN, CompilationCache};
pub use trace::{Replay, Trace, replay};

/// The interface as Rust types.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "recording-source",
        additional_derives: [PartialEq, Eq],
    });
}
