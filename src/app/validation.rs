//! Rules for usernames, e-mail addresses, passwords, names and chat messages.
//!
//! Lengths are counted in characters (Unicode scalar values). Nothing is changed or trimmed: a
//! value is taken as it is or refused with the words the client is shown.

use std::fmt;
use std::ops::RangeInclusive;

const USERNAME_CHARS: RangeInclusive<usize> = 3..=32;
const EMAIL_CHARS: RangeInclusive<usize> = 5..=255;
const PASSWORD_CHARS: RangeInclusive<usize> = 8..=128;
const NAME_CHARS: RangeInclusive<usize> = 1..=100;
const MESSAGE_CHARS: RangeInclusive<usize> = 1..=4096;

/// One of these is required in a password; any other character may stand beside it.
const PASSWORD_SPECIALS: &str = "!@#$%^&*()-_=+";

/// The rule a value breaks. `Display` is the sentence for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// Not 3 to 32 characters.
    UsernameLength,
    /// A character other than `A-Z a-z 0-9 _ -`.
    UsernameCharacter,
    /// A digit comes first.
    UsernameStart,
    /// Not 5 to 255 characters.
    EmailLength,
    /// White space or a control character.
    EmailCharacter,
    /// Not `local@domain` with one `@`, a local part, and a dot inside the domain.
    EmailForm,
    /// Not 8 to 128 characters.
    PasswordLength,
    /// No upper-case letter.
    PasswordUpper,
    /// No lower-case letter.
    PasswordLower,
    /// No digit.
    PasswordDigit,
    /// None of `!@#$%^&*()-_=+`.
    PasswordSpecial,
    /// Not 1 to 100 characters.
    NameLength,
    /// White space alone.
    NameBlank,
    /// A control character.
    NameCharacter,
    /// Not 1 to 4096 characters.
    MessageLength,
    /// White space alone.
    MessageBlank,
    /// A control character that is not tab, LF or CR.
    MessageCharacter,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UsernameLength => "Username must be 3 to 32 characters long",
            Self::UsernameCharacter => {
                "Username may contain only letters, digits, underscores and hyphens"
            }
            Self::UsernameStart => "Username must not start with a digit",
            Self::EmailLength => "Email must be 5 to 255 characters long",
            Self::EmailCharacter => "Email must not contain spaces or control characters",
            Self::EmailForm => "Email must be of the form name@example.com",
            Self::PasswordLength => "Password must be 8 to 128 characters long",
            Self::PasswordUpper => "Password must contain an upper-case letter",
            Self::PasswordLower => "Password must contain a lower-case letter",
            Self::PasswordDigit => "Password must contain a digit",
            Self::PasswordSpecial => "Password must contain one of !@#$%^&*()-_=+",
            Self::NameLength => "Name must be 1 to 100 characters long",
            Self::NameBlank => "Name must not be blank",
            Self::NameCharacter => "Name must not contain control characters",
            Self::MessageLength => "Message must be 1 to 4096 characters long",
            Self::MessageBlank => "Message must not be blank",
            Self::MessageCharacter => {
                "Message must not contain control characters except tabs and line breaks"
            }
        })
    }
}

impl std::error::Error for RuleError {}

/// 3 to 32 of `A-Z a-z 0-9 _ -`, not starting with a digit.
///
/// ```
/// use edgeloop::app::validation::{RuleError, username};
/// assert_eq!(username("ada_l"), Ok(()));
/// assert_eq!(username("1st"), Err(RuleError::UsernameStart));
/// ```
///
/// # Errors
/// The first rule that is broken: length, characters, start.
pub fn username(username: &str) -> Result<(), RuleError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    length(username, USERNAME_CHARS, RuleError::UsernameLength)?;
    ensure(username.chars().all(allowed), RuleError::UsernameCharacter)?;
    ensure(
        !username.starts_with(|c: char| c.is_ascii_digit()),
        RuleError::UsernameStart,
    )
}

/// 5 to 255 characters without white space and controls, one `@`, something before it, and after
/// it a domain of two or more labels, none empty. Only a message sent there proves an address, so
/// the rule refuses slips of the hand and accepts what mailboxes use: `+`, subdomains, any script.
///
/// # Errors
/// The first rule that is broken: length, characters, form.
pub fn email(email: &str) -> Result<(), RuleError> {
    let rejected = |c: char| c.is_control() || c.is_whitespace();
    length(email, EMAIL_CHARS, RuleError::EmailLength)?;
    ensure(!email.contains(rejected), RuleError::EmailCharacter)?;
    let (local, domain) = email.split_once('@').ok_or(RuleError::EmailForm)?;
    let labels_whole = domain.split('.').all(|label| !label.is_empty());
    let form = !local.is_empty() && !domain.contains('@') && domain.contains('.') && labels_whole;
    ensure(form, RuleError::EmailForm)
}

/// 8 to 128 characters with an upper-case letter, a lower-case letter (of any script), a digit and
/// one of `!@#$%^&*()-_=+`.
///
/// # Errors
/// The first rule that is broken, in that order.
pub fn password(password: &str) -> Result<(), RuleError> {
    length(password, PASSWORD_CHARS, RuleError::PasswordLength)?;
    ensure(
        password.contains(char::is_uppercase),
        RuleError::PasswordUpper,
    )?;
    ensure(
        password.contains(char::is_lowercase),
        RuleError::PasswordLower,
    )?;
    ensure(
        password.contains(|c: char| c.is_ascii_digit()),
        RuleError::PasswordDigit,
    )?;
    ensure(
        password.contains(|c| PASSWORD_SPECIALS.contains(c)),
        RuleError::PasswordSpecial,
    )
}

/// Returns `true` if somebody may have registered with these, by how long they are. For others there is nothing to
/// look up, and nothing to hash.
#[must_use]
pub fn may_be_credentials(username: &str, password: &str) -> bool {
    let is_within = |text: &str, chars_max: usize| text.chars().nth(chars_max).is_none();
    is_within(username, *EMAIL_CHARS.end()) && is_within(password, *PASSWORD_CHARS.end())
}

/// 1 to 100 characters, not only white space, no control character.
///
/// # Errors
/// The first rule that is broken: length, controls, blank.
pub fn name(name: &str) -> Result<(), RuleError> {
    length(name, NAME_CHARS, RuleError::NameLength)?;
    ensure(!name.contains(char::is_control), RuleError::NameCharacter)?;
    ensure(!name.trim().is_empty(), RuleError::NameBlank)
}

/// 1 to 4096 characters, not only white space, no control character but tab, LF and CR.
///
/// # Errors
/// The first rule that is broken: length, controls, blank.
pub fn chat_message(text: &str) -> Result<(), RuleError> {
    let rejected = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    length(text, MESSAGE_CHARS, RuleError::MessageLength)?;
    ensure(!text.contains(rejected), RuleError::MessageCharacter)?;
    ensure(!text.trim().is_empty(), RuleError::MessageBlank)
}

fn length(value: &str, chars: RangeInclusive<usize>, error: RuleError) -> Result<(), RuleError> {
    // No more than one character over the limit is looked at, however long the value.
    let count = value.chars().take(chars.end() + 1).count();
    ensure(chars.contains(&count), error)
}

fn ensure(holds: bool, error: RuleError) -> Result<(), RuleError> {
    if holds { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::RuleError as E;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usernames() {
        for good in ["abc", "_ab", "-ab", "Ada_L-1", &"x".repeat(32)] {
            assert_eq!(username(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("", E::UsernameLength),
            ("ab", E::UsernameLength),
            (&*"x".repeat(33), E::UsernameLength),
            ("1ab", E::UsernameStart),
            ("a b", E::UsernameCharacter),
            ("a.b", E::UsernameCharacter),
            ("ädä", E::UsernameCharacter),
            ("ab\0", E::UsernameCharacter),
            ("1 b", E::UsernameCharacter),
        ] {
            assert_eq!(username(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn emails() {
        let longest = format!("{}@b.c", "x".repeat(251));
        for good in [
            "a@b.c",
            "ada+tag@mail.example.co.uk",
            "o'brien@example.com",
            "jürgen@müller.example",
            &longest,
        ] {
            assert_eq!(email(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("", E::EmailLength),
            ("a@.c", E::EmailLength),
            (&*format!("x{longest}"), E::EmailLength),
            ("a b@c.d", E::EmailCharacter),
            ("a@b.c\n", E::EmailCharacter),
            ("a\u{a0}@b.c", E::EmailCharacter),
            ("a@b.c\0", E::EmailCharacter),
            ("example.com", E::EmailForm),
            ("@b.cd", E::EmailForm),
            ("a@bcd", E::EmailForm),
            ("a.b@cd", E::EmailForm),
            ("a@b@c.d", E::EmailForm),
            ("a@.bc", E::EmailForm),
            ("a@bc.", E::EmailForm),
            ("a@b..c", E::EmailForm),
        ] {
            assert_eq!(email(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn passwords() {
        let longest = format!("Aa1!{}", "x".repeat(124));
        for good in [
            "Abcdef1!",
            "Пароль12+",
            "Aa1!    ",
            "Aa1=\u{1f511}{}~",
            &longest,
        ] {
            assert_eq!(password(good), Ok(()), "{good}");
        }
        for special in PASSWORD_SPECIALS.chars() {
            assert_eq!(password(&format!("Abcdef1{special}")), Ok(()));
        }
        for (bad, error) in [
            ("Abcde1!", E::PasswordLength),
            (&*format!("{longest}x"), E::PasswordLength),
            ("abcdef1!", E::PasswordUpper),
            ("ABCDEF1!", E::PasswordLower),
            ("Abcdefg!", E::PasswordDigit),
            ("Abcdef1?", E::PasswordSpecial),
        ] {
            assert_eq!(password(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn names() {
        for good in ["A", " Ada Lovelace ", "李", &"é".repeat(100)] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("", E::NameLength),
            (&*"x".repeat(101), E::NameLength),
            (" \u{3000}", E::NameBlank),
            ("a\tb", E::NameCharacter),
            ("a\u{85}b", E::NameCharacter),
        ] {
            assert_eq!(name(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn chat_messages() {
        for good in ["x", "a\tb\r\nc", "👍", &"é".repeat(4096)] {
            assert_eq!(chat_message(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("", E::MessageLength),
            (&*"x".repeat(4097), E::MessageLength),
            (" \t\r\n", E::MessageBlank),
            ("a\0b", E::MessageCharacter),
            ("a\u{1b}[2J", E::MessageCharacter),
            ("a\u{7f}", E::MessageCharacter),
            ("a\u{9b}", E::MessageCharacter),
        ] {
            assert_eq!(chat_message(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn words_name_the_value_they_are_about() {
        assert!(E::UsernameStart.to_string().starts_with("Username"));
        assert!(E::PasswordSpecial.to_string().contains(PASSWORD_SPECIALS));
    }

    /// The username rule as a state machine over bytes, written a second way.
    fn username_reference(text: &str) -> bool {
        let bytes = text.as_bytes();
        let allowed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-0123456789";
        (3..=32).contains(&bytes.len())
            && bytes.iter().all(|byte| allowed.contains(byte))
            && !bytes[0].is_ascii_digit()
    }

    /// The e-mail rule by positions of `@` and dots, written a second way.
    fn email_reference(text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let ats: Vec<usize> = (0..chars.len()).filter(|&i| chars[i] == '@').collect();
        let [at] = ats[..] else { return false };
        let domain = &chars[at + 1..];
        let dots = domain.iter().filter(|&&c| c == '.').count();
        at > 0
            && dots > 0
            && domain.first() != Some(&'.')
            && domain.last() != Some(&'.')
            && !domain.windows(2).any(|pair| pair == ['.', '.'])
            && !chars.iter().any(|c| c.is_control() || c.is_whitespace())
            && chars.len() >= 5
            && chars.len() <= 255
    }

    fn password_reference(text: &str) -> bool {
        let (mut upper, mut lower, mut digit, mut special, mut count) = (0, 0, 0, 0, 0);
        for c in text.chars() {
            count += 1;
            upper += u32::from(c.is_uppercase());
            lower += u32::from(c.is_lowercase());
            digit += u32::from("0123456789".contains(c));
            special += u32::from(PASSWORD_SPECIALS.chars().any(|s| s == c));
        }
        (8..=128).contains(&count) && upper > 0 && lower > 0 && digit > 0 && special > 0
    }

    fn text_reference(text: &str, chars_max: usize, allowed: &[char]) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let control = |c: char| matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}');
        chars.len() <= chars_max
            && chars.iter().any(|c| !c.is_whitespace())
            && chars.iter().all(|&c| !control(c) || allowed.contains(&c))
    }

    proptest! {
        #[test]
        fn usernames_agree_with_the_reference(text in "[A-Za-z0-9_.é -]{0,34}|\\PC{0,6}") {
            prop_assert_eq!(username(&text).is_ok(), username_reference(&text));
        }

        #[test]
        fn emails_agree_with_the_reference(text in "[ab@.+ é]{0,12}|[a-z]{1,9}@[a-z.]{1,9}|\\PC*") {
            prop_assert_eq!(email(&text).is_ok(), email_reference(&text));
        }

        #[test]
        fn passwords_agree_with_the_reference(text in "[AaBb1!? ]{5,12}|\\PC{0,140}") {
            prop_assert_eq!(password(&text).is_ok(), password_reference(&text));
        }

        #[test]
        fn names_agree_with_the_reference(text in "[a \t\u{3000}]{0,3}|\\PC{0,104}|.{0,104}") {
            prop_assert_eq!(name(&text).is_ok(), text_reference(&text, 100, &[]));
        }

        #[test]
        fn messages_agree_with_the_reference(text in "[ \t\r\n\u{b}]{0,3}|(?s:.{0,40})") {
            let allowed = ['\t', '\n', '\r'];
            prop_assert_eq!(chat_message(&text).is_ok(), text_reference(&text, 4096, &allowed));
        }
    }
}
