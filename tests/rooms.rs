//! Modules look only where docs/architecture.md says they may.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// For each room of `src`, the rooms that the page's table lets it look at.
fn allowed() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/architecture.md")).expect("the page");
    let names = |cell: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    page.lines()
        .filter_map(|line| line.strip_prefix("| `src/"))
        .map(|line| {
            let (room, rest) = line.split_once('`').expect("a name");
            let last = rest.trim_end_matches(" |").rsplit('|').next();
            (room.to_owned(), names(last.unwrap_or_default()))
        })
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// The first names of all paths `crate::…` in a source text, comments aside.
fn looks_at(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        let word = |text: &str| -> String {
            text.trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        match rest.strip_prefix('{') {
            // One level is enough: what is nested deeper belongs to the name before it.
            Some(group) => {
                let mut depth = 0;
                let mut begins = true;
                for (at, c) in group.char_indices() {
                    if begins && depth == 0 {
                        found.push(word(&group[at..]));
                        begins = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' => begins = depth == 0,
                        _ => {}
                    }
                }
            }
            None => found.push(word(rest)),
        }
    }
    found
}

#[test]
fn rooms_look_where_they_may() {
    let allowed = allowed();
    let src = Path::new(ROOT).join("src");
    let folders = fs::read_dir(&src).expect("src");
    let rooms: Vec<String> = folders
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .collect();
    assert!(rooms.len() > 5, "{rooms:?}");
    for room in &rooms {
        let may = allowed
            .get(room)
            .unwrap_or_else(|| panic!("docs/architecture.md has no room src/{room}"));
        for file in sources(&src.join(room)) {
            let text = fs::read_to_string(&file).expect("a source");
            for name in looks_at(&text) {
                assert!(
                    name == *room || !rooms.contains(&name) || may.contains(&name),
                    "{} looks at src/{name}, which docs/architecture.md does not let src/{room} do",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn paths_are_found_in_groups_too() {
    let text = "use crate::{Error, model::{Basis, Dense}, filter};\n// crate::no\nlet x = crate::engine::network();";
    assert_eq!(looks_at(text), ["Error", "model", "filter", "engine"]);
}
