//! Freshness of files in caches (RFC 9111 §5.2).

use std::borrow::Cow;

use super::options::Asset;

/// Cache-Control by the kind of file and by its name.
///
/// * Names with a hash of the content in them never mean anything else: a year, `immutable`
///   (RFC 8246).
/// * Fonts hardly ever change: a week.
/// * Pictures, sound and video: an hour, and another week while they are asked for again
///   (RFC 5861), as an old picture does no harm.
/// * Everything else, pages, scripts and styles above all: kept, but checked with the ETag at each
///   use. So a deploy is seen at once, the modules of a script are never of different versions for
///   longer than the deploy takes, and what has not changed costs a 304.
pub fn by_kind(asset: Asset<'_>) -> Cow<'static, str> {
    let Asset { path, media_type } = asset;
    let is_page = matches!(media_type, "text/html" | "application/xhtml+xml");
    Cow::Borrowed(if !is_page && has_content_hash(path) {
        "public, max-age=31536000, immutable"
    } else if media_type.starts_with("font/") || media_type.starts_with("application/font-") {
        "public, max-age=604800"
    } else if ["image/", "audio/", "video/"]
        .iter()
        .any(|kind| media_type.starts_with(kind))
    {
        "public, max-age=3600, stale-while-revalidate=604800"
    } else {
        "no-cache"
    })
}

/// As many digits as the hashes in names have at least.
const HASH_DIGITS_MIN: usize = 8;

/// Returns `true` if a part of the file's name, behind another one, is a hash in lower-case hexadecimal.
///
/// It has to have both digits and letters: eight digits alone are a date more often.
fn has_content_hash(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let Some((stem, _)) = name.rsplit_once('.') else {
        return false;
    };
    stem.split(['.', '-', '_']).skip(1).any(|part| {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        part.len() >= HASH_DIGITS_MIN
            && part.bytes().all(is_hex)
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use super::super::media::media_type;
    use super::*;

    #[test]
    fn kinds_and_names_decide() {
        const CHECKED: &str = "no-cache";
        const FOREVER: &str = "public, max-age=31536000, immutable";
        const WEEK: &str = "public, max-age=604800";
        const HOUR: &str = "public, max-age=3600, stale-while-revalidate=604800";
        for (path, want) in [
            ("/index.html", CHECKED),
            ("/js/chat/main.js", CHECKED),
            ("/css/base.css", CHECKED),
            ("/data.json", CHECKED),
            ("/sw.js", CHECKED),
            ("/app.wasm", CHECKED),
            ("/manual.pdf", CHECKED),
            ("/unknown", CHECKED),
            ("/favicon.svg", HOUR),
            ("/a.png", HOUR),
            ("/a.mp4", HOUR),
            ("/a.mp3", HOUR),
            ("/a.woff2", WEEK),
            ("/a.woff", WEEK),
            ("/a.ttf", WEEK),
            ("/a.otf", WEEK),
            // Names as bundlers make them.
            ("/js/app.3f9a1c2b.js", FOREVER),
            ("/main-8c7b4e0f1a23.css", FOREVER),
            ("/static/chunk_00ff00ff.mjs", FOREVER),
            ("/a.0123456789abcdef0123456789abcdef.woff2", FOREVER),
            ("/logo.d41d8cd9.png", FOREVER),
            ("/app.3f9a1c2b.js.map", FOREVER),
            // A page is found by its name, which does not change with it.
            ("/page.3f9a1c2b.html", CHECKED),
            // These are not hashes: too short, dates, words, other letters, the whole name.
            ("/app.3f9a1c2.js", CHECKED),
            ("/report-20240131.js", CHECKED),
            ("/my-facaded.js", CHECKED),
            ("/app.3F9A1C2B.js", CHECKED),
            ("/app.3f9a1c2g.js", CHECKED),
            ("/3f9a1c2b.js", CHECKED),
            ("/v.3f9a1c2b/app.js", CHECKED),
            ("/app.3f9a1c2b", CHECKED),
        ] {
            let media_type = media_type(path);
            assert_eq!(by_kind(Asset { path, media_type }), want, "{path}");
        }
    }
}
