//! Compiled components on disk, so that a component is compiled once and not at each start.
//!
//! The content of a file is run as machine code. So it is believed only if nobody but this user can have written
//! it: folder and file belong to the user and nobody else may write them, and a digest over the file's place
//! and content is right. Anything else counts as absent, and the component is compiled.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use recording_host_model::{create_private_folder, hex};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// How many compiled components are kept; the ones that were written first go.
const KEPT: usize = 16;
/// The largest file that is read, in bytes.
#[cfg(unix)]
const LARGEST: u64 = 256 << 20;
/// The length of the digest before the code, in bytes.
const DIGEST: usize = 32;

/// A folder of compiled components, which belongs to one user.
#[derive(Clone, Debug)]
pub struct CompilationCache {
    folder: PathBuf,
}

impl CompilationCache {
    /// The user's own: `$XDG_CACHE_HOME/recording-host`, or `~/.cache/recording-host`. None where neither
    /// is set to an absolute path.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        let absolute = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Some(Self::in_folder(
            caches?.join("recording-host").join("components"),
        ))
    }

    /// One in `folder`, which is made when something is first put into it.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        CompilationCache { folder }
    }

    /// The component that `wasm` is, compiled now or before.
    pub(crate) fn compile(&self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Component> {
        let key = key(engine, wasm);
        if let Some(component) = self.read(engine, &key) {
            return Ok(component);
        }
        let component = Component::new(engine, wasm)?;
        // Without a cache the next start takes longer, and nothing else.
        let _ = component.serialize().map(|code| self.write(&key, &code));
        Ok(component)
    }

    fn read(&self, engine: &Engine, key: &str) -> Option<Component> {
        let code = read_own(&self.folder, &self.folder.join(key))?;
        let (digest, code) = code.split_at_checked(DIGEST)?;
        if digest != digest_of(key, code) {
            return None;
        }
        deserialize(engine, code)
    }

    fn write(&self, key: &str, code: &[u8]) -> io::Result<()> {
        create_private_folder(&self.folder)?;
        let partial = self
            .folder
            .join(format!("{key}.{}.part", std::process::id()));
        let written = create_private(&partial).and_then(|mut file| {
            io::Write::write_all(&mut file, &digest_of(key, code))?;
            io::Write::write_all(&mut file, code)?;
            fs::rename(&partial, self.folder.join(key))
        });
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        self.trim();
        written
    }

    /// Removes the oldest files beyond those that are kept.
    fn trim(&self) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = files
            .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())))
            .collect();
        files.sort();
        let surplus = files.len().saturating_sub(KEPT);
        for (_, path) in &files[..surplus] {
            let _ = fs::remove_file(path);
        }
    }
}

/// The name of the file for a component: another engine, target or setting is another name.
fn key(engine: &Engine, wasm: &[u8]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    format!("{}-{:016x}", hex(&Sha256::digest(wasm)), settings.finish())
}

/// The digest of a file: it is bound to its name, so that one file does not pass for another.
fn digest_of(key: &str, code: &[u8]) -> [u8; DIGEST] {
    let mut digest = Sha256::new();
    digest.update(key);
    digest.update(code);
    digest.finalize().into()
}

/// Turns code that was compiled before into a component; none if it is for another engine or settings.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: the code comes from `Component::serialize`. `read_own` has shown that this user alone can
    // have written the file, and the digest that it is whole and the one that was asked for. wasmtime
    // itself refuses code of another version, target or setting.
    unsafe { Component::deserialize(engine, code) }.ok()
}

#[cfg(unix)]
fn read_own(folder: &Path, path: &Path) -> Option<Vec<u8>> {
    use std::{io::Read, os::unix::fs::MetadataExt};

    // The kernel says who this is; an environment variable would not do.
    let user = rustix::process::geteuid().as_raw();
    let own = |metadata: &fs::Metadata| metadata.uid() == user && metadata.mode() & 0o022 == 0;
    let holds = fs::symlink_metadata(folder).ok()?;
    if !holds.is_dir() || !own(&holds) || !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let file = fs::File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || !own(&metadata) || metadata.len() > LARGEST {
        return None;
    }
    let mut code = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
    file.take(LARGEST).read_to_end(&mut code).ok()?;
    Some(code)
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

// Elsewhere it is not known who can have written a file: there is no cache.
#[cfg(not(unix))]
fn read_own(_: &Path, _: &Path) -> Option<Vec<u8>> {
    None
}

#[cfg(not(unix))]
fn create_private(_: &Path) -> io::Result<fs::File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::BUILTIN;

    struct Cached {
        folder: tempfile::TempDir,
        engine: Engine,
        key: String,
    }

    impl Cached {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let engine = Engine::default();
            let key = key(&engine, WASM);
            let cached = Cached {
                folder,
                engine,
                key,
            };
            cached.cache().compile(&cached.engine, WASM).unwrap();
            cached
        }

        fn cache(&self) -> CompilationCache {
            CompilationCache::in_folder(self.folder.path().join("components"))
        }

        fn file(&self) -> PathBuf {
            self.cache().folder.join(&self.key)
        }

        fn is_believed(&self) -> bool {
            self.cache().read(&self.engine, &self.key).is_some()
        }
    }

    const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_component_is_compiled_once_for_an_engine() {
        let cached = Cached::new();
        assert!(cached.is_believed());
        assert_eq!(
            fs::metadata(cached.file()).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let mut other = wasmtime::Config::new();
        other.epoch_interruption(true);
        let other = Engine::new(&other).unwrap();
        assert_ne!(key(&other, WASM), cached.key);
        assert_ne!(key(&cached.engine, BUILTIN[0].1), cached.key);
        // Even under the right name, code for another engine is refused.
        let code = fs::read(cached.file()).unwrap();
        assert!(deserialize(&other, &code[DIGEST..]).is_none());
    }

    #[test]
    fn what_is_damaged_or_can_have_been_written_by_others_is_not_run() {
        let cached = Cached::new();
        let whole = fs::read(cached.file()).unwrap();
        for (what, change) in [
            ("cut", whole[..whole.len() - 1].to_vec()),
            ("shorter than its digest", whole[..DIGEST - 1].to_vec()),
            ("one bit", {
                let mut changed = whole.clone();
                changed[whole.len() / 2] ^= 1;
                changed
            }),
        ] {
            fs::write(cached.file(), change).unwrap();
            assert!(!cached.is_believed(), "{what}");
        }
        // The next use mends it.
        fs::remove_file(cached.file()).unwrap();
        cached.cache().compile(&cached.engine, WASM).unwrap();
        assert!(cached.is_believed());
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&cached.file(), 0o620);
        assert!(!cached.is_believed(), "a group may write the file");
        mode(&cached.file(), 0o600);
        mode(&cached.cache().folder, 0o702);
        assert!(!cached.is_believed(), "everybody may write the folder");
        mode(&cached.cache().folder, 0o700);
        assert!(cached.is_believed());
        let moved = cached.folder.path().join("elsewhere");
        fs::rename(cached.file(), &moved).unwrap();
        symlink(&moved, cached.file()).unwrap();
        assert!(!cached.is_believed(), "a link to the file");
        // One component's code under the name of another.
        fs::remove_file(cached.file()).unwrap();
        let other = key(&cached.engine, BUILTIN[0].1);
        fs::rename(&moved, cached.cache().folder.join(&other)).unwrap();
        assert!(cached.cache().read(&cached.engine, &other).is_none());
    }

    #[test]
    fn the_newest_are_kept() {
        let cached = Cached::new();
        for number in 0..2 * KEPT {
            cached
                .cache()
                .write(&format!("k{number}"), b"code")
                .unwrap();
        }
        assert_eq!(fs::read_dir(cached.cache().folder).unwrap().count(), KEPT);
    }
}
