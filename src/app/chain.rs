//! Checks of a chain of certificates beyond that each of them can be read: when they count,
//! and whether each was issued by the next.

use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// A certificate that is served, and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The first of the names it is for.
    pub name: String,
    /// In Unix seconds.
    pub not_after: i64,
}

/// The present time in Unix seconds, as certificates have it.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// Looks at certificates that a client is to follow from the first to the last. What is wrong with them is
/// put to `warnings`, a sentence each.
pub(super) fn inspect(
    chain: &[CertificateDer<'_>],
    now: i64,
    warnings: &mut Vec<String>,
) -> Option<Shown> {
    let chain = parse(chain, warnings);
    warnings.extend(chain.iter().filter_map(|cert| untimely(cert, now)));
    for pair in chain.windows(2) {
        if let [Some((number, cert)), Some((_, issuer))] = pair {
            let reason = if cert.issuer().as_raw() != issuer.subject().as_raw() {
                "its name is another"
            } else if let Err(X509Error::SignatureVerificationError) =
                cert.verify_signature(Some(issuer.public_key()))
            {
                "it has not signed it"
            } else {
                continue;
            };
            let next = number + 1;
            warnings.push(format!(
                "certificate {next} is not the issuer of certificate {number}: {reason}"
            ));
        }
    }
    let (_, first) = chain.into_iter().next()??;
    Some(Shown {
        name: name(&first),
        not_after: first.validity().not_after.timestamp(),
    })
}

/// Looks at certificates that each stand for themselves.
pub(super) fn inspect_each(certs: &[CertificateDer<'_>], now: i64, warnings: &mut Vec<String>) {
    let certs = parse(certs, warnings);
    warnings.extend(certs.iter().filter_map(|cert| untimely(cert, now)));
}

/// A certificate and its place in the file.
type Placed<'a> = Option<(usize, X509Certificate<'a>)>;

fn parse<'a>(certs: &'a [CertificateDer<'_>], warnings: &mut Vec<String>) -> Vec<Placed<'a>> {
    let parsed = (1..).zip(certs).map(|(number, cert)| {
        let parsed = X509Certificate::from_der(cert);
        if parsed.is_err() {
            warnings.push(format!(
                "when certificate {number} expires and who has issued it cannot be read"
            ));
        }
        parsed.ok().map(|(_, cert)| (number, cert))
    });
    parsed.collect()
}

fn untimely(cert: &Placed<'_>, now: i64) -> Option<String> {
    let (number, cert) = cert.as_ref()?;
    let validity = cert.validity();
    let name = name(cert);
    if validity.not_after.timestamp() < now {
        let date = validity.not_after;
        Some(format!(
            "certificate {number} ({name:?}) has expired: {date}"
        ))
    } else if validity.not_before.timestamp() > now {
        let date = validity.not_before;
        Some(format!(
            "certificate {number} ({name:?}) is not valid yet, but from {date} on"
        ))
    } else {
        None
    }
}

/// The first name it is for, or the subject's.
fn name(cert: &X509Certificate<'_>) -> String {
    let names = cert.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let first = names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    first.unwrap_or_else(|| cert.subject().to_string())
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from));
    address.ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
        date_time_ymd,
    };

    use super::*;

    /// 2020-01-01, 2022-01-01 and 2024-01-01.
    const TIMES: [i64; 3] = [1_577_836_800, 1_640_995_200, 1_704_067_200];

    fn params(hosts: &[&str]) -> CertificateParams {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.not_before = date_time_ymd(2021, 1, 1);
        params.not_after = date_time_ymd(2023, 1, 1);
        params
    }

    /// An authority of this name, with a key of its own.
    fn authority(name: &str) -> (Certificate, Issuer<'static, KeyPair>) {
        let (key, mut params) = (KeyPair::generate().unwrap(), params(&[]));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let cert = params.self_signed(&key).unwrap();
        (cert, Issuer::new(params, key))
    }

    fn told(chain: &[&Certificate], now: i64) -> (Option<Shown>, Vec<String>) {
        let chain: Vec<_> = chain.iter().map(|cert| cert.der().clone()).collect();
        let mut warnings = Vec::new();
        (inspect(&chain, now, &mut warnings), warnings)
    }

    #[test]
    fn certificates_are_known_by_their_first_name_and_their_dates_are_looked_at() {
        let cert = params(&["a.example", "b.example"])
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap();
        let [early, meanwhile, late] = TIMES;
        let (shown, warnings) = told(&[&cert], meanwhile);
        let expected = Shown {
            name: "a.example".to_owned(),
            not_after: 1_672_531_200,
        };
        assert_eq!((shown.as_ref(), warnings.len()), (Some(&expected), 0));
        for (now, word) in [(early, "not valid yet"), (late, "has expired")] {
            let (shown, warnings) = told(&[&cert], now);
            assert_eq!(shown.as_ref(), Some(&expected));
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains(word), "{warnings:?}");
            assert!(warnings[0].contains("1 (\"a.example\")"), "{warnings:?}");
            let mut each = Vec::new();
            inspect_each(&[cert.der().clone()], now, &mut each);
            assert_eq!(each, warnings);
        }
        let nameless = authority("Anna").0;
        assert_eq!(told(&[&nameless], meanwhile).0.unwrap().name, "CN=Anna");
        let by_address = params(&["2001:db8::1"]).self_signed(&KeyPair::generate().unwrap());
        let (shown, _) = told(&[&by_address.unwrap()], meanwhile);
        assert_eq!(shown.unwrap().name, "2001:db8::1");
    }

    #[test]
    fn each_certificate_is_to_be_issued_by_the_next() {
        let (first, issuer) = authority("one");
        let (namesake, _) = authority("one");
        let (other, _) = authority("two");
        let leaf = params(&["a.example"])
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        let now = TIMES[1];
        assert!(told(&[&leaf], now).1.is_empty());
        assert!(told(&[&leaf, &first], now).1.is_empty());
        assert_eq!(
            told(&[&leaf, &namesake], now).1,
            ["certificate 2 is not the issuer of certificate 1: it has not signed it"]
        );
        assert_eq!(
            told(&[&leaf, &first, &other], now).1,
            ["certificate 3 is not the issuer of certificate 2: its name is another"]
        );
    }
}
