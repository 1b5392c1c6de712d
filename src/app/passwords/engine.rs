//! The computations of one hashing thread.

use super::{HashError, Password};
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{pbkdf2, rand};
use std::fmt;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Iterations in a `User` table of the C design.
const LEGACY_ROUNDS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

/// Over these a cost is refused, also one that stands in the database.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;

/// Cost of one argon2id hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes the memory is divided in. One thread computes them all.
    pub lanes: u32,
}

impl Cost {
    /// The first choice of the OWASP password storage cheat sheet for argon2id.
    pub const OWASP: Self = Self {
        memory_kib: 19_456,
        passes: 2,
        lanes: 1,
    };

    fn params(self) -> Option<Params> {
        if self.memory_kib > MEMORY_KIB_MAX || self.passes > PASSES_MAX {
            return None;
        }
        // argon2 multiplies the lanes by 8 unchecked.
        if self.lanes > self.memory_kib / 8 {
            return None;
        }
        Params::new(self.memory_kib, self.passes, self.lanes, None).ok()
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::OWASP
    }
}

/// Stored credential of a user.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing: no such user, or one without a password. Never right.
    Absent,
    /// A PHC string.
    Argon2(String),
    /// PBKDF2-HMAC-SHA256 with 10,000 rounds, of the C design.
    Pbkdf2 {
        /// The derived key, 32 bytes.
        hash: Vec<u8>,
        /// Its salt, 16 bytes.
        salt: Vec<u8>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Argon2(_) => "Argon2(..)",
            Self::Pbkdf2 { .. } => "Pbkdf2(..)",
        })
    }
}

/// The outcome of a check.
#[derive(Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the user's password.
    Right {
        /// A hash to store in place of the one checked, which is of an old kind or cost.
        replacement: Option<String>,
    },
    /// It is not.
    Wrong,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Right { replacement: None } => "Right",
            Self::Right { .. } => "Right, to be replaced",
            Self::Wrong => "Wrong",
        })
    }
}

/// argon2id with the current cost, and the memory it works in.
pub(super) struct HashEngine {
    params: Params,
    blocks: Vec<Block>,
}

impl HashEngine {
    /// `None`: the cost is out of range.
    pub(super) fn new(cost: Cost) -> Option<Self> {
        let params = cost.params()?;
        Some(Self {
            params,
            blocks: Vec::new(),
        })
    }

    /// The PHC string of `password` under a new salt.
    pub(super) fn hash(&mut self, password: &Password) -> Result<String, HashError> {
        let salt = random_salt()?;
        let mut output = [0; HASH_BYTES];
        let params = self.params.clone();
        self.derive(params, password, &salt, &mut output)?;
        let phc = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).map_err(unavailable)?,
            salt: Some(Salt::new(&salt).map_err(unavailable)?),
            hash: Some(Output::new(&output).map_err(unavailable)?),
        };
        Ok(phc.to_string())
    }

    /// One argon2id, and one PBKDF2 while `legacy_left`, on every way that ends in `Wrong`.
    pub(super) fn check(
        &mut self,
        password: &Password,
        credential: &Credential,
        legacy_left: bool,
    ) -> Result<Verdict, HashError> {
        match credential {
            Credential::Argon2(phc) => {
                let verdict = self.check_current(password, phc)?;
                if verdict == Verdict::Wrong && legacy_left {
                    derive_legacy(password, &[0; SALT_BYTES]);
                }
                Ok(verdict)
            }
            Credential::Pbkdf2 { hash, salt } => {
                // What pads the time of a wrong password is the new hash of a right one.
                let replacement = Some(self.hash(password)?);
                let derived = derive_legacy(password, salt);
                let right = verify_slices_are_equal(&*derived, hash).is_ok();
                Ok(if right {
                    Verdict::Right { replacement }
                } else {
                    Verdict::Wrong
                })
            }
            Credential::Absent => {
                self.hash(password)?;
                if legacy_left {
                    derive_legacy(password, &[0; SALT_BYTES]);
                }
                Ok(Verdict::Wrong)
            }
        }
    }

    fn check_current(&mut self, password: &Password, phc: &str) -> Result<Verdict, HashError> {
        let Some(stored) = Stored::parse(phc) else {
            log::error!("a password hash in the database cannot be read; its user cannot log in");
            self.hash(password)?;
            return Ok(Verdict::Wrong);
        };
        let mut buffer = [0; Output::MAX_LENGTH];
        let Some(output) = buffer.get_mut(..stored.hash.len()) else {
            return Err(HashError::Unavailable);
        };
        let cost_is_current = stored.cost_equals(&self.params);
        self.derive(stored.params, password, &stored.salt, output)?;
        if verify_slices_are_equal(output, stored.hash.as_bytes()).is_err() {
            return Ok(Verdict::Wrong);
        }
        let replacement = if cost_is_current {
            None
        } else {
            Some(self.hash(password)?)
        };
        Ok(Verdict::Right { replacement })
    }

    fn derive(
        &mut self,
        params: Params,
        password: &Password,
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), HashError> {
        #[cfg(test)]
        tests::count(|computed| computed.argon2 += 1);
        let missing = params.block_count().saturating_sub(self.blocks.len());
        self.blocks
            .try_reserve_exact(missing)
            .map_err(unavailable)?;
        let count = self.blocks.len() + missing;
        self.blocks.resize(count, Block::new());
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                password.as_str().as_bytes(),
                salt,
                output,
                &mut self.blocks,
            )
            .map_err(unavailable)
    }
}

/// A PHC string taken apart: argon2id, version 0x13, within our limits.
struct Stored {
    params: Params,
    salt: Salt,
    hash: Output,
}

impl Stored {
    fn parse(phc: &str) -> Option<Self> {
        let parsed = PasswordHash::new(phc).ok()?;
        let version = Some(Version::V0x13.into());
        if parsed.algorithm != ARGON2ID_IDENT || parsed.version != version {
            return None;
        }
        let cost = Cost {
            memory_kib: parsed.params.get_decimal("m")?,
            passes: parsed.params.get_decimal("t")?,
            lanes: parsed.params.get_decimal("p")?,
        };
        Some(Self {
            params: cost.params()?,
            salt: parsed.salt?,
            hash: parsed.hash?,
        })
    }

    fn cost_equals(&self, current: &Params) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        cost(&self.params) == cost(current) && self.hash.len() == HASH_BYTES
    }
}

fn derive_legacy(password: &Password, salt: &[u8]) -> Zeroizing<[u8; HASH_BYTES]> {
    #[cfg(test)]
    tests::count(|computed| computed.pbkdf2 += 1);
    let mut derived = Zeroizing::new([0; HASH_BYTES]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        LEGACY_ROUNDS,
        salt,
        password.as_str().as_bytes(),
        &mut *derived,
    );
    derived
}

fn random_salt() -> Result<[u8; SALT_BYTES], HashError> {
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(unavailable)?;
    Ok(salt)
}

fn unavailable(cause: impl fmt::Display) -> HashError {
    log::error!("a password could not be hashed: {cause}");
    HashError::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const SMALL: Cost = Cost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };
    const RIGHT: Verdict = Verdict::Right { replacement: None };

    /// Number of runs of each function: the cost of a check, without a clock.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Computed {
        pub(super) argon2: u32,
        pub(super) pbkdf2: u32,
    }

    thread_local! {
        static COMPUTED: Cell<Computed> = const { Cell::new(Computed { argon2: 0, pbkdf2: 0 }) };
    }

    pub(super) fn count(change: fn(&mut Computed)) {
        let mut computed = COMPUTED.get();
        change(&mut computed);
        COMPUTED.set(computed);
    }

    fn engine() -> HashEngine {
        HashEngine::new(SMALL).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    fn legacy(text: &str) -> Credential {
        let salt = *b"sixteen salt byt";
        Credential::Pbkdf2 {
            hash: derive_legacy(&password(text), &salt).to_vec(),
            salt: salt.to_vec(),
        }
    }

    fn check(engine: &mut HashEngine, text: &str, credential: &Credential) -> Verdict {
        engine.check(&password(text), credential, true).unwrap()
    }

    #[test]
    fn the_default_is_owasp() {
        assert_eq!(Cost::default(), Cost::OWASP);
        let Cost {
            memory_kib,
            passes,
            lanes,
        } = Cost::OWASP;
        assert_eq!((memory_kib, passes, lanes), (19 * 1024, 2, 1));
    }

    #[test]
    fn hashes_are_phc_strings_with_their_own_salt() {
        let mut engine = engine();
        let one = engine.hash(&password("x")).unwrap();
        let two = engine.hash(&password("x")).unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{one}");
        assert_ne!(one, two);
    }

    #[test]
    fn the_right_password_is_right_and_another_wrong() {
        let mut engine = engine();
        let credential = Credential::Argon2(engine.hash(&password("right")).unwrap());
        assert_eq!(check(&mut engine, "right", &credential), RIGHT);
        assert_eq!(check(&mut engine, "wrong", &credential), Verdict::Wrong);
        assert_eq!(check(&mut engine, "", &credential), Verdict::Wrong);
    }

    #[test]
    fn a_legacy_password_is_right_and_gets_a_current_hash() {
        let mut engine = engine();
        assert_eq!(
            check(&mut engine, "wrong", &legacy("right")),
            Verdict::Wrong
        );
        let Verdict::Right {
            replacement: Some(phc),
        } = check(&mut engine, "right", &legacy("right"))
        else {
            panic!("not replaced")
        };
        assert_eq!(check(&mut engine, "right", &Credential::Argon2(phc)), RIGHT);
    }

    /// The expected value is of Python's `hashlib.pbkdf2_hmac`.
    #[test]
    fn legacy_hashes_are_those_of_the_c_design() {
        let derived = derive_legacy(&password("Password1!"), b"0123456789abcdef");
        let hex: String = derived.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "0594d6b84daaaace55e4894f8f97d22126a15052afd3c77905f4965bc8450b6e"
        );
    }

    /// A vector of the reference implementation's own tests: version 19, t=2, m=2^8, p=1.
    #[test]
    fn hashes_of_the_reference_implementation_are_right() {
        let phc =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let verdict = check(
            &mut engine(),
            "password",
            &Credential::Argon2(phc.to_owned()),
        );
        assert!(matches!(
            verdict,
            Verdict::Right {
                replacement: Some(_)
            }
        ));
    }

    #[test]
    fn a_hash_of_another_cost_is_replaced() {
        let mut dearer = HashEngine::new(Cost {
            memory_kib: 128,
            passes: 2,
            lanes: 2,
        })
        .unwrap();
        let credential = Credential::Argon2(dearer.hash(&password("right")).unwrap());
        let mut engine = engine();
        assert_eq!(check(&mut engine, "wrong", &credential), Verdict::Wrong);
        let Verdict::Right {
            replacement: Some(phc),
        } = check(&mut engine, "right", &credential)
        else {
            panic!("not replaced")
        };
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
    }

    #[test]
    fn unreadable_credentials_are_wrong() {
        let mut engine = engine();
        let phc = engine.hash(&password("x")).unwrap();
        for bad in [
            String::new(),
            "x".to_owned(),
            phc.replace("argon2id", "argon2i"),
            phc.replace("v=19", "v=16"),
            phc.replace("m=64", "m=4294967295"),
            phc.replace("t=1", "t=4294967295"),
            phc.replace("p=1", "p=16777215"),
            phc.replace("p=1", "p=4294967295"),
            phc.replace("m=64,", ""),
            phc.rsplit_once('$').unwrap().0.to_owned(),
        ] {
            let credential = Credential::Argon2(bad.clone());
            assert_eq!(
                check(&mut engine, "x", &credential),
                Verdict::Wrong,
                "{bad}"
            );
        }
        let cut = Credential::Pbkdf2 {
            hash: Vec::new(),
            salt: Vec::new(),
        };
        assert_eq!(check(&mut engine, "x", &cut), Verdict::Wrong);
        assert_eq!(check(&mut engine, "x", &Credential::Absent), Verdict::Wrong);
    }

    #[test]
    fn failing_costs_the_same_whoever_the_user_is() {
        let mut engine = engine();
        let current = Credential::Argon2(engine.hash(&password("right")).unwrap());
        let unreadable = Credential::Argon2("unreadable".to_owned());
        let legacy = legacy("right");
        let mut cost = |credential: &Credential, legacy_left| {
            COMPUTED.set(Computed::default());
            let verdict = engine.check(&password("wrong"), credential, legacy_left);
            assert_eq!(verdict, Ok(Verdict::Wrong));
            COMPUTED.get()
        };
        for credential in [&current, &unreadable, &Credential::Absent, &legacy] {
            let (argon2, pbkdf2) = (1, 1);
            let both = Computed { argon2, pbkdf2 };
            assert_eq!(cost(credential, true), both, "{credential:?}");
        }
        for credential in [&current, &unreadable, &Credential::Absent] {
            let (argon2, pbkdf2) = (1, 0);
            let one = Computed { argon2, pbkdf2 };
            assert_eq!(cost(credential, false), one, "{credential:?}");
        }
    }

    #[test]
    fn debug_shows_no_hash() {
        assert_eq!(format!("{:?}", legacy("x")), "Pbkdf2(..)");
        let credential = Credential::Argon2("$argon2id$".to_owned());
        assert_eq!(format!("{credential:?}"), "Argon2(..)");
    }
}
