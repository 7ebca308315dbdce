//! The resources that a hostile component may take.

use super::{SandboxError, SourceComponent};
use recording_host_sandbox::BUILTIN;

/// Reads a number of WebAssembly's binary format.
fn number(bytes: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

fn put(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The replacement of a section; none if it stays.
type Change<'a> = &'a mut dyn FnMut(u8, &[u8]) -> Option<Vec<u8>>;

/// A module or component, with some of its sections changed.
fn with(wasm: &[u8], change: Change<'_>) -> Vec<u8> {
    let mut out = wasm[..8].to_vec();
    let mut rest = &wasm[8..];
    while !rest.is_empty() {
        let id = rest[0];
        rest = &rest[1..];
        let length = number(&mut rest);
        let (section, after) = rest.split_at(length);
        rest = after;
        let changed = change(id, section).unwrap_or_else(|| section.to_vec());
        out.push(id);
        put(&mut out, changed.len());
        out.extend(changed);
    }
    out
}

/// The built-in component with more entries in a section of its first module that has one.
fn with_more(section: u8, more: &[&[u8]]) -> Vec<u8> {
    let mut found = false;
    with(BUILTIN[0].1, &mut |id, module| {
        (id == 1).then(|| {
            with(module, &mut |id, content| {
                if id != section || std::mem::replace(&mut found, true) {
                    return None;
                }
                let mut entries = content;
                let count = number(&mut entries);
                let mut changed = Vec::new();
                put(&mut changed, count + more.len());
                changed.extend(entries);
                more.iter().for_each(|entry| changed.extend(*entry));
                Some(changed)
            })
        })
    })
}

#[test]
fn memories_and_tables_are_bounded_in_sum() {
    // 512 pages are 32 MiB: each is within the bound.
    let memory: &[u8] = &[0, 0x80, 4];
    // A table for 16 Mi functions.
    let table: &[u8] = &[0x70, 0, 0x80, 0x80, 0x80, 8];
    for (section, more, sound) in [
        (5, &[memory][..], true),
        (5, &[memory, memory, memory][..], false),
        (4, &[table][..], false),
    ] {
        let component = SourceComponent::load(&with_more(section, more), None).unwrap();
        match component.describe() {
            Ok(_) => assert!(sound, "{section}"),
            Err(SandboxError::Trap { reason, .. }) => {
                assert!(!sound && reason.contains("64 MiB of memory"), "{reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
