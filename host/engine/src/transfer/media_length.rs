//! The length that a file states about itself: WAV, Ogg, MP4 and WebM do, piece by piece.
//!
//! A body whose end is that of its connection may be cut without anybody saying so: then nothing else
//! shows it. The length is followed while the file passes, and nothing of the file is kept. A file that
//! states nothing, or makes no sense, is no shorter than it states.

use super::announced::{Looks, looks};

/// Lengths from here on stand for one that nobody knew when the header was written.
const OPEN: u64 = 0x7fff_0000;
/// The longest header of a WebM file, in bytes.
const LONGEST: usize = 4096;
/// The boxes that stand at the top of an MP4 file.
const BOXES: [&[u8; 4]; 14] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"styp",
    b"uuid", b"udta", b"meta", b"pnot",
];

/// Follows a file from piece to piece.
#[derive(Debug)]
pub(super) struct MediaLength {
    form: Form,
    /// How much has passed, and where the next piece begins.
    at: u64,
    next: u64,
    /// The part of its header that has come, and how much is needed of that.
    header: Vec<u8>,
    need: usize,
    /// The length of the file, once it has stated that.
    claimed: Option<u64>,
    done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `big`: its numbers begin with the high byte. `wide`: the length of its data, if that is given apart.
    Wav {
        big: bool,
        wide: Option<u64>,
    },
    /// `ended`: its last page was the last of its stream.
    Ogg {
        ended: bool,
    },
    Mp4,
    WebM,
}

/// The content of the header of a piece.
enum Piece {
    /// So many bytes of it are needed to know.
    More(usize),
    /// It is so long, header included.
    Long(u64),
    /// The file ends so far from where it begins.
    Last(u64),
    /// It makes no sense, or the length is open.
    Nothing,
}

impl MediaLength {
    /// Of a file that begins like this, which is yet to be [`fed`](Self::feed).
    pub(super) fn of(first: &[u8]) -> Self {
        let (form, need) = match looks(first) {
            Looks::Media("audio/wav") => {
                let big = first.starts_with(b"RIFX");
                (Some(Form::Wav { big, wide: None }), 12)
            }
            Looks::Media("audio/ogg") => (Some(Form::Ogg { ended: false }), 27),
            Looks::Media("video/mp4") => (Some(Form::Mp4), 8),
            Looks::Media("video/webm") => (Some(Form::WebM), 5),
            _ => (None, 1),
        };
        MediaLength {
            done: form.is_none(),
            form: form.unwrap_or(Form::Mp4),
            at: 0,
            next: 0,
            header: Vec::new(),
            need,
            claimed: None,
        }
    }

    /// Follows the next bytes of the file.
    pub(super) fn feed(&mut self, mut data: &[u8]) {
        while !data.is_empty() && !self.done {
            if self.at < self.next {
                let skipped = (self.next - self.at).min(data.len() as u64);
                self.at += skipped;
                data = &data[skipped as usize..];
                continue;
            }
            let begin = self.at - self.header.len() as u64;
            let (taken, rest) = data.split_at(data.len().min(self.need - self.header.len()));
            self.header.extend_from_slice(taken);
            self.at += taken.len() as u64;
            data = rest;
            if self.header.len() == self.need {
                self.judge(begin);
            }
        }
    }

    /// Reads the header of the piece that begins at `begin`.
    fn judge(&mut self, begin: u64) {
        let header = self.header.as_slice();
        let piece = match &mut self.form {
            Form::Wav { .. } if begin == 0 => Piece::Long(12),
            Form::Wav { big, wide } => chunk(header, *big, wide),
            Form::Ogg { ended } => page(header, ended),
            Form::Mp4 => a_box(header),
            Form::WebM => segment(header),
        };
        match piece {
            Piece::More(need) if need > self.need && need <= LONGEST => self.need = need,
            Piece::Long(length) if length >= header.len() as u64 => {
                self.next = begin.saturating_add(length);
                self.header.clear();
                self.need = match self.form {
                    Form::Ogg { .. } => 27,
                    _ => 8,
                };
            }
            Piece::Last(length) => {
                self.claimed = begin.checked_add(length);
                self.done = true;
            }
            _ => self.done = true,
        }
    }

    /// The length that the file states, if it has ended before that.
    pub(super) fn lacking(&self) -> Option<u64> {
        if self.done {
            return None;
        }
        let begun = (self.need - self.header.len()) as u64;
        match self.form {
            _ if self.at < self.next => Some(self.next),
            _ if !self.header.is_empty() => Some(self.at + begun),
            // The sound is yet to come.
            Form::Wav { .. } => Some(self.at + begun),
            _ => None,
        }
    }

    /// The length that the file states, if it is more than came, `total`.
    pub(super) fn claimed(&self, total: u64) -> Option<u64> {
        self.claimed
            .filter(|reported| total < *reported)
            .or(self.lacking())
    }

    /// The extension of files of its form.
    pub(super) fn extension(&self) -> &'static str {
        match self.form {
            Form::Wav { .. } => "wav",
            Form::Ogg { .. } => "ogg",
            Form::Mp4 => "mp4",
            Form::WebM => "webm",
        }
    }

    /// Returns true if it ended without the mark that the end of its format has.
    pub(super) fn is_unended(&self) -> bool {
        !self.done && matches!(self.form, Form::Ogg { ended: false })
    }
}

fn number(bytes: &[u8], big: bool) -> u64 {
    let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match big {
        true => bytes.iter().fold(0, fold),
        false => bytes.iter().rev().fold(0, fold),
    }
}

/// A chunk of a WAV file.
fn chunk(header: &[u8], big: bool, wide: &mut Option<u64>) -> Piece {
    let (name, size) = (&header[..4], number(&header[4..8], big));
    match name {
        // The lengths that do not fit into 32 bits: of all, and of the data.
        b"ds64" if header.len() < 24 => return Piece::More(24),
        b"ds64" => *wide = Some(number(&header[16..24], big)),
        b"data" => {
            return match (size, *wide) {
                (0xffff_ffff, Some(wide)) => Piece::Last(wide.saturating_add(8)),
                (0 | OPEN.., _) => Piece::Nothing,
                (size, _) => Piece::Last(size + 8),
            };
        }
        _ => {}
    }
    let sound = name.iter().all(|byte| (b' '..=b'~').contains(byte));
    match sound && size < OPEN {
        true => Piece::Long(8 + size + size % 2),
        false => Piece::Nothing,
    }
}

/// A page of an Ogg stream (RFC 3533, section 6).
fn page(header: &[u8], ended: &mut bool) -> Piece {
    if !header.starts_with(b"OggS\0") {
        return Piece::Nothing;
    }
    let segments = usize::from(header[26]);
    if header.len() < 27 + segments {
        return Piece::More(27 + segments);
    }
    *ended = header[5] & 4 != 0;
    let lengths = header[27..].iter().map(|length| u64::from(*length));
    Piece::Long(header.len() as u64 + lengths.sum::<u64>())
}

/// A box of an MP4 file (ISO/IEC 14496-12, section 4.2).
fn a_box(header: &[u8]) -> Piece {
    if !BOXES.iter().any(|name| header[4..8] == name[..]) {
        return Piece::Nothing;
    }
    match number(&header[..4], true) {
        // Up to the end of the file.
        0 => Piece::Nothing,
        1 if header.len() < 16 => Piece::More(16),
        1 => Piece::Long(number(&header[8..16], true)),
        size => Piece::Long(size),
    }
}

/// The header of a WebM file and the segment after it (RFC 8794).
fn segment(header: &[u8]) -> Piece {
    // The length of a number, in bytes, is given by its first bits.
    let width = |at: usize| header.get(at).map(|byte| byte.leading_zeros() as usize + 1);
    let value = |at: usize, width: usize| {
        let bytes = header.get(at..at + width)?;
        Some(number(bytes, true) & !(1 << (7 * width)))
    };
    let Some(first) = width(4).filter(|width| *width <= 8) else {
        return Piece::Nothing;
    };
    let Some(size) = value(4, first) else {
        return Piece::More(4 + first);
    };
    let at = 4_usize
        .saturating_add(first)
        .saturating_add(size.min(1 << 20) as usize);
    let Some(name) = header.get(at..at + 4) else {
        return Piece::More(at + 4);
    };
    if name != [0x18, 0x53, 0x80, 0x67] {
        return Piece::Nothing;
    }
    let second = match width(at + 4) {
        None => return Piece::More(at + 5),
        Some(second @ ..=8) => second,
        Some(_) => return Piece::Nothing,
    };
    match value(at + 4, second) {
        None => Piece::More(at + 4 + second),
        // All ones: open.
        Some(size) if size < (1 << (7 * second)) - 1 => {
            Piece::Last((at + 4 + second) as u64 + size)
        }
        Some(_) => Piece::Nothing,
    }
}

#[cfg(test)]
mod tests;
