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
}
