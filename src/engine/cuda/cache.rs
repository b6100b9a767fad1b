//! Compiled programs on disk, in `flashschnet` of the user's cache folder.
//!
//! A failure here is no error: the program is compiled again. Entries are written beside their place and moved there, so that a
//! process never sees half of one; one that is damaged all the same is recognised by its checksum and rebuilt.

use std::fs;
use std::path::PathBuf;

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
    let bytes = fs::read(folder()?.join(key)).ok()?;
    let (checksum, image) = bytes.split_at_checked(CHECKSUM)?;
    (Sha256::digest(image).as_slice() == checksum).then(|| image.to_vec())
}

/// Keeps `image` under `key`, if that is possible.
pub(super) fn write(key: &str, image: &[u8]) {
    let Some(folder) = folder() else { return };
    if fs::create_dir_all(&folder).is_err() {
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
    fn keys_keep_parts_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
    }
}
