//! Signatures of requests: who calls chooses how often one has to be checked, and of a proof of possession the key.
//! So each worker gives them a part of each second and no more.

use std::cell::Cell;

use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::jose::keys::Key;
use crate::jose::signature::SignatureVerifier;

/// What was spent in the second that runs.
#[derive(Debug, Default)]
pub(crate) struct CheckBudget {
    second: Cell<i64>,
    spent_us: Cell<u64>,
}

/// How signatures are checked.
#[derive(Clone, Copy)]
pub(crate) struct Checks<'c> {
    verifier: &'c dyn SignatureVerifier,
    budget: Option<(&'c CheckBudget, u64)>,
}

impl CheckBudget {
    /// The budget for `limit_ms` of this second.
    pub(crate) fn at<'c>(
        &'c self,
        now: UnixTime,
        limit_ms: usize,
        verifier: &'c dyn SignatureVerifier,
    ) -> Checks<'c> {
        // Also where the clock went back.
        if self.second.replace(now.secs()) != now.secs() {
            self.spent_us.set(0);
        }
        let limit_us = u64::try_from(limit_ms).unwrap_or(u64::MAX).saturating_mul(1_000);
        Checks { verifier, budget: Some((self, limit_us)) }
    }
}

impl<'c> Checks<'c> {
    /// Of what no client sends: bundles and lists.
    pub(crate) fn unbounded(verifier: &'c dyn SignatureVerifier) -> Self {
        Self { verifier, budget: None }
    }

    /// Whether `signature` is the key's over `message`.
    ///
    /// # Errors
    /// It can't be told: the second's part is spent, or the verifier failed. Both are 503.
    pub(crate) fn verify(
        &self,
        key: &Key,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, (Reason, &'static str)> {
        if let Some((budget, limit_us)) = self.budget {
            let spent = budget.spent_us.get();
            if spent >= limit_us {
                return Err((Reason::Overloaded, "this second's part for signatures is spent"));
            }
            budget.spent_us.set(spent.saturating_add(self.verifier.cost_us(key)));
        }
        let failed = |_| (Reason::VerifierUnavailable, "the signature could not be checked");
        self.verifier.verify(key, message, signature).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::keys::{Algorithm, Key};
    use crate::jose::signature::Unavailable;

    struct Dear(u64);

    impl SignatureVerifier for Dear {
        fn verify(&self, _: &Key, _: &[u8], _: &[u8]) -> Result<bool, Unavailable> {
            Ok(true)
        }

        fn cost_us(&self, _: &Key) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_second_has_a_part_for_signatures_and_the_next_one_another() {
        let jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let key = Key::of_jwk(jwk.as_object().unwrap(), Algorithm::EdDsa).unwrap();
        let budget = CheckBudget::default();
        let checked = |cost: u64, now: i64| {
            let verifier = Dear(cost);
            let checks = budget.at(UnixTime::from_secs(now), 10, &verifier);
            (0..100).take_while(|_| checks.verify(&key, b"", b"").is_ok()).count()
        };
        assert_eq!(checked(2_000, 1), 5);
        assert_eq!(checked(2_000, 1), 0, "the second is the same");
        assert_eq!(checked(3_000, 2), 4, "one may go beyond it");
        assert_eq!(checked(50_000, 3), 1, "and however dear it is, one goes");
        assert_eq!(checked(1, 3), 0);
        assert_eq!(checked(1_000, 2), 10, "the clock went back");
        assert_eq!(checked(0, 5), 100);
        let unbounded = Dear(1_000_000);
        let checks = Checks::unbounded(&unbounded);
        assert_eq!((0..100).take_while(|_| checks.verify(&key, b"", b"").is_ok()).count(), 100);
    }
}
