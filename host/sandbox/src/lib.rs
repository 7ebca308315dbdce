//! Where components run: compiled once, with bounded memory and time, and without a capability of their own.
//!
//! A [`Sandbox`] is an engine whose calls can be interrupted. [`Sandbox::store`] makes what the instances of one
//! component live in, with [`MemoryLimits`] on all that they take together.

mod builtin;
mod cache;
mod limits;

use std::time::Duration;

use wasmtime::{Config, Engine, Store, component::Component};

pub use builtin::BUILTIN;
#[cfg(feature = "opus-decoder")]
pub use builtin::OPUS_DECODER;
pub use cache::CompilationCache;
pub use limits::{LONGEST_CALL, Limited, MemoryLimits, begin_call};

/// The spacing of the ticks at which a call may be interrupted.
const TICK: Duration = Duration::from_millis(20);

/// An engine, and the clock that interrupts what runs in it.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Makes an engine; its clock runs until the last component of it is gone.
    ///
    /// # Errors
    /// The system's, if it has no thread left for the clock.
    pub fn new() -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.concurrency_support(false);
        let engine = Engine::new(&config)?;
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("sandbox-clock".into())
            .spawn(move || {
                while let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })?;
        Ok(Sandbox { engine })
    }

    /// The engine, to link components.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Compiles a component, unless `cache` has it compiled.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn compile(
        &self,
        wasm: &[u8],
        cache: Option<&CompilationCache>,
    ) -> wasmtime::Result<Component> {
        match cache {
            Some(cache) => cache.compile(&self.engine, wasm),
            None => Component::new(&self.engine, wasm),
        }
    }

    /// A place for instances, in which a call copies at most `result` bytes out.
    pub fn store<T: Limited + 'static>(&self, data: T, result: usize) -> Store<T> {
        let mut store = Store::new(&self.engine, data);
        store.limiter(|data| data.limits());
        store.set_hostcall_fuel(result);
        store
    }
}
