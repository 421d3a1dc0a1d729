//! The providers of the page on identities: each example is a token that is really made and verified, and the nearest ones
//! that are no credentials are refused.

use everycall_core::{PureRust, Reason, Settings, UnixTime};
use serde_json::{json, Map, Value};

use crate::identity::{settings, with_test_key};
use crate::page::{section, IDENTITY};

/// A provider, and what is changed of its example to make something that must not be a credential: claims, with null for
/// one that is taken away, and the reason.
type Provider = (&'static str, fn() -> Vec<(Value, Reason)>);

/// What the server of an ID token's client got, and the nearest others.
const PROVIDERS: &[Provider] = &[
    ("Keycloak", || {
        vec![
            (json!({"typ": "ID", "aud": "checkout"}), Reason::TokenAudience),
            (json!({"typ": "ID", "aud": ["https://orders.shop.example", "checkout"]}), Reason::TokenClaims),
            (json!({"typ": "Refresh"}), Reason::TokenClaims),
            (json!({"typ": null}), Reason::TokenClaims),
            (json!({"azp": null}), Reason::TokenClaims),
            (json!({"aud": "account"}), Reason::TokenAudience),
            (json!({"act": {"azp": "other"}}), Reason::TokenClaims),
        ]
    }),
    ("Auth0", || {
        vec![
            // An ID token.
            (
                json!({"aud": "Vk1cLUUS2sEXAMPLE0dW8kGm", "azp": null, "scope": null, "nonce": "n"}),
                Reason::TokenAudience,
            ),
            (json!({"aud": "https://shop.eu.auth0.com/userinfo"}), Reason::TokenAudience),
            (json!({"scope": null}), Reason::TokenClaims),
            (json!({"exp": 1_790_086_401}), Reason::TokenLifetime),
        ]
    }),
    ("Entra", || {
        vec![
            // An ID token of an application that is its own client.
            (json!({"idtyp": null, "azp": null, "nonce": "n"}), Reason::TokenClaims),
            (json!({"idtyp": "user"}), Reason::TokenClaims),
            (json!({"ver": "1.0"}), Reason::TokenClaims),
            (json!({"tid": "99999999-2222-3333-4444-555555555555"}), Reason::TokenClaims),
            (json!({"aud": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"}), Reason::TokenAudience),
        ]
    }),
    ("Okta", || {
        vec![
            (json!({"aud": "0oa1example2client3id"}), Reason::TokenAudience),
            (json!({"cid": null}), Reason::TokenClaims),
            (json!({"iss": "https://shop.okta.com"}), Reason::TokenIssuer),
        ]
    }),
    ("Cognito", || {
        vec![
            // An ID token of the same client.
            (
                json!({"token_use": "id", "aud": "7lhlkkfbfb4q5kpp90urffao", "client_id": null}),
                Reason::TokenClaims,
            ),
            (json!({"token_use": "id"}), Reason::TokenClaims),
            (json!({"token_use": null}), Reason::TokenClaims),
            (json!({"client_id": "another"}), Reason::TokenAudience),
            (json!({"client_id": null}), Reason::TokenAudience),
            (json!({"client_id": 7}), Reason::TokenAudience),
            // `client_id` counts only where there is no `aud`.
            (json!({"aud": "another"}), Reason::TokenAudience),
            (json!({"aud": null, "client_id": ["another"]}), Reason::TokenAudience),
            (json!({"scope": "orders/write"}), Reason::TokenClaims),
        ]
    }),
];

struct Example {
    settings: Settings,
    key: everycall::mint::TestKey,
    typ: Option<String>,
    claims: Map<String, Value>,
    now: UnixTime,
}

impl Example {
    fn of(provider: &str) -> (Self, String) {
        let section = section(IDENTITY, &format!("### {provider}"));
        let issuers: Value = serde_yaml_ng::from_str(&section.block("yaml")).unwrap();
        let [issuer] = issuers.as_array().unwrap().as_slice() else { panic!("{issuers}") };
        // As it is written, it would be taken.
        settings(issuer);
        let (issuer, key) = with_test_key(issuer);
        let claims: Map<String, Value> = serde_json::from_str(&section.block("json")).unwrap();
        let now = UnixTime::from_secs(claims["iat"].as_i64().unwrap());
        let shown = section.block("text");
        let typ = shown.lines().next().unwrap().strip_prefix("typ").unwrap().trim().to_owned();
        let typ = Some(typ).filter(|typ| typ != "none");
        (Self { settings: settings(&issuer), key, typ, claims, now }, shown)
    }

    fn verify(&self, typ: Option<&str>, claims: &Map<String, Value>) -> Result<String, Reason> {
        let mut header = self.key.header();
        header.remove("typ");
        header.extend(typ.map(|typ| ("typ".to_owned(), json!(typ))));
        let token = self.key.sign(&header, claims).unwrap();
        let caller = self.settings.verify(&token, &PureRust, self.now).map_err(|refused| refused.reason)?;
        let none = || "none".to_owned();
        Ok(format!(
            "typ           {}\nkind          {}\nid            {}\non_behalf_of  {}\n",
            typ.map_or_else(none, str::to_owned),
            caller.kind.as_str(),
            caller.id,
            caller.on_behalf_of.clone().unwrap_or_else(none),
        ))
    }
}

#[test]
fn each_provider_has_an_example_that_is_true_and_no_other_token_of_it_is_a_credential() {
    for (provider, others) in PROVIDERS {
        let (example, shown) = Example::of(provider);
        assert_eq!(example.verify(example.typ.as_deref(), &example.claims), Ok(shown), "{provider}");
        for (changes, reason) in others() {
            let mut claims = example.claims.clone();
            for (name, value) in changes.as_object().unwrap() {
                match value {
                    Value::Null => drop(claims.remove(name)),
                    value => drop(claims.insert(name.clone(), value.clone())),
                }
            }
            assert_eq!(example.verify(example.typ.as_deref(), &claims), Err(reason), "{provider}: {changes}");
        }
    }
    let (okta, _) = Example::of("Okta");
    for typ in [None, Some("JWT"), Some("at+jwt"), Some("okta-internal-id+jwt")] {
        assert_eq!(okta.verify(typ, &okta.claims), Err(Reason::TokenType), "{typ:?}");
    }
}

/// Each row of the table has an example, and names what stands in it.
#[test]
fn the_table_of_providers_says_what_the_examples_do() {
    let rows = section(IDENTITY, "## Providers").table(&["provider", "its access tokens", "what takes them"]);
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, PROVIDERS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for row in &rows {
        let issuers: Value =
            serde_yaml_ng::from_str(&section(IDENTITY, &format!("### {}", row[0])).block("yaml")).unwrap();
        for code in row[2].split('`').skip(1).step_by(2) {
            let told: Map<String, Value> = serde_yaml_ng::from_str(code).unwrap();
            for (key, value) in told {
                let real = &issuers[0][&key];
                let is_part = |(name, value): (&String, &Value)| real[name] == *value;
                let holds = match &value {
                    Value::Object(members) => members.iter().all(is_part),
                    value => real == value,
                };
                assert!(holds, "{}: `{code}`", row[0]);
            }
        }
    }
}
