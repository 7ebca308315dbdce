//! The report as PDF, in the fonts that every reader of PDF has: Helvetica and Courier.
//!
//! These have the letters of western Europe (Windows-1252). Any other character is written as its number,
//! `<U+4E2D>`, which the report then says; nothing is left out, and no two names look the same.

use jiff::Timestamp;
use pdf_writer::{Content, Date, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use super::blocks::Block;

const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 56.0;
/// Where values stand beside their names.
const INDENT: f32 = 110.0;
const GREEN: [f32; 3] = [0.08, 0.45, 0.23];
const RED: [f32; 3] = [0.70, 0.15, 0.12];
const BLACK: [f32; 3] = [0.1, 0.12, 0.15];
const GRAY: [f32; 3] = [0.35, 0.39, 0.45];
/// Said where a character was written as its number.
const NUMBERS: &str = "Characters that the fonts of this file do not have are written as their numbers in Unicode, such as \
    <U+4E2D>; report.html has them as they are.";
/// The widths of Helvetica from the space to the tilde, in thousandths (Adobe Font Metrics).
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Font {
    Sans,
    Bold,
    Mono,
}

const FONTS: [(Font, &[u8], &[u8]); 3] = [
    (Font::Sans, b"F1", b"Helvetica"),
    (Font::Bold, b"F2", b"Helvetica-Bold"),
    (Font::Mono, b"F3", b"Courier"),
];

/// How a text looks.
#[derive(Clone, Copy)]
struct Look {
    font: Font,
    size: f32,
    color: [f32; 3],
}

const TEXT: Look = Look {
    font: Font::Sans,
    size: 10.0,
    color: BLACK,
};
const SMALL: Look = Look {
    font: Font::Mono,
    size: 8.0,
    color: BLACK,
};

/// The file. Equal reports make equal bytes.
pub(super) fn pdf(title: &str, made: Timestamp, blocks: &[Block]) -> Vec<u8> {
    let mut pages = Pages::default();
    pages.paragraph(
        title,
        0.0,
        Look {
            font: Font::Bold,
            size: 16.0,
            color: BLACK,
        },
    );
    pages.down(6.0);
    for block in blocks {
        pages.block(block);
    }
    if pages.numbered {
        pages.down(12.0);
        pages.paragraph(
            NUMBERS,
            0.0,
            Look {
                color: GRAY,
                ..TEXT
            },
        );
    }
    pages.file(title, made)
}

#[derive(Default)]
struct Pages {
    done: Vec<Content>,
    page: Option<Content>,
    /// The base line of the text above, from below.
    y: f32,
    /// True if a character was written as its number.
    numbered: bool,
}

impl Pages {
    fn block(&mut self, block: &Block) {
        let colored = |good: bool| if good { GREEN } else { RED };
        let bold = |size: f32, color| Look {
            font: Font::Bold,
            size,
            color,
        };
        match block {
            Block::Heading(text) => {
                self.down(14.0);
                self.keep(60.0);
                self.paragraph(text, 0.0, bold(12.0, BLACK));
            }
            Block::Subheading(text) => {
                self.down(8.0);
                self.keep(60.0);
                self.paragraph(text, 0.0, bold(10.0, BLACK));
            }
            Block::Text(text) => self.paragraph(text, 0.0, TEXT),
            Block::Verdict(good, text) => self.paragraph(text, 0.0, bold(10.0, colored(*good))),
            Block::Facts(facts) => {
                for (name, value) in facts {
                    self.paragraph(
                        name,
                        0.0,
                        Look {
                            color: GRAY,
                            ..TEXT
                        },
                    );
                    self.y += TEXT.size * 1.4;
                    self.paragraph(value, INDENT, TEXT);
                }
                self.down(4.0);
            }
            Block::Command(text) => {
                self.paragraph(text, 14.0, Look { size: 9.0, ..SMALL });
                self.down(2.0);
            }
            Block::File(path, reported, good) => {
                self.keep(30.0);
                self.paragraph(path, 0.0, SMALL);
                self.paragraph(
                    reported,
                    14.0,
                    Look {
                        color: colored(*good),
                        ..SMALL
                    },
                );
                self.down(2.0);
            }
        }
    }

    fn down(&mut self, by: f32) {
        self.y -= by;
    }

    /// Begins a page if less than this is left of the current one.
    fn keep(&mut self, height: f32) {
        if self.y - height < MARGIN {
            self.done.extend(self.page.take());
        }
    }

    fn paragraph(&mut self, text: &str, indent: f32, look: Look) {
        let (encoded, numbered) = encode(text);
        self.numbered |= numbered;
        for line in lines(&encoded, look, WIDTH - 2.0 * MARGIN - indent) {
            self.line(line, MARGIN + indent, look);
        }
    }

    fn line(&mut self, line: &[u8], x: f32, look: Look) {
        self.keep(look.size * 1.4);
        let page = self.page.get_or_insert_with(|| {
            self.y = HEIGHT - MARGIN;
            Content::new()
        });
        self.y -= look.size * 1.4;
        let [red, green, blue] = look.color;
        page.begin_text();
        page.set_fill_rgb(red, green, blue);
        page.set_font(name(look.font), look.size);
        page.next_line(x, self.y);
        page.show(Str(line));
        page.end_text();
    }

    fn file(mut self, title: &str, made: Timestamp) -> Vec<u8> {
        self.done.extend(self.page.take());
        let count = self.done.len();
        let reference = |number: usize| Ref::new(i32::try_from(number).unwrap_or(i32::MAX));
        let (catalog, tree, info) = (reference(1), reference(2), reference(3));
        let font = |at: usize| reference(4 + at);
        let first = 4 + FONTS.len();
        let page_id = |at: usize| reference(first + 2 * at);
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree).lang(TextStr("en"));
        let ids = (0..count).map(page_id);
        pdf.pages(tree)
            .kids(ids)
            .count(i32::try_from(count).unwrap_or(i32::MAX));
        for (at, (_, _, base)) in FONTS.iter().enumerate() {
            let mut type1 = pdf.type1_font(font(at));
            type1.base_font(Name(base));
            type1.encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        for (at, mut content) in self.done.into_iter().enumerate() {
            let foot = format!("{} of {count}", at + 1);
            content.begin_text();
            content.set_fill_rgb(GRAY[0], GRAY[1], GRAY[2]);
            content.set_font(name(Font::Sans), 8.0);
            content.next_line(MARGIN, MARGIN / 2.0);
            content.show(Str(foot.as_bytes()));
            content.end_text();
            let content_id = reference(first + 2 * at + 1);
            let mut page = pdf.page(page_id(at));
            page.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT));
            page.parent(tree);
            page.contents(content_id);
            let mut resources = page.resources();
            let mut fonts = resources.fonts();
            for (at, (_, name, _)) in FONTS.iter().enumerate() {
                fonts.pair(Name(name), font(at));
            }
            fonts.finish();
            resources.finish();
            page.finish();
            pdf.stream(content_id, &content.finish());
        }
        let mut about = pdf.document_info(info);
        about.title(TextStr(title));
        about.creator(TextStr("recording-host"));
        about.creation_date(date(made));
        about.finish();
        pdf.finish()
    }
}

fn name(font: Font) -> Name<'static> {
    let found = FONTS.iter().find(|(known, ..)| *known == font);
    Name(found.map_or(b"F1", |(_, name, _)| name))
}

fn date(made: Timestamp) -> Date {
    // Year, month, day, hour, minute, second: RFC 3339 has each at a fixed place.
    let text = made.to_string();
    let part = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse().ok());
    let small = |from: usize| part(from, from + 2).unwrap_or(1) as u8;
    Date::new(part(0, 4).unwrap_or(1970))
        .month(small(5))
        .day(small(8))
        .hour(small(11))
        .minute(small(14))
        .second(small(17))
        .utc_offset_hour(0)
}

/// A text in Windows-1252, and true if a character is written as its number.
fn encode(text: &str) -> (Vec<u8>, bool) {
    // What Windows-1252 has from 0x80 on, in its order; spaces are places that it leaves empty.
    const FROM_128: &str = "€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ";
    let (mut encoded, mut numbered) = (Vec::new(), false);
    for c in text.chars() {
        let special = FROM_128.chars().position(|known| known == c && c != ' ');
        match (c, special) {
            (' '..='~', _) => encoded.push(c as u8),
            ('\n' | '\t' | '\r', _) => encoded.push(b' '),
            ('\u{a0}'..='\u{ff}', _) => encoded.push(c as u32 as u8),
            (_, Some(at)) => encoded.push(0x80 + at as u8),
            _ => {
                numbered = true;
                encoded.extend(format!("<U+{:04X}>", c as u32).bytes());
            }
        }
    }
    (encoded, numbered)
}

fn width(byte: u8, look: Look) -> f32 {
    let thousandths = match look.font {
        Font::Mono => 600,
        // Letters with accents are as wide as those without, at most as wide as this.
        _ => usize::from(byte)
            .checked_sub(32)
            .and_then(|at| WIDTHS.get(at))
            .copied()
            .unwrap_or(800),
    };
    // The bold letters are a little wider.
    let bold = if look.font == Font::Bold { 1.08 } else { 1.0 };
    f32::from(thousandths) / 1000.0 * look.size * bold
}

/// Breaks a text into lines, at spaces where there are any.
fn lines(text: &[u8], look: Look, room: f32) -> Vec<&[u8]> {
    let (mut lines, mut begin, mut space, mut used) = (Vec::new(), 0, None, 0.0);
    for (at, &byte) in text.iter().enumerate() {
        used += width(byte, look);
        if used > room && at > begin {
            let (end, next) = match space.take() {
                Some(space) => (space, space + 1),
                None => (at, at),
            };
            lines.push(&text[begin..end]);
            begin = next;
            used = text[begin..=at].iter().map(|byte| width(*byte, look)).sum();
        }
        if byte == b' ' {
            space = Some(at);
        }
    }
    lines.push(&text[begin.min(text.len())..]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_there_or_is_named() {
        assert_eq!(encode("Žé€ (x)").0, b"\x8e\xe9\x80 (x)");
        assert_eq!(encode("中\u{202e}").0, b"<U+4E2D><U+202E>");
        assert!(encode("中").1 && !encode("é").1);
    }

    #[test]
    fn no_line_is_too_wide_and_nothing_is_lost() {
        for text in [
            "a b c ".repeat(100),
            "x".repeat(500),
            String::new(),
            " ".repeat(400),
        ] {
            let lines = lines(text.as_bytes(), TEXT, 100.0);
            for line in &lines {
                assert!(line.iter().map(|byte| width(*byte, TEXT)).sum::<f32>() <= 100.0);
            }
            let letters = |text: &[u8]| text.iter().filter(|byte| **byte != b' ').count();
            let kept: usize = lines.iter().map(|line| letters(line)).sum();
            assert_eq!(kept, letters(text.as_bytes()));
        }
    }
}
