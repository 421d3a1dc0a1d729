use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pss::Pss;
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::sha2::{Digest as _, Sha256, Sha384, Sha512};
use rsa::signature::Signer as _;
use rsa::{BigUint, RsaPrivateKey};
use serde_json::{Map, Value};

use super::*;
use crate::jose::keys::testing::{bytes, EC, OKP, P384, RSA};

/// The stored test key of an algorithm, private members included.
fn stored(algorithm: Algorithm) -> Map<String, Value> {
    let text = match algorithm {
        Algorithm::Es256 => EC,
        Algorithm::Es384 => P384,
        Algorithm::EdDsa => OKP,
        _ => RSA,
    };
    serde_json::from_str(text).unwrap()
}

fn key(algorithm: Algorithm) -> Key {
    let mut jwk = stored(algorithm);
    for member in ["alg", "d", "p", "q"] {
        jwk.remove(member);
    }
    Key::of_jwk(&jwk, algorithm).unwrap()
}

fn rsa_key() -> RsaPrivateKey {
    let jwk = stored(Algorithm::Rs256);
    let number = |name: &str| BigUint::from_bytes_be(&bytes(&jwk[name]));
    let primes = vec![number("p"), number("q")];
    RsaPrivateKey::from_components(number("n"), number("e"), number("d"), primes).unwrap()
}

struct FixedSalt;

impl RngCore for FixedSalt {
    fn next_u32(&mut self) -> u32 {
        0
    }

    fn next_u64(&mut self) -> u64 {
        0
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for FixedSalt {}

fn pss(algorithm: Algorithm, message: &[u8], salt: usize) -> Option<Vec<u8>> {
    let (scheme, digest) = match algorithm {
        Algorithm::Ps256 => (Pss::new_with_salt::<Sha256>(salt), Sha256::digest(message).to_vec()),
        Algorithm::Ps384 => (Pss::new_with_salt::<Sha384>(salt), Sha384::digest(message).to_vec()),
        _ => (Pss::new_with_salt::<Sha512>(salt), Sha512::digest(message).to_vec()),
    };
    rsa_key().sign_with_rng(&mut FixedSalt, scheme, &digest).ok()
}

fn sign(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let d = || bytes(&stored(algorithm)["d"]);
    match algorithm {
        Algorithm::Rs256 => rsa_key().sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message)).unwrap(),
        Algorithm::Rs384 => rsa_key().sign(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message)).unwrap(),
        Algorithm::Rs512 => rsa_key().sign(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message)).unwrap(),
        Algorithm::Ps256 => pss(algorithm, message, 32).unwrap(),
        Algorithm::Ps384 => pss(algorithm, message, 48).unwrap(),
        Algorithm::Ps512 => pss(algorithm, message, 64).unwrap(),
        Algorithm::Es256 => {
            let signed: p256::ecdsa::Signature =
                p256::ecdsa::SigningKey::from_slice(&d()).unwrap().sign(message);
            signed.to_bytes().to_vec()
        }
        Algorithm::Es384 => {
            let signed: p384::ecdsa::Signature =
                p384::ecdsa::SigningKey::from_slice(&d()).unwrap().sign(message);
            signed.to_bytes().to_vec()
        }
        Algorithm::EdDsa => {
            let secret = ed25519_dalek::SigningKey::from_bytes(&d().try_into().unwrap());
            secret.sign(message).to_bytes().to_vec()
        }
    }
}

fn verifies(algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    PureRust.verify(&key(algorithm), message, signature).unwrap()
}

#[test]
fn a_signature_is_good_under_its_own_algorithm_alone() {
    let keys = Algorithm::ALL.map(key);
    for signs in Algorithm::ALL {
        let signature = sign(signs, b"m");
        for key in &keys {
            let good = PureRust.verify(key, b"m", &signature);
            assert_eq!(good, Ok(key.algorithm() == signs), "{signs:?} under {key:?}");
        }
    }
}

#[test]
fn a_signature_that_was_changed_is_bad() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let good = sign(algorithm, b"m");
        let bad = |what: &str, message: &[u8], signature: &[u8]| {
            assert_eq!(PureRust.verify(&key, message, signature), Ok(false), "{algorithm:?}: {what}");
        };
        bad("another message", b"n", &good);
        bad("no message", b"", &good);
        bad("empty", b"m", b"");
        bad("truncated", b"m", &good[..good.len() - 1]);
        bad("without its first byte", b"m", &good[1..]);
        bad("extended", b"m", &[good.as_slice(), &[0]].concat());
        bad("with a leading zero", b"m", &[&[0], good.as_slice()].concat());
        bad("twice", b"m", &good.repeat(2));
        bad("zeros", b"m", &vec![0; good.len()]);
        bad("ones", b"m", &vec![0xff; good.len()]);
        for index in (0..good.len()).step_by(13).chain([good.len() - 1]) {
            let mut flipped = good.clone();
            flipped[index] ^= 1 << (index % 8);
            bad("a flipped bit", b"m", &flipped);
        }
    }
}

#[test]
fn ecdsa_wants_two_numbers_in_range_and_no_der() {
    // The orders of the groups.
    const P256: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    const P384: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
                        581a0db248b0a77aecec196accc52973";
    for (algorithm, order) in [(Algorithm::Es256, P256), (Algorithm::Es384, P384)] {
        let good = sign(algorithm, b"m");
        let (r, s) = good.split_at(good.len() / 2);
        let zero = vec![0; r.len()];
        let order = BigUint::parse_bytes(order.as_bytes(), 16).unwrap().to_bytes_be();
        for (r, s) in [(&zero[..], s), (r, &zero), (&order, s), (r, &order), (&zero, &zero), (&order, &order)]
        {
            let bad = [r, s].concat();
            assert!(!verifies(algorithm, b"m", &bad));
            assert_eq!(ecdsa_der(algorithm, &bad), None);
        }
        assert!(!verifies(algorithm, b"m", &[s, r].concat()), "swapped");
        let der = ecdsa_der(algorithm, &good).unwrap();
        assert!(!verifies(algorithm, b"m", &der), "DER");
        let back = match algorithm {
            Algorithm::Es256 => p256::ecdsa::Signature::from_der(&der).unwrap().to_vec(),
            _ => p384::ecdsa::Signature::from_der(&der).unwrap().to_vec(),
        };
        assert_eq!(back, good);
    }
    // The numbers of P-256 at the width of P-384.
    let good = sign(Algorithm::Es256, b"m");
    let wide = [&[0; 16], &good[..32], &[0; 16], &good[32..]].concat();
    assert!(!verifies(Algorithm::Es384, b"m", &wide));
    assert_eq!(ecdsa_der(Algorithm::Es384, &good), None);
    assert_eq!(ecdsa_der(Algorithm::Es256, &wide), None);
    assert_eq!(ecdsa_der(Algorithm::Rs256, &good), None);
}

#[test]
fn the_salt_of_pss_is_as_long_as_the_hash() {
    for (algorithm, length) in [(Algorithm::Ps256, 32), (Algorithm::Ps384, 48), (Algorithm::Ps512, 64)] {
        let longest = 256 - length - 2;
        for salt in [0, 1, 20, 32, 48, 64, length - 1, length + 1, longest] {
            let signature = pss(algorithm, b"m", salt).unwrap();
            assert_eq!(verifies(algorithm, b"m", &signature), salt == length, "{algorithm:?} {salt}");
        }
    }
}

#[test]
fn an_rsa_signature_is_a_number_below_the_modulus() {
    let modulus = BigUint::from_bytes_be(&bytes(&stored(Algorithm::Rs256)["n"]));
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512] {
        let sums = (0..64_u8).map(|byte| {
            let signature = sign(algorithm, &[byte]);
            (byte, (BigUint::from_bytes_be(&signature) + &modulus).to_bytes_be())
        });
        let mut sums = sums.filter(|(_, sum)| sum.len() == 256);
        let (byte, sum) = sums.next().unwrap();
        assert!(!verifies(algorithm, &[byte], &sum), "{algorithm:?}");
    }
}

#[test]
fn pkcs1_wants_the_name_of_the_hash() {
    let digest = Sha256::digest(b"m");
    let bare = rsa_key().sign(Pkcs1v15Sign::new_unprefixed(), &digest).unwrap();
    assert!(!verifies(Algorithm::Rs256, b"m", &bare));
    let other = rsa_key().sign(Pkcs1v15Sign::new::<rsa::sha2::Sha512_256>(), &digest).unwrap();
    assert!(!verifies(Algorithm::Rs256, b"m", &other));
}

#[test]
fn the_number_of_an_ed25519_signature_is_reduced() {
    let order = (BigUint::from(1_u8) << 252)
        + BigUint::parse_bytes(b"27742317777372353535851937790883648493", 10).unwrap();
    let good = sign(Algorithm::EdDsa, b"m");
    let (r, s) = good.split_at(32);
    let mut s = (BigUint::from_bytes_le(s) + order).to_bytes_le();
    s.resize(32, 0);
    assert!(!verifies(Algorithm::EdDsa, b"m", &[r, &s].concat()));
}
