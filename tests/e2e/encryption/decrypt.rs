//! `decrypt` gets files back, names each that it cannot, and is understood by other programs.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::Pair;
use crate::support::{files, program, run_program};

fn sealed(pair: &Pair, data: &[u8]) -> Vec<u8> {
    let mut into = pair.recipients().encrypt(Vec::new()).unwrap();
    into.write_all(data).unwrap();
    into.finish().unwrap()
}

async fn decrypt(pair: &Pair, more: &[&Path]) -> (Option<i32>, String) {
    let mut arguments = vec!["decrypt".to_owned(), "--identity".to_owned()];
    arguments.push(pair.path.display().to_string());
    arguments.extend(more.iter().map(|path| path.display().to_string()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ran = run_program(&arguments).await;
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_that_cannot_be_decrypted_is_named_and_the_others_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (pair, stranger) = (Pair::new(root, "one.txt"), Pair::new(root, "other.txt"));
    let stored = root.join("stored");
    std::fs::create_dir_all(stored.join("a")).unwrap();
    let long = vec![7; 200_000];
    let right = sealed(&pair, &long);
    for (name, data) in [
        ("a/right.wav.age", right.clone()),
        ("a/cut.wav.age", right[..right.len() - 10].to_vec()),
        ("a/others.wav.age", sealed(&stranger, b"RIFF")),
        ("a/strange.wav.age", b"RIFF".to_vec()),
        ("a/clear.jsonl", b"{}".to_vec()),
    ] {
        std::fs::write(stored.join(name), data).unwrap();
    }
    let (to, plain) = (Path::new("--to"), root.join("plain"));
    let (code, said) = decrypt(&pair, &[&stored, to, &plain]).await;
    assert_eq!(code, Some(1), "{said}");
    for problem in [
        "a/cut.wav.age: it is damaged",
        "a/others.wav.age: none of the identities given can decrypt it",
        "a/strange.wav.age: it is not a file of the age format",
        "3 files could not be decrypted",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
    // Nothing is left of what was interrupted.
    let found = files(&plain);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a/right.wav"]);
    assert_eq!(found["a/right.wav"], long);

    std::fs::write(plain.join("a/right.wav"), "mine").unwrap();
    let file = stored.join("a/right.wav.age");
    let into = plain.join("a");
    let (code, said) = decrypt(&pair, &[&file, to, &into]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("right.wav is there already; `--overwrite` replaces it"),
        "{said}"
    );
    assert_eq!(files(&plain)["a/right.wav"], b"mine");
    let (code, said) = decrypt(&pair, &[&file, to, &into, Path::new("--overwrite")]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(files(&plain)["a/right.wav"], long);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::new(folder.path(), "one.txt");
    for more in [
        vec![Path::new("x.age")],
        vec![Path::new("-"), Path::new("x.age")],
        vec![Path::new("-"), Path::new("--to"), folder.path()],
    ] {
        let (code, said) = decrypt(&pair, &more).await;
        assert_eq!(code, Some(2), "{said}");
    }
    std::fs::write(&pair.path, "hush").unwrap();
    let (code, said) = decrypt(&pair, &[Path::new("-")]).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("one.txt") && !said.contains("hush"), "{said}");
}

/// Decrypts standard input to standard output.
async fn streamed(pair: &Pair, data: Vec<u8>) -> Output {
    let mut command = program();
    command.args(["decrypt", "-", "--identity"]).arg(&pair.path);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = move || {
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let feeding = std::thread::spawn(move || drop(input.write_all(&data)));
        let ended = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        ended
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_is_decrypted_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::new(folder.path(), "one.txt");
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let right = sealed(&pair, &data);
    let ran = streamed(&pair, right.clone()).await;
    assert_eq!((ran.status.code(), ran.stdout), (Some(0), data));
    let ran = streamed(&pair, right[..500_000].to_vec()).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(said.contains("standard input: it is damaged"), "{said}");
}

/// Returns true if the other make takes a header for a changed one: it writes it again before it checks
/// it, and loses an empty line, or the form of a recipient without arguments. Only random recipients,
/// which are there to be ignored, have such.
fn is_beyond_the_other(stored: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stored);
    let mut header = text.lines().take_while(|line| !line.starts_with("---"));
    header.any(|line| line.is_empty() || line.starts_with("->") && line.split(' ').count() < 3)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an age of another make, which tests/run installs"]
async fn another_make_of_age_reads_what_is_written_and_writes_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let pair = Pair::new(root, "one.txt");
    let other = |arguments: Vec<std::ffi::OsString>| async move {
        let mut python = Command::new("python3");
        python.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/readers/age_format.py"
        ));
        python.args(arguments);
        if let Some(age) = std::env::var_os("AGE") {
            python.env("PYTHONPATH", age);
        }
        let run = tokio::task::spawn_blocking(move || python.output().unwrap());
        let ran = run.await.unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{said}; tests/run installs it");
    };
    // Nothing, less than a chunk, whole chunks, and more.
    for length in [0, 1000, 64 << 10, 128 << 10, 1_000_000] {
        let data: Vec<u8> = (0..length).map(|n: u32| (n * 7) as u8).collect();
        let (ours, theirs, plain) = (root.join("ours"), root.join("theirs"), root.join("plain"));
        let mut stored = sealed(&pair, &data);
        while is_beyond_the_other(&stored) {
            stored = sealed(&pair, &data);
        }
        std::fs::write(&ours, stored).unwrap();
        let decrypting = ["decrypt".into(), pair.path.clone().into(), ours.into()];
        other([&decrypting[..], &[plain.clone().into()]].concat()).await;
        assert!(std::fs::read(&plain).unwrap() == data, "{length}");
        if data.is_empty() {
            // Of nothing, the other one writes no chunk at all, which the format does not allow.
            continue;
        }
        std::fs::write(&plain, &data).unwrap();
        let encrypting = [
            "encrypt".into(),
            pair.recipient.clone().into(),
            plain.into(),
        ];
        other([&encrypting[..], &[theirs.clone().into()]].concat()).await;
        let ran = streamed(&pair, std::fs::read(&theirs).unwrap()).await;
        assert!(ran.status.success() && ran.stdout == data, "{length}");
    }
}
