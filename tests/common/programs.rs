//! Running compilers and what they made.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Where cargo puts the shared library: beside the folder of this test program.
pub fn libraries() -> PathBuf {
    let program = std::env::current_exe().expect("a path");
    let deps = program.parent().expect("a folder");
    let folder = if deps.join("libflashschnet.so").exists() {
        deps
    } else {
        deps.parent().expect("a folder")
    };
    assert!(
        folder.join("libflashschnet.so").exists(),
        "no shared library in {}",
        folder.display()
    );
    folder.to_owned()
}

/// What a command prints; it must succeed.
pub fn succeeded(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{command:?}: {status}\n{text}{}",
        String::from_utf8_lossy(&stderr)
    );
    text
}
