//! Writes the seed corpus of every target: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.

use std::fs;
use std::io::Result;
use std::path::Path;

use sluice_pdata::testing::{LEAF_ROOTS, Oddities, Rng, Shape, message, odd, odd_request_of, request_of};
use sluice_pdata::{Signal, json};

fn main() -> Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in ["framing", "canonical", "split", "views", "pass", "json"] {
        write(&corpus.join(target), target)?;
    }
    leaves(&corpus.join("leaves"))
}

/// Two messages of each type that the walk over leaves starts from, each behind the byte that chooses the type.
fn leaves(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let shape = Shape { attributes: 3, depth: 2, ..Shape::default() };
    for (index, (root, schema)) in LEAF_ROOTS.into_iter().enumerate() {
        let mut rng = Rng::new(index as u64);
        let plain = message(schema, &mut rng, &shape);
        let odd = odd(schema, &plain, &mut rng, &Oddities::ALL);
        for (kind, message) in [("plain", plain), ("odd", odd)] {
            let name = format!("{root:?}-{kind}").replace(['(', ')'], "-");
            fs::write(folder.join(name), [&[index as u8], message.as_slice()].concat())?;
        }
    }
    Ok(())
}

/// Six requests of each signal, plain and odd, each behind the byte that chooses the signal.
fn write(folder: &Path, target: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let shape = Shape { resources: 2, scopes: 2, items: 2, attributes: 2, depth: 2, ..Shape::default() };
    for (index, signal) in Signal::ALL.into_iter().enumerate() {
        for seed in 0..3u8 {
            let requests = [
                ("plain", request_of(signal, u64::from(seed) + 100, &shape)),
                ("odd", odd_request_of(signal, u64::from(seed) + 200, &shape, &Oddities::ALL)),
            ];
            for (kind, request) in requests {
                // An odd second choice means wire bytes where a target takes JSON too.
                let choice = index as u8 + 3 * (1 + 2 * seed);
                // `pass` reads another byte, which chooses the chain.
                let chain: &[u8] = if target == "pass" { &[seed] } else { &[] };
                let input = [&[choice], chain, request.as_slice()].concat();
                fs::write(folder.join(format!("{signal}-{kind}-{seed}")), input)?;
                if target == "json" {
                    let mut text = vec![index as u8];
                    json::write(signal, &request, &mut text).map_err(std::io::Error::other)?;
                    fs::write(folder.join(format!("{signal}-{kind}-{seed}.json")), text)?;
                }
            }
        }
    }
    Ok(())
}
