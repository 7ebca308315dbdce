//! A template of keys: literal text and placeholders, checked so that no two files can have the same
//! key and none can leave the prefix.

use super::kept;

/// The placeholders, by name.
const PLACEHOLDERS: [(&str, Piece); 9] = [
    ("year", Piece::Year),
    ("month", Piece::Month),
    ("day", Piece::Day),
    ("hour", Piece::Hour),
    ("queue", Piece::Queue),
    ("direction", Piece::Direction),
    ("conversation", Piece::Conversation),
    ("recording", Piece::Recording),
    ("part", Piece::Part),
];
/// The placeholder for what depends on the file's type.
const EXTENSION: &str = ".{ext}";
/// The longest template, in bytes: a key has 1024 in most buckets.
const LONGEST: usize = 256;
/// The characters that separate an id in a key from its neighbors; no id has one of these in a key.
const BETWEEN: [char; 4] = ['/', '.', '_', '='];

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Year,
    Month,
    Day,
    Hour,
    Queue,
    Direction,
    Conversation,
    Recording,
    Part,
}

/// The parts of a key up to its extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

/// A fault of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is too long.
    #[error("it has more than {LONGEST} characters")]
    Long,
    /// A brace without the other one.
    #[error("`}}` must stand after the name of each placeholder")]
    Brace,
    /// A placeholder that nobody knows.
    #[error(
        "`{{{0}}}` is not known; use {{year}}, {{month}}, {{day}}, {{hour}}, {{queue}}, {{direction}}, {{conversation}}, {{recording}}, {{part}} and {{ext}}"
    )]
    Unknown(String),
    /// The extension is not at the end, or twice.
    #[error("it must end with `.{{ext}}`, and contain it nowhere else")]
    Extension,
    /// It has a character that not every store takes.
    #[error("`{0}` cannot stand in it; use letters, digits, `-`, `_`, `.`, `=` and `/`")]
    Character(char),
    /// A part between slashes that is no name.
    #[error(
        "no part of it between slashes may be empty, begin or end with a dot, nor may it begin with `/`"
    )]
    Name,
    /// It does not begin with text.
    #[error("it must begin with a folder of its own without placeholders, such as `calls/`")]
    Prefix,
    /// It begins with a folder that is for something else.
    #[error("`{0}/` is not for media; begin with another folder, such as `calls/`")]
    Kept(String),
    /// Two files could have the same key.
    #[error("{0}; else two files could have the same key")]
    Alike(&'static str),
}

impl Template {
    /// Reads a template and checks it.
    pub(super) fn new(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            return Err(TemplateError::Long);
        }
        let template = Template::read(text)?;
        template.check_names()?;
        template.check_prefix()?;
        template.check_unique()?;
        Ok(template)
    }

    /// Reads a template.
    pub(super) fn read(text: &str) -> Result<Self, TemplateError> {
        let mut rest = text
            .strip_suffix(EXTENSION)
            .ok_or(TemplateError::Extension)?;
        let mut pieces = Vec::new();
        let literal = |text: &str| (!text.is_empty()).then(|| Piece::Text(text.to_owned()));
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TemplateError::Brace)?;
            let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
            pieces.extend(literal(before));
            pieces.push(match known {
                Some((_, piece)) => piece.clone(),
                None if name == "ext" => return Err(TemplateError::Extension),
                None => return Err(TemplateError::Unknown(name.to_owned())),
            });
            rest = after;
        }
        pieces.extend(literal(rest));
        Ok(Template { pieces })
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The text that all keys begin with, up to a `/`.
    pub(super) fn prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => &text[..text.rfind('/').map_or(0, |at| at + 1)],
            _ => "",
        }
    }

    /// Whatever stands between two slashes must be a name.
    fn check_names(&self) -> Result<(), TemplateError> {
        let mut shape = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => shape += text,
                // It may be empty.
                Piece::Part => {}
                _ => shape.push('x'),
            }
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.=/".contains(c);
        if let Some(c) = shape.chars().find(|c| !allowed(*c)) {
            return Err(TemplateError::Character(c));
        }
        let names = || shape.split('/');
        if names().any(|name| name.is_empty() || name.starts_with('.') || name.ends_with('.')) {
            return Err(TemplateError::Name);
        }
        Ok(())
    }

    fn check_prefix(&self) -> Result<(), TemplateError> {
        let (first, _) = self.prefix().split_once('/').ok_or(TemplateError::Prefix)?;
        match kept(first) {
            true => Err(TemplateError::Kept(first.to_owned())),
            false => Ok(()),
        }
    }

    fn check_unique(&self) -> Result<(), TemplateError> {
        let has = |piece: &Piece| self.pieces.contains(piece);
        let whole = self.pieces.windows(2).any(|two| {
            let [one, other] = two else { return false };
            (one, other) == (&Piece::Recording, &Piece::Part)
        });
        if !has(&Piece::Conversation) || !whole {
            return Err(TemplateError::Alike(
                "it must have `{conversation}` and `{recording}{part}` in it",
            ));
        }
        let apart = |piece: Option<&Piece>, at_start: bool| match piece {
            None => true,
            Some(Piece::Text(text)) if at_start => text.starts_with(BETWEEN),
            Some(Piece::Text(text)) => text.ends_with(BETWEEN),
            Some(_) => false,
        };
        for (at, piece) in self.pieces.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| self.pieces.get(at));
            let after = self.pieces.get(at + 1);
            let fine = match piece {
                Piece::Conversation => apart(before, false) && apart(after, true),
                Piece::Recording => {
                    apart(before, false) && (after == Some(&Piece::Part) || apart(after, true))
                }
                Piece::Part => before == Some(&Piece::Recording) && apart(after, true),
                _ => true,
            };
            if !fine {
                return Err(TemplateError::Alike(
                    "`/`, `.`, `_` or `=` must stand before and after `{conversation}` and `{recording}`, and `{part}` right after `{recording}`",
                ));
            }
        }
        // A queue may have any name, so the text after it in a folder's name cannot be distinguished from it.
        let (mut free, mut id) = (0, false);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) if text.contains('/') => {
                    // Only the last folder that begins in the text can have placeholders after it.
                    (free, id) = (0, false);
                }
                Piece::Queue | Piece::Direction => free += 1,
                Piece::Conversation | Piece::Recording => id = true,
                _ => {}
            }
            if free > 0 && id || free > 1 {
                return Err(TemplateError::Alike(
                    "`{queue}` and `{direction}` must each have a folder of their own between slashes",
                ));
            }
        }
        Ok(())
    }
}
