//! Label names.

/// Builds label names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelNamer {
    /// Names stay as they are.
    pub utf8: bool,
    /// A single leading underscore gets `key` in front.
    pub prefix_single_underscore: bool,
    /// Runs of underscores stay.
    pub preserve_multiple_underscores: bool,
}

impl LabelNamer {
    /// Label names as they are, for data that came from Prometheus.
    pub const VERBATIM: LabelNamer =
        LabelNamer { utf8: true, prefix_single_underscore: false, preserve_multiple_underscores: true };

    /// The label name of an attribute key; `None` for an empty key, or if a legacy name would be underscores only.
    pub fn build(&self, key: &str) -> Option<String> {
        if self.utf8 {
            return (!key.is_empty()).then(|| key.to_owned());
        }
        let mut name = self.escaped(key);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert_str(0, "key_");
        } else if self.prefix_single_underscore && name.starts_with('_') && !name.starts_with("__") {
            name.insert_str(0, "key");
        }
        // An empty name has nothing but underscores, too.
        (!name.bytes().all(|byte| byte == b'_')).then_some(name)
    }

    fn escaped(&self, key: &str) -> String {
        let sanitise = |text: &str| {
            let mut out = String::with_capacity(text.len());
            for c in text.chars() {
                if c.is_ascii_alphanumeric() {
                    out.push(c);
                } else if self.preserve_multiple_underscores || !out.ends_with('_') {
                    out.push('_');
                }
            }
            out
        };
        // `__x__` is reserved: its outer underscores stay.
        if !self.preserve_multiple_underscores
            && let Some(inner) = key.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"))
            && !inner.is_empty()
        {
            return format!("__{}__", sanitise(inner));
        }
        sanitise(key)
    }
}
