//! Files that a configuration names: regular ones alone and small ones, so that reading them ends.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Opens a regular file, or what a link to one leads to; a pipe would be waited for, and a device never
/// ends.
pub(super) fn regular(path: &Path) -> Result<File, String> {
    match std::fs::metadata(path) {
        Err(error) => Err(words(&error)),
        Ok(about) if about.is_dir() => Err("is a folder and no file".to_owned()),
        Ok(about) if !about.is_file() => {
            Err("is no file, but a pipe, a socket or a device, which may never end".to_owned())
        }
        Ok(_) => File::open(path).map_err(|error| words(&error)),
    }
}

/// The text of a regular file of at most 1 MiB.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    // Some files tell no length: it is counted.
    let read = regular(path)?.take(LARGEST + 1).read_to_string(&mut text);
    match read {
        Ok(read) if read as u64 > LARGEST => Err("is larger than 1 MiB".to_owned()),
        Ok(_) => Ok(text),
        Err(error) => Err(words(&error)),
    }
}

/// What the system says, without the number that it has for it.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let bare = text.split_once(" (os error ").map(|(bare, _)| bare);
    bare.map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_only_if_reading_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("text"), "hush").unwrap();
        assert_eq!(text(&at("text")).as_deref(), Ok("hush"));
        std::fs::write(at("most"), vec![b'x'; 1 << 20]).unwrap();
        assert!(text(&at("most")).is_ok());
        std::fs::write(at("large"), vec![b'x'; (1 << 20) + 1]).unwrap();
        assert!(
            text(&at("large"))
                .unwrap_err()
                .contains("larger than 1 MiB")
        );
        assert!(text(folder.path()).unwrap_err().contains("is a folder"));
        assert!(text(&at("none")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_and_a_device_are_refused_at_once_and_a_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        std::os::unix::fs::symlink(at("pipe"), at("to-pipe")).unwrap();
        for path in [at("pipe"), at("to-pipe"), "/dev/zero".into()] {
            let error = text(&path).unwrap_err();
            assert!(error.contains("is no file"), "{error}");
        }
        std::fs::write(at("text"), "hush").unwrap();
        std::os::unix::fs::symlink(at("text"), at("link")).unwrap();
        assert_eq!(text(&at("link")).as_deref(), Ok("hush"));
    }
}
