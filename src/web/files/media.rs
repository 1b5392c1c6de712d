//! Media types, told by the ends of names.

const UNKNOWN: &str = "application/octet-stream";

/// The types that browsers look at before they use a file, by the end of its name: with nosniff a script,
/// a style or a module of another type is refused (<https://fetch.spec.whatwg.org/#nosniff>), and WebAssembly
/// is not compiled as it comes. What is common elsewhere is another crate's table.
const LOOKED_AT: &[(&str, &str)] = &[
    // RFC 9239 §6 has made all other types of scripts obsolete.
    ("js", "text/javascript"),
    ("mjs", "text/javascript"),
    ("cjs", "text/javascript"),
    ("css", "text/css"),
    ("wasm", "application/wasm"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("xhtml", "application/xhtml+xml"),
    ("svg", "image/svg+xml"),
    ("svgz", "image/svg+xml"),
    ("vtt", "text/vtt"),
    ("txt", "text/plain"),
    // RFC 8081.
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("ttc", "font/collection"),
];

/// The media type of a file, without parameters.
pub(super) fn media_type(path: &str) -> &'static str {
    let end = extension(path);
    let known = LOOKED_AT
        .iter()
        .find(|(known, _)| end.is_some_and(|end| end.eq_ignore_ascii_case(known)));
    match known {
        Some((_, media_type)) => media_type,
        None => mime_guess::from_path(path).first_raw().unwrap_or(UNKNOWN),
    }
}

/// The content coding that a file of this name is kept in, where the type is that of what it decodes to
/// (SVG 2 §1.4 on `.svgz`).
pub(super) fn content_coding(path: &str) -> Option<&'static str> {
    extension(path)
        .is_some_and(|end| end.eq_ignore_ascii_case("svgz"))
        .then_some("gzip")
}

/// Extension behind the last dot of a name, unless the name begins with it.
fn extension(path: &str) -> Option<&str> {
    let (_, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, end) = name.rsplit_once('.')?;
    (!stem.is_empty()).then_some(end)
}

/// Parameters of Content-Type: text files are taken to be UTF-8.
pub(super) fn parameters(media_type: &str) -> &'static str {
    if media_type.starts_with("text/") {
        "; charset=utf-8"
    } else {
        ""
    }
}

/// Returns `true` if files of this type get much smaller when they are compressed: those that are text, and
/// the few others that are not packed already.
pub(super) fn is_compressible(media_type: &str) -> bool {
    let (kind, subtype) = media_type.split_once('/').unwrap_or_default();
    let is_text = kind == "text" || subtype.ends_with("+xml") || subtype.ends_with("+json");
    is_text
        || matches!(
            media_type,
            "application/json"
                | "application/xml"
                | "application/wasm"
                | "application/rtf"
                | "application/font-sfnt"
                | "application/vnd.ms-fontobject"
                | "font/collection"
                | "font/otf"
                | "font/sfnt"
                | "font/ttf"
                | "image/bmp"
                | "image/x-icon"
        )
}

/// Returns `true` if a browser shows it as a document, in which scripts may run.
pub(super) fn is_document(media_type: &str) -> bool {
    matches!(
        media_type,
        "text/html" | "text/xml" | "application/xml" | "application/xhtml+xml" | "image/svg+xml"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_media_types() {
        for (path, want) in [
            ("/index.html", "text/html; charset=utf-8"),
            ("/INDEX.HTML", "text/html; charset=utf-8"),
            ("/css/base.css", "text/css; charset=utf-8"),
            ("/a.js", "text/javascript; charset=utf-8"),
            ("/a.mjs", "text/javascript; charset=utf-8"),
            ("/robots.txt", "text/plain; charset=utf-8"),
            ("/favicon.svg", "image/svg+xml"),
            ("/favicon.ico", "image/x-icon"),
            ("/app.webmanifest", "application/manifest+json"),
            ("/a.json", "application/json"),
            ("/.json", UNKNOWN),
            ("/d.json/a", UNKNOWN),
            ("/a.wasm", "application/wasm"),
            ("/a.png", "image/png"),
            ("/a.mp4", "video/mp4"),
            ("/a.unheard-of", UNKNOWN),
            ("/css.d/README", UNKNOWN),
            ("/", UNKNOWN),
        ] {
            let found = media_type(path);
            assert_eq!(format!("{found}{}", parameters(found)), want, "{path}");
        }
    }

    /// As <https://mimesniff.spec.whatwg.org/#javascript-mime-type> and the fetch standard have them.
    #[test]
    fn what_browsers_look_at_has_the_type_they_take() {
        for (path, want) in [
            ("/a.js", "text/javascript"),
            ("/a.mjs", "text/javascript"),
            ("/a.cjs", "text/javascript"),
            ("/A.CJS", "text/javascript"),
            ("/a.jsx", "text/javascript"),
            ("/a.css", "text/css"),
            ("/a.min.css", "text/css"),
            ("/a.wasm", "application/wasm"),
            ("/a.json", "application/json"),
            ("/a.js.map", "application/json"),
            ("/a.css.map", "application/json"),
            ("/site.webmanifest", "application/manifest+json"),
            ("/a.svg", "image/svg+xml"),
            ("/a.svgz", "image/svg+xml"),
            ("/a.woff", "font/woff"),
            ("/a.woff2", "font/woff2"),
            ("/a.ttf", "font/ttf"),
            ("/a.otf", "font/otf"),
            ("/a.ttc", "font/collection"),
            ("/a.vtt", "text/vtt"),
            ("/a.avif", "image/avif"),
            ("/a.webp", "image/webp"),
        ] {
            assert_eq!(media_type(path), want, "{path}");
            let is_text = want.starts_with("text/");
            assert_eq!(!parameters(want).is_empty(), is_text, "{path}");
        }
    }

    #[test]
    fn a_packed_picture_is_told_to_be_packed() {
        for (path, coding) in [
            ("/a.svgz", Some("gzip")),
            ("/A.SVGZ", Some("gzip")),
            ("/a.svg", None),
            // These are what they are, packed or not.
            ("/a.gz", None),
            ("/svgz", None),
        ] {
            assert_eq!(content_coding(path), coding, "{path}");
        }
    }

    #[test]
    fn text_is_compressible_and_what_is_packed_is_not() {
        for path in [
            "/a.html",
            "/a.css",
            "/a.js",
            "/a.mjs",
            "/a.json",
            "/a.svg",
            "/a.xml",
            "/a.txt",
            "/a.wasm",
            "/a.md",
            "/a.csv",
            "/a.map",
            "/a.webmanifest",
            "/a.geojson",
            "/a.rss",
            "/a.atom",
            "/a.xhtml",
            "/a.ico",
            "/a.ttf",
            "/a.otf",
            "/a.eot",
            "/a.bmp",
            "/a.jsonld",
        ] {
            assert!(
                is_compressible(media_type(path)),
                "{path}: {}",
                media_type(path)
            );
        }
        for path in [
            "/a.png", "/a.jpg", "/a.webp", "/a.avif", "/a.woff", "/a.woff2", "/a.gz", "/a.br",
            "/a.zip", "/a.zst", "/a.mp4", "/a.webm", "/a.mp3", "/a.pdf", "/a.bin", "/a",
        ] {
            assert!(
                !is_compressible(media_type(path)),
                "{path}: {}",
                media_type(path)
            );
        }
    }
}
