//! The committed C header is the one cbindgen makes of `src/c_api`.
//!
//! `FSN_WRITE_HEADER=1 cargo test --test header` writes it.

use std::path::Path;

fn generate(root: &Path) -> String {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    // File by file, so that nothing outside the C interface gets in and the order is the reader's.
    for file in [
        "status",
        "model",
        "options",
        "structures",
        "results",
        "potential",
        "enqueue",
        "topology",
        "domain",
        "neighbors",
        "simulation",
    ] {
        builder = builder.with_src(root.join(format!("src/c_api/{file}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().expect("a header").write(&mut header);
    // What Rust calls safety is the caller's part of the contract.
    String::from_utf8(header)
        .expect("UTF-8")
        .replace("// # Safety", "// The caller's part:")
}

#[test]
fn committed_header_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("include/flashschnet.h");
    let generated = generate(root);
    if std::env::var_os("FSN_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("write the header");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "include/flashschnet.h is not what cbindgen makes; FSN_WRITE_HEADER=1 cargo test --test header writes it"
    );
}
