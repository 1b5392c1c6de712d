//! Classes of bytes as tables: whether a byte is of one is told without a branch.

/// The bytes of one class.
pub(super) struct Class([bool; 256]);

impl Class {
    pub(super) const fn new(members: [bool; 256]) -> Self {
        Self(members)
    }

    /// Returns `true` if all of these are in it.
    pub(super) fn holds(&self, bytes: &[u8]) -> bool {
        self.prefix(bytes) == bytes.len()
    }

    /// Number of bytes at the front that are in it.
    pub(super) fn prefix(&self, bytes: &[u8]) -> usize {
        let is_other = |byte: &u8| !self.0.get(usize::from(*byte)).copied().unwrap_or(false);
        bytes.iter().position(is_other).unwrap_or(bytes.len())
    }
}

/// The class of the bytes of which a `const fn` says that they are in it.
macro_rules! class {
    ($is_member:path) => {{
        let mut members = [false; 256];
        let (mut byte, mut rest) = (0_u8, members.as_mut_slice());
        while let [member, after @ ..] = rest {
            *member = $is_member(byte);
            byte = byte.wrapping_add(1);
            rest = after;
        }
        $crate::proto::http1::class::Class::new(members)
    }};
}

pub(super) use class;

#[cfg(test)]
mod tests {
    use super::*;

    const fn is_digit(byte: u8) -> bool {
        byte.is_ascii_digit()
    }

    static DIGITS: Class = class!(is_digit);

    #[test]
    fn a_class_holds_its_members_and_no_other() {
        for byte in 0..=u8::MAX {
            assert_eq!(DIGITS.holds(&[b'0', byte]), byte.is_ascii_digit(), "{byte}");
        }
        assert!(DIGITS.holds(b""));
        assert_eq!(DIGITS.prefix(b"12:3"), 2);
        assert_eq!(DIGITS.prefix(b"123"), 3);
    }
}
