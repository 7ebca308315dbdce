//! Reading what a sink has encrypted.

use std::{
    fmt::Debug,
    io::{self, Read},
};

/// Why something cannot be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum DecryptError {
    /// It is encrypted for others.
    #[error("none of the identities given can decrypt it")]
    ForOthers,
    /// It is something else.
    #[error("it is not a file of the age format, or its beginning is damaged")]
    NotAge,
    /// It ends too early or was changed; or it cannot be read.
    #[error("it is damaged, or cannot be read: {0}")]
    Damaged(#[from] io::Error),
}

/// Decrypts objects that a sink has encrypted.
pub trait Decrypt: Send + Sync + Debug {
    /// Decrypts what is read. What was read counts only once its end has come without an error.
    ///
    /// # Errors
    /// [`DecryptError`]
    fn decrypt<'a>(&self, from: Box<dyn Read + 'a>) -> Result<Box<dyn Read + 'a>, DecryptError>;
}
