use std::cell::{Cell, RefCell};

use super::*;

/// A disk that loses power after so many calls: what was not synced by then is lost.
#[derive(Default)]
struct Losing {
    /// The calls that are left; each after them fails.
    calls: Cell<usize>,
    /// True if all on it can be synced in one call.
    whole: bool,
    /// The files whose bytes, names and folders are on the disk.
    bytes: RefCell<BTreeSet<usize>>,
    names: RefCell<BTreeSet<usize>>,
    folders: RefCell<BTreeSet<PathBuf>>,
    /// The names that were given.
    given: RefCell<BTreeSet<usize>>,
    syncs: Cell<usize>,
}

struct File {
    number: usize,
    folder: PathBuf,
}

const DAY: &str = "a/day";

impl Losing {
    fn call(&self) -> io::Result<()> {
        let left = self.calls.get().checked_sub(1);
        self.calls.set(left.ok_or(io::ErrorKind::NotConnected)?);
        Ok(())
    }

    /// Syncs files of some numbers, which are named in the folder that this tells.
    fn synced_names(&self, within: impl Fn(usize) -> bool) {
        let given = self.given.borrow();
        let given = given.iter().filter(|number| within(**number));
        self.names.borrow_mut().extend(given);
    }
}

fn folder(number: usize, apart: bool) -> PathBuf {
    Path::new(DAY).join(if apart {
        number.to_string()
    } else {
        String::from("one")
    })
}

impl Disk for (&Losing, bool) {
    type File = File;

    fn folder(file: &File) -> &Path {
        &file.folder
    }

    fn device(&self, _: &File) -> Option<u64> {
        self.0.whole.then_some(7)
    }

    fn sync_device(&self, _: &File) -> io::Result<()> {
        self.0.call()?;
        self.0.syncs.set(self.0.syncs.get() + 1);
        self.0.bytes.borrow_mut().extend(0..FILES);
        self.0.synced_names(|_| true);
        self.0.folders.borrow_mut().insert(DAY.into());
        Ok(())
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.0.call()?;
        self.0.syncs.set(self.0.syncs.get() + 1);
        self.0.bytes.borrow_mut().insert(file.number);
        Ok(())
    }

    fn sync_folder(&self, of: &Path) -> io::Result<()> {
        self.0.call()?;
        self.0.syncs.set(self.0.syncs.get() + 1);
        self.0.synced_names(|number| folder(number, self.1) == of);
        self.0.folders.borrow_mut().insert(of.to_owned());
        Ok(())
    }

    fn name(&self, file: &mut File) -> io::Result<()> {
        self.0.call()?;
        let bytes = self.0.bytes.borrow().contains(&file.number);
        assert!(bytes, "a file without its bytes would show under its name");
        self.0.given.borrow_mut().insert(file.number);
        Ok(())
    }
}

const FILES: usize = 6;

/// Commits files to a disk that loses power; returns which of them were said to be durable.
fn cut_after(calls: usize, whole: bool, apart: bool) -> (Losing, Vec<usize>) {
    let disk = Losing {
        calls: Cell::new(calls),
        whole,
        ..Losing::default()
    };
    let files = (0..FILES).map(|number| File {
        number,
        folder: folder(number, apart),
    });
    let mut files: Vec<File> = files.collect();
    let above = BTreeSet::from([PathBuf::from(DAY)]);
    let results = commit(&(&disk, apart), &mut files, &above);
    let reported = results.iter().enumerate();
    let reported = reported.filter(|(_, result)| result.is_ok());
    let reported = reported.map(|(number, _)| number).collect();
    (disk, reported)
}

#[test]
fn what_is_said_to_be_durable_outlives_a_power_cut_at_any_time() {
    for (whole, apart) in [(true, true), (true, false), (false, true), (false, false)] {
        for calls in 0..4 * FILES {
            let (disk, reported) = cut_after(calls, whole, apart);
            for number in &reported {
                assert!(disk.bytes.borrow().contains(number), "{calls}: bytes");
                assert!(disk.names.borrow().contains(number), "{calls}: name");
                let above = disk.folders.borrow().contains(Path::new(DAY));
                assert!(above, "{calls}: the folder that its folder is in");
            }
        }
        let (_, reported) = cut_after(usize::MAX, whole, apart);
        assert_eq!(reported.len(), FILES, "{whole} {apart}");
    }
}

#[test]
fn many_files_take_two_syncs_whatever_their_folders() {
    let syncs = |whole, apart| cut_after(usize::MAX, whole, apart).0.syncs.get();
    assert_eq!(syncs(true, true), 2);
    // One for the bytes, and one for each of the two folders.
    assert_eq!(syncs(true, false), 3);
    assert_eq!(syncs(false, true), FILES + FILES + 1);
    assert_eq!(syncs(false, false), FILES + 2);
}

#[tokio::test]
async fn files_that_come_together_are_all_there_and_one_that_fails_fails_alone() {
    let root = tempfile::tempdir().unwrap();
    let groups = GroupCommit::default();
    let mut puts = Vec::new();
    for number in 0..50 {
        let target = root.path().join(format!("day/{number}/r.ogg"));
        let part = Part::open(
            &target,
            &super::super::FilesystemOptions::default(),
            groups.folders(),
        )
        .unwrap();
        io::Write::write_all(&mut &part.file, target.to_string_lossy().as_bytes()).unwrap();
        if number == 7 {
            // Its name is taken by a folder.
            fs::create_dir(&target).unwrap();
        }
        let groups = groups.clone();
        puts.push(tokio::spawn(
            async move { (target, groups.commit(part).await) },
        ));
    }
    for (number, put) in puts.into_iter().enumerate() {
        let (target, result) = put.await.unwrap();
        assert_eq!(result.is_ok(), number != 7, "{target:?} {result:?}");
        if result.is_ok() {
            assert_eq!(
                fs::read_to_string(&target).unwrap(),
                target.to_string_lossy()
            );
        }
        let left = target.with_file_name(".r.ogg.part");
        assert!(!left.exists(), "{left:?}");
    }
}
