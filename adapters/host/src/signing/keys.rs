//! What a member or a client signs with.

use super::wire::Signature;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The bytes of a seed.
const SEED: usize = 32;

/// A key to sign with. It is wiped from memory when it is dropped.
pub struct Keys(SigningKey);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.public())
    }
}

impl Keys {
    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; SEED]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key whose seed is in that file: 32 bytes, for the owner's eyes only. If there is no such file,
    /// one is made, of the operating system's randomness; one that is there is never changed.
    ///
    /// # Errors
    /// [`KeysError`]; no half-written seed is left under that name.
    pub fn open(path: &Path) -> Result<Self, KeysError> {
        match File::open(path) {
            Ok(file) => Self::read(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(error.into()),
        }
    }

    fn read(file: &File) -> Result<Self, KeysError> {
        if is_exposed(&file.metadata()?) {
            return Err(KeysError::Exposed);
        }
        // One byte more, to see that there is no more.
        let mut bytes = Zeroizing::new([0; SEED + 1]);
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match (&*file).read(rest)? {
                0 => break,
                count => length = length.saturating_add(count),
            }
        }
        match bytes.first_chunk() {
            Some(seed) if length == SEED => Ok(Self::from_seed(seed)),
            _ => Err(KeysError::Damaged),
        }
    }

    fn make(path: &Path) -> Result<Self, KeysError> {
        let mut seed = Zeroizing::new([0; SEED]);
        getrandom::fill(&mut *seed).map_err(|_| KeysError::NoRandomness)?;
        let temporary = path.with_extension("tmp");
        // What a crash has left of an earlier try nobody has seen the public key of.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = for_the_owner().write(true).create_new(true).open(&temporary)?;
        file.write_all(&*seed)?;
        file.sync_all()?;
        // Unlike a rename, a link does not take the place of a file that has come to be there meanwhile.
        fs::hard_link(&temporary, path)?;
        fs::remove_file(&temporary)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Self::from_seed(&seed))
    }

    /// The key that others check the signatures with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs. The same bytes have the same signature, in every life.
    pub(super) fn sign(&self, bytes: &[u8]) -> Signature {
        Signature::from_bytes(&self.0.sign(bytes).to_bytes())
    }
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

fn for_the_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// What others check the signatures of a key with, in bytes. As text it is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key of those bytes; whether they are any is seen when a [`Roll`](super::Roll) takes it.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PublicKey {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let mut bytes = [0; 32];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(KeysError::NotAKey) };
        if pairs.len() != bytes.len() {
            return Err(KeysError::NotAKey);
        }
        let digit = |of: u8| char::from(of).to_digit(16).and_then(|it| u8::try_from(it).ok());
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = digit(high).zip(digit(low)).ok_or(KeysError::NotAKey)?;
            *byte = (high << 4) | low;
        }
        Ok(Self(bytes))
    }
}

/// Why there is no key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeysError {
    /// Others than the owner may read the seed.
    Exposed,
    /// The file has not the length of a seed.
    Damaged,
    /// The operating system has no randomness to give.
    NoRandomness,
    /// The text is no public key.
    NotAKey,
    /// The disk failed, or is full.
    Io(io::Error),
}

impl From<io::Error> for KeysError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exposed => "others may read the key's seed; take it away from them (chmod 600)",
            Self::Damaged => "the key's seed has not 32 bytes; bring it back from a copy",
            Self::NoRandomness => "the operating system gave no randomness to make a key of",
            Self::NotAKey => "a public key has 64 hexadecimal digits",
            Self::Io(error) => return write!(f, "the key's seed: {error}"),
        })
    }
}

impl std::error::Error for KeysError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(path.with_extension("tmp"), b"half a see").unwrap();
        let made = Keys::open(&path).unwrap().public();
        assert_eq!(Keys::open(&path).unwrap().public(), made, "the next life has the same");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "and nothing lies about");
        let other = Keys::open(&folder.path().join("other")).unwrap().public();
        assert_ne!(made, other);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |of| fs::set_permissions(&path, fs::Permissions::from_mode(of)).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            for exposed in [0o640, 0o604, 0o660] {
                mode(exposed);
                assert!(matches!(Keys::open(&path), Err(KeysError::Exposed)), "{exposed:o}");
            }
        }
    }

    #[test]
    fn a_seed_that_is_damaged_is_neither_used_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for length in [0, 31, 33, 1_000] {
            let mut file = for_the_owner().write(true).create(true).open(&path).unwrap();
            file.set_len(0).unwrap();
            file.write_all(&vec![1; length]).unwrap();
            assert!(matches!(Keys::open(&path), Err(KeysError::Damaged)), "{length}");
            assert_eq!(fs::read(&path).unwrap().len(), length);
        }
    }

    #[test]
    fn a_key_never_shows_its_seed_and_the_same_words_have_the_same_signature() {
        let keys = Keys::from_seed(&[0xab; 32]);
        assert!(!format!("{keys:?}").contains("abab"), "{keys:?}");
        assert_eq!(keys.sign(b"words"), Keys::from_seed(&[0xab; 32]).sign(b"words"));
    }

    #[test]
    fn a_public_key_is_written_and_read_as_text() {
        // RFC 8032, 7.1, the first test.
        let seed =
            PublicKey::from_str("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let keys = Keys::from_seed(seed.unwrap().bytes());
        let text = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(keys.public().to_string(), text);
        assert_eq!(PublicKey::from_str(text).unwrap(), keys.public());
        for wrong in ["", &text[1..], &text[2..], &format!("{text}00"), &text.replace('d', "g")] {
            assert!(matches!(PublicKey::from_str(wrong), Err(KeysError::NotAKey)), "{wrong}");
        }
        assert!(PublicKey::from_str(&"é".repeat(32)).is_err());
    }
}
