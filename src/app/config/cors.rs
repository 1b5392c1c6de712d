//! Whose scripts may read answers (Fetch standard, §3.2).

use super::origin::Origin;

/// Pages of which other origins may read answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Of none.
    #[default]
    Nobody,
    /// Of all.
    Anybody,
    /// Of these.
    Listed(Vec<Origin>),
}

impl CorsOrigins {
    /// Returns `true` if the page that the value of an `Origin` field names is of one of them. Any page can be the opaque
    /// `null`, so none is.
    #[must_use]
    pub fn include(&self, field: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anybody => field != "null",
            Self::Listed(_) => self.listed(field).is_some(),
        }
    }

    /// The origin on the list that the value of an `Origin` field names.
    #[must_use]
    pub fn listed(&self, field: &str) -> Option<&Origin> {
        match self {
            Self::Listed(origins) => origins.iter().find(|origin| origin.is(field)),
            Self::Nobody | Self::Anybody => None,
        }
    }

    /// Returns `true` if answers differ by who asks.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::Listed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opaque_origin_is_nobody() {
        let list = |texts: &[&str]| {
            let origins = texts.iter().map(|text| text.parse().unwrap());
            CorsOrigins::Listed(origins.collect())
        };
        let two = list(&["https://a.example", "http://b.example:8080"]);
        for (origins, field, expected) in [
            (&CorsOrigins::Nobody, "https://a.example", false),
            (&CorsOrigins::Anybody, "https://a.example", true),
            (&CorsOrigins::Anybody, "null", false),
            (&two, "https://a.example", true),
            (&two, "HTTPS://A.example:443", true),
            (&two, "http://b.example:8080", true),
            (&two, "http://b.example", false),
            (&two, "https://a.example.evil.example", false),
            (&two, "https://a.example, http://b.example:8080", false),
            (&two, "null", false),
        ] {
            assert_eq!(origins.include(field), expected, "{origins:?} {field}");
        }
        assert_eq!(
            two.listed("HTTPS://A.example:443").map(Origin::as_str),
            Some("https://a.example")
        );
    }
}
