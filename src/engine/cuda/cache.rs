//! Compiled programs on disk, in `flashschnet` of the user's cache folder.
//!
//! A failure here is no error: the program is compiled again. Entries are written beside their place and moved there, so that a
//! process never sees half of one; one that is damaged all the same is recognised by its checksum and rebuilt.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Length of the checksum before an entry.
const CHECKSUM: usize = 32;

/// The name of what is made from `parts`.
pub(super) fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What was written under `key`, if it is whole.
pub(super) fn read(key: &str) -> Option<Vec<u8>> {
    read_in(&folder()?, key)
}

fn read_in(folder: &Path, key: &str) -> Option<Vec<u8>> {
    let bytes = fs::read(folder.join(key)).ok()?;
    let (checksum, image) = bytes.split_at_checked(CHECKSUM)?;
    (Sha256::digest(image).as_slice() == checksum).then(|| image.to_vec())
}

/// Keeps `image` under `key`, if that is possible.
pub(super) fn write(key: &str, image: &[u8]) {
    if let Some(folder) = folder() {
        write_in(&folder, key, image);
    }
}

fn write_in(folder: &Path, key: &str, image: &[u8]) {
    if fs::create_dir_all(folder).is_err() {
        return;
    }
    let own = folder.join(format!(
        "{key}.{}.{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let mut bytes = Sha256::digest(image).to_vec();
    bytes.extend_from_slice(image);
    if fs::write(&own, bytes).is_err() || fs::rename(&own, folder.join(key)).is_err() {
        let _ = fs::remove_file(own);
    }
}

/// `$XDG_CACHE_HOME/flashschnet`, by default in `~/.cache`.
fn folder() -> Option<PathBuf> {
    // The XDG rules leave out paths that are not absolute.
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let root = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(root.join("flashschnet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_entry_is_none_and_is_replaced() {
        let folder = std::env::temp_dir().join(format!("flashschnet-cache-{}", std::process::id()));
        let image: Vec<u8> = (0..200).collect();
        assert_eq!(read_in(&folder, "entry"), None);
        write_in(&folder, "entry", &image);
        assert_eq!(read_in(&folder, "entry").as_ref(), Some(&image));
        let whole = fs::read(folder.join("entry")).unwrap();
        let mut flipped = whole.clone();
        flipped[100] ^= 1;
        let longer: Vec<u8> = whole.iter().copied().chain([0]).collect();
        for damaged in [
            &whole[..0],
            &whole[..20],
            &whole[..whole.len() - 1],
            &flipped,
            &longer,
        ] {
            fs::write(folder.join("entry"), damaged).unwrap();
            assert_eq!(read_in(&folder, "entry"), None);
        }
        write_in(&folder, "entry", &image);
        assert_eq!(read_in(&folder, "entry"), Some(image));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn keys_keep_parts_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
    }
}
