//! Bytes that must never be printed, and are wiped when no longer needed.

use std::fmt;

use zeroize::Zeroize;

/// A secret, such as the key that signs tokens. `Debug` prints `[secret]`; the memory is wiped
/// on drop. Every clone is wiped on its own.
///
/// ```
/// use edgeloop::app::config::Secret;
///
/// let secret = Secret::from("correct horse battery staple".to_owned());
/// assert_eq!(format!("{secret:?}"), "[secret]");
/// assert_eq!(secret.bytes().len(), 28);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The secret itself. Do not log it, do not copy it further than needed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
