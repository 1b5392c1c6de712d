//! Accept-Encoding (RFC 9110 §12.5.3).

/// In what form a file is sent (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    Gzip,
    /// Brotli (RFC 7932).
    Brotli,
}

impl Coding {
    /// Its name in Content-Encoding, where it has one.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// Thousandths: weights have at most three decimals (RFC 9110 §12.4.2).
type Weight = u16;

const LARGEST: Weight = 1000;

/// Usual values of browsers: recognised without parsing.
const USUAL: [&[u8]; 2] = [b"gzip, deflate, br, zstd", b"gzip, deflate, br"];

/// Codings that a client accepts, from its Accept-Encoding fields.
///
/// An item that does not follow the grammar is passed over: what it meant is not known. Of several
/// about the same coding the least favourable counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AcceptedCodings {
    is_told: bool,
    brotli: Option<Weight>,
    gzip: Option<Weight>,
    identity: Option<Weight>,
    /// `*`: every coding that is not named.
    others: Option<Weight>,
}

impl AcceptedCodings {
    /// Takes in one field line.
    pub(super) fn add(&mut self, value: &[u8]) {
        self.is_told = true;
        if USUAL.contains(&value) {
            for known in [&mut self.brotli, &mut self.gzip] {
                *known = known.or(Some(LARGEST));
            }
            return;
        }
        let mut rest = value;
        while !rest.is_empty() {
            let len = rest.iter().position(|byte| *byte == b',');
            let (item, behind) = rest.split_at(len.unwrap_or(rest.len()));
            rest = behind.get(1..).unwrap_or_default();
            self.add_item(item);
        }
    }

    fn add_item(&mut self, item: &[u8]) {
        let semicolon = item.iter().position(|byte| *byte == b';');
        let (name, weight) = item.split_at(semicolon.unwrap_or(item.len()));
        if let Some(known) = self.known(trim(name))
            && let Some(weight) = explicit(weight)
        {
            *known = Some(known.map_or(weight, |before| before.min(weight)));
        }
    }

    fn known(&mut self, name: &[u8]) -> Option<&mut Option<Weight>> {
        let is = |coding: &str| name.eq_ignore_ascii_case(coding.as_bytes());
        match name.len() {
            1 if is("*") => Some(&mut self.others),
            2 if is("br") => Some(&mut self.brotli),
            4 if is("gzip") => Some(&mut self.gzip),
            // RFC 9110 §8.4.1.3: an old name of gzip.
            6 if is("x-gzip") => Some(&mut self.gzip),
            8 if is("identity") => Some(&mut self.identity),
            _ => None,
        }
    }

    /// Returns `true` if the client takes the file as it is.
    pub(super) fn allows_identity(self) -> bool {
        self.identity.or(self.others) != Some(0)
    }

    /// The coding to answer with, of those a file has besides its own form. `None`: the client wants
    /// none of them.
    ///
    /// The client's weights come first; where they are equal, what is smallest.
    pub(super) fn choose(self, has_brotli: bool, has_gzip: bool) -> Option<Coding> {
        if !self.is_told {
            // Everything would be acceptable, but who does not ask is seldom prepared.
            return Some(Coding::Identity);
        }
        let weight = |own: Option<Weight>| own.or(self.others).unwrap_or(0);
        let encoded = [
            (weight(self.brotli), Coding::Brotli, has_brotli),
            (weight(self.gzip), Coding::Gzip, has_gzip),
        ];
        let mut best = None;
        for (weight, coding, is_there) in encoded {
            let is_better = best.is_none_or(|(most, _)| weight > most);
            if is_there && weight > 0 && is_better {
                best = Some((weight, coding));
            }
        }
        let identity = weight(self.identity);
        match best {
            Some((weight, coding)) if weight >= identity => Some(coding),
            _ => self.allows_identity().then_some(Coding::Identity),
        }
    }
}

/// The weight behind a coding, from its semicolon on. None is the largest.
fn explicit(weight: &[u8]) -> Option<Weight> {
    let Some(weight) = weight.get(1..).map(trim) else {
        return Some(LARGEST);
    };
    let (letter, value) = weight.split_at_checked(2)?;
    letter.eq_ignore_ascii_case(b"q=").then(|| qvalue(value))?
}

/// A weight (RFC 9110 §12.4.2): from 0 to 1, with up to three decimals.
fn qvalue(value: &[u8]) -> Option<Weight> {
    let (whole, decimals) = match value {
        [whole] => (whole, [].as_slice()),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = decimals.get(place).unwrap_or(&b'0');
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        thousandths = thousandths * 10 + Weight::from(digit);
    }
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(LARGEST),
        _ => None,
    }
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Coding::{Brotli, Gzip, Identity};
    use super::*;

    fn accepted(lines: &[&str]) -> AcceptedCodings {
        let mut accepted = AcceptedCodings::default();
        lines.iter().for_each(|line| accepted.add(line.as_bytes()));
        accepted
    }

    #[test]
    fn the_client_decides_and_then_the_size() {
        for (lines, want) in [
            (&[][..], Some(Identity)),
            // RFC 9110 §12.5.3, its examples.
            (&["compress, gzip"], Some(Gzip)),
            (&[""], Some(Identity)),
            (&["*"], Some(Brotli)),
            (&["compress;q=0.5, gzip;q=1.0"], Some(Gzip)),
            (&["gzip;q=1.0, identity; q=0.5, *;q=0"], Some(Gzip)),
            // What browsers send, in their order and in another.
            (&["gzip, deflate, br, zstd"], Some(Brotli)),
            (&["br,gzip"], Some(Brotli)),
            (&["identity;q=1, *;q=0"], Some(Identity)),
            // Weights before size.
            (&["gzip;q=1, br;q=0.9"], Some(Gzip)),
            (&["gzip;q=0.8, br;q=0.801"], Some(Brotli)),
            (&["gzip;q=0.801, br;q=0.8"], Some(Gzip)),
            (&["gzip;q=0.5, br;q=0.5"], Some(Brotli)),
            (&["gzip;q=0.001"], Some(Gzip)),
            (&["br;q=0.5, identity;q=0.6"], Some(Identity)),
            (&["br;q=0.6, identity;q=0.6"], Some(Brotli)),
            (&["br;q=0.5, *;q=0.6"], Some(Gzip)),
            // What has weight 0 is not wanted.
            (&["br;q=0, gzip"], Some(Gzip)),
            (&["br;q=0.000, gzip;q=0.0"], Some(Identity)),
            (&["*;q=0, br"], Some(Brotli)),
            (&["*, br;q=0"], Some(Gzip)),
            (&["identity"], Some(Identity)),
            (&["deflate, zstd, compress"], Some(Identity)),
            // Not even the file as it is.
            (&["identity;q=0"], None),
            (&["*;q=0"], None),
            (&["zstd, *;q=0"], None),
            (&["identity;q=0, gzip;q=0.1"], Some(Gzip)),
            (&["*;q=0, identity;q=0.1"], Some(Identity)),
            // §12.5.3: names have no case; §8.4.1.3: an old name.
            (&["GZip"], Some(Gzip)),
            (&["X-GZIP"], Some(Gzip)),
            (&["BR;Q=1.0"], Some(Brotli)),
            (&["Identity;q=0, BR;q=0.1"], Some(Brotli)),
            // §5.3: several lines are one list. §5.6.1: empty items do not count.
            (&["gzip", "br;q=0.5"], Some(Gzip)),
            (&["gzip;q=0.4", "", "br;q=0.5"], Some(Brotli)),
            (&[" ,, gzip\t;\tq=0.5 ,"], Some(Gzip)),
            // Said twice: the least counts.
            (&["gzip, x-gzip;q=0"], Some(Identity)),
            (&["br;q=0", "br"], Some(Identity)),
            // What is malformed says nothing.
            (&["gzip;q=abc"], Some(Identity)),
            (&["gzip;q="], Some(Identity)),
            (&["gzip;q"], Some(Identity)),
            (&["gzip;"], Some(Identity)),
            (&["gzip;q=1.001"], Some(Identity)),
            (&["gzip;q=2"], Some(Identity)),
            (&["gzip;q=-1"], Some(Identity)),
            (&["gzip;q=.5"], Some(Identity)),
            (&["gzip;q=0.5555"], Some(Identity)),
            (&["gzip;q=0,5"], Some(Identity)),
            (&["gzip;q= 0.5"], Some(Identity)),
            (&["gzip;q =0.5"], Some(Identity)),
            (&["gzip;level=9"], Some(Identity)),
            (&["gzip;q=0.5;q=1"], Some(Identity)),
            (&["gzip;q=1.0, br;q=x"], Some(Gzip)),
            (&["\"gzip\""], Some(Identity)),
            (&["gzip br"], Some(Identity)),
            (&["gzip;q=1."], Some(Gzip)),
            (&["gzip;q=0."], Some(Identity)),
            (&["identity;q=0.0x"], Some(Identity)),
        ] {
            assert_eq!(accepted(lines).choose(true, true), want, "{lines:?}");
        }
    }

    #[test]
    fn what_is_usual_means_what_it_would_mean() {
        for usual in USUAL {
            for before in ["", "br;q=0.5", "gzip;q=0, identity;q=0.1", "*;q=0.3"] {
                let (mut one, mut other) = (accepted(&[before]), accepted(&[before]));
                one.add(usual);
                usual
                    .split(|byte| *byte == b',')
                    .for_each(|item| other.add_item(item));
                assert_eq!(format!("{one:?}"), format!("{other:?}"));
            }
        }
    }

    #[test]
    fn only_what_is_there_is_chosen() {
        for (line, has_brotli, has_gzip, want) in [
            ("br, gzip", true, false, Some(Brotli)),
            ("br, gzip", false, true, Some(Gzip)),
            ("br, gzip", false, false, Some(Identity)),
            ("br", false, true, Some(Identity)),
            (
                "br;q=1, gzip;q=0.5, identity;q=0.7",
                false,
                true,
                Some(Identity),
            ),
            ("*, identity;q=0", false, true, Some(Gzip)),
            ("*, identity;q=0", false, false, None),
            ("br, identity;q=0", false, true, None),
        ] {
            let chosen = accepted(&[line]).choose(has_brotli, has_gzip);
            assert_eq!(chosen, want, "{line}");
        }
    }

    proptest! {
        /// Every weight of the grammar is read exactly, and nothing else is.
        #[test]
        fn weights_are_read_exactly(text in "[012]?\\.?[0-9]{0,4}") {
            let is_grammatical = {
                let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
                let is_one = whole == "1" && decimals.bytes().all(|digit| digit == b'0');
                decimals.len() <= 3 && (whole == "0" || is_one)
            };
            let want = is_grammatical.then(|| (text.parse::<f64>().unwrap() * 1000.0).round());
            prop_assert_eq!(qvalue(text.as_bytes()).map(f64::from), want, "{}", text);
        }

        /// Whatever is sent, the choice is there and was not refused.
        #[test]
        fn what_is_refused_is_never_chosen(
            value in "((br|gzip|x-gzip|identity|\\*|zstd)(;q=(0|1|0\\.[0-9]{1,3}))?,? ?){0,5}",
            has_brotli: bool,
            has_gzip: bool,
        ) {
            let accepted = accepted(&[&value]);
            let is_rejected = |own: Option<Weight>| own.or(accepted.others) == Some(0);
            match accepted.choose(has_brotli, has_gzip) {
                Some(Brotli) => prop_assert!(has_brotli && !is_rejected(accepted.brotli)),
                Some(Gzip) => prop_assert!(has_gzip && !is_rejected(accepted.gzip)),
                Some(Identity) => prop_assert!(!is_rejected(accepted.identity)),
                None => prop_assert!(is_rejected(accepted.identity)),
            }
        }
    }
}
