//! Which names are not served.

use super::skipped::SkipReason;

/// The one name with a dot that is served, at the root (RFC 8615): certificate authorities and
/// security.txt want it.
const WELL_KNOWN: &str = ".well-known";

/// Why a name is not served, whatever it stands for.
pub(super) fn hidden(prefix: &str, name: &str) -> Option<SkipReason> {
    if name.starts_with('.') {
        let is_served = prefix == "/" && name == WELL_KNOWN;
        return (!is_served).then_some(SkipReason::Hidden);
    }
    is_backup(name).then_some(SkipReason::Backup)
}

/// Returns `true` for a backup of an editor or a patch: it may hold content that was taken out.
fn is_backup(name: &str) -> bool {
    const ENDS: [&str; 6] = ["bak", "orig", "rej", "swo", "swp", "swx"];
    let is_end = |(_, end): (&str, &str)| ENDS.iter().any(|own| own.eq_ignore_ascii_case(end));
    name.ends_with('~')
        || (name.len() > 1 && name.starts_with('#') && name.ends_with('#'))
        || name.rsplit_once('.').is_some_and(is_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_what_is_hidden() {
        for (prefix, name, want) in [
            ("/", "index.html", None),
            ("/", ".env", Some(SkipReason::Hidden)),
            ("/", ".well-known", None),
            ("/sub/", ".well-known", Some(SkipReason::Hidden)),
            ("/.well-known/", ".secret", Some(SkipReason::Hidden)),
            ("/", ".well-known2", Some(SkipReason::Hidden)),
            ("/", "..data", Some(SkipReason::Hidden)),
            ("/", "index.html~", Some(SkipReason::Backup)),
            ("/", "index.html.~1~", Some(SkipReason::Backup)),
            ("/", "app.js.bak", Some(SkipReason::Backup)),
            ("/", "app.js.BAK", Some(SkipReason::Backup)),
            ("/", "site.orig", Some(SkipReason::Backup)),
            ("/", "a.swp", Some(SkipReason::Backup)),
            ("/", "a.swo", Some(SkipReason::Backup)),
            ("/", "#a#", Some(SkipReason::Backup)),
            ("/", "bak", None),
            ("/", "a.bakery", None),
            ("/", "#", None),
            ("/", "#a", None),
            ("/", "~user", None),
        ] {
            assert_eq!(hidden(prefix, name), want, "{prefix}{name}");
        }
    }
}
