//! Attacks on proofs: JWT-SVIDs, what trusted hops say of clients, DPoP, certificates.

use std::rc::Rc;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use everycall::mint::{self, TestKey};
use everycall::WireRequest;
use everycall_core::jose::Key;
use everycall_core::sync::LocalData;
use everycall_core::{Algorithm, Decision, Engine, IdSeed, PureRust, StreamId, UnixTime};
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use super::world::{
    add_grant, base64url, bearer, came, certificate, config, done, get, grant, is_refused, issuer, later,
    settings, with, Forge, Row, World, CALLER, ISSUER, NOW,
};
use crate::suite::Vectors;

const DOMAIN: &str = "spiffe://shop.example";
const SVID: &str = "spiffe://shop.example/caller";

fn of(algorithm: Algorithm) -> TestKey {
    TestKey::of(algorithm).unwrap()
}

/// One trust domain, whose authority is this key.
fn domain(name: &str, key: &TestKey) -> Value {
    let mut issuer = issuer(name, key);
    issuer["profile"] = json!("spiffe");
    issuer["keys"]["inline"]["keys"][0]["use"] = json!("jwt-svid");
    issuer
}

fn svids() -> Value {
    let mut config = config();
    config["issuers"][0] = domain(DOMAIN, &of(Algorithm::Es256));
    add_grant(&mut config, grant(SVID));
    config
}

fn svid(key: &TestKey) -> Forge {
    Forge::new(key).without("iss").claim("sub", SVID)
}

pub fn a43(row: &mut Row, _: &Vectors) {
    let key = of(Algorithm::Es256);
    let mut world = World::new(&svids());
    row.is("honest", &world.token(&svid(&key).signed(&key)), 200);
    for typ in ["JWT", "JOSE"] {
        row.is(typ, &world.token(&svid(&key).header("typ", typ).signed(&key)), 200);
    }
    row.is("no typ", &world.token(&svid(&key).without_header("typ").signed(&key)), 200);
    for sub in [
        "caller",
        "",
        "spiffe://evil.example/caller",
        "spiffe://shop.example.evil.example/caller",
        "spiffe://evil.shop.example/caller",
        "spiffe://SHOP.example/caller",
        "SPIFFE://shop.example/caller",
        "spiffe://shop.example",
        "spiffe://shop.example/",
        "spiffe://shop.example//caller",
        "spiffe://shop.example/caller/",
        "spiffe://shop.example/./caller",
        "spiffe://shop.example/x/../caller",
        "spiffe://shop.example/%63aller",
        "spiffe://shop.example:443/caller",
        "spiffe://user@shop.example/caller",
        "spiffe://shop.example/caller?x",
        "spiffe://shop.example/caller#x",
        "spiffe:///caller",
        "spiffe:/shop.example/caller",
        "https://shop.example/caller",
        " spiffe://shop.example/caller",
        "spiffe://shop.example/caller\0",
    ] {
        row.is(sub, &world.token(&svid(&key).claim("sub", sub).signed(&key)), 401);
    }
    for sub in [json!(null), json!([SVID]), json!({"sub": SVID}), json!(1)] {
        row.is(&sub.to_string(), &world.token(&svid(&key).claim("sub", sub).signed(&key)), 401);
    }
    for claim in ["sub", "aud", "exp"] {
        row.is(&format!("no {claim}"), &world.token(&svid(&key).without(claim).signed(&key)), 401);
    }
    row.is("no iat", &world.token(&svid(&key).without("iat").signed(&key)), 200);
    let long = svid(&key).without("iat").claim("exp", NOW.secs() + 3_601);
    row.is("no iat, too long a life", &world.token(&long.signed(&key)), 401);
    for aud in [json!([]), json!(""), json!("https://other.example"), json!(null)] {
        row.is(&format!("aud {aud}"), &world.token(&svid(&key).claim("aud", aud).signed(&key)), 401);
    }
    for typ in ["at+jwt", "dpop+jwt", "wit+jwt", "invalid", "JWT+x", ""] {
        row.is(&format!("typ `{typ}`"), &world.token(&svid(&key).header("typ", typ).signed(&key)), 401);
    }
    for (name, value) in [
        ("jku", json!("https://evil.example")),
        ("jwk", key.public_jwk()),
        ("x5u", json!("https://evil.example")),
        ("x5c", json!([])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("cty", json!("JWT")),
        ("crit", json!(["exp"])),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("foo", json!(null)),
    ] {
        row.is(name, &world.token(&svid(&key).header(name, value).signed(&key)), 401);
    }
    // An algorithm that JWT-SVIDs have not.
    row.expect(
        "EdDSA in the configuration",
        is_refused(&with_domain(domain(DOMAIN, &of(Algorithm::EdDsa)))),
        "it is taken",
    );
    for other in [of(Algorithm::EdDsa), of(Algorithm::Rs256)] {
        let token = svid(&other).header("kid", key.id()).signed(&other);
        row.is(other.algorithm().as_str(), &world.token(&token), 401);
    }
    row.is("none", &world.token(&format!("{}.", svid(&key).header("alg", "none").unsigned())), 401);
    // Keys for something else.
    for usage in
        [json!("sig"), json!("x509-svid"), json!("wit-svid"), json!("JWT-SVID"), json!(null), json!("")]
    {
        let mut issuer = domain(DOMAIN, &key);
        issuer["keys"]["inline"]["keys"][0]["use"] = usage.clone();
        row.expect(&format!("use {usage}"), is_refused(&with_domain(issuer)), "the configuration is taken");
    }
    let mut nameless = domain(DOMAIN, &key);
    nameless["keys"]["inline"]["keys"][0].as_object_mut().unwrap().remove("kid");
    row.expect("a key without kid", is_refused(&with_domain(nameless)), "the configuration is taken");
    two_domains(row);
}

fn with_domain(issuer: Value) -> Value {
    let mut config = config();
    config["issuers"] = json!([issuer]);
    config
}

/// Two trust domains, with keys of one id, and an issuer of other tokens.
fn two_domains(row: &mut Row) {
    let (key, other) = (of(Algorithm::Es256), TestKey::foreign(Algorithm::Es256).unwrap());
    let mut config = svids();
    let mut second = domain("spiffe://other.example", &other);
    second["keys"]["inline"]["keys"][0]["kid"] = json!(key.id());
    let issuers = config["issuers"].as_array_mut().unwrap();
    issuers.push(second);
    issuers.push(issuer(ISSUER, &of(Algorithm::Rs256)));
    add_grant(&mut config, grant("spiffe://other.example/caller"));
    let mut world = World::new(&config);
    let sub = |sub: &str| svid(&key).claim("sub", sub);
    let far = "spiffe://other.example/caller";
    row.is("domain 1, key 1", &world.token(&sub(SVID).signed(&key)), 200);
    row.is("domain 2, key 2", &world.token(&sub(far).signed(&other)), 200);
    row.is("domain 1, key 2", &world.token(&sub(SVID).signed(&other)), 401);
    row.is("domain 2, key 1", &world.token(&sub(far).signed(&key)), 401);
    let rsa = of(Algorithm::Rs256);
    let borrowed = Forge::new(&rsa).claim("sub", SVID);
    row.is("a SPIFFE ID from another issuer", &world.token(&borrowed.signed(&rsa)), 401);
    row.is(
        "the domain's key under its `iss`",
        &world.token(&sub(SVID).claim("iss", ISSUER).signed(&key)),
        401,
    );
    row.is(
        "an actor of the other domain",
        &world.token(&sub(SVID).claim("act", json!({"sub": far})).signed(&key)),
        401,
    );
    row.is(
        "`iss` names the other domain",
        &world.token(&sub(SVID).claim("iss", "spiffe://other.example").signed(&other)),
        401,
    );
}

const GATEWAY: &str = "spiffe://shop.example/gateway";
const ADMIN: &str = "spiffe://shop.example/admin";

/// Who has a certificate calls, and a gateway speaks for its clients.
fn mesh(appends: bool) -> Value {
    let mut config = config();
    config["mtls"] = json!({
        "trust_domains": ["shop.example"],
        "kind": "workload",
        "forwarded": {"hops": [GATEWAY], "appends": appends},
    });
    for subject in [SVID, ADMIN, GATEWAY] {
        add_grant(&mut config, grant(subject));
    }
    config
}

fn digest(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Sha256::digest(STANDARD.decode(body).unwrap()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request over a connection whose client has a certificate for this URI.
fn from(uri: &str, headers: &[(&str, &str)]) -> WireRequest {
    WireRequest { peer_id: Some(uri.into()), peer_certificate: Some(certificate(uri)), ..with(headers) }
}

fn caller(decision: &Decision) -> Option<&str> {
    decision.record.identity.as_ref().map(|identity| identity.id.as_str())
}

pub fn a44(row: &mut Row, _: &Vectors) {
    const XFCC: &str = "x-forwarded-client-cert";
    let hash = "a".repeat(64);
    let us = format!("By={GATEWAY};Hash={hash};URI={SVID}");
    let own = format!("By=spiffe://shop.example/us;Hash={hash};URI={GATEWAY}");
    for appends in [false, true] {
        let mut world = World::new(&mesh(appends));
        let mut said = |header: &str| {
            let header = if appends { format!("{header},{own}") } else { header.to_owned() };
            world.check(&from(GATEWAY, &[(XFCC, &header)]))
        };
        for good in [
            us.clone(),
            format!("URI={ADMIN},{us}"),
            format!("URI={ADMIN},URI={ADMIN},{us}"),
            format!("{us};Subject=\"CN=a,URI={ADMIN}\""),
            format!("Subject=\"CN=a;URI={ADMIN}\";{us}"),
            format!("Subject=\"CN=a\\\",URI={ADMIN},x=\\\"\";{us}"),
            format!("Subject=\"CN=a\\\\\";{us}"),
            format!("Subject=\"CN=a\\\";URI={ADMIN}\";{us}"),
            format!("Subject=\"\";{us}"),
            format!("uri={SVID}"),
            format!("uRI={SVID};dns=admin.shop.example"),
            format!("URI=\"{SVID}\""),
            format!("URI={ADMIN}, {us}"),
        ] {
            let decision = said(&good);
            row.is(&good, &decision, 200);
            row.expect(&good, caller(&decision) == Some(SVID), format!("{:?}", caller(&decision)));
        }
        for bad in [
            "".to_owned(),
            "admin".into(),
            ADMIN.into(),
            "URI".into(),
            "URI=".into(),
            "By=x;Hash=".into(),
            format!("{us},"),
            format!("{us},URI="),
            format!("{us},admin"),
            format!("{us},DNS=admin.shop.example"),
            format!(",{us},,"),
            format!("URI={SVID};URI={ADMIN}"),
            format!("URI={SVID};URI={SVID}"),
            format!("uri={SVID};URI={ADMIN}"),
            format!("Subject=\"CN=a;{us}"),
            format!("Subject=\"CN=a\\\";{us}"),
            format!("Subject=CN=a;{us}"),
            format!("Subject=\"a\"b;{us}"),
            format!("URI={SVID}\";x=\""),
            format!("URI={SVID}%00"),
            format!("URI={SVID}%2fx"),
            "URI=spiffe://shop.example/x/../caller".into(),
            "URI=spiffe://evil.example/caller".into(),
            "URI=spiffe://shop.example".into(),
            "URI=https://shop.example/caller".into(),
            format!("URI = {SVID}"),
            format!("URI={SVID}\r\nx: y"),
            format!("URI={SVID}\n"),
            format!("URI={SVID}\0"),
            format!("URI={SVID}\t"),
            format!("URI={SVID}\u{e9}"),
            format!("Identity={SVID}"),
            format!("Hash=zz;URI={SVID}"),
            format!("Hash={hash};Hash={hash};URI={SVID}"),
            vec!["URI=a"; 40].join(","),
        ] {
            row.is(&bad, &said(&bad), 401);
        }
        let mut send = |request: &WireRequest| world.check(request);
        row.is("no header", &send(&from(GATEWAY, &[])), 401);
        row.is("the header twice", &send(&from(GATEWAY, &[(XFCC, &us), (XFCC, &us)])), 401);
        row.is("with underscores", &send(&from(GATEWAY, &[("x_forwarded_client_cert", &us)])), 401);
        // Nobody else is believed.
        for stranger in [
            SVID,
            "spiffe://shop.example/gateway2",
            "spiffe://evil.example/gateway",
            "spiffe://shop.example/Gateway",
        ] {
            let decision = send(&from(stranger, &[(XFCC, &format!("URI={ADMIN},{own}"))]));
            let who = caller(&decision);
            row.expect(stranger, who.is_none() || who == Some(stranger), format!("is {who:?}"));
            let status = if stranger == SVID {
                200
            } else if stranger.starts_with(DOMAIN) {
                403
            } else {
                401
            };
            row.is(stranger, &decision, status);
        }
        row.is("without a certificate", &send(&with(&[(XFCC, &format!("URI={ADMIN},{own}"))])), 401);
    }
    // The proxy adds its own element, so a header of one element says nothing of the client.
    let mut world = World::new(&mesh(true));
    row.is("one element, where two are due", &world.check(&from(GATEWAY, &[(XFCC, &own)])), 401);
    // The client's element first, the hop's, and ours.
    let header = format!("URI={ADMIN},{us},{own}");
    let decision = world.check(&from(GATEWAY, &[(XFCC, &header)]));
    row.expect("three elements", caller(&decision) == Some(SVID), came(&decision));
}

/// A client with a key of its own, and a token that is bound to it.
struct Client {
    key: TestKey,
    token: String,
    proofs: u64,
}

fn thumbprint(key: &TestKey) -> String {
    Key::of_jwk(key.public_jwk().as_object().unwrap(), key.algorithm()).unwrap().thumbprint()
}

/// An issuer's token that is bound like this.
fn bound(cnf: Value) -> String {
    let key = of(Algorithm::Es256);
    Forge::new(&key).claim("cnf", cnf).signed(&key)
}

impl Client {
    fn new(key: TestKey) -> Self {
        let token = bound(json!({"jkt": thumbprint(&key)}));
        Self { key, token, proofs: 0 }
    }

    /// A proof that was never used, for `GET https://api.example/`.
    fn proof(&mut self) -> Forge {
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

    fn request(&self, proof: &str) -> WireRequest {
        with(&[("authorization", &format!("DPoP {}", self.token)), ("dpop", proof)])
    }

    fn send(&self, world: &mut World, proof: &Forge) -> Decision {
        world.check(&self.request(&proof.signed(&self.key)))
    }
}

/// It is refused, and told so in the words of RFC 9449 section 7.1.
fn disproven(row: &mut Row, what: &str, decision: &Decision) {
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

pub fn a45(row: &mut Row, _: &Vectors) {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
        let mut client = Client::new(TestKey::foreign(algorithm).unwrap());
        let mut world = World::new(&config());
        row.is(algorithm.as_str(), &client.clone_send(&mut world), 200);
        headers_of_proofs(row, &mut client, &mut world);
        claims_of_proofs(row, &mut client, &mut world);
    }
    urls_of_proofs(row);
    replays(row);
}

impl Client {
    /// Sends an honest request.
    fn clone_send(&mut self, world: &mut World) -> Decision {
        let proof = self.proof();
        self.send(world, &proof)
    }
}

fn headers_of_proofs(row: &mut Row, client: &mut Client, world: &mut World) {
    let one = client.proof().signed(&client.key);
    let two = client.proof().signed(&client.key);
    let twice = |first: &str, second: &str| {
        let token = format!("DPoP {}", client.token);
        with(&[("authorization", &token), ("dpop", first), ("DPoP", second)])
    };
    disproven(row, "two headers", &world.check(&twice(&one, &two)));
    disproven(row, "one header twice", &world.check(&twice(&one, &one)));
    disproven(row, "an empty one first", &world.check(&twice("", &one)));
    disproven(row, "joined", &world.check(&client.request(&format!("{one},{two}"))));
    disproven(row, "joined with a blank", &world.check(&client.request(&format!("{one}, {two}"))));
    for text in [
        "",
        "x",
        "..",
        "null",
        &client.token.clone(),
        &format!("{one}."),
        &format!("{one}="),
        &format!(" {one}"),
    ] {
        disproven(row, text, &world.check(&client.request(text)));
    }
    for typ in [
        json!("JWT"),
        json!("at+jwt"),
        json!("dpop"),
        json!("dpop+jwt2"),
        json!(""),
        json!(null),
        json!(["dpop+jwt"]),
    ] {
        let proof = client.proof().header("typ", typ.clone());
        disproven(row, &format!("typ {typ}"), &client.send(world, &proof));
    }
    let proof = client.proof().without_header("typ");
    disproven(row, "no typ", &client.send(world, &proof));
    for alg in [
        json!("none"),
        json!("None"),
        json!("HS256"),
        json!("ES512"),
        json!(""),
        json!(null),
        json!(["ES256"]),
    ] {
        let proof = client.proof().header("alg", alg.clone());
        disproven(row, &format!("alg {alg}"), &client.send(world, &proof));
        let unsigned = format!("{}.", proof.unsigned());
        disproven(row, &format!("alg {alg}, not signed"), &world.check(&client.request(&unsigned)));
    }
    let proof = client.proof().without_header("alg");
    disproven(row, "no alg", &client.send(world, &proof));
    let other = match client.key.algorithm() {
        Algorithm::Rs256 => "PS256",
        Algorithm::Es256 => "ES384",
        _ => "ES256",
    };
    let proof = client.proof().header("alg", other);
    disproven(row, "another alg", &client.send(world, &proof));
    let jwk = client.proof().header["jwk"].clone();
    let stranger = TestKey::foreign(match client.key.algorithm() {
        Algorithm::EdDsa => Algorithm::Es256,
        _ => Algorithm::EdDsa,
    })
    .unwrap();
    let changed = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    for (name, value) in [
        ("private", changed("d", json!("AAAA"))),
        ("private, null", changed("d", json!(""))),
        ("with p", changed("p", json!("AAAA"))),
        ("with k", changed("k", json!("AAAA"))),
        ("symmetric", json!({"kty": "oct", "k": "AAAA"})),
        ("of another key", stranger.public_jwk()),
        ("with another alg", changed("alg", json!("ES512"))),
        ("for encryption", changed("use", json!("enc"))),
        ("for signing", changed("key_ops", json!(["sign"]))),
        ("of another type", changed("kty", json!("OKP2"))),
        ("text", json!(jwk.to_string())),
        ("a list", json!([jwk])),
        ("null", json!(null)),
        ("empty", json!({})),
    ] {
        let proof = client.proof().header("jwk", value);
        disproven(row, &format!("jwk {name}"), &client.send(world, &proof));
    }
    let proof = client.proof().without_header("jwk").header("kid", thumbprint(&client.key));
    disproven(row, "kid for jwk", &client.send(world, &proof));
    for (name, value) in
        [("crit", json!(["exp"])), ("b64", json!(false)), ("enc", json!("A128GCM")), ("zip", json!("DEF"))]
    {
        let proof = client.proof().header(name, value);
        disproven(row, name, &client.send(world, &proof));
    }
    // Signed by somebody else, with the client's key or with its own in the header.
    let proof = client.proof();
    disproven(row, "signed by another", &world.check(&client.request(&proof.signed(&stranger))));
    let proof = proof.header("jwk", stranger.public_jwk()).header("alg", stranger.algorithm().as_str());
    disproven(row, "another key altogether", &world.check(&client.request(&proof.signed(&stranger))));
    let proof = client.proof().unsigned();
    disproven(row, "no signature", &world.check(&client.request(&format!("{proof}."))));
    let mut signature = client.key.signature(proof.as_bytes()).unwrap();
    signature[5] ^= 1;
    disproven(
        row,
        "a bit of the signature",
        &world.check(&client.request(&mint::compact(&proof, &signature))),
    );
    // A media type may be written in full, and its case does not matter.
    for typ in ["application/dpop+jwt", "DPoP+JWT"] {
        let proof = client.proof().header("typ", typ);
        row.is(typ, &client.send(world, &proof), 200);
    }
}

fn claims_of_proofs(row: &mut Row, client: &mut Client, world: &mut World) {
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        let proof = client.proof().without(claim);
        disproven(row, &format!("no {claim}"), &client.send(world, &proof));
        for value in [json!(null), json!(""), json!([]), json!({}), json!(true), json!(["x"])] {
            let proof = client.proof().claim(claim, value.clone());
            disproven(row, &format!("{claim} {value}"), &client.send(world, &proof));
        }
    }
    for htm in ["get", "Get", "POST", "GET ", " GET", "GET,POST", "*"] {
        let proof = client.proof().claim("htm", htm);
        disproven(row, &format!("htm {htm}"), &client.send(world, &proof));
    }
    let now = NOW.secs();
    for (name, iat, good) in [
        ("now", json!(now), true),
        ("60 s ago", json!(now - 60), true),
        ("61 s ago", json!(now - 61), false),
        ("an hour ago", json!(now - 3_600), false),
        ("5 s ahead", json!(now + 5), true),
        ("6 s ahead", json!(now + 6), false),
        ("a day ahead", json!(now + 86_400), false),
        ("0", json!(0), false),
        ("-1", json!(-1), false),
        ("text", json!(now.to_string()), false),
        ("milliseconds", json!(now * 1_000), false),
        ("the largest", json!(i64::MAX), false),
        ("with a fraction", json!(now as f64 - 0.5), true),
    ] {
        let proof = client.proof().claim("iat", iat);
        let decision = client.send(world, &proof);
        match good {
            true => row.is(&format!("iat {name}"), &decision, 200),
            false => disproven(row, &format!("iat {name}"), &decision),
        }
    }
    let own = Sha256::digest(&client.token);
    let hash = base64url(own);
    for (name, ath) in [
        ("of another token", base64url(Sha256::digest("other"))),
        ("padded", format!("{hash}=")),
        ("in hex", hex(&own)),
        ("in the standard alphabet", format!("{}+", &hash[..hash.len() - 1])),
        ("cut", hash[..20].to_owned()),
        ("of `DPoP` and the token", base64url(Sha256::digest(format!("DPoP {}", client.token)))),
        ("the token itself", client.token.clone()),
        ("a blank behind", format!("{hash} ")),
    ] {
        let proof = client.proof().claim("ath", ath);
        disproven(row, &format!("ath {name}"), &client.send(world, &proof));
    }
    for length in [257, 1_000, 5_000] {
        let proof = client.proof().claim("jti", "j".repeat(length));
        disproven(row, &format!("a jti of {length} bytes"), &client.send(world, &proof));
    }
    let proof = client.proof().claim("jti", "j".repeat(100_000));
    disproven(row, "a huge jti", &client.send(world, &proof));
    let proof = client.proof().claim("jti", 7);
    disproven(row, "a jti that is a number", &client.send(world, &proof));
    // A token for another key.
    let other = bound(json!({"jkt": thumbprint(&of(Algorithm::Es384))}));
    let proof = client.proof().claim("ath", base64url(Sha256::digest(&other))).signed(&client.key);
    let request = with(&[("authorization", &format!("DPoP {other}")), ("dpop", &proof)]);
    disproven(row, "another jkt", &world.check(&request));
}

fn urls_of_proofs(row: &mut Row) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::new(&config());
    let mut send = |path: &str, htu: &str| {
        let proof = client.proof().claim("htu", htu).signed(&client.key);
        world.check(&WireRequest { path: path.into(), ..client.request(&proof) })
    };
    for (path, htu) in [
        ("/a/b?x=1", "https://api.example/a/b"),
        ("/a/b?x=1", "https://api.example/a/b?y=2"),
        ("/a/b", "https://api.example/a/b#here"),
        ("/a/b", "HTTPS://API.Example:443/a/b"),
        ("/a/~b", "https://api.example/%61/%7Eb"),
        ("/%61/b", "https://api.example/a/b"),
        ("/", "https://api.example"),
    ] {
        row.is(&format!("{path} as {htu}"), &send(path, htu), 200);
    }
    for (path, htu) in [
        ("/a/b", "https://api.example/a"),
        ("/a/b", "https://api.example/a/b/"),
        ("/a/b/", "https://api.example/a/b"),
        ("/a/b", "https://api.example/a/b/c"),
        ("/a/b", "https://api.example/A/b"),
        ("/a/b", "https://api.example//a/b"),
        ("/a/b", "https://api.example/a/./b"),
        ("/a/b", "https://api.example/x/../a/b"),
        ("/a/b", "https://api.example/a%2Fb"),
        ("/a/b", "https://api.example/a%252Fb"),
        ("/a/b", "https://api.example/%2561/b"),
        ("/a/b", "https://api.example/a/b%00"),
        ("/a/b", "https://api.example/a\\b"),
        ("/a/b", "https://api.example\\@evil.example/a/b"),
        ("/a/b", "http://api.example/a/b"),
        ("/a/b", "ftp://api.example/a/b"),
        ("/a/b", "https://api.example:80/a/b"),
        ("/a/b", "https://api.example:8443/a/b"),
        ("/a/b", "https://api.example:0443/a/b"),
        ("/a/b", "https://api.example:/a/b"),
        ("/a/b", "https://user@api.example/a/b"),
        ("/a/b", "https://user:pass@api.example/a/b"),
        ("/a/b", "https://@api.example/a/b"),
        ("/a/b", "https://api.example@evil.example/a/b"),
        ("/a/b", "https://evil.example/a/b"),
        ("/a/b", "https://api.example.evil.example/a/b"),
        ("/a/b", "https://evil.api.example/a/b"),
        ("/a/b", "https://api.example,evil.example/a/b"),
        ("/a/b", "https://api%2Eexample/a/b"),
        ("/a/b", "//api.example/a/b"),
        ("/a/b", "://api.example/a/b"),
        ("/a/b", "https:/api.example/a/b"),
        ("/a/b", "https:api.example/a/b"),
        ("/a/b", "https:///a/b"),
        ("/a/b", "/a/b"),
        ("/a/b", "api.example/a/b"),
        ("/a/b", " https://api.example/a/b"),
        ("/a/b", "https://api.example/a/b "),
        ("/a/b", "https://api.example/a/b\n"),
        ("/a/b", "https://api.example/a/b\0"),
        ("/a/b", "https://api.example/a/b;x"),
        ("/", "*"),
    ] {
        disproven(row, &format!("{path} as {htu:?}"), &send(path, htu));
    }
    // Behind something that ends TLS, clients call https.
    let mut config = config();
    config["dpop"] = json!({"scheme": "https"});
    let mut world = World::new(&config);
    for (htu, good) in [("https://api.example/", true), ("http://api.example/", false)] {
        let proof = client.proof().claim("htu", htu).signed(&client.key);
        let request = WireRequest { scheme: "http".into(), ..client.request(&proof) };
        row.is(htu, &world.check(&request), if good { 200 } else { 401 });
    }
}

fn replays(row: &mut Row) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let data = Rc::new(LocalData::default());
    let worker = |name: &[u8]| {
        let shared = Box::new(Rc::clone(&data));
        Engine::new(settings(&config()), Box::new(PureRust), shared, IdSeed::derive(&[name]))
    };
    let mut workers = [worker(b"1"), worker(b"2")];
    let mut check = |worker: usize, request: &WireRequest, now: UnixTime| {
        done(workers[worker].check(request.to_core(StreamId(1)), now))
    };
    let proof = client.proof();
    let request = client.request(&proof.signed(&client.key));
    row.is("first", &check(0, &request, NOW), 200);
    for at in [0, 1, 30, 60] {
        for worker in [0, 1] {
            disproven(
                row,
                &format!("again, worker {worker}, {at} s later"),
                &check(worker, &request, later(at)),
            );
        }
    }
    // The id is what counts, not the text: the same one with other claims, until the first is too old.
    let twin = client.proof().claim("jti", proof.claims["jti"].clone()).claim("iat", NOW.secs() + 20);
    disproven(row, "one jti in two proofs", &check(1, &client.request(&twin.signed(&client.key)), later(60)));
    disproven(row, "too late", &check(1, &request, later(61)));
    let other = Client::new(of(Algorithm::Es384));
    let mut other = Client { proofs: 0, ..other };
    let same = other.proof().claim("jti", proof.claims["jti"].clone()).claim("iat", NOW.secs() + 61);
    row.is("one jti of two keys", &check(1, &other.request(&same.signed(&other.key)), later(61)), 200);
    let fresh = client.proof().claim("iat", NOW.secs() + 61);
    row.is("another proof", &check(1, &client.request(&fresh.signed(&client.key)), later(61)), 200);
    // One that was refused for something else is not used up, and one from the future is remembered for longer.
    let ahead = client.proof().claim("iat", NOW.secs() + 66);
    let ahead = client.request(&ahead.signed(&client.key));
    row.is("ahead", &check(0, &ahead, later(61)), 200);
    disproven(row, "ahead, at its last", &check(1, &ahead, later(126)));
    disproven(row, "ahead, after its last", &check(1, &ahead, later(127)));
}

/// A proof that was used stays used when the configuration changes in something else.
pub fn a45_configure(row: &mut Row, _: &Vectors) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut grants = config();
    add_grant(&mut grants, grant("another"));
    let mut issuers = config();
    let second = issuer("https://second.example", &of(Algorithm::EdDsa));
    issuers["issuers"].as_array_mut().unwrap().push(second);
    for (name, changed) in [("grants", grants), ("issuers", issuers)] {
        let mut world = World::new(&config());
        let proof = client.proof();
        row.is("first", &client.send(&mut world, &proof), 200);
        world.engine.configure(settings(&changed));
        disproven(row, &format!("again, with other {name}"), &client.send(&mut world, &proof));
    }
}

/// Nonces of the server (RFC 9449 section 9) are not issued, so none can be missing or old.
pub fn a45_nonce(row: &mut Row, _: &Vectors) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::new(&config());
    let proof = client.proof().claim("nonce", "old");
    disproven(row, "an old nonce", &client.send(&mut world, &proof));
}

/// RFC 3986 section 6.2.2.2: only unreserved characters mean the same encoded and not.
pub fn a45_reserved(row: &mut Row, _: &Vectors) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut config = config();
    config["bundle"]["inline"]["grants"][0]["semicolons"] = json!(true);
    let mut world = World::new(&config);
    for (path, htu) in
        [("/a;b", "/a%3Bb"), ("/a%3Bb", "/a;b"), ("/a@b", "/a%40b"), ("/a+b", "/a%2Bb"), ("/a=b", "/a%3Db")]
    {
        let proof = client.proof().claim("htu", format!("https://api.example{htu}")).signed(&client.key);
        let decision = world.check(&WireRequest { path: path.into(), ..client.request(&proof) });
        disproven(row, &format!("{path} as {htu}"), &decision);
    }
}

pub fn a46(row: &mut Row, _: &Vectors) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::new(&config());
    let token = client.token.clone();
    row.is("bound, with a proof", &client.clone_send(&mut world), 200);
    row.is("bound, as Bearer", &world.token(&token), 401);
    let proof = client.proof().signed(&client.key);
    row.is(
        "bound, as Bearer, with a proof",
        &world.check(&with(&[("authorization", &format!("Bearer {token}")), ("dpop", &proof)])),
        401,
    );
    row.is(
        "bound, as DPoP, without a proof",
        &world.check(&with(&[("authorization", &format!("DPoP {token}"))])),
        401,
    );
    let key = of(Algorithm::Es256);
    let plain = Forge::new(&key).signed(&key);
    let proof = client.proof().claim("ath", base64url(Sha256::digest(&plain))).signed(&client.key);
    row.is(
        "not bound, as DPoP",
        &world.check(&with(&[("authorization", &format!("DPoP {plain}")), ("dpop", &proof)])),
        401,
    );
    row.is(
        "not bound, as DPoP, without a proof",
        &world.check(&with(&[("authorization", &format!("DPoP {plain}"))])),
        401,
    );
    row.is(
        "not bound, as Bearer, with a stray proof",
        &world.check(&with(&[("authorization", &format!("Bearer {plain}")), ("dpop", &proof)])),
        200,
    );
    for scheme in ["dpop", "DPOP", "dPoP"] {
        let proof = client.proof().signed(&client.key);
        row.is(
            scheme,
            &world.check(&with(&[("authorization", &format!("{scheme} {token}")), ("dpop", &proof)])),
            200,
        );
    }
    // Twice, when the token is remembered.
    for _ in 0..2 {
        row.is("remembered, as Bearer", &world.token(&token), 401);
    }
    // Where tokens must be bound, one that is not is refused.
    let mut strict = config();
    strict["issuers"][0]["required_binding"] = json!("dpop");
    let mut strict = World::new(&strict);
    row.is("required, not bound", &strict.token(&plain), 401);
    row.is("required, bound", &client.clone_send(&mut strict), 200);
    let mut only = config();
    only["credentials"] = json!([{"header": "authorization", "scheme": "Bearer"}]);
    let mut only = World::new(&only);
    row.is("bound, and no scheme DPoP", &only.token(&token), 401);
    row.is("the scheme DPoP, where it is not configured", &client.clone_send(&mut only), 401);
    let mut bare = config();
    bare["credentials"] = json!([{"header": "x-token"}]);
    row.is(
        "bound, in a header of its own",
        &World::new(&bare).check(&with(&[("x-token", &token), ("dpop", &proof)])),
        401,
    );
}

/// Client certificates are read, and a gateway speaks for its clients.
fn certificates() -> Value {
    let mut config = config();
    config["mtls"] = json!({"trust_domains": [], "forwarded": {"hops": [GATEWAY], "appends": false}});
    config
}

pub fn a47(row: &mut Row, vectors: &Vectors) {
    let mut world = World::new(&certificates());
    let own = certificate(SVID);
    let x5t = base64url(digest(&own));
    let with_token = |token: &str, certificate: Option<&str>| WireRequest {
        peer_certificate: certificate.map(str::to_owned),
        ..bearer(token)
    };
    let token = bound(json!({"x5t#S256": x5t}));
    row.is("its certificate", &world.check(&with_token(&token, Some(&own))), 200);
    row.is("no certificate", &world.check(&with_token(&token, None)), 401);
    row.is("another certificate", &world.check(&with_token(&token, Some(&certificate(ADMIN)))), 401);
    row.is(
        "the published certificate",
        &world.check(&with_token(&token, Some(vectors.text("oauth/rfc8705_appendix_a.pem")))),
        401,
    );
    row.is("no certificates are read", &World::new(&config()).check(&with_token(&token, Some(&own))), 401);
    // A digest that the client says.
    let header = format!("Hash={};URI={SVID}", hex(&digest(&own)));
    let claimed = |mut request: WireRequest| {
        request.headers.push(("x-forwarded-client-cert".into(), header.clone().into_bytes()));
        request
    };
    row.is("a header alone", &world.check(&claimed(with_token(&token, None))), 401);
    row.is(
        "a header beside another certificate",
        &world.check(&claimed(with_token(&token, Some(&certificate(ADMIN))))),
        401,
    );
    row.is(
        "a header from a trusted hop",
        &world.check(&claimed(with_token(&token, Some(&certificate(GATEWAY))))),
        200,
    );
    row.is(
        "the hop's own certificate",
        &world.check(&claimed(with_token(
            &bound(json!({"x5t#S256": base64url(digest(&certificate(GATEWAY)))})),
            Some(&certificate(GATEWAY)),
        ))),
        401,
    );
    // Upper case is the same number, so it may match what it is the digest of, and nothing else.
    let loud = |pem: &str| {
        let hash = hex(&digest(pem)).to_uppercase();
        let header = format!("Hash={hash};URI={SVID}");
        let mut request = with_token(&token, Some(&certificate(GATEWAY)));
        request.headers.push(("x-forwarded-client-cert".into(), header.into_bytes()));
        request
    };
    row.any("an upper-case hash", &world.check(&loud(&own)), &[200, 401]);
    row.is("an upper-case hash of another", &world.check(&loud(&certificate(ADMIN))), 401);
    // Forms of the confirmation.
    for cnf in [
        json!("x"),
        json!([]),
        json!({}),
        json!(null),
        json!(true),
        json!(1),
        json!(x5t),
        json!([{"x5t#S256": x5t}]),
        json!({"x5t#S256": null}),
        json!({"x5t#S256": ""}),
        json!({"x5t#S256": [x5t]}),
        json!({"x5t#S256": hex(&digest(&own))}),
        json!({"x5t#S256": format!("{x5t}=")}),
        json!({"x5t#S256": STANDARD.encode(digest(&own))}),
        json!({"x5t#S256": x5t[..40]}),
        json!({"X5T#S256": x5t}),
        json!({"x5t": x5t}),
        json!({"x5t#S512": x5t}),
        json!({"x5t#S256": x5t, "unknown": 1}),
        json!({"x5t#S256": x5t, "kid": "a"}),
        json!({"jwk": {"kty": "EC"}}),
        json!({"kid": "a"}),
        json!({"jku": "https://evil.example"}),
        json!({"jwe": "x"}),
        json!({"osc": {}}),
        json!({"jkt": "x"}),
        json!({"jkt": null, "x5t#S256": x5t}),
    ] {
        let request = with_token(&bound(cnf.clone()), Some(&own));
        row.is(&cnf.to_string(), &world.check(&request), 401);
    }
    both(row, &mut world, &own, &x5t);
    // Where tokens must be bound to certificates.
    let mut strict = certificates();
    strict["issuers"][0]["required_binding"] = json!("certificate");
    let mut strict = World::new(&strict);
    let key = of(Algorithm::Es256);
    row.is(
        "required, not bound",
        &strict.check(&with_token(&Forge::new(&key).signed(&key), Some(&own))),
        401,
    );
    row.is("required, bound", &strict.check(&with_token(&token, Some(&own))), 200);
    row.is(
        "a caller",
        &world.check(&with_token(&Forge::new(&key).claim("sub", CALLER).signed(&key), None)),
        200,
    );
    row.is("no token", &world.check(&WireRequest { peer_certificate: Some(own), ..get("/") }), 401);
}

/// A token that is bound to a key and to a certificate wants both.
fn both(row: &mut Row, world: &mut World, own: &str, x5t: &str) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    client.token = bound(json!({"jkt": thumbprint(&client.key), "x5t#S256": x5t}));
    let other = certificate(ADMIN);
    for (name, certificate, proven, status) in [
        ("both", Some(own), true, 200),
        ("certificate alone", Some(own), false, 401),
        ("key alone", None, true, 401),
        ("key and another certificate", Some(other.as_str()), true, 401),
        ("none", None, false, 401),
    ] {
        let proof = client.proof().signed(&client.key);
        let mut request = client.request(&proof);
        if !proven {
            request.headers.retain(|(name, _)| name != "dpop");
        }
        let request = WireRequest { peer_certificate: certificate.map(str::to_owned), ..request };
        row.is(name, &world.check(&request), status);
    }
    let plain = WireRequest { peer_certificate: Some(own.to_owned()), ..bearer(&client.token) };
    row.is("as Bearer", &world.check(&plain), 401);
}
