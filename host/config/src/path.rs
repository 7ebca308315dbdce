//! Paths that a configuration names: each is taken as it is written.

use std::path::Path;

use super::{ConfigError, key};

/// Refuses a path that is empty, that a shell would have to make another one of, or that is none; `what` is
/// what it names.
pub(super) fn check_path(at: &str, path: &Path, what: &str) -> Result<(), ConfigError> {
    let text = path.to_string_lossy();
    let wrong = |reason: String| Err(key(at, reason));
    if text.trim().is_empty() {
        return wrong(format!("is empty; give the path of {what}"));
    }
    if text.contains('\0') {
        return wrong(format!(
            "holds the character NUL, which no path has; write the path of {what} without it"
        ));
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return wrong(format!(
            "is a URL (`{scheme}://`), and a path is needed; write the path of {what} without a scheme, and give a bucket to a sink of its own type"
        ));
    }
    if text.starts_with('~') || text.contains("${") || names_variable(&text) {
        return wrong(format!(
            "`{text}`: neither `~` nor variables are replaced here; write the path of {what} in full"
        ));
    }
    Ok(())
}

/// Returns true if a part of a path is a variable of a shell, such as `$HOME` or `%USERPROFILE%`.
fn names_variable(path: &str) -> bool {
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    path.split(['/', '\\']).any(|part| {
        let of_unix = part.strip_prefix('$').is_some_and(is_name);
        // Between two signs.
        let pieces: Vec<&str> = part.split('%').collect();
        let between = pieces.get(1..pieces.len() - 1).unwrap_or_default();
        of_unix || between.iter().any(|piece| is_name(piece))
    })
}

/// Refuses a path that no folder can be made at: it is a file, or leads through one.
pub(super) fn check_folder(path: &Path) -> Result<(), String> {
    for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
        match std::fs::metadata(part) {
            Ok(about) if about.is_dir() => return Ok(()),
            Ok(_) => {
                return Err(format!(
                    "{} is a file, and must be a folder; name another one",
                    part.display()
                ));
            }
            // Not there yet, or not to be seen from here: what lies above it tells.
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is_written_or_refused() {
        for good in [
            "out",
            "/var/lib/x y",
            "C:\\data\\out",
            "/mnt/$Recycle.Bin/x",
            "/mnt/100%/50%",
            "a/cash$/b",
        ] {
            assert!(
                check_path("data_dir", good.as_ref(), "a folder").is_ok(),
                "{good}"
            );
        }
        for (wrong, words) in [
            ("", "data_dir: is empty; give the path of a folder"),
            (" \t", "data_dir: is empty"),
            ("a\0b", "data_dir: holds the character NUL"),
            ("~/out", "data_dir: `~/out`: neither `~` nor variables"),
            ("$HOME/out", "data_dir: `$HOME/out`: neither"),
            ("/data/$USER", "data_dir: `/data/$USER`: neither"),
            ("/data/x${USER}", "data_dir: `/data/x${USER}`: neither"),
            (
                "%USERPROFILE%/out",
                "data_dir: `%USERPROFILE%/out`: neither",
            ),
            ("C:\\x%USERNAME%", "data_dir: `C:\\x%USERNAME%`: neither"),
            ("file:///var/out", "data_dir: is a URL (`file://`)"),
            ("s3://u:hush@bucket/x", "data_dir: is a URL (`s3://`)"),
        ] {
            let error = check_path("data_dir", wrong.as_ref(), "a folder");
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with(words), "{wrong}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_folder_can_be_made_only_where_no_file_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("afile");
        std::fs::write(&file, "x").unwrap();
        for path in [file.clone(), file.join("sub"), file.join("sub/deeper")] {
            let error = check_folder(&path).unwrap_err();
            let words = format!("{} is a file, and must be a folder", file.display());
            assert!(error.starts_with(&words), "{error}");
        }
        for path in [
            folder.path().to_owned(),
            folder.path().join("a/b"),
            "out".into(),
        ] {
            assert_eq!(check_folder(&path), Ok(()));
        }
    }
}
