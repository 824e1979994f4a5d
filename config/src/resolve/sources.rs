//! Where texts and variables come from. The crate itself reads nothing.

use std::collections::BTreeMap;

/// The outside world as far as configuration needs it.
pub trait Sources {
    /// The bytes of a file; the path is relative to the working directory of the process.
    ///
    /// # Errors
    /// Why it cannot be read, in the operating system's words (`open x: no such file or directory`).
    fn read_file(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The value of an environment variable; `None` when it is not set.
    fn env(&self, name: &str) -> Option<String>;

    /// The text behind a URI of any further scheme (`https` …); `None` when the scheme is not supported.
    fn retrieve(&self, scheme: &str, uri: &str) -> Option<Result<Vec<u8>, String>> {
        let _ = (scheme, uri);
        None
    }
}

/// The process's own files and environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSources;

impl Sources for SystemSources {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, String> {
        use std::io::Read as _;
        let describe = |error: std::io::Error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
                _ => error.to_string(),
            };
            format!("open {path}: {reason}")
        };
        let limit = crate::yaml::MAX_BYTES as u64 + 1;
        let mut bytes = Vec::new();
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(describe)?;
        Ok(bytes)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

/// Fixed files and variables, for tests and for embedded configurations.
#[derive(Clone, Debug, Default)]
pub struct FixedSources {
    /// Path to content.
    pub files: BTreeMap<String, String>,
    /// Variables that are set.
    pub vars: BTreeMap<String, String>,
}

impl FixedSources {
    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Sources for FixedSources {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, String> {
        let content = self.files.get(path).ok_or_else(|| format!("open {path}: no such file or directory"))?;
        Ok(content.clone().into_bytes())
    }

    fn env(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }
}
