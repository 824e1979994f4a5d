//! The admin token: 256 random bits in a file that only its owner can read (security §9).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use aws_lc_rs::{constant_time, rand};

const BYTES: usize = 32;
/// More than any token has.
const MOST: u64 = 1024;

/// A secret: it cannot be printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token of a state directory, made at the first call.
    ///
    /// # Errors
    /// I/O, and a file that others can read.
    pub fn load_or_make(path: &Path) -> anyhow::Result<Self> {
        match std::fs::metadata(path) {
            // A crash may leave the name without the contents: they are not worth a sync, which would delay the start.
            Ok(metadata) if metadata.is_file() && metadata.len() == 0 => {
                std::fs::remove_file(path).with_context(|| path.display().to_string())?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => return Self::load(path),
        }
        let mut random = [0; BYTES];
        rand::fill(&mut random).map_err(|_| anyhow!("the system gives no random numbers"))?;
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        // Whole, or not at all: whoever starts at the same time takes what is there first.
        let draft = path.with_extension(format!("token.{}", std::process::id()));
        let written = write(&draft, &text).and_then(|()| match std::fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
        let _ = std::fs::remove_file(&draft);
        written.with_context(|| path.display().to_string())?;
        Self::load(path)
    }

    /// The token in a file.
    ///
    /// # Errors
    /// I/O, no token in it, and a file that others can read.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        let file = File::open(path).with_context(at)?;
        let metadata = file.metadata().with_context(at)?;
        if !metadata.is_file() {
            return Err(anyhow!("{} is not a file", at()));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(anyhow!("{} can be read by others: use mode 0600", at()));
        }
        let mut text = String::new();
        file.take(MOST).read_to_string(&mut text).with_context(at)?;
        Self::new(&text).ok_or_else(|| anyhow!("{} holds no token", at()))
    }

    /// A token as text.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Token(text.to_owned()))
    }

    /// Compares without telling by its time how much is right.
    pub fn is(&self, given: &str) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_bytes(), given.as_bytes()).is_ok()
    }

    /// The value of the header `Authorization`. A secret.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let made = Token::load_or_make(&path).unwrap();
        assert_eq!(made.0.len(), 2 * BYTES);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(Token::load_or_make(&path).unwrap().is(&made.0));
        assert!(!made.is("") && !made.is(&made.0[1..]) && !made.is(&"0".repeat(64)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the draft is gone");
        let other = Token::load_or_make(&folder.path().join("other.token")).unwrap();
        assert!(!made.is(&other.0));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        std::fs::write(&path, "secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Token::load_or_make(&path).err().unwrap().to_string();
        assert!(refused.contains("0600") && !refused.contains("secret"), "{refused}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Token::load(&path).unwrap().is("secret"));
        assert!(Token::new(" \n").is_none());
        std::fs::write(&path, "").unwrap();
        assert_eq!(Token::load_or_make(&path).unwrap().0.len(), 2 * BYTES, "what a crash left is replaced");
    }
}
