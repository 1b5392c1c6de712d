//! Options for serving the files of `public_dir`.

use std::borrow::Cow;
use std::sync::Arc;

use super::config::{Config, CorsOrigins};
use crate::web::files::{Asset, FileOptions, Snapshot};

/// Fields that scripts of other origins may read besides those they always may: what it takes to
/// fetch a file in parts, and to keep it.
const EXPOSED: &str = "Accept-Ranges, Content-Encoding, Content-Range, ETag";

/// The options that this configuration asks for.
#[must_use]
pub fn options(config: &Config) -> FileOptions {
    let policy = config.content_security_policy.clone();
    let cors = config.cors_allow_origin.clone();
    let default = FileOptions::default();
    FileOptions {
        compress_bytes_max: if config.compress_files {
            default.compress_bytes_max
        } else {
            0
        },
        files_max: config.max_files,
        open_files_max: config.max_open_files,
        memory_bytes_max: config.max_file_memory as u64,
        fields: Arc::new(move |asset| fields(asset, policy.as_deref(), &cors)),
        ..default
    }
}

/// Reads `public_dir`. It blocks.
///
/// # Errors
/// A sentence: the folder cannot be read, or a field of the configuration not be sent.
pub(super) fn load(config: &Config) -> Result<Snapshot, String> {
    Snapshot::load(&config.public_dir, &options(config))
        .map_err(|error| format!("public_dir: {}: {error}", config.public_dir.display()))
}

/// A field's name and value.
type Field = (Cow<'static, str>, Cow<'static, str>);

/// A document may load and be framed by what the policy says, and tells other sites nothing of where
/// its visitors come from. Everything but pages may be fetched from elsewhere: where that depends on who asks, the
/// answer says so here, and to whom when it is asked for.
fn fields(asset: Asset<'_>, policy: Option<&str>, cors: &CorsOrigins) -> Vec<Field> {
    let mut fields: Vec<Field> = vec![("X-Content-Type-Options".into(), "nosniff".into())];
    if asset.is_document() {
        fields.push(("Referrer-Policy".into(), "same-origin".into()));
        let policy = policy.map(|policy| policy.to_owned().into());
        fields.extend(policy.map(|policy| ("Content-Security-Policy".into(), policy)));
    }
    let readers = match cors {
        CorsOrigins::Nobody => return fields,
        CorsOrigins::Anybody => ("Access-Control-Allow-Origin".into(), "*".into()),
        CorsOrigins::Listed(_) => ("Vary".into(), "Origin".into()),
    };
    if asset.media_type != "text/html" {
        fields.push(readers);
        fields.push(("Access-Control-Expose-Headers".into(), EXPOSED.into()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, media_type: &str, config: &Config) -> Vec<String> {
        let fields = (options(config).fields)(Asset { path, media_type });
        fields.into_iter().map(|(name, _)| name.into()).collect()
    }

    #[test]
    fn documents_are_guarded_and_the_rest_is_shared() {
        let page = [
            "X-Content-Type-Options",
            "Referrer-Policy",
            "Content-Security-Policy",
        ];
        let shared = [
            "X-Content-Type-Options",
            "Access-Control-Allow-Origin",
            "Access-Control-Expose-Headers",
        ];
        let config = Config {
            cors_allow_origin: CorsOrigins::Anybody,
            ..Config::default()
        };
        assert_eq!(names("/docs/", "text/html", &config), page);
        assert_eq!(names("/a.js", "text/javascript", &config), shared);
        assert_eq!(names("/a.woff2", "font/woff2", &config), shared);
        // Scripts can run in an SVG file that is opened by itself.
        let both = [&page[..], &shared[1..]].concat();
        assert_eq!(names("/a.svg", "image/svg+xml", &config), both);
        let listed = Config {
            cors_allow_origin: CorsOrigins::Listed(vec!["https://a.example".parse().unwrap()]),
            ..config.clone()
        };
        assert_eq!(names("/docs/", "text/html", &listed), page);
        let varies = [shared[0], "Vary", shared[2]];
        assert_eq!(names("/a.js", "text/javascript", &listed), varies);
        let off = Config {
            cors_allow_origin: CorsOrigins::Nobody,
            content_security_policy: None,
            ..config
        };
        assert_eq!(names("/", "text/html", &off), page[..2]);
        assert_eq!(names("/a.js", "text/javascript", &off), page[..1]);
    }
}
