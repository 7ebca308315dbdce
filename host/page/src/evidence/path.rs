//! Names in a package: keys of an archive, as a file system of any kind can have them.

use sha2::{Digest, Sha256};

/// The longest name of a file or folder.
const LONGEST: usize = 180;

/// The path of an object in a package. A key that no file may have (`../x`, `C:\x`, a line end) is written with
/// `%` and the bytes' numbers; two keys never have one path.
pub(super) fn path(folder: &str, key: &str) -> String {
    let mut path = folder.to_owned();
    for name in key.split('/') {
        path.push('/');
        path.push_str(&file_name(name));
    }
    path
}

fn file_name(name: &str) -> String {
    let only_dots = name.bytes().all(|byte| byte == b'.');
    let mut safe = String::new();
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_-=+@,".contains(&byte);
        // A name that ends in a dot is another one in Windows.
        let dot = byte == b'.' && !only_dots && at + 1 < name.len();
        match plain || dot {
            true => safe.push(byte.into()),
            false => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    if safe.is_empty() {
        safe.push('%');
    }
    if safe.len() > LONGEST {
        let digest = recording_host_model::hex(&Sha256::digest(name.as_bytes()));
        safe.truncate(LONGEST - 17);
        safe.push('~');
        safe.push_str(&digest[..16]);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_as_it_is_or_cannot_leave_the_folder() {
        let of = |key: &str| path("objects", key);
        assert_eq!(
            of("recordings/2026/date=2026-01-05/a_b.1-2.ogg"),
            "objects/recordings/2026/date=2026-01-05/a_b.1-2.ogg"
        );
        assert_eq!(of("../../etc/passwd"), "objects/%2E%2E/%2E%2E/etc/passwd");
        assert_eq!(of("/etc//x."), "objects/%/etc/%/x%2E");
        assert_eq!(of("C:\\x\n"), "objects/C%3A%5Cx%0A");
        assert_eq!(of("é%"), "objects/%C3%A9%25");
        assert_ne!(of(&"a".repeat(300)), of(&"a".repeat(301)));
        assert!(of(&"é".repeat(300)).len() < 200);
    }
}
