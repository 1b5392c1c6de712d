//! Which names are not served.

use super::left_out::Reason;

/// The one name with a dot that is served, at the root (RFC 8615): certificate authorities and
/// security.txt want it.
const WELL_KNOWN: &str = ".well-known";

/// Why a name is not served, whatever it stands for.
pub(super) fn hidden(prefix: &str, name: &str) -> Option<Reason> {
    if name.starts_with('.') {
        let is_served = prefix == "/" && name == WELL_KNOWN;
        return (!is_served).then_some(Reason::Hidden);
    }
    is_backup(name).then_some(Reason::Backup)
}

/// What editors and patches leave beside a file: the source of a page may be in it that was taken out.
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
            ("/", ".env", Some(Reason::Hidden)),
            ("/", ".well-known", None),
            ("/sub/", ".well-known", Some(Reason::Hidden)),
            ("/.well-known/", ".secret", Some(Reason::Hidden)),
            ("/", ".well-known2", Some(Reason::Hidden)),
            ("/", "..data", Some(Reason::Hidden)),
            ("/", "index.html~", Some(Reason::Backup)),
            ("/", "index.html.~1~", Some(Reason::Backup)),
            ("/", "app.js.bak", Some(Reason::Backup)),
            ("/", "app.js.BAK", Some(Reason::Backup)),
            ("/", "site.orig", Some(Reason::Backup)),
            ("/", "a.swp", Some(Reason::Backup)),
            ("/", "a.swo", Some(Reason::Backup)),
            ("/", "#a#", Some(Reason::Backup)),
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
