//! Encrypts what goes into a sink so that the storage operator cannot read it, and decrypts it.
//!
//! The format is [age](https://age-encryption.org/v1): the programs `age` and `rage` read what is
//! written here. Recipients are public and encrypt; identities are secret, decrypt, and are never
//! needed for an export.

use std::{
    fmt,
    io::{self, BufReader, Read, Write},
    path::Path,
    sync::Arc,
};

use age::{
    Decryptor, Encryptor, IdentityFile,
    stream::{StreamReader, StreamWriter},
    x25519::Recipient,
};

use crate::{Decrypt, DecryptError};

/// Whoever may read what is encrypted: one of their identities suffices.
#[derive(Clone)]
pub struct Recipients(Arc<[Recipient]>);

/// A text that is not a recipient. It is not shown: it could be a secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecipientError {
    /// There is none.
    #[error("there is no recipient; name one or more, each of the form age1...")]
    None,
    /// It is an identity.
    #[error(
        "number {0} is an identity, which is secret; name the recipient that belongs to it, as `age-keygen -y` prints it"
    )]
    Secret(usize),
    /// It is something else.
    #[error("number {0} is not of the form age1..., as `age-keygen` prints it")]
    Unknown(usize),
}

impl Recipients {
    /// Reads recipients, each of the form `age1...` (X25519).
    ///
    /// # Errors
    /// [`RecipientError`] names the one that is wrong by its number.
    pub fn parse(texts: &[String]) -> Result<Self, RecipientError> {
        let mut recipients = Vec::new();
        for (number, text) in (1..).zip(texts) {
            let text = text.trim();
            let secret = text.get(..15);
            if secret.is_some_and(|head| head.eq_ignore_ascii_case("AGE-SECRET-KEY-")) {
                return Err(RecipientError::Secret(number));
            }
            let recipient = text.parse();
            recipients.push(recipient.map_err(|_| RecipientError::Unknown(number))?);
        }
        if recipients.is_empty() {
            return Err(RecipientError::None);
        }
        Ok(Recipients(recipients.into()))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Encrypts what is written; without [`finish`](StreamWriter::finish) it cannot be decrypted.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn encrypt<W: Write>(&self, into: W) -> io::Result<StreamWriter<W>> {
        let recipients = self.0.iter().map(|recipient| recipient as _);
        Encryptor::with_recipients(recipients)
            .map_err(io::Error::other)?
            .wrap_output(into)
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(ToString::to_string))
            .finish()
    }
}

/// Secrets that decrypt. The default has none.
#[derive(Clone, Default)]
pub struct Identities(Vec<Arc<dyn age::Identity + Send + Sync>>);

/// Why identities are unavailable.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("{path}: {source}; give a file of identities as `age-keygen` writes it")]
    Read {
        /// The file.
        path: String,
        /// The cause, without the content of the file.
        source: io::Error,
    },
    /// There is no identity in it.
    #[error("{0} has no identity; give a file as `age-keygen` writes it")]
    None(String),
}

impl Identities {
    /// Reads a file of identities, as `age-keygen` writes it.
    ///
    /// # Errors
    /// [`IdentityError`] names the file.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let name = path.display().to_string();
        let read = |source| IdentityError::Read {
            path: name.clone(),
            source,
        };
        let file = std::fs::File::open(path).map_err(read)?;
        let file = IdentityFile::from_buffer(BufReader::new(file)).map_err(read)?;
        let identities = file.into_identities();
        let identities = identities.map_err(|error| read(io::Error::other(error)))?;
        if identities.is_empty() {
            return Err(IdentityError::None(name));
        }
        Ok(Identities(identities.into_iter().map(Arc::from).collect()))
    }

    /// Adds others.
    pub fn extend(&mut self, others: Identities) {
        self.0.extend(others.0);
    }

    /// Returns true if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The decryptor that uses them; none if there is none.
    #[must_use]
    pub fn decryptor(&self) -> Option<Arc<dyn Decrypt>> {
        (!self.is_empty()).then(|| Arc::new(self.clone()) as Arc<dyn Decrypt>)
    }

    /// Decrypts what is read. What was read counts only once its end has come without an error.
    ///
    /// # Errors
    /// [`DecryptError`]
    pub fn decrypt<R: Read>(&self, from: R) -> Result<StreamReader<BufReader<R>>, DecryptError> {
        let from = Decryptor::new_buffered(BufReader::with_capacity(128 << 10, from))?;
        let identities = self.0.iter().map(|identity| identity.as_ref() as _);
        Ok(from.decrypt(identities)?)
    }
}

impl Decrypt for Identities {
    fn decrypt<'a>(&self, from: Box<dyn Read + 'a>) -> Result<Box<dyn Read + 'a>, DecryptError> {
        Ok(Box::new(Identities::decrypt(self, from)?))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl From<age::DecryptError> for DecryptError {
    fn from(error: age::DecryptError) -> Self {
        match error {
            age::DecryptError::NoMatchingKeys | age::DecryptError::ExcessiveWork { .. } => {
                DecryptError::ForOthers
            }
            age::DecryptError::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
                DecryptError::Damaged(error)
            }
            _ => DecryptError::NotAge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;
    use age::x25519::Identity;

    fn pair(folder: &Path) -> (Recipients, Identities) {
        let identity = Identity::generate();
        let path = folder.join("key.txt");
        let secret = identity.to_string();
        std::fs::write(&path, format!("# created\n{}\n", secret.expose_secret())).unwrap();
        let recipients = Recipients::parse(&[identity.to_public().to_string()]).unwrap();
        (recipients, Identities::load(&path).unwrap())
    }

    fn sealed(recipients: &Recipients, data: &[u8]) -> Vec<u8> {
        let mut into = recipients.encrypt(Vec::new()).unwrap();
        into.write_all(data).unwrap();
        into.finish().unwrap()
    }

    fn opened(identities: &Identities, data: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let mut plain = Vec::new();
        identities.decrypt(data)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_was_changed_cut_or_meant_for_others_is_not_decrypted() {
        let folder = tempfile::tempdir().unwrap();
        let (recipients, identities) = pair(folder.path());
        let data = vec![7; 200_000];
        let sealed = sealed(&recipients, &data);
        assert_eq!(opened(&identities, &sealed).unwrap(), data);
        let (_, others) = pair(folder.path());
        let for_others = opened(&others, &sealed);
        assert!(
            matches!(for_others, Err(DecryptError::ForOthers)),
            "{for_others:?}"
        );
        let cut = opened(&identities, &sealed[..sealed.len() - 1]);
        assert!(matches!(cut, Err(DecryptError::Damaged(_))), "{cut:?}");
        // A whole number of chunks is left, and it is an end all the same.
        let chunk = (64 << 10) + 16;
        let beginning = sealed.len() - (200_000 - 3 * (64 << 10)) - 16 - 3 * chunk;
        let cut = opened(&identities, &sealed[..beginning + 2 * chunk]);
        assert!(matches!(cut, Err(DecryptError::Damaged(_))), "{cut:?}");
        let mut changed = sealed.clone();
        changed[150_000] ^= 1;
        let changed = opened(&identities, &changed);
        assert!(
            matches!(changed, Err(DecryptError::Damaged(_))),
            "{changed:?}"
        );
        let strange = opened(&identities, b"RIFF");
        assert!(matches!(strange, Err(DecryptError::NotAge)), "{strange:?}");
    }

    #[test]
    fn a_wrong_recipient_is_named_by_its_number_and_not_shown() {
        let good = Identity::generate().to_public().to_string();
        let parse = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            Recipients::parse(&texts).map(|found| found.count())
        };
        assert_eq!(parse(&[&good, &good]), Ok(2));
        assert_eq!(parse(&[]), Err(RecipientError::None));
        assert_eq!(parse(&[&good, "hush"]), Err(RecipientError::Unknown(2)));
        let secret = Identity::generate().to_string();
        let secret = parse(&[secret.expose_secret()]);
        assert_eq!(secret, Err(RecipientError::Secret(1)));
    }

    #[test]
    fn a_file_without_identities_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.txt");
        std::fs::write(&path, "# nothing\n").unwrap();
        let error = Identities::load(&path).unwrap_err().to_string();
        assert!(error.contains("key.txt has no identity"), "{error}");
        std::fs::write(&path, "hush\n").unwrap();
        let error = Identities::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("key.txt") && !error.contains("hush"),
            "{error}"
        );
    }
}
