//! Presets for issuers: what the tokens of one ecosystem look like. To offer another one, add its
//! name to `config::Profile` and a row here.

use serde_json::{Map, Value};

use crate::config::Profile;
use crate::jose::keys::Usage;

/// What a profile fixes. Configuration may add to it; the rules themselves can't be switched off.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// The profile; `None` for tokens of none.
    pub profile: Option<Profile>,
    /// Its name in the configuration; empty for tokens of no profile.
    pub name: &'static str,
    /// Accepted `typ` values; an empty text stands for tokens without `typ`.
    pub types: &'static [&'static str],
    /// The ceiling for `exp - iat` in seconds, unless configured.
    pub max_lifetime_s: Option<i64>,
    /// How the caller's id comes out of the claims.
    pub id: &'static str,
    /// The claim that names the task.
    pub task_claim: Option<&'static str>,
    /// Claims that must be there, besides `aud`, `exp` and, but for `spiffe`, `iss` and `iat`.
    pub required_claims: &'static [&'static str],
    /// What else is checked, in words for the reference.
    pub rules: &'static str,
}

/// All profiles.
pub const PRESETS: &[Preset] = &[SPIFFE, KUBERNETES, GITHUB_ACTIONS, GITLAB_CI, OIDC, ACCESS_TOKEN];

const SPIFFE: Preset = Preset {
    profile: Some(Profile::Spiffe),
    name: "spiffe",
    types: &["", "jwt", "jose"],
    max_lifetime_s: Some(3_600),
    id: "{sub}",
    task_claim: None,
    required_claims: &["sub"],
    rules: "JWT-SVID: no EdDSA; no header parameters but `alg`, `kid`, `typ`; `sub` is a SPIFFE ID of the issuer's trust domain and chooses it; keys have `use: jwt-svid`",
};

const KUBERNETES: Preset = Preset {
    profile: Some(Profile::Kubernetes),
    name: "kubernetes",
    types: &["", "jwt"],
    max_lifetime_s: Some(3_607),
    id: "system:serviceaccount:{/kubernetes.io/namespace}:{/kubernetes.io/serviceaccount/name}",
    task_claim: None,
    required_claims: &["sub", "nbf", "/kubernetes.io/serviceaccount/uid"],
    rules: "`sub` says the same as the `kubernetes.io` claims",
};

const GITHUB_ACTIONS: Preset = Preset {
    profile: Some(Profile::GithubActions),
    name: "github-actions",
    types: &["jwt"],
    max_lifetime_s: Some(900),
    id: "{sub}",
    task_claim: Some("run_id"),
    required_claims: &[
        "sub",
        "repository",
        "repository_id",
        "repository_owner_id",
        "workflow_ref",
        "event_name",
    ],
    rules: "none",
};

const GITLAB_CI: Preset = Preset {
    profile: Some(Profile::GitlabCi),
    name: "gitlab-ci",
    types: &["jwt"],
    max_lifetime_s: Some(3_600),
    id: "{sub}",
    task_claim: Some("job_id"),
    required_claims: &["sub", "project_path", "project_id", "namespace_id", "ref", "ref_type", "pipeline_id"],
    rules: "none",
};

const OIDC: Preset = Preset {
    profile: Some(Profile::Oidc),
    name: "oidc",
    types: &["", "jwt"],
    max_lifetime_s: Some(3_600),
    id: "{sub}",
    task_claim: None,
    required_claims: &["sub"],
    rules: "with several audiences, `azp` is one of the configured ones (OpenID Connect Core 3.1.3.7)",
};

const ACCESS_TOKEN: Preset = Preset {
    profile: Some(Profile::AccessToken),
    name: "at+jwt",
    types: &["at+jwt"],
    max_lifetime_s: Some(3_600),
    id: "{sub}",
    task_claim: None,
    required_claims: &["sub", "client_id", "jti"],
    rules: "RFC 9068",
};

/// What holds for issuers without a profile.
const GENERIC: Preset = Preset {
    profile: None,
    name: "",
    types: &["", "jwt", "at+jwt"],
    max_lifetime_s: None,
    id: "{sub}",
    task_claim: None,
    required_claims: &["sub"],
    rules: "none",
};

impl Preset {
    /// What keys of its issuers must be for.
    pub(crate) const fn usage(&self) -> Usage {
        match self.profile {
            Some(Profile::Spiffe) => Usage::JwtSvid,
            _ => Usage::Signature,
        }
    }

    /// The preset of a profile.
    pub(crate) const fn of(profile: Option<Profile>) -> &'static Self {
        match profile {
            None => &GENERIC,
            Some(Profile::Spiffe) => &SPIFFE,
            Some(Profile::Kubernetes) => &KUBERNETES,
            Some(Profile::GithubActions) => &GITHUB_ACTIONS,
            Some(Profile::GitlabCi) => &GITLAB_CI,
            Some(Profile::Oidc) => &OIDC,
            Some(Profile::AccessToken) => &ACCESS_TOKEN,
        }
    }
}

/// The claim at a path: a name, or a JSON Pointer (RFC 6901).
pub(crate) fn lookup<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    let Some(pointer) = path.strip_prefix('/') else { return claims.get(path) };
    let end = pointer.find('/').unwrap_or(pointer.len());
    let (name, rest) = pointer.split_at_checked(end)?;
    claims.get(&name.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}

/// How an id is made of claims: text with `{claim}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Claim(String),
}

impl Template {
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (plain, tail) = match rest.split_once('{') {
                None => (rest, None),
                Some((plain, tail)) => (plain, Some(tail)),
            };
            if plain.contains('}') {
                return Err(format!("`{text}`: `}}` without `{{`"));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(plain.to_owned()));
            }
            rest = match tail {
                None => "",
                Some(tail) => {
                    let Some((claim, after)) = tail.split_once('}') else {
                        return Err(format!("`{text}`: `{{` without `}}`"));
                    };
                    if claim.is_empty() || claim.contains('{') {
                        return Err(format!("`{text}`: `{claim}` is not the name of a claim"));
                    }
                    if matches!(parts.last(), Some(Part::Claim(_))) {
                        return Err(format!(
                            "`{text}`: text is needed between two claims to tell them apart"
                        ));
                    }
                    parts.push(Part::Claim(claim.to_owned()));
                    after
                }
            };
        }
        if parts.iter().any(|part| matches!(part, Part::Claim(_))) {
            Ok(Self(parts))
        } else {
            Err(format!("`{text}` names no claim: every caller would have one id"))
        }
    }

    /// The id. A value in which the text that follows it begins earlier is refused: two callers could be made to
    /// read the same. With `::` behind it that is `a::b`, and `a:`, too.
    ///
    /// # Errors
    /// Which claim is missing, is neither text nor an integer, or holds what follows it.
    pub(crate) fn fill(&self, claims: &Map<String, Value>) -> Result<String, String> {
        let mut id = String::new();
        let mut parts = self.0.iter().peekable();
        while let Some(part) = parts.next() {
            let claim = match part {
                Part::Text(text) => {
                    id.push_str(text);
                    continue;
                }
                Part::Claim(claim) => claim,
            };
            let value = match lookup(claims, claim) {
                Some(Value::String(text)) if !text.is_empty() => text.clone(),
                // RFC 7519 section 4.1.2: a subject is text. Numbers of repositories and the like are not.
                Some(Value::Number(number)) if claim != "sub" && (number.is_i64() || number.is_u64()) => {
                    number.to_string()
                }
                Some(_) => return Err(format!("`{claim}` is not a plain name")),
                None => return Err(format!("`{claim}` is missing")),
            };
            if let Some(Part::Text(next)) = parts.peek() {
                if format!("{value}{next}").find(next.as_str()) != Some(value.len()) {
                    return Err(format!("`{claim}` holds `{next}`, which ends it in the id"));
                }
            }
            id.push_str(&value);
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_profile_has_a_row_under_its_own_name() {
        for preset in PRESETS {
            let named: Profile = serde_json::from_value(json!(preset.name)).unwrap();
            assert_eq!(preset.profile, Some(named));
            assert_eq!(Preset::of(Some(named)), preset);
            assert!(!preset.types.is_empty() && Template::parse(preset.id).is_ok());
        }
        assert_eq!(Preset::of(None), &GENERIC);
    }

    #[test]
    fn ids_are_made_of_claims_and_cannot_be_forged_by_their_values() {
        let fill = |template: &str, claims: Value| {
            Template::parse(template).unwrap().fill(claims.as_object().unwrap())
        };
        assert_eq!(fill("{sub}", json!({"sub": "a:b"})), Ok("a:b".into()));
        assert_eq!(fill("ci:{repo}:{n}", json!({"repo": "a/b", "n": 7})), Ok("ci:a/b:7".into()));
        assert_eq!(fill("{/k.io/ns}/{/a~1b}", json!({"k.io": {"ns": "x"}, "a/b": "y"})), Ok("x/y".into()));
        assert_eq!(fill("{a}::{b}", json!({"a": "x:y", "b": ":z"})), Ok("x:y:::z".into()));
        for (template, claims) in [
            ("ci:{repo}:{ref}", json!({"repo": "a:b", "ref": "c"})),
            // A value that makes the text behind it begin earlier: `x:` and `:y`, or `x` and `::y`?
            ("{a}::{b}", json!({"a": "x:", "b": "y"})),
            ("{a}aba{b}", json!({"a": "xab", "b": "y"})),
            ("{a}::{b}", json!({"a": "x::", "b": "y"})),
            ("{sub}", json!({})),
            ("{sub}", json!({"sub": ""})),
            ("{sub}", json!({"sub": null})),
            ("{sub}", json!({"sub": ["a"]})),
            ("{sub}", json!({"sub": 7})),
            ("{n}", json!({"n": 1.5})),
            ("{/a/b}", json!({"a": "b"})),
            ("{/a/b}", json!({"/a/b": "x"})),
        ] {
            assert!(fill(template, claims.clone()).is_err(), "{template} {claims}");
        }
    }

    #[test]
    fn templates_that_would_not_tell_callers_apart_are_refused() {
        for bad in ["", "fixed", "{}", "{a", "a}", "{a}{b}", "{a{b}}", "{a}}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    quickcheck::quickcheck! {
        fn any_template_and_pointer_is_read(text: String, path: String) -> bool {
            let claims = json!({"a": {"b": "c"}});
            let claims = claims.as_object().cloned().unwrap_or_default();
            lookup(&claims, &path);
            let _ = Template::parse(&text).map(|template| template.fill(&claims));
            true
        }
    }
}
