//! Attacks on what trusted hops say of clients.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use everycall::WireRequest;
use everycall_core::Decision;
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use super::svid::{DOMAIN, SVID};
use super::world::{add_grant, came, certificate, config, grant, with, Row, World};
use crate::suite::Vectors;

pub const GATEWAY: &str = "spiffe://shop.example/gateway";
pub const ADMIN: &str = "spiffe://shop.example/admin";

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

pub fn digest(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Sha256::digest(STANDARD.decode(body).unwrap()).to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
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
