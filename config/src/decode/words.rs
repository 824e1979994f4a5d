//! Fields whose value is one of some words, read by the type itself or by its user: how the schema knows the words all the same.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

/// Begins the names of types that are one of some words, which follow.
pub(crate) const ONE_OF: &str = "$sluice::OneOf:";

/// A word of an enumeration that reads its words itself. `words` is what [`one_of!`](crate::one_of) makes of them, so that the
/// schema has them, too.
pub fn word<'de, D: Deserializer<'de>>(deserializer: D, words: &'static str) -> Result<String, D::Error> {
    struct Word;

    impl<'de> Visitor<'de> for Word {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a word")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
            String::deserialize(deserializer)
        }
    }

    deserializer.deserialize_newtype_struct(words, Word)
}

/// The words of an enumeration, for [`word`].
#[macro_export]
macro_rules! one_of {
    ($first:literal $(, $word:literal)*) => {
        concat!("$sluice::OneOf:", $first $(, "|", $word)*)
    };
}

/// A type for text that is meant to be one of some words. Which ones are accepted is for its user to check.
#[macro_export]
macro_rules! text_of_words {
    ($(#[$meta:meta])* $name:ident, $($word:literal),+) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, ::serde::Serialize)]
        pub struct $name(pub String);

        impl ::std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl $name {
            /// All that it may be.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                Self(word.to_owned())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::decode::word(deserializer, $crate::one_of!($($word),+)).map(Self)
            }
        }
    };
}
