//! Builds the built-in components for `wasm32-unknown-unknown` and embeds them.
//!
//! `RECORDING_HOST_GENESYS_CLOUD=FILE`, and so on with each name, embeds one that was built elsewhere instead.

use std::{env, fs, path::Path, path::PathBuf, process::Command};

const TARGET: &str = "wasm32-unknown-unknown";

/// A package that is built into a component.
struct Package {
    name: &'static str,
    /// What it is built of beside its own folder.
    of: &'static [&'static str],
    /// Flags for the compiler.
    flags: &'static str,
}

const SOURCES: [&str; 2] = ["genesys-cloud", "genesys-bucket"];
/// Its loops take several numbers at once.
const OPUS_DECODER: Package = Package {
    name: "opus-decoder",
    of: &["Cargo.lock"],
    flags: "-Ctarget-feature=+simd128",
};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    println!("cargo:rerun-if-changed=build.rs");
    let mut packages = Vec::from(SOURCES.map(|name| Package {
        name,
        of: &["wit", "component/sdk", "Cargo.lock"],
        flags: "",
    }));
    if env::var_os("CARGO_FEATURE_OPUS_DECODER").is_some() {
        packages.push(OPUS_DECODER);
    }
    for Package {
        name: package,
        of,
        flags,
    } in packages
    {
        let name = package.replace('-', "_");
        let component = out.join(format!("{name}.wasm"));
        let variable = format!("RECORDING_HOST_{}", name.to_uppercase());
        println!("cargo:rerun-if-env-changed={variable}");
        if let Some(prebuilt) = env::var_os(&variable) {
            println!("cargo:rerun-if-changed={}", Path::new(&prebuilt).display());
            fs::copy(&prebuilt, &component)
                .unwrap_or_else(|error| panic!("{}: {error}", Path::new(&prebuilt).display()));
            continue;
        }
        let folder = root.join("component").join(package);
        if !folder.is_dir() {
            // A published crate brings the components along.
            let prebuilt = format!("prebuilt/{name}.wasm");
            println!("cargo:rerun-if-changed={prebuilt}");
            fs::copy(&prebuilt, &component).unwrap_or_else(|error| {
                panic!("{prebuilt}: {error}; set {variable} to a component that is built elsewhere")
            });
            continue;
        }
        for source in of {
            println!("cargo:rerun-if-changed={}", root.join(source).display());
        }
        println!("cargo:rerun-if-changed={}", folder.display());
        let module = build(&root, &out.join("component"), package, flags);
        fs::write(&component, encode(&module)).expect("OUT_DIR is writable");
    }
}

/// Compiles the library `package` as a core wasm module.
fn build(root: &Path, target_dir: &Path, package: &str, flags: &str) -> Vec<u8> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libdir = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .expect("rustc runs");
    let libdir = PathBuf::from(String::from_utf8_lossy(&libdir.stdout).trim());
    assert!(
        libdir.is_dir(),
        "the target {TARGET} is not installed: run `rustup target add {TARGET}`"
    );
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "rustc",
            "--lib",
            "--crate-type",
            "cdylib",
            "--profile",
            "component",
        ])
        .args(["--package", package, "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        .current_dir(root);
    for inherited in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
    ] {
        command.env_remove(inherited);
    }
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the component {package} does not build");
    let file = target_dir
        .join(TARGET)
        .join("component")
        .join(format!("{}.wasm", package.replace('-', "_")));
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Turns a core module into a component.
fn encode(module: &[u8]) -> Vec<u8> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .expect("the module carries its component type")
}
