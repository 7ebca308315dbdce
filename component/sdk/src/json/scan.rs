//! Ways through JSON that has been found valid: nothing is checked once more, and long lists and objects are
//! jumped over.

/// Lists and objects of fewer bytes are scanned where they are met.
const LONG: usize = 128;
/// Lists and objects within more others are, too: in 32 bits the lengths take no more memory than the text.
const DEEP: usize = 10;

/// The lengths of long lists and objects in a text, in the order of their addresses.
#[derive(Debug)]
pub(super) struct Lengths(Vec<(usize, usize)>);

impl Lengths {
    /// Scans a text once, so that its parts need not be.
    pub(super) fn of(text: &str) -> Self {
        let mut lengths = Vec::new();
        let mut open = [0; DEEP];
        let mut depth = 0_usize;
        let mut rest = text.as_bytes();
        while let [byte, after @ ..] = rest {
            match byte {
                b'"' => {
                    rest = &rest[string(rest)..];
                    continue;
                }
                b'{' | b'[' => {
                    if let Some(place) = open.get_mut(depth) {
                        *place = lengths.len();
                        lengths.push((address(rest), 0));
                    }
                    depth += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if let Some(&place) = open.get(depth) {
                        let length = address(after) - lengths[place].0;
                        if length < LONG {
                            lengths.truncate(place);
                        } else {
                            lengths[place].1 = length;
                        }
                    }
                }
                _ => {}
            }
            rest = after;
        }
        Lengths(lengths)
    }

    /// The values in a list, or keys and values of an object in turn, as they are written.
    pub(super) fn inside<'a>(&'a self, container: &'a str) -> impl Iterator<Item = &'a str> {
        let mut rest = container.get(1..).unwrap_or_default();
        std::iter::from_fn(move || {
            let between = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':');
            let begin = rest.bytes().position(|byte| !between(&byte))?;
            let (value, after) = rest[begin..].split_at(self.value(&rest.as_bytes()[begin..]));
            rest = after;
            (!value.is_empty()).then_some(value)
        })
    }

    /// The length of the value at the beginning; 0 if a list or an object ends there.
    fn value(&self, bytes: &[u8]) -> usize {
        match bytes.first() {
            Some(b'"') => string(bytes),
            Some(b'{' | b'[') => {
                let known = self.0.binary_search_by_key(&address(bytes), |one| one.0);
                known.map_or_else(|_| container(bytes), |place| self.0[place].1)
            }
            _ => {
                let end =
                    |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                bytes.iter().position(end).unwrap_or(bytes.len())
            }
        }
    }
}

fn address(bytes: &[u8]) -> usize {
    bytes.as_ptr() as usize
}

/// The length of the list or object at the beginning.
fn container(bytes: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += string(&bytes[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The length of the string at the beginning, with its quotes.
fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    loop {
        at += plain(bytes.get(at..).unwrap_or_default(), b'"');
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// The number of bytes before the first one that is `stop`, a backslash or a control character.
pub(super) fn plain(bytes: &[u8], stop: u8) -> usize {
    const ONES: u64 = u64::MAX / 255;
    // The highest bit of a byte that is 0; those of bytes above may be wrong.
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let (chunks, rest) = bytes.as_chunks();
    for (place, chunk) in chunks.iter().enumerate() {
        let chunk = u64::from_le_bytes(*chunk);
        let stopping = zero(chunk ^ (ONES * u64::from(stop)));
        let backslash = zero(chunk ^ (ONES * u64::from(b'\\')));
        let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
        let found = (stopping | backslash | control) & (ONES << 7);
        if found != 0 {
            return place * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let odd = |byte: &u8| *byte == stop || matches!(byte, b'\\' | 0..0x20);
    let found = rest.iter().position(odd);
    chunks.len() * 8 + found.unwrap_or(rest.len())
}
