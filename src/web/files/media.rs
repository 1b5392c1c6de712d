//! Media types, told by the ends of names.

const UNKNOWN: &str = "application/octet-stream";

/// The media type of a file, without parameters.
pub(super) fn media_type(path: &str) -> &'static str {
    match mime_guess::from_path(path).first_raw() {
        // RFC 9239 §6 has made the old names of scripts obsolete.
        Some("application/javascript" | "application/x-javascript") => "text/javascript",
        Some(media_type) => media_type,
        None => UNKNOWN,
    }
}

/// What Content-Type says after the media type: files of text are taken to be UTF-8.
pub(super) fn parameters(media_type: &str) -> &'static str {
    if media_type.starts_with("text/") {
        "; charset=utf-8"
    } else {
        ""
    }
}

/// Whether files of this type get much smaller when they are compressed: those that are text, and
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
                | "application/x-javascript"
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

/// Whether a browser shows it as a document, in which scripts may run.
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
            ("/a.woff2", "font/woff2"),
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
