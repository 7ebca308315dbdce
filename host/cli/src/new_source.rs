//! `new-source`: writes a folder with a source that builds, is tested and runs, to begin with.
//!
//! The templates are the sources in `component/examples`, and a test compares the two.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::Done;

/// The interface that a source in any language is made for.
const WIT: &str = include_str!("../templates/source.wit");

#[derive(Debug, Args)]
pub(super) struct NewSource {
    /// The source's name, in lower case with dashes, such as `call-list`.
    name: String,
    /// The language that it is written in.
    #[arg(long)]
    lang: Language,
    /// The folder to write, which must not be there yet; the name itself if left out.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// The folder of recording-source-sdk in a checkout, instead of the published crate.
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Js,
    Python,
}

/// A file of a new source.
struct File {
    path: &'static str,
    text: String,
}

impl NewSource {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !self.name.starts_with(|c: char| c.is_ascii_lowercase())
            || !self.name.chars().all(plain)
            || self.name.ends_with('-')
            || self.name.contains("--")
        {
            super::usage(
                "the name begins with a letter and has lower-case letters, digits and single dashes alone, such as `call-list`",
            );
        }
        let folder = self
            .into
            .clone()
            .unwrap_or_else(|| PathBuf::from(&self.name));
        let files = match self.lang {
            Language::Rust => self.rust()?,
            _ if self.sdk.is_some() => super::usage("--sdk is for `--lang rust`"),
            Language::Js => js(),
            Language::Python => python(),
        };
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!(
                    "{} is there already; nothing is overwritten",
                    folder.display()
                )
            }
            made => made.with_context(|| folder.display().to_string())?,
        }
        for file in files {
            let path = folder.join(file.path);
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(&path, renamed(&file.text, &self.name)))
                .with_context(|| path.display().to_string())?;
        }
        println!(
            "{} is written; its README.md has the commands from here to a verified archive",
            folder.display()
        );
        Ok(Done::All)
    }

    fn rust(&self) -> anyhow::Result<Vec<File>> {
        let sdk = match &self.sdk {
            None => String::new(),
            Some(path) => format!(", path = {:?}", absolute(path)?),
        };
        let manifest = include_str!("../templates/rust/Cargo.toml.txt")
            .replace(", path = \"../../sdk\"", &sdk);
        Ok(vec![
            file("Cargo.toml", manifest),
            file("src/lib.rs", include_str!("../templates/rust/lib.rs")),
            file(
                "answers/GET_calls.example_calls.csv",
                include_str!("../templates/rust/calls.csv"),
            ),
            file("README.md", include_str!("../templates/rust/README.md")),
            file("config.yaml", include_str!("../templates/rust/config.yaml")),
            file(".gitignore", "/target\n/data\n/archive\n*.wasm\n"),
        ])
    }
}

fn js() -> Vec<File> {
    let mut files = vec![
        file("source.js", include_str!("../templates/js/source.js")),
        file(
            "package.json",
            include_str!("../templates/js/package.json.txt"),
        ),
        file("README.md", include_str!("../templates/js/README.md")),
        file(".gitignore", "/node_modules\n/data\n/archive\n*.wasm\n"),
    ];
    files.extend(http_folder());
    files
}

fn python() -> Vec<File> {
    let mut files = vec![
        file("source.py", include_str!("../templates/python/source.py")),
        file(
            "requirements.txt",
            include_str!("../templates/python/requirements.txt"),
        ),
        file("README.md", include_str!("../templates/python/README.md")),
        file(
            ".gitignore",
            "/.venv\n/bindings\n__pycache__\n/data\n/archive\n*.wasm\n",
        ),
    ];
    files.extend(http_folder());
    files
}

/// The files that a source for a folder on a web server has in every language.
fn http_folder() -> [File; 4] {
    [
        file("wit/source.wit", WIT),
        file(
            "answers/GET_calls.example_archive_2026-01-05_index.json",
            include_str!("../templates/js/index.json"),
        ),
        file(
            "answers/GET_calls.example_archive_2026-01-05_c-17.json",
            include_str!("../templates/js/c-17.json"),
        ),
        file("config.yaml", include_str!("../templates/js/config.yaml")),
    ]
}

fn file(path: &'static str, text: impl Into<String>) -> File {
    File {
        path,
        text: text.into(),
    }
}

/// A template with the name of the new source in place of its own, as each kind of name is written.
fn renamed(text: &str, name: &str) -> String {
    let snake = name.replace('-', "_");
    let camel: String = name
        .split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect();
    text.replace("csv-calls", name)
        .replace("csv_calls", &snake)
        .replace("CsvCalls", &camel)
        .replace("http-folder", name)
        .replace("http_folder", &snake)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("--sdk {}", path.display()))
}
