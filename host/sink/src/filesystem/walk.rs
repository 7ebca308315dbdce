//! Lists files as a bucket lists objects: by prefix, in the order of their keys.

use std::{fs, io, path::Path};

use tokio::sync::mpsc;

use super::{ObjectMeta, part};

/// Reports the files whose keys begin with `prefix`, in the order of their keys' bytes.
pub(super) fn walk(
    root: &Path,
    prefix: &str,
    found: &mpsc::Sender<io::Result<ObjectMeta>>,
) -> io::Result<()> {
    let (folder, begin) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    // A prefix leads nowhere that a key could not lead to.
    if folder.split('/').any(|name| matches!(name, "." | "..")) {
        return Ok(());
    }
    let place = root.join(folder.trim_start_matches('/'));
    if part::stays_within(root, &place).is_err() {
        return Ok(());
    }
    below(&place, folder, begin, found).map(|_| ())
}

/// Returns whether somebody still listens.
fn below(
    folder: &Path,
    key: &str,
    begin: &str,
    found: &mpsc::Sender<io::Result<ObjectMeta>>,
) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(true);
        }
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else {
            // No key of ours: keys are UTF-8.
            continue;
        };
        let kind = entry.file_type()?;
        let is_folder = kind.is_dir();
        // A link or a pipe is no object.
        if !is_folder && !kind.is_file() {
            continue;
        }
        if !name.starts_with(begin) || (!is_folder && part::is_part(name.as_ref())) {
            continue;
        }
        // With its slash a folder stands where the keys below it stand.
        if is_folder {
            name.push('/');
        }
        names.push(name);
    }
    names.sort_unstable();
    for name in names {
        let plain = name.trim_end_matches('/');
        let path = folder.join(plain);
        let key = if key.is_empty() {
            plain.to_owned()
        } else {
            format!("{key}/{plain}")
        };
        let listening = if name.ends_with('/') {
            below(&path, &key, "", found)?
        } else {
            let size = match fs::metadata(&path) {
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?.len(),
            };
            let one = ObjectMeta {
                key,
                size,
                etag: None,
            };
            found.blocking_send(Ok(one)).is_ok()
        };
        if !listening {
            return Ok(false);
        }
    }
    Ok(true)
}
