use super::*;

fn read(method: &str, authority: &str, path: &[u8]) -> Result<Target, TargetError> {
    Target::read(&Headers::new(vec![
        (":method".into(), method.into()),
        (":scheme".into(), b"http".to_vec()),
        (":authority".into(), authority.into()),
        (":path".into(), path.to_vec()),
    ]))
}

#[test]
fn plain_paths_pass_and_are_decoded_by_segment() {
    let target = read("GET", "Orders.Shop.Example", b"/orders/%61%20b/?x=1").unwrap();
    assert_eq!(target.host, "orders.shop.example");
    assert_eq!(target.path, "/orders/%61%20b/");
    assert_eq!(target.segments, ["orders", "a b", ""]);
    assert_eq!(target.query.as_deref(), Some(&b"x=1"[..]));
    assert!(read("GET", "h", b"/").unwrap().segments.is_empty());
}

#[test]
fn ambiguous_paths_are_refused() {
    for path in [
        &b"//"[..],
        b"/a//b",
        b"/./a",
        b"/a/.",
        b"/a/..",
        b"/../a",
        b"/%2e%2e/a",
        b"/%2E./a",
        b"/a/..;x/b",
        b"/a/.;/b",
        b"/a%2fb",
        b"/a%2Fb",
        b"/a%5cb",
        b"/a\\b",
        b"/a#b",
        b"/a%23b",
        b"/a%3Fb",
        b"/%252e",
        b"/a%00b",
        b"/a\0b",
        b"/a%0d%0ab",
        b"/a b",
        b"/\xff",
        b"/%ff",
        b"/%",
        b"/%4",
        b"/%zz",
        b"",
        b"a",
        b"http://h/a",
        b"*",
        b"/a?x#y",
        b"/a?x y",
    ] {
        let result = read("GET", "h", path);
        assert!(matches!(result, Err((Reason::PathAmbiguous, _))), "{:?}", String::from_utf8_lossy(path));
    }
    assert!(read("GET", "h", &[b"/".as_slice(), &b"a".repeat(MAX_PATH)].concat()).is_err());
    assert!(read("GET", "h", "/a".repeat(MAX_SEGMENTS + 1).as_bytes()).is_err());
}

/// What some servers fold into the name of another segment, encoded as it has to be.
#[test]
fn segments_that_are_another_one_to_some_servers_are_refused() {
    for path in [
        "/margins.",
        "/margins..",
        "/margins./q3",
        "/margins%2e/q3",
        "/margins%20",
        "/margins%20/q3",
        "/%20margins",
        "/%20",
        "/margins.;v=1",
        "/margins%20;v=1/q3",
        "/mar%E2%80%8Bgins",
        "/margins%C2%AD",
        "/margins%EF%BB%BF/q3",
        "/margins%EF%BC%8Fq3",
        "/%EF%BD%8Dargins",
        "/q%C2%B3",
        "/margins%C2%A0",
        "/margins%E2%80%A6",
        "/%E2%84%AAeys",
        "/a%CD%BEb",
    ] {
        let result = read("GET", "h", path.as_bytes());
        assert!(matches!(result, Err((Reason::PathAmbiguous, _))), "{path}");
    }
    for path in [
        "/.well-known/x",
        "/v1.2/a",
        "/a%20b",
        "/zo%C3%AB",
        "/zoe%CC%88",
        "/%E6%9D%B1%E4%BA%AC",
        "/a..b",
        "/;v=1.",
    ] {
        let passes = read("GET", "h", path.as_bytes()).is_ok();
        assert_eq!(passes, path != "/;v=1.", "{path}");
    }
}

#[test]
fn segments_are_folded_as_the_server_does() {
    let (exact, fold) = (Compared::Exact, Compared::Fold);
    for (path, path_case, trailing_slash, expected) in [
        ("/Reports/Q3/", exact, exact, "Reports Q3 "),
        ("/Reports/Q3/", fold, exact, "reports q3 "),
        ("/Reports/Q3/", exact, fold, "Reports Q3"),
        ("/Reports/Q3/", fold, fold, "reports q3"),
        ("/Reports/Q3", fold, fold, "reports q3"),
        ("/%52eports/%C3%89T%C3%89", fold, fold, "reports été"),
        ("/", fold, fold, ""),
    ] {
        let mut target = read("GET", "h", path.as_bytes()).unwrap();
        target.fold(Host { path_case, trailing_slash });
        assert_eq!((target.segments.join(" ").as_str(), target.path.as_str()), (expected, path));
    }
}

#[test]
fn a_semicolon_is_marked_also_when_encoded() {
    assert!(read("GET", "h", b"/a;b").unwrap().has_semicolon);
    assert!(read("GET", "h", b"/a%3Bb").unwrap().has_semicolon);
    assert!(!read("GET", "h", b"/a?b;c").unwrap().has_semicolon);
}

#[test]
fn hosts_are_plain_names() {
    // The proxy routes by these bytes: what is left out here is another virtual host there.
    for (host, name) in [
        ("[::1]:8080", "[::1]"),
        ("[::1]", "[::1]"),
        ("h:443", "h"),
        ("h:80", "h"),
        ("h.", "h."),
        ("h.:80", "h."),
    ] {
        let target = read("GET", host, b"/").unwrap();
        assert_eq!((target.host.as_str(), target.host_name()), (host, name));
    }
    for host in [
        "", ".", "a..b", "user@h", "h,evil", "h:080", "h:0", "h:", "h:x", "h:99999", "[::1", "[x]", "[::1]a",
        "h\u{e9}", "h..", "h:1:2", "::1", "[::1]:", "[::1", "[]", "h]:1", "h:*",
    ] {
        assert!(matches!(read("GET", host, b"/"), Err((Reason::HostInvalid, _))), "{host}");
    }
}

#[test]
fn methods_are_upper_case_tokens() {
    assert!(read("M-SEARCH", "h", b"/").is_ok());
    for method in ["", "get", "GE T", "G\u{e9}T", "GET\n"] {
        assert!(matches!(read(method, "h", b"/"), Err((Reason::MethodInvalid, _))), "{method}");
    }
    assert_eq!(read("OPTIONS", "h", b"*").unwrap().path, "*");
}

#[test]
fn a_repeated_pseudo_header_is_refused() {
    let mut pairs = vec![
        (":method".into(), b"GET".to_vec()),
        (":authority".into(), b"h".to_vec()),
        (":path".into(), b"/".to_vec()),
    ];
    pairs.push((":path".into(), b"/admin".to_vec()));
    assert!(Target::read(&Headers::new(pairs)).is_err());
}

#[test]
fn queries_decode_or_are_refused() {
    let query = |q: &str| read("GET", "h", format!("/?{q}").as_bytes()).unwrap().query_values();
    let values = query("a=1&a=2&b&c=x%20y+z&&=e").unwrap();
    assert_eq!(
        Value::Object(values),
        serde_json::json!({"a": ["1", "2"], "b": [""], "c": ["x y z"], "": ["e"]})
    );
    for bad in ["a=%", "a=%f", "a=%ff", "%zz=1"] {
        assert!(query(bad).is_err(), "{bad}");
    }
}

quickcheck::quickcheck! {
    /// Whatever bytes come: no panic, and what passes has no second reading.
    fn any_path_is_refused_or_plain(path: Vec<u8>) -> bool {
        let Ok(target) = read("GET", "h", &[b"/".as_slice(), &path].concat()) else { return true };
        target.segments.iter().all(|segment| {
            let name = segment.split(';').next().unwrap_or_default();
            name != "." && name != ".." && !segment.contains(['/', '\\', '%', '\0'])
        })
    }
}
