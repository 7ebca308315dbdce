//! Who may see the page: tokens of a file, one for each person.

use std::path::Path;

use anyhow::Context;
use recording_host_page::Token;

/// The tokens of a file: a line `name token` for each person.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Token>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut tokens = Vec::new();
    for (at, line) in lines.enumerate() {
        let parts = line.split_once(char::is_whitespace);
        let parts = parts.filter(|(_, token)| token.trim().len() >= 16);
        let Some((name, token)) = parts else {
            // The line is not shown: it may be a token.
            anyhow::bail!(
                "{}: entry {}: give a name, a space and a token of 16 characters or more",
                path.display(),
                at + 1
            );
        };
        tokens.push(Token {
            name: name.to_owned(),
            secret: token.trim().to_owned().into(),
        });
    }
    anyhow::ensure!(
        !tokens.is_empty(),
        "{}: there is no token in it",
        path.display()
    );
    Ok(tokens)
}
