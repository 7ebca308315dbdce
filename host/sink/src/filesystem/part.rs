//! Files that are being written, beside their place.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{FilesystemOptions, group_commit::NewFolders, set_mode};

/// A file beside its place. Its name follows from the key, so that what a killed process left is
/// overwritten by the next attempt.
pub(super) struct Part {
    pub(super) file: File,
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

/// Returns true if a name is that of a file that is being written.
pub(super) fn is_part(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(b".part")
}

impl Part {
    pub(super) fn open(
        target: &Path,
        options: &FilesystemOptions,
        folders: &NewFolders,
    ) -> io::Result<Self> {
        let folder = folder_of(target);
        folders.make(folder, options.directory_mode)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".part");
        let path = folder.join(name);
        let file = locked(&path)?;
        file.set_len(0)?;
        set_mode(&path, options.mode)?;
        Ok(Part {
            file,
            path,
            target: target.to_owned(),
            finished: false,
        })
    }

    /// The place that the file is for.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Moves the file to its place, which it then keeps.
    pub(super) fn name(&mut self) -> io::Result<()> {
        fs::rename(&self.path, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // A file that cannot be removed is overwritten by the next attempt, or tidied up.
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn folder_of(target: &Path) -> &Path {
    target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Opens a file for one writer alone: two that put the same object must not mix.
fn locked(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    refuse_special(path)?;
    // Whoever had it locked may have renamed or removed it meanwhile: then it is another file.
    for _ in 0..16 {
        let file = options.open(path)?;
        file.try_lock()?;
        if is_at(&file, path)? {
            return Ok(file);
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Returns true if this open file is the one at the path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let there = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let own = file.metadata()?;
        Ok((own.dev(), own.ino()) == (there.dev(), there.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.try_exists()
    }
}

/// Opens the file of an object for reading. A link could lead anywhere, and a pipe would never end.
pub(super) fn object(root: &Path, path: &Path) -> io::Result<File> {
    stays_within(root, folder_of(path))?;
    refuse_special(path)?;
    File::open(path)
}

/// Refuses what is there and no file.
fn refuse_special(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        there if there.as_ref().is_ok_and(fs::Metadata::is_file) => Ok(()),
        there => {
            there?;
            let reason = "there is a link, a folder or a pipe in place of a file; remove it";
            Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
        }
    }
}

/// Refuses a folder to which a link leads out of the root. The root itself may be a link.
pub(super) fn stays_within(root: &Path, folder: &Path) -> io::Result<()> {
    let root = match root.canonicalize() {
        // Nothing below it can be a link.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        root => root?,
    };
    // The deepest of those that are there: below it nothing is.
    for folder in folder.ancestors() {
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        match folder.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(folder) => {}
            there if there.as_ref().is_ok_and(|there| there.starts_with(&root)) => return Ok(()),
            there => {
                there?;
                let reason = "a link leads out of the sink's `path`; put a folder in its place";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
        }
    }
    Ok(())
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|there| there.is_symlink())
}

/// Sees to it that the names in a folder outlive a crash. Only Unix has a call for that; elsewhere the file
/// system's own journal keeps them in order.
#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Sees to it that the names in a folder outlive a crash.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

/// The beginning of the names of files with which a folder is tried.
const PROBE: &str = ".probe-";

/// Proves that files can be made, locked, written and removed; removes those that killed runs have left of
/// such a trial.
pub(super) fn probe(root: &Path, mode: Option<u32>) -> io::Result<()> {
    let folders = NewFolders::default();
    folders.make(root, mode)?;
    folders.sync()?;
    let mut probe = tempfile::Builder::new()
        .prefix(PROBE)
        .suffix(".part")
        .tempfile_in(root)?;
    probe.as_file().try_lock()?;
    probe.write_all(b"recording-host checks that it can write here\n")?;
    probe.as_file().sync_data()?;
    match probe.close() {
        // Another run took it for one that was left, before it was locked.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        closed => closed?,
    }
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_probe = name.to_str().is_some_and(|name| name.starts_with(PROBE));
        if is_probe && is_part(&name) && entry.file_type()?.is_file() {
            remove_unlocked(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes files that nobody is writing any more, and returns how many there were.
pub(super) fn remove_left(folder: &Path) -> io::Result<u64> {
    let mut removed = 0;
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            removed += remove_left(&path)?;
        } else if kind.is_file() && is_part(&entry.file_name()) {
            removed += u64::from(remove_unlocked(&path)?);
        }
    }
    Ok(removed)
}

/// Removes a file that nobody is writing; says whether it did.
fn remove_unlocked(path: &Path) -> io::Result<bool> {
    let file = match File::options().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => return Ok(false),
        lock => lock?,
    }
    // A writer that was faster has renamed it.
    if !is_at(&file, path)? {
        return Ok(false);
    }
    fs::remove_file(path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(target: &Path) -> io::Result<Part> {
        Part::open(
            target,
            &FilesystemOptions::default(),
            &NewFolders::default(),
        )
    }

    #[test]
    fn a_trial_of_the_folder_removes_what_a_killed_one_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            ".probe-left.part",
            ".probe-tried.part",
            ".call.ogg.part",
            ".probe-of-mine",
        ] {
            fs::write(at(name), "x").unwrap();
        }
        let tried = File::open(at(".probe-tried.part")).unwrap();
        tried.try_lock().unwrap();
        probe(folder.path(), None).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [".call.ogg.part", ".probe-of-mine", ".probe-tried.part"]
        );
    }

    #[test]
    fn a_file_that_is_being_written_is_left_alone_and_one_that_was_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a/b.wav");
        let mut part = open(&target).unwrap();
        fs::write(folder.path().join(".left.ogg.part"), "half").unwrap();
        assert_eq!(remove_left(folder.path()).unwrap(), 1);
        part.name().unwrap();
        assert!(target.exists());
        assert_eq!(remove_left(folder.path()).unwrap(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn neither_links_nor_pipes_lead_anywhere() {
        use std::os::unix::fs::symlink;
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = inside.path();
        fs::write(outside.path().join("secret"), "s").unwrap();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/own"), "o").unwrap();
        symlink(outside.path(), root.join("out")).unwrap();
        symlink(outside.path().join("secret"), root.join("link")).unwrap();
        symlink(outside.path().join("new"), root.join(".b.part")).unwrap();
        symlink(root.join("a"), root.join("in")).unwrap();
        let refused = |path: &str| object(root, &root.join(path)).unwrap_err().kind();
        for path in ["out/secret", "link", "a", "out/new/deeper"] {
            assert_eq!(refused(path), io::ErrorKind::InvalidInput, "{path}");
        }
        assert_eq!(refused("a/none"), io::ErrorKind::NotFound);
        object(root, &root.join("a/own")).unwrap();
        object(root, &root.join("in/own")).unwrap();
        let begun = open(&root.join("b")).map(|_| ());
        assert_eq!(begun.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(!outside.path().join("new").exists());
        let made = std::process::Command::new("mkfifo")
            .arg(root.join(".p.part"))
            .status();
        assert!(made.unwrap().success());
        // They would wait for a reader.
        assert!(open(&root.join("p")).is_err());
        assert_eq!(remove_left(root).unwrap(), 0);
        let linked = root.join("root");
        symlink(root.join("a"), &linked).unwrap();
        object(&linked, &linked.join("own")).unwrap();
    }

    #[test]
    fn two_writers_of_one_object_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("b.wav");
        let mut part = open(&target).unwrap();
        let second = open(&target).map(|_| ());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        part.name().unwrap();
        assert!(open(&target).is_ok());
    }
}
