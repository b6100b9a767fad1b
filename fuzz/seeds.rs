//! Writes the files that fuzzing of `load_model` starts from: `seeds FOLDER`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::PathBuf;

use common::random_model::{add_priors, random_file};
use common::small_model::{small_model, small_network};
use fastrand::Rng;

fn main() -> std::io::Result<()> {
    let folder: PathBuf = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| "corpus/load_model".into())
        .into();
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("small"), small_model().bytes())?;
    std::fs::write(folder.join("network"), small_network().bytes())?;
    for seed in 0..30 {
        let rng = &mut Rng::with_seed(seed);
        let mut file = random_file(rng);
        if seed % 3 == 0 {
            add_priors(&mut file, rng);
        }
        std::fs::write(folder.join(format!("random-{seed}")), file.bytes())?;
    }
    Ok(())
}
