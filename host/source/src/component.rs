//! A source component in its sandbox: no imports, a fresh instance for each call, bounded memory and time.
//!
//! The component is untrusted. It is refused if it imports anything, so all it
//! can do is answer; a trap or an overrun fails that one call.

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use recording_host_model::{
    Descriptor, Error, ErrorKind, Purpose, SourceError, SplitInput, SplitState, Started, Step, hex,
};
use recording_host_sandbox::{CompilationCache, MemoryLimits, Sandbox, begin_call};
use sha2::{Digest, Sha256};
use wasmtime::{
    Engine, Store,
    component::{Component, Linker},
};

use crate::{
    bindings::{self, recording::source::types as wit},
    failure,
};

/// The longest component that is compiled, in bytes.
const LONGEST: usize = 64 << 20;
/// The most that the host copies out of one call, in bytes.
pub(crate) const RESULT: usize = 32 << 20;
/// The largest state that a split may have, in bytes.
const STATE: usize = 256 << 10;
/// Memory that one call may use, in bytes.
const MEMORY: usize = 64 << 20;

/// The interface that a component must export.
const INTERFACE: &str = "recording:source/source@0.2.0";
/// The text before the version in its name.
const NAME: &str = "recording:source/source@";

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The file cannot be read.
    #[error("cannot read the component {path}: {source}")]
    Read {
        /// Where it was looked for.
        path: String,
        /// The error from the system.
        source: std::io::Error,
    },
    /// It is not the component that the configuration pins.
    #[error("the component's sha256 is {actual}, but the configuration pins {pinned}")]
    Pinned {
        /// The digest of the file.
        actual: String,
        /// The digest in the configuration.
        pinned: String,
    },
    /// It is no component of this interface.
    #[error(
        "not a recording source: {0}. Build it with the SDK, or for the unchanged WIT of {INTERFACE}"
    )]
    Invalid(String),
    /// It is something else than WebAssembly.
    #[error("this is not WebAssembly; name the file that the build of the component has written")]
    NotWasm,
    /// It is a core module, which has no interface types.
    #[error(
        "this is a core WebAssembly module, not a component; make one of it with `recording-host componentize FILE -o COMPONENT`, or with your language's own tool (docs/write-a-source.md)"
    )]
    CoreModule,
    /// It is longer than any source.
    #[error("the component has {0} bytes; at most {LONGEST} are compiled")]
    TooLong(usize),
    /// It implements another version of the interface.
    #[error(
        "the component implements {found}, and this program runs {INTERFACE}; build the component with the SDK or the WIT of that version"
    )]
    Version {
        /// The interface that it exports.
        found: String,
    },
    /// It exports no recording source.
    #[error(
        "the component does not export `{INTERFACE}`; it exports {0}. Build it for the world `recording-source` of that package"
    )]
    NoSource(String),
    /// It imports something.
    #[error(
        "the component imports {0}; a recording source must import nothing. Build it with stubs in place of WASI: `--stub-wasi` for JavaScript and Python, the target wasm32-unknown-unknown for Rust (docs/write-a-source.md)"
    )]
    Imports(String),
    /// A call trapped, or took more than it may.
    #[error("the component failed in `{call}`: {reason}")]
    Trap {
        /// The function called.
        call: &'static str,
        /// A description of the failure.
        reason: String,
    },
    /// A split's state is too large.
    #[error(
        "the component returned a state of {0} bytes; at most {STATE} are kept. A state is ids and progress: spread the work over more splits"
    )]
    State(usize),
}

impl From<SandboxError> for Error {
    fn from(error: SandboxError) -> Self {
        Error::new(ErrorKind::Component, error)
    }
}

/// A compiled component, shared by all calls.
#[derive(Clone)]
pub struct SourceComponent {
    sandbox: Sandbox,
    pre: bindings::RecordingSourcePre<MemoryLimits>,
    digest: Arc<str>,
    imports: Arc<[String]>,
}

impl std::fmt::Debug for SourceComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceComponent")
            .field("sha256", &self.digest)
            .finish_non_exhaustive()
    }
}

impl SourceComponent {
    /// Reads the component in a file, which must have the digest `pinned` if one is given, and compiles it
    /// unless `cache` has it compiled.
    ///
    /// # Errors
    /// [`SandboxError`] says what is wrong with it.
    pub fn open(
        path: &Path,
        pinned: Option<&str>,
        cache: Option<&CompilationCache>,
    ) -> Result<Self, SandboxError> {
        let wasm = std::fs::read(path).map_err(|source| SandboxError::Read {
            path: path.display().to_string(),
            source,
        })?;
        let actual = hex(&Sha256::digest(&wasm));
        match pinned {
            Some(pinned) if !pinned.eq_ignore_ascii_case(&actual) => Err(SandboxError::Pinned {
                actual,
                pinned: pinned.to_owned(),
            }),
            _ => Self::load(&wasm, cache),
        }
    }

    /// Compiles a component, unless `cache` has it compiled.
    ///
    /// # Errors
    /// [`SandboxError`] says what is wrong with it.
    pub fn load(wasm: &[u8], cache: Option<&CompilationCache>) -> Result<Self, SandboxError> {
        let invalid = |error: wasmtime::Error| SandboxError::Invalid(format!("{error:#}"));
        if wasm.len() > LONGEST {
            return Err(SandboxError::TooLong(wasm.len()));
        }
        if !wasm.starts_with(b"\0asm") {
            return Err(SandboxError::NotWasm);
        }
        if is_core_module(wasm) {
            return Err(SandboxError::CoreModule);
        }
        let sandbox = Sandbox::new().map_err(invalid)?;
        let engine = sandbox.engine();
        let wasm_component = sandbox.compile(wasm, cache).map_err(invalid)?;
        let exported = exports_a_source(engine, &wasm_component);
        if let Err(error @ SandboxError::Version { .. }) = exported {
            return Err(error);
        }
        let imports: Vec<String> = wasm_component
            .component_type()
            .imports(engine)
            // Types that the exports mention are no capability.
            .filter(|(_, item)| !is_types_only(engine, &item.ty))
            .map(|(name, _)| name.to_owned())
            .collect();
        if !imports.is_empty() {
            return Err(SandboxError::Imports(imports.join(", ")));
        }
        exported?;
        let linker = Linker::new(engine);
        let pre = linker
            .instantiate_pre(&wasm_component)
            .and_then(bindings::RecordingSourcePre::new)
            .map_err(invalid)?;
        Ok(SourceComponent {
            sandbox,
            pre,
            digest: hex(&Sha256::digest(wasm)).into(),
            imports: imports.into(),
        })
    }

    /// The component's SHA-256 in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its imports: none, or it would not have been loaded.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Asks what the source is and needs.
    ///
    /// # Errors
    /// [`SandboxError::Trap`] if the component fails.
    #[doc(hidden)]
    pub fn describe(&self) -> Result<Descriptor, SandboxError> {
        let described = self.call("describe", |source, store| {
            source.recording_source_source().call_describe(store)
        })?;
        Ok(described.into())
    }

    /// Asks where a run begins.
    ///
    /// # Errors
    /// [`SandboxError`] if the component fails or breaks a bound; the inner error is the source's own.
    #[doc(hidden)]
    pub fn start(
        &self,
        options: &str,
        purpose: &Purpose,
        now: u64,
    ) -> Result<Result<Started, SourceError>, SandboxError> {
        let purpose = wit::Purpose::from(purpose);
        let started = self.call("start", |source, store| {
            source
                .recording_source_source()
                .call_start(store, options, &purpose, now)
        })?;
        if let Ok(started) = &started {
            bounded(started.splits.iter().map(|split| &split.state))?;
        }
        Ok(started.map(Into::into).map_err(Into::into))
    }

    /// Takes a split one step further.
    ///
    /// # Errors
    /// [`SandboxError`] if the component fails or breaks a bound; the inner error is the source's own.
    #[doc(hidden)]
    pub fn step(
        &self,
        options: &str,
        state: SplitState,
        input: SplitInput,
        now: u64,
    ) -> Result<Result<Step, SourceError>, SandboxError> {
        let step = self.step_as_returned(options, state, input, now)?;
        Ok(step.map(Into::into).map_err(Into::into))
    }

    /// The same in the types of the interface, as the component returned it.
    pub(crate) fn step_as_returned(
        &self,
        options: &str,
        state: SplitState,
        input: SplitInput,
        now: u64,
    ) -> Result<Result<wit::Step, wit::SourceError>, SandboxError> {
        let (state, event) = (wit::State::from(state), wit::Event::from(input));
        let step = self.call("step", |source, store| {
            source
                .recording_source_source()
                .call_step(store, options, &state, &event, now)
        })?;
        if let Ok(step) = &step {
            let next = match &step.next {
                wit::Next::Send(send) => &send.state,
                wit::Next::Wait(wait) => &wait.state,
                wit::Next::Done(state) => state,
            };
            let states = step.splits.iter().map(|split| &split.state);
            bounded(states.chain([next]))?;
        }
        Ok(step)
    }

    fn call<T>(
        &self,
        call: &'static str,
        run: impl FnOnce(
            &bindings::RecordingSource,
            &mut Store<MemoryLimits>,
        ) -> Result<T, wasmtime::Error>,
    ) -> Result<T, SandboxError> {
        let mut store = self.sandbox.store(MemoryLimits::new(MEMORY), RESULT);
        begin_call(&mut store);
        self.pre
            .instantiate(&mut store)
            .and_then(|source| run(&source, &mut store))
            .map_err(|error| SandboxError::Trap {
                call,
                reason: failure::reason(call, &error),
            })
    }
}

/// Refuses states that are too large to be kept.
fn bounded<'a>(mut states: impl Iterator<Item = &'a wit::State>) -> Result<(), SandboxError> {
    match states.find(|state| state.data.len() > STATE) {
        Some(large) => Err(SandboxError::State(large.data.len())),
        None => Ok(()),
    }
}

/// Returns true if it is a core module: the preamble's layer distinguishes it from a component.
fn is_core_module(wasm: &[u8]) -> bool {
    wasm.starts_with(b"\0asm\x01\0\0\0")
}

/// Refuses a component that exports no source, or one of another version of the interface.
fn exports_a_source(engine: &Engine, component: &Component) -> Result<(), SandboxError> {
    let exported = component.component_type();
    let names: Vec<&str> = exported.exports(engine).map(|(name, _)| name).collect();
    if names.contains(&INTERFACE) {
        return Ok(());
    }
    let other = names.iter().find(|name| name.starts_with(NAME));
    Err(match (other, names.is_empty()) {
        (Some(found), _) => SandboxError::Version {
            found: (*found).to_owned(),
        },
        (None, true) => SandboxError::NoSource("nothing".to_owned()),
        (None, false) => SandboxError::NoSource(format!("`{}`", names.join("`, `"))),
    })
}

/// Returns true if an imported instance holds nothing but types.
fn is_types_only(engine: &Engine, item: &wasmtime::component::types::ComponentItem) -> bool {
    use wasmtime::component::types::ComponentItem;
    match item {
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))),
        ComponentItem::Type(_) => true,
        _ => false,
    }
}
