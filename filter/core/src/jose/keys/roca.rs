//! RSA keys made by a broken library (CVE-2017-15361, "ROCA"): their factors can be found.

/// The odd primes of the published test. A flawed prime is a power of 65537 modulo each of them,
/// and so is the product of two.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether the modulus, in big-endian bytes, has the flaw's fingerprint. An honest one has it with
/// a chance below one in a hundred million.
pub(super) fn is_flawed(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let residue = modulus.iter().try_fold(0_u32, |residue, byte| {
            residue.checked_mul(256)?.checked_add(u32::from(*byte))?.checked_rem(*prime)
        });
        residue.is_some_and(|residue| is_power(residue, *prime))
    })
}

/// Whether `residue` is a power of 65537 modulo `prime`.
fn is_power(residue: u32, prime: u32) -> bool {
    let next = |power: &u32| power.checked_mul(65_537)?.checked_rem(prime);
    let mut powers = std::iter::successors(Some(1), next).take(prime as usize);
    powers.any(|power| power == residue)
}

#[cfg(test)]
mod tests {
    use rsa::BigUint;

    use super::*;

    #[test]
    fn powers_of_65537_have_the_fingerprint_and_their_neighbours_have_not() {
        let power =
            BigUint::from(65_537_u32).modpow(&BigUint::from(128_u32), &(BigUint::from(1_u32) << 4096));
        assert_eq!(power.bits(), 2049);
        assert!(is_flawed(&power.to_bytes_be()));
        assert!(!is_flawed(&(power + 2_u32).to_bytes_be()));
        assert!(!is_flawed(&[]));
    }

    #[test]
    fn the_residues_are_those_of_the_published_test() {
        // As bits, for its first three primes that tell anything.
        for (prime, published) in [(11, 1026), (13, 5658), (17, 107_286)] {
            let bits = (0..prime).filter(|residue| is_power(*residue, prime)).map(|residue| 1 << residue);
            assert_eq!(bits.sum::<u32>(), published, "{prime}");
        }
    }
}
