//! A client with proofs of possession, to attack with: DPoP.

use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::jose::Key;
use everycall_core::{Algorithm, Decision};
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use super::world::{base64url, of, with, Forge, Row, World, NOW};

/// A client with a key of its own, and a token that is bound to it.
pub struct Client {
    pub key: TestKey,
    pub token: String,
    pub proofs: u64,
}

pub fn thumbprint(key: &TestKey) -> String {
    Key::of_jwk(key.public_jwk().as_object().unwrap(), key.algorithm()).unwrap().thumbprint()
}

/// An issuer's token that is bound like this.
pub fn bound(cnf: Value) -> String {
    let key = of(Algorithm::Es256);
    Forge::new(&key).claim("cnf", cnf).signed(&key)
}

impl Client {
    pub fn new(key: TestKey) -> Self {
        let token = bound(json!({"jkt": thumbprint(&key)}));
        Self { key, token, proofs: 0 }
    }

    /// A proof that was never used, for `GET https://api.example/`.
    pub fn proof(&mut self) -> Forge {
        self.proofs += 1;
        let mut jwk = self.key.public_jwk();
        jwk.as_object_mut().unwrap().retain(|name, _| !["kid", "alg", "use"].contains(&name.as_str()));
        let header = json!({"typ": "dpop+jwt", "alg": self.key.algorithm().as_str(), "jwk": jwk});
        let claims = json!({
            "jti": format!("{}", self.proofs), "htm": "GET", "htu": "https://api.example/", "iat": NOW.secs(),
            "ath": base64url(Sha256::digest(&self.token)),
        });
        let members = |value: Value| -> Map<String, Value> { value.as_object().unwrap().clone() };
        Forge { header: members(header), claims: members(claims) }
    }

    pub fn request(&self, proof: &str) -> WireRequest {
        with(&[("authorization", &format!("DPoP {}", self.token)), ("dpop", proof)])
    }

    pub fn send(&self, world: &mut World, proof: &Forge) -> Decision {
        world.check(&self.request(&proof.signed(&self.key)))
    }

    /// Sends an honest request.
    pub fn clone_send(&mut self, world: &mut World) -> Decision {
        let proof = self.proof();
        self.send(world, &proof)
    }
}

/// It is refused, and told so in the words of RFC 9449 section 7.1.
pub fn disproven(row: &mut Row, what: &str, decision: &Decision) {
    row.is(what, decision, 401);
    let refusal = decision.verdict.as_ref().err().map(|denial| denial.refusal());
    let headers = refusal.map(|refusal| refusal.headers).unwrap_or_default();
    let challenge =
        headers.iter().find(|(name, _)| *name == "www-authenticate").map(|(_, value)| value.clone());
    let asked = challenge.as_ref().is_some_and(|text| {
        text.starts_with("DPoP ")
            && (text.contains("error=\"invalid_dpop_proof\"") || text.contains("use_dpop_nonce"))
    });
    row.expect(what, asked, format!("the challenge is {challenge:?}"));
}
