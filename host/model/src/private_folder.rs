//! Folders that hold what others on the machine must not read.

use std::{fs::DirBuilder, io, path::Path};

/// Makes a folder, and those around it, that its owner alone may look into; one that is there is left as it
/// is. Where the system has no modes of files, it has those that the system gives.
///
/// # Errors
/// Those of the system.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
