//! The stock keeping unit: the ledger's key.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A stock keeping unit, compared byte for byte: `Mug`, `mug` and `mug ` are three SKUs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sku(Arc<str>);

/// Text that can't be a SKU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSku {
    /// Nothing in it.
    #[error("a SKU can't be empty")]
    Empty,
    /// Longer than [`Sku::MAX_BYTES`].
    #[error("a SKU has at most {max} bytes, this one has {0}", max = Sku::MAX_BYTES)]
    TooLong(usize),
    /// A control character such as a line break.
    #[error("a SKU can't contain control characters: {0:?}")]
    Control(String),
}

impl Sku {
    /// The longest SKU accepted, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 255;

    /// A SKU from outside, kept exactly as written.
    ///
    /// # Errors
    /// [`BadSku`] where it is empty, too long or holds control characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, BadSku> {
        let text = text.as_ref();
        if text.is_empty() {
            Err(BadSku::Empty)
        } else if text.len() > Self::MAX_BYTES {
            Err(BadSku::TooLong(text.len()))
        } else if text.chars().any(char::is_control) {
            Err(BadSku::Control(text.to_owned()))
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The SKU's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What remains when case, blanks and look-alike dashes are ignored: two SKUs that share it are *near matches*,
    /// worth pointing out and never merged (fault D2).
    pub fn near_key(&self) -> String {
        self.0
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '\u{200b}' | '\u{feff}'))
            .flat_map(char::to_lowercase)
            .map(|c| match c {
                '\u{2010}'..='\u{2015}' | '\u{2212}' | '_' => '-',
                other => other,
            })
            .collect()
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Sku {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sku {
    type Error = BadSku;
    fn try_from(text: String) -> Result<Self, BadSku> {
        Self::new(text)
    }
}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d2_case_and_blanks_make_different_skus_that_are_near_matches() {
        let (a, b) = (Sku::new("MUG-1").unwrap(), Sku::new("mug 1 ").unwrap());
        assert_ne!(a, b);
        assert_eq!(Sku::new("mug–1 ").unwrap().near_key(), a.near_key());
    }

    #[test]
    fn a_sku_with_a_line_break_is_refused() {
        assert!(matches!(Sku::new("A\nB"), Err(BadSku::Control(_))));
        assert_eq!(Sku::new(""), Err(BadSku::Empty));
    }
}
