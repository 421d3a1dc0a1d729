use super::*;

/// A proper SVID, with an extended key usage.
const SVID: &str = "\
-----BEGIN CERTIFICATE-----
MIIBWjCCAQygAwIBAgIBATAFBgMrZXAwDzENMAsGA1UEAwwEc3ZpZDAgFw0yNjEx
MjIwMjE4MDlaGA8yMTI2MTAyOTAyMTgwOVowDzENMAsGA1UEAwwEc3ZpZDAqMAUG
AytlcAMhAGxMjT2xa6c2U3IEyF6/gEW5KZ7WKFzYFujMZm4Uuk9Lo4GKMIGHMA4G
A1UdDwEB/wQEAwIHgDAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwDAYD
VR0TAQH/BAIwADApBgNVHREEIjAghh5zcGlmZmU6Ly9leGFtcGxlLm9yZy9ucy9h
L3NhL2IwHQYDVR0OBBYEFMroQz1abPMJrsP3OtNZO+tfZ5JVMAUGAytlcANBAJs5
G1QVIs9Ezuh3s3Ph6qY7mxzTAIxa+c8+YnYmW9D14xHFKZcpNZQkwBEr7ql+kn1/
aPXEiZZLHQ63lyXZKAg=
-----END CERTIFICATE-----
";

/// Mail, DNS, IP and other names before the URI.
const MIXED: &str = "\
-----BEGIN CERTIFICATE-----
MIIBZzCCARmgAwIBAgIBATAFBgMrZXAwEDEOMAwGA1UEAwwFbWl4ZWQwIBcNMjYx
MTIyMDIxODA5WhgPMjEyNjEwMjkwMjE4MDlaMBAxDjAMBgNVBAMMBW1peGVkMCow
BQYDK2VwAyEAbEyNPbFrpzZTcgTIXr+ARbkpntYoXNgW6MxmbhS6T0ujgZUwgZIw
DgYDVR0PAQH/BAQDAgeAMAwGA1UdEwEB/wQCMAAwUwYDVR0RBEwwSoENYUBleGFt
cGxlLm9yZ4ILZXhhbXBsZS5vcmeHBAoAAAGgCgYDKgMEoAMMAXiGGnNwaWZmZTov
L2V4YW1wbGUub3JnL21peGVkMB0GA1UdDgQWBBTK6EM9WmzzCa7D9zrTWTvrX2eS
VTAFBgMrZXADQQAG5xbtmZ+JJ0IhJPZNn9WvnUs15pnhOQt6NEeIoi9hysdp0keB
2PHQ6CxWlIY6FyZQqOsrIm4OYB1WoZIB5UAG
-----END CERTIFICATE-----
";

/// Two SPIFFE IDs.
const TWO: &str = "\
-----BEGIN CERTIFICATE-----
MIIBODCB66ADAgECAgEBMAUGAytlcDAOMQwwCgYDVQQDDAN0d28wIBcNMjYxMTIy
MDIxODA5WhgPMjEyNjEwMjkwMjE4MDlaMA4xDDAKBgNVBAMMA3R3bzAqMAUGAytl
cAMhAGxMjT2xa6c2U3IEyF6/gEW5KZ7WKFzYFujMZm4Uuk9Lo2wwajAOBgNVHQ8B
Af8EBAMCB4AwOQYDVR0RBDIwMIYWc3BpZmZlOi8vZXhhbXBsZS5vcmcvYYYWc3Bp
ZmZlOi8vZXhhbXBsZS5vcmcvYjAdBgNVHQ4EFgQUyuhDPVps8wmuw/c601k7619n
klUwBQYDK2VwA0EA3apXYTOX6VfFvyordNW8vEHWf8CZEuB+8VAUE8AtISXnYEgn
fi5tYRkK5HRp0u3uI0P39Z1VXjzAq7gLL7V/Bw==
-----END CERTIFICATE-----
";

/// A web address before the SPIFFE ID.
const HTTPS_FIRST: &str = "\
-----BEGIN CERTIFICATE-----
MIIBOjCB7aADAgECAgEBMAUGAytlcDAQMQ4wDAYDVQQDDAVodHRwczAgFw0yNjEx
MjIwMjE4MDlaGA8yMTI2MTAyOTAyMTgwOVowEDEOMAwGA1UEAwwFaHR0cHMwKjAF
BgMrZXADIQBsTI09sWunNlNyBMhev4BFuSme1ihc2BbozGZuFLpPS6NqMGgwDgYD
VR0PAQH/BAQDAgeAMDcGA1UdEQQwMC6GFGh0dHBzOi8vZXhhbXBsZS5vcmcvhhZz
cGlmZmU6Ly9leGFtcGxlLm9yZy9hMB0GA1UdDgQWBBTK6EM9WmzzCa7D9zrTWTvr
X2eSVTAFBgMrZXADQQBYKk2fJ6N2HCx6SduvLjOIxR5c+z/iYnj2rXnuGnOICAcm
YLdQf8hg1nk+b8vg08m6/cGcAPczkPGabUA2AXQM
-----END CERTIFICATE-----
";

/// A web address alone.
const HTTPS_ONLY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBIzCB1qADAgECAgEBMAUGAytlcDAQMQ4wDAYDVQQDDAVodHRwczAgFw0yNjEx
MjIwMjE4MDlaGA8yMTI2MTAyOTAyMTgwOVowEDEOMAwGA1UEAwwFaHR0cHMwKjAF
BgMrZXADIQBsTI09sWunNlNyBMhev4BFuSme1ihc2BbozGZuFLpPS6NTMFEwDgYD
VR0PAQH/BAQDAgeAMCAGA1UdEQQZMBeGFWh0dHBzOi8vZXhhbXBsZS5vcmcvYTAd
BgNVHQ4EFgQUyuhDPVps8wmuw/c601k7619nklUwBQYDK2VwA0EAqc+k95xvx6NK
+h5PZ6yeeUYEe+eXPRlpIX4fVMjmUYsFq8j4I86dWzknOaOwHFxUD/M/6VyKBweW
7YQ07qwTDg==
-----END CERTIFICATE-----
";

/// A CA by its basic constraints only.
const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBMzCB5qADAgECAgEBMAUGAytlcDANMQswCQYDVQQDDAJjYTAgFw0yNjExMjIw
MjE4MDlaGA8yMTI2MTAyOTAyMTgwOVowDTELMAkGA1UEAwwCY2EwKjAFBgMrZXAD
IQBsTI09sWunNlNyBMhev4BFuSme1ihc2BbozGZuFLpPS6NpMGcwEgYDVR0TAQH/
BAgwBgEB/wIBATAOBgNVHQ8BAf8EBAMCB4AwIgYDVR0RBBswGYYXc3BpZmZlOi8v
ZXhhbXBsZS5vcmcvY2EwHQYDVR0OBBYEFMroQz1abPMJrsP3OtNZO+tfZ5JVMAUG
AytlcANBANk8dJV+4GudNRRgnwWX2ippxIYeaY2NEfHqh+EsLznwaBHKlGAwRjBA
uhv4CgjjH+ZZWrpg/LGFKN/dI8wPkAU=
-----END CERTIFICATE-----
";

/// No CA, but with keyCertSign.
const CERT_SIGN: &str = "\
-----BEGIN CERTIFICATE-----
MIIBHDCBz6ADAgECAgEBMAUGAytlcDAMMQowCAYDVQQDDAFzMCAXDTI2MTEyMjAy
MTgwOVoYDzIxMjYxMDI5MDIxODA5WjAMMQowCAYDVQQDDAFzMCowBQYDK2VwAyEA
bEyNPbFrpzZTcgTIXr+ARbkpntYoXNgW6MxmbhS6T0ujVDBSMA4GA1UdDwEB/wQE
AwIChDAhBgNVHREEGjAYhhZzcGlmZmU6Ly9leGFtcGxlLm9yZy9hMB0GA1UdDgQW
BBTK6EM9WmzzCa7D9zrTWTvrX2eSVTAFBgMrZXADQQAgU3kM7IGt6E9tqm/DgaJu
uZJ1OtzLEyZc3MOWYHaKGw8oOsa2HmmJFAKM8lMeFKHZArOaVSkg2J0J8fY0YDYJ
-----END CERTIFICATE-----
";

/// No CA, but with cRLSign.
const CRL_SIGN_ONLY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBHDCBz6ADAgECAgEBMAUGAytlcDAMMQowCAYDVQQDDAFzMCAXDTI2MTEyMjAy
MTgwOVoYDzIxMjYxMDI5MDIxODA5WjAMMQowCAYDVQQDDAFzMCowBQYDK2VwAyEA
bEyNPbFrpzZTcgTIXr+ARbkpntYoXNgW6MxmbhS6T0ujVDBSMA4GA1UdDwEB/wQE
AwIBgjAhBgNVHREEGjAYhhZzcGlmZmU6Ly9leGFtcGxlLm9yZy9hMB0GA1UdDgQW
BBTK6EM9WmzzCa7D9zrTWTvrX2eSVTAFBgMrZXADQQDo0tJIDJQvLXladysNOami
RYSuiK59JjrAmmKPXoszQDsM4vQUi7FfoDw25acw6SL6gTJ71jQIAjg8UKEsUBkO
-----END CERTIFICATE-----
";

/// No alternative names.
const NO_NAMES: &str = "\
-----BEGIN CERTIFICATE-----
MIIBDTCBwKADAgECAgEBMAUGAytlcDAPMQ0wCwYDVQQDDARub25lMCAXDTI2MTEy
MjAyMTgwOVoYDzIxMjYxMDI5MDIxODA5WjAPMQ0wCwYDVQQDDARub25lMCowBQYD
K2VwAyEAbEyNPbFrpzZTcgTIXr+ARbkpntYoXNgW6MxmbhS6T0ujPzA9MA4GA1Ud
DwEB/wQEAwIHgDAMBgNVHRMBAf8EAjAAMB0GA1UdDgQWBBTK6EM9WmzzCa7D9zrT
WTvrX2eSVTAFBgMrZXADQQBQsnzsjZ8eZQAWDBtIFkrwPA131xTOvXKD0V03+v9U
qXOlLcBoDnfTo6RA6vXyBfKrqARRoLpl8P674V1dWIcK
-----END CERTIFICATE-----
";

/// The SPIFFE ID of a trust domain.
const ROOT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBIDCB06ADAgECAgEBMAUGAytlcDAPMQ0wCwYDVQQDDARyb290MCAXDTI2MTEy
MjAyMTgwOVoYDzIxMjYxMDI5MDIxODA5WjAPMQ0wCwYDVQQDDARyb290MCowBQYD
K2VwAyEAbEyNPbFrpzZTcgTIXr+ARbkpntYoXNgW6MxmbhS6T0ujUjBQMA4GA1Ud
DwEB/wQEAwIHgDAfBgNVHREEGDAWhhRzcGlmZmU6Ly9leGFtcGxlLm9yZzAdBgNV
HQ4EFgQUyuhDPVps8wmuw/c601k7619nklUwBQYDK2VwA0EAY7uIpVL9Xtmz0LXu
Y0FnqHQ2yxKcGnHcOAysOjpb9gIoTJBBKV/9TynJCcYRjwvd5g6MJaYawufceEyX
jpVUDA==
-----END CERTIFICATE-----
";

/// Version 1: no extensions.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIHWMIGJAhRv7ugfutIoRLGyTZlEDwXc54SMKDAFBgMrZXAwDTELMAkGA1UEAwwC
djEwIBcNMjYxMTIyMDIxODA5WhgPMjEyNjEwMjkwMjE4MDlaMA0xCzAJBgNVBAMM
AnYxMCowBQYDK2VwAyEAbEyNPbFrpzZTcgTIXr+ARbkpntYoXNgW6MxmbhS6T0sw
BQYDK2VwA0EA3+T5VM97UfjDz7V5upAUmowMiwm82ITsBG0CJ7C+n/KgNgOGJ3We
omGQjZULU1KMKGAIOEBhTf4jNqgp9RkXBw==
-----END CERTIFICATE-----
";

const ALL: [&str; 11] =
    [SVID, MIXED, TWO, HTTPS_FIRST, HTTPS_ONLY, CA, CERT_SIGN, CRL_SIGN_ONLY, NO_NAMES, ROOT, VERSION_1];

fn leaf(pem: &str) -> Leaf {
    Leaf::parse_pem(pem.as_bytes()).unwrap()
}

fn der_of(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).unwrap()
}

/// The DER of a certificate with each `from` replaced by `to`, which has the same length.
fn patched(pem: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut der = der_of(pem);
    let places: Vec<usize> = (0..der.len()).filter(|at| der[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        der[at..][..to.len()].copy_from_slice(to);
    }
    der
}

#[test]
fn an_svid_names_one_workload() {
    let svid = leaf(SVID);
    let expected =
        Leaf { uris: vec!["spiffe://example.org/ns/a/sa/b".into()], is_ca: false, signs_certificates: false };
    assert_eq!(svid, expected);
    assert_eq!(svid.svid_id(), Ok("spiffe://example.org/ns/a/sa/b"));
    // Names of other kinds may stand beside the URI (X509-SVID section 2).
    assert_eq!(leaf(MIXED).svid_id(), Ok("spiffe://example.org/mixed"));
}

#[test]
fn an_svid_has_exactly_one_uri() {
    assert_eq!(leaf(TWO).uris, ["spiffe://example.org/a", "spiffe://example.org/b"]);
    assert_eq!(leaf(HTTPS_FIRST).uris, ["https://example.org/", "spiffe://example.org/a"]);
    for pem in [TWO, HTTPS_FIRST, NO_NAMES, VERSION_1] {
        assert_eq!(leaf(pem).svid_id(), Err("the certificate has not exactly one URI name"));
    }
}

#[test]
fn an_svid_has_a_spiffe_id_with_a_path() {
    assert_eq!(leaf(ROOT).uris, ["spiffe://example.org"]);
    assert_eq!(leaf(ROOT).svid_id(), Err("the SPIFFE ID of the certificate has no path"));
    assert_eq!(leaf(HTTPS_ONLY).svid_id(), Err("the SPIFFE ID does not start with `spiffe://`"));
    let encoded = Leaf::parse_der(&patched(SVID, b"/ns/a/", b"/ns/%/")).unwrap();
    assert!(encoded.svid_id().is_err());
}

#[test]
fn signing_certificates_name_no_workload() {
    assert!(leaf(CA).is_ca && !leaf(CA).signs_certificates);
    assert_eq!(leaf(CA).svid_id(), Err("the certificate is a CA"));
    for pem in [CERT_SIGN, CRL_SIGN_ONLY] {
        let signing = leaf(pem);
        assert!(signing.signs_certificates && !signing.is_ca);
        assert!(signing.svid_id().is_err());
    }
}

#[test]
fn repeated_extensions_are_refused() {
    // The extended key usage becomes a second one of each.
    for id in [b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x55\x1d\x11", b"\x06\x03\x55\x1d\x13"] {
        let der = patched(SVID, b"\x06\x03\x55\x1d\x25", id);
        assert_eq!(Leaf::parse_der(&der), Err("an extension of the certificate is repeated"));
    }
}

#[test]
fn names_are_strict_der() {
    let error = Err("the alternative names are not strict DER");
    let uri = b"\x86\x1espiffe";
    // Constructed, of another class, longer than the list, and not ASCII.
    for bad in [b"\xa6\x1espiffe", b"\x16\x1espiffe", b"\x86\x1fspiffe", b"\x86\x1e\xffpiffe"] {
        assert_eq!(Leaf::parse_der(&patched(SVID, uri, bad)), error);
    }
    assert_eq!(read_uris(b"\x30\x00"), Ok(vec![]));
    for bad in [&b""[..], b"\x30\x00\x00", b"\x31\x00", b"\x30\x80\x00\x00", b"\x30\x02\x86\x01"] {
        assert!(read_uris(bad).is_err());
    }
}

#[test]
fn constraints_and_usage_are_strict_der() {
    assert_eq!(read_is_ca(b"\x30\x00"), Ok(false));
    assert_eq!(read_is_ca(b"\x30\x03\x01\x01\xff"), Ok(true));
    assert_eq!(read_is_ca(b"\x30\x06\x01\x01\xff\x02\x01\x00"), Ok(true));
    for bad in [
        &b"\x30\x03\x01\x01\x01"[..],
        b"\x30\x06\x01\x01\xff\x01\x01\x00",
        b"\x30\x06\x02\x01\x00\x01\x01\xff",
        b"\x01\x01\xff",
        b"\x30\x03\x01\x01\xff\x00",
        b"",
    ] {
        assert!(read_is_ca(bad).is_err());
    }
    assert_eq!(read_signs_certificates(b"\x03\x02\x07\x80"), Ok(false));
    assert_eq!(read_signs_certificates(b"\x03\x02\x02\x04"), Ok(true));
    assert_eq!(read_signs_certificates(b"\x03\x02\x01\x02"), Ok(true));
    assert_eq!(read_signs_certificates(b"\x03\x03\x07\x00\x80"), Ok(false));
    for bad in [&b""[..], b"\x03\x00", b"\x03\x02\x08\x04", b"\x04\x02\x02\x04", b"\x03\x02\x02\x04\x00"] {
        assert!(read_signs_certificates(bad).is_err());
    }
}

#[test]
fn pem_is_one_block_and_nothing_else() {
    assert_eq!(leaf(&SVID.replace('\n', "\r\n")), leaf(SVID));
    assert_eq!(leaf(SVID.trim_end()), leaf(SVID));
    let body = STANDARD.encode(der_of(SVID));
    let block = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    assert_eq!(leaf(&block(&body)), leaf(SVID));
    for (pem, expected) in [
        (String::new(), "the certificate is not PEM"),
        (body.clone(), "the certificate is not PEM"),
        (format!("\n{SVID}"), "the certificate is not PEM"),
        (format!("subject=CN\n{SVID}"), "the certificate is not PEM"),
        (SVID.replace("CERTIFICATE", "X509 CRL"), "the certificate is not PEM"),
        (SVID.replace("BEGIN", "END"), "the certificate is not PEM"),
        (SVID.replace("END", "BEGIN"), "the certificate is cut off"),
        (SVID.replace("END CERTIFICATE", "END X509 CRL"), "the certificate is cut off"),
        (SVID.replace('\n', "\r"), "the certificate is not PEM"),
        (format!("{SVID}{SVID}"), "there is more than one certificate"),
        (format!("{SVID}\n"), "there is more than one certificate"),
        (format!("{SVID}x"), "there is more than one certificate"),
        (block(""), "the certificate is not strict DER"),
        (block("A"), "the certificate is not strict base64"),
        (block(&format!("Proc-Type: 4\n{body}")), "the certificate is not strict base64"),
        (block(&format!(" {body}")), "the certificate is not strict base64"),
        (block(&format!("{body}=")), "the certificate is not strict base64"),
        (block(&format!("{body}AAAA")), "the certificate is not strict base64"),
        (block(&STANDARD.encode([&der_of(SVID)[..], b"\0"].concat())), "the certificate is not strict DER"),
        (block(&"A".repeat(MAX_BYTES)), "the certificate is longer than 64 KiB"),
    ] {
        assert_eq!(Leaf::parse_pem(pem.as_bytes()), Err(expected), "{pem}");
    }
    assert_eq!(Leaf::parse_pem(b"\xff"), Err("the certificate is not PEM"));
}

#[test]
fn no_changed_byte_makes_it_panic() {
    for pem in ALL {
        let der = der_of(pem);
        for at in 0..der.len() {
            assert!(Leaf::parse_der(&der[..at]).is_err());
            for flip in [0x01, 0x02, 0x20, 0x7f, 0x80, 0xff] {
                let mut changed = der.clone();
                changed[at] ^= flip;
                let _ = Leaf::parse_der(&changed).map(|leaf| leaf.svid_id().map(str::to_owned));
            }
        }
    }
}

quickcheck::quickcheck! {
    fn any_bytes_are_refused(bytes: Vec<u8>) -> bool {
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(&bytes)
        );
        let _ = (read_uris(&bytes), read_is_ca(&bytes), read_signs_certificates(&bytes));
        Leaf::parse_pem(&bytes).is_err() && Leaf::parse_pem(pem.as_bytes()).is_err()
    }

    fn any_text_is_refused(text: String) -> bool {
        Leaf::parse_pem(text.as_bytes()).is_err()
    }

    /// Some bytes of a certificate replaced: no panic, and an ID only by the rules.
    fn any_changes_are_read_or_refused(changes: Vec<(u16, u8)>) -> bool {
        let mut der = der_of(MIXED);
        let len = der.len();
        for (at, byte) in changes {
            der[usize::from(at).checked_rem(len).unwrap()] = byte;
        }
        let Ok(leaf) = Leaf::parse_der(&der) else { return true };
        let named = leaf.svid_id().is_ok();
        !named || (leaf.uris.len() == 1 && !leaf.is_ca && !leaf.signs_certificates)
    }
}
