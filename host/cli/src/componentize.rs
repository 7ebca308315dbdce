//! `componentize`: makes a component of the core module that a compiler writes, such as Rust's.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use recording_host_source::{CompilationCache, SourceComponent};
use wit_component::ComponentEncoder;

use super::{Done, slow};

/// The first bytes of a component.
const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

#[derive(Debug, Args)]
pub(super) struct Componentize {
    /// The core module, such as target/wasm32-unknown-unknown/release/call_list.wasm.
    module: PathBuf,
    /// The file to write the component to; one that is there is replaced.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Componentize {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let name = self.module.display();
        let module = fs::read(&self.module).with_context(|| name.to_string())?;
        if module.starts_with(PREAMBLE) {
            bail!("{name} is a component already; `inspect` shows what it is");
        }
        if !module.starts_with(b"\0asm") {
            bail!("{name} is not WebAssembly; name the file that the build has written");
        }
        let component = encode(&module).with_context(|| name.to_string())?;
        // A source that the host would refuse is refused here.
        let cache = CompilationCache::of_user();
        let loaded = slow::telling(format!("compiling {name}, which is done once"), || {
            SourceComponent::load(&component, cache.as_ref())
        })
        .with_context(|| name.to_string())?;
        fs::write(&self.output, &component).with_context(|| self.output.display().to_string())?;
        println!(
            "{} bytes written to {}, sha256 {}",
            component.len(),
            self.output.display(),
            loaded.digest()
        );
        Ok(Done::All)
    }
}

/// The component of a core module, by the type that it carries in sections of its own.
fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    const REMEDY: &str = "not a core module of a recording source: it is built for the target \
        wasm32-unknown-unknown, and carries the type that `export!` of recording-source-sdk gives it";
    let encoder = ComponentEncoder::default().validate(true).module(module);
    encoder
        .and_then(|mut encoder| encoder.encode())
        .context(REMEDY)
}
