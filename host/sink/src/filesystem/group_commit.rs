//! Makes files outlive a power cut, many at once.
//!
//! Whoever has written a file hands it over and waits. One thread takes all that wait: the system brings
//! their bytes to the disk in one call, they get their names, and a second call brings these to the disk.
//! Only then are the waiting told. Where there is no such call, or few files wait, each is synced on its own,
//! and each folder once.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    thread,
};

use tokio::sync::oneshot;

use super::{
    part::{Part, folder_of, sync_folder},
    set_mode,
};

/// From so many files, or folders, on they are synced in one call. It brings all to the disk that is written
/// to its file system, by whomever: not for a few.
const TOGETHER: usize = 4;
/// Files that are made durable at once, at most.
const MOST: usize = 1024;

/// Makes files durable in groups; clones share the groups.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupCommit {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    folders: Arc<NewFolders>,
    /// The thread's work; it ends when nobody can have work for it any more.
    waiting: OnceLock<mpsc::Sender<Waiting>>,
}

/// A file that is written and has no name yet, and who waits for it.
struct Waiting {
    part: Part,
    tell: oneshot::Sender<io::Result<()>>,
}

impl GroupCommit {
    /// The folders that are made for files on their way here.
    pub(super) fn folders(&self) -> &NewFolders {
        &self.shared.folders
    }

    /// Gives a file its name, and returns when both are on the disk.
    pub(super) async fn commit(&self, part: Part) -> io::Result<()> {
        let (tell, reported) = oneshot::channel();
        let waiting = self.shared.waiting.get_or_init(|| {
            let (sender, receiver) = mpsc::channel();
            let folders = Arc::clone(&self.shared.folders);
            thread::spawn(move || serve(&receiver, &folders));
            sender
        });
        let gone = |_| io::Error::other("the thread that syncs files has ended");
        waiting.send(Waiting { part, tell }).map_err(|_| gone(()))?;
        reported.await.map_err(|_| gone(()))?
    }
}

fn serve(receiver: &mpsc::Receiver<Waiting>, folders: &NewFolders) {
    while let Ok(first) = receiver.recv() {
        let rest = receiver.try_iter().take(MOST - 1);
        let (mut parts, tell): (Vec<Part>, Vec<_>) = std::iter::once(first)
            .chain(rest)
            .map(|waiting| (waiting.part, waiting.tell))
            .unzip();
        // Whoever has handed a file over has made its folder before.
        let above = folders.take();
        let results = commit(&System, &mut parts, &above);
        if results.iter().any(Result::is_err) {
            folders.put_back(above);
        }
        // What has got no name is removed before anybody hears of it, and may try again.
        drop(parts);
        for (tell, result) in tell.into_iter().zip(results) {
            // Nobody listens any more if the put was given up.
            let _ = tell.send(result);
        }
    }
}

/// Folders in which new ones were made that may not outlive a power cut yet.
#[derive(Debug, Default)]
pub(super) struct NewFolders(Mutex<BTreeSet<PathBuf>>);

impl NewFolders {
    /// Makes a folder and those above it.
    pub(super) fn make(&self, folder: &Path, mode: Option<u32>) -> io::Result<()> {
        // Held all the while: who finds a folder must know whether it is on the disk.
        let mut made_in = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        make(folder, mode, &mut made_in)
    }

    /// Has the folders synced that were made so far.
    pub(super) fn sync(&self) -> io::Result<()> {
        let above = self.take();
        let synced = above.iter().try_for_each(|folder| sync_folder(folder));
        if synced.is_err() {
            self.put_back(above);
        }
        synced
    }

    fn take(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put_back(&self, folders: BTreeSet<PathBuf>) {
        let mut made_in = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made_in.extend(folders);
    }
}

fn make(folder: &Path, mode: Option<u32>, made_in: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new("/"));
    make(above, mode, made_in)?;
    match fs::create_dir(folder) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => {
            made?;
            set_mode(folder, mode)?;
        }
    }
    made_in.insert(above.to_owned());
    Ok(())
}

/// The calls by which files are made durable.
trait Disk {
    type File;
    /// The folder in which a file gets its name.
    fn folder(file: &Self::File) -> &Path;
    /// The file system that a file lies on, if all on it can be synced in one call.
    fn device(&self, file: &Self::File) -> Option<u64>;
    fn sync_device(&self, file: &Self::File) -> io::Result<()>;
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    fn name(&self, file: &mut Self::File) -> io::Result<()>;
}

/// Makes files durable, and the folders in which new ones were made, `above`; returns how that went for each.
fn commit<D: Disk>(
    disk: &D,
    files: &mut [D::File],
    above: &BTreeSet<PathBuf>,
) -> Vec<io::Result<()>> {
    let device = files.first().and_then(|file| disk.device(file));
    let one = device.is_some() && files.iter().all(|file| disk.device(file) == device);
    let together = one && files.len() >= TOGETHER;
    let mut results: Vec<io::Result<()>> = match together && disk.sync_device(&files[0]).is_ok() {
        true => files.iter().map(|_| Ok(())).collect(),
        // Each learns what it is about it.
        false => files.iter().map(|file| disk.sync_file(file)).collect(),
    };
    for (file, result) in files.iter_mut().zip(&mut results) {
        if result.is_ok() {
            *result = disk.name(file);
        }
    }
    let folders: BTreeSet<&Path> = files.iter().map(D::folder).collect();
    if one && folders.len() + above.len() >= TOGETHER && disk.sync_device(&files[0]).is_ok() {
        return results;
    }
    let above = above.iter().try_for_each(|folder| disk.sync_folder(folder));
    for folder in folders {
        let synced = match &above {
            Ok(()) => disk.sync_folder(folder),
            Err(error) => Err(copy(error)),
        };
        if let Err(error) = synced {
            let within = files.iter().zip(&mut results);
            for (_, result) in within.filter(|(file, _)| D::folder(file) == folder) {
                if result.is_ok() {
                    *result = Err(copy(&error));
                }
            }
        }
    }
    results
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// The disk of this machine.
struct System;

impl Disk for System {
    type File = Part;

    fn folder(file: &Part) -> &Path {
        folder_of(file.target())
    }

    #[cfg(target_os = "linux")]
    fn device(&self, file: &Part) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        // Before 5.8 the call says nothing of bytes that could not be written.
        static TELLS: OnceLock<bool> = OnceLock::new();
        let tells = TELLS.get_or_init(|| {
            let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            let mut numbers = release.split('.').map_while(|number| number.parse().ok());
            let version: (u32, u32) = (
                numbers.next().unwrap_or_default(),
                numbers.next().unwrap_or_default(),
            );
            version >= (5, 8)
        });
        tells.then(|| file.file.metadata().ok().map(|of| of.dev()))?
    }

    #[cfg(target_os = "linux")]
    fn sync_device(&self, file: &Part) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&file.file)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn device(&self, _: &Part) -> Option<u64> {
        None
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_device(&self, _: &Part) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_file(&self, file: &Part) -> io::Result<()> {
        file.file.sync_data()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        sync_folder(folder)
    }

    fn name(&self, file: &mut Part) -> io::Result<()> {
        file.name()
    }
}

#[cfg(test)]
mod tests;
