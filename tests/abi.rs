//! The committed header and the Rust code agree on the binary interface: `ctest` writes programs in both languages
//! that compare sizes, offsets, types, constants and the addresses of functions.
//!
//! `ctest` wants declarations, and the library has definitions; so the declarations are made of them here, and nothing
//! is copied by hand.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::programs::{libraries, succeeded};
use ctest::TestGenerator;
use quote::{ToTokens, quote};
use syn::{Expr, Fields, Item, Visibility};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Handles, of which C knows the name only.
const OPAQUE: [&str; 4] = [
    "fsn_model",
    "fsn_neighbor_list",
    "fsn_potential",
    "fsn_simulation",
];

/// What the files of `src/c_api` define, as declarations of a foreign library.
fn declarations() -> String {
    let mut text = String::from(
        "#![allow(non_camel_case_types, dead_code)]\nuse std::ffi::{c_char, c_void};\n",
    );
    let folder = Path::new(ROOT).join("src/c_api");
    for entry in std::fs::read_dir(folder).expect("the C interface") {
        let path = entry.expect("a file").path();
        let source = std::fs::read_to_string(&path).expect("a source file");
        let file = syn::parse_file(&source).expect("Rust");
        for item in file.items {
            text.push_str(&declaration(item));
        }
    }
    text
}

fn declaration(item: Item) -> String {
    let public = |visibility: &Visibility| matches!(visibility, Visibility::Public(_));
    match item {
        Item::Struct(item) if public(&item.vis) => {
            let name = item.ident;
            let visible = |fields: &Fields| fields.iter().all(|field| public(&field.vis));
            if OPAQUE.contains(&name.to_string().as_str()) {
                return format!("#[repr(C)] pub struct {name} {{ nothing: [u8; 0] }}\n");
            }
            assert!(
                visible(&item.fields),
                "{name} has fields that C does not see"
            );
            let fields = item.fields.iter().map(|field| {
                let (field, kind) = (&field.ident, &field.ty);
                quote!(pub #field: #kind)
            });
            quote!(#[repr(C)] #[derive(Clone, Copy)] pub struct #name { #(#fields),* }).to_string()
        }
        // An enum of C is a number with names.
        Item::Enum(item) if public(&item.vis) => {
            let name = item.ident;
            let values = item.variants.iter().map(|variant| {
                let (label, value): (_, &Expr) = (
                    &variant.ident,
                    &variant.discriminant.as_ref().expect("a number").1,
                );
                quote!(pub const #label: #name = #value;)
            });
            quote!(pub type #name = u32; #(#values)*).to_string()
        }
        Item::Const(item) if public(&item.vis) => {
            let (name, kind, value) = (item.ident, item.ty, item.expr);
            quote!(pub const #name: #kind = #value;).to_string()
        }
        Item::Type(item) if public(&item.vis) => {
            let (name, kind) = (item.ident, item.ty);
            quote!(pub type #name = #kind;).to_string()
        }
        Item::Fn(item) if item.sig.abi.is_some() => {
            let mut signature = item.sig;
            signature.abi = None;
            signature.unsafety = None;
            format!(
                "unsafe extern \"C\" {{ pub {}; }}\n",
                signature.to_token_stream()
            )
        }
        _ => String::new(),
    }
}

/// Builds and runs the programs for these declarations.
fn compare(name: &str, declarations: &str) -> Command {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let declared: PathBuf = folder.join("declarations.rs");
    std::fs::write(&declared, declarations).expect("a file");

    let version = succeeded(Command::new("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let mut generator = TestGenerator::new();
    generator
        .header("flashschnet.h")
        .target(host.expect("rustc says what it runs on"))
        .out_dir(&folder)
        .edition(2024)
        .alias_is_c_enum(|name| name == "fsn_status")
        .skip_struct(|item| OPAQUE.contains(&item.ident()));
    generator
        .generate_files(&declared, "checks.rs")
        .unwrap_or_else(|error| panic!("{error}"));

    let object = folder.join("checks.o");
    succeeded(
        Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".into()))
            .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-c"])
            .arg(format!("-I{ROOT}/include"))
            .arg(folder.join("checks.c"))
            .arg("-o")
            .arg(&object),
    );
    let main = folder.join("main.rs");
    std::fs::write(
        &main,
        "include!(\"declarations_only.rs\");\ninclude!(\"checks.rs\");\n",
    )
    .expect("a file");
    // Attributes of a whole program cannot be included.
    let (_, items) = declarations.split_once('\n').expect("two lines");
    std::fs::write(folder.join("declarations_only.rs"), items).expect("a file");
    let (program, libraries) = (folder.join("program"), libraries());
    succeeded(
        Command::new("rustc")
            .args(["--edition", "2024", "-Awarnings", "-lflashschnet"])
            .arg(format!("-Lnative={}", libraries.display()))
            .arg(format!("-Clink-arg=-Wl,-rpath,{}", libraries.display()))
            .arg(format!("-Clink-arg={}", object.display()))
            .arg(&main)
            .arg("-o")
            .arg(&program),
    );
    Command::new(program)
}

#[test]
fn header_and_library_agree() {
    let text = succeeded(&mut compare("abi", &declarations()));
    println!("{text}");
    let count = text
        .split_whitespace()
        .find_map(|word| word.parse::<u32>().ok());
    assert!(count.expect("a number of checks") > 200, "{text}");
}

#[test]
fn disagreements_are_found() {
    let sound = declarations();
    for (name, from, to) in [
        ("abi_field", ", pub skin : f64", ""),
        (
            "abi_constant",
            "FSN_FILTERS_TABLE : i32 = 2",
            "FSN_FILTERS_TABLE : i32 = 3",
        ),
    ] {
        let wrong = sound.replacen(from, to, 1);
        assert_ne!(wrong, sound, "{from}");
        let found = compare(name, &wrong).output().expect("a program");
        assert!(!found.status.success(), "{name} goes unnoticed");
    }
}
