use super::*;

fn scan(text: &str) -> Result<Scan, String> {
    let mut scan = Scan::default();
    while scan.go_on("f", text, None)? {}
    Ok(scan)
}

#[test]
fn long_expressions_are_refused_and_long_modules_are_not() {
    for text in [
        format!("x := 1{}", " + 1".repeat(101)),
        format!("x := 1{}", "\n+ 1".repeat(101)),
        format!("x := 1{}", " +\n1".repeat(101)),
        format!("x := 1{}", " + f(1, 2)".repeat(101)),
        format!("x := a{}", ".b".repeat(101)),
        format!("x := a{}", "[0]".repeat(101)),
        format!("x := a{}", "[\n0]".repeat(101)),
        format!("x := [a{}]", "[\n0,\n]".repeat(101)),
        format!("x if {}true", "not ".repeat(101)),
        format!("x := 1 if {{ a }}{}", "\nelse := 2 if { a }".repeat(101)),
        format!("x := 1 if {{ a }}{}", "\nelse := 2 if {\na\n}".repeat(101)),
        format!("x := {}1", "-".repeat(101)),
        // In brackets inside each other, each with less.
        format!("x := {}1", format!("[{}", "-".repeat(10)).repeat(10)),
        format!("x := {}1", format!("({}", "1 + ".repeat(10)).repeat(11)),
        format!("x := {}1", format!("{{1, {}", "not ".repeat(20)).repeat(6)),
    ] {
        assert!(scan(&text).is_err(), "{text}");
    }
    for text in [
        format!("x := 1{}", " + 1".repeat(100)),
        format!("x := {}1", format!("({}", "1 + ".repeat(9)).repeat(11)),
        "x := a.b.c + 1\n".repeat(300),
        "x if { not a.b; a.c[0].d == 1 }\n".repeat(300),
        format!("x := {{{}}}", "\"a\": [1, 2],\n".repeat(300)),
        format!("x := [{}]", "[a.b, a.c],\n".repeat(300)),
        format!("x if {{\n{}}}", "a.b[c] == 1\nnot d.e\n".repeat(300)),
        "x := 1 if {\na.b\n} else := 2 if {\na.c\n}\n\n".repeat(300),
        "f(x) := y if y := x.a + 1\n".repeat(300),
        "# a comment. With dots. And more.\nx := 1\n".repeat(300),
    ] {
        assert_eq!(scan(&text).map(|_| ()), Ok(()), "{text:.80}");
    }
}

/// The rules of a module: where each begins and ends, and its line.
fn read(text: &str) -> Result<(Vec<crate::hir::Site>, usize), String> {
    let mut reading = Reading::begin("f", text, Limits { max_part: MAX_PART, watched: None })?;
    let parts = std::iter::from_fn(|| reading.part().map(|more| more.then_some(())).transpose());
    let parts = parts.collect::<Result<Vec<()>, _>>()?.len();
    let sites = reading.rules.iter().map(|(origin, rule)| crate::syntax::site(*origin, rule.span()));
    Ok((sites.collect(), parts))
}

#[test]
fn parts_have_the_rules_that_the_whole_has() {
    let shapes = [
        "a := \"text\"\n",
        "b := `raw\ntext ] } \"`\n\n",
        "c contains \"x\" if { input.a == \"}\" } # a comment with } and \"\n",
        "d[k] := v if {\n\tsome k, v in {\"x\": [1, 2],\n\"y\": {3}}\n\tk != \"\"\n}\n",
        "e := 1 if {\n\tinput.a\n} else := 2 if {\n\tinput.b\n}\n\nelse := \"3\"\n",
        "default f(_) := \"\"\n",
        "f(x) := y if {\n  y := [z |\n    some z in x\n    z > 1\n  ]\n}\n",
        "g := 1 h := \"2\" default e := 3\n",
        "i if {\n\tinput.a\n}\n{\n\tinput.b\n}\n",
        "j := {\"a\": {\"b\": {\"c\": [[1], [\"\"]]}}}\n",
        "k := 1 +\n  2\n",
        "l if x[\"a\"][0] in [\"]\"]\n",
        "m := \"\u{e9}\\u00e9\\\"\" \r\n",
    ];
    let mut long =
        "# ] {\npackage p.q[\"r\"]\n\nimport data.x.y as z\nimport input.as\nimport rego.v1\n".to_owned();
    for at in 0..1_500 {
        long.push_str(shapes[at * 7 % shapes.len()]);
    }
    let (sites, parts) = read(&long).unwrap();
    assert!(parts > 10, "{parts}");
    let source = ast::Source::from_contents("f".to_owned(), long.clone()).unwrap();
    let mut parser = ast::Parser::new(&source).unwrap();
    parser.enable_rego_v1().unwrap();
    let whole = parser.parse().unwrap();
    let whole: Vec<_> =
        whole.policy.iter().map(|rule| (rule.span().start, rule.span().end, rule.span().line)).collect();
    let sites: Vec<_> = sites.iter().map(|site| (site.start, site.end, site.line)).collect();
    assert_eq!(sites, whole);
}

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    let rules = "a if { input.b == \"c\" }\n".repeat(1_000);
    let one = |wrong: &str| read(&format!("package p\n{rules}{wrong}\n{rules}")).unwrap_err();
    assert!(one("a if }").starts_with("f:1002:6: "), "{}", one("a if }"));
    assert!(one("x := 1 a if }").starts_with("f:1002:13: "), "{}", one("x := 1 a if }"));
    assert!(one("\n\n\"a\"").starts_with("f:1004:"), "{}", one("\n\n\"a\""));
    assert!(one("a { true }").contains("this is Rego v0"), "{}", one("a { true }"));
    for open in ["a if {", "a := [", "a := f(", "a if { input.b == \"c"] {
        assert!(one(open).starts_with("f:1002"), "{}", one(open));
    }
    for head in [
        "",
        "# nothing\n",
        "a := 1",
        "package",
        "package p\nimport",
        "package p\nimport foo.bar",
        "package \"p\"",
    ] {
        assert!(read(head).is_err(), "{head}");
    }
    assert!(read(&format!("package p\n{}", "import data.x\n".repeat(101))).is_err());
    assert_eq!(read("package p").unwrap().0.len(), 0);
    assert_eq!(read("package p # a comment\nimport data.a\n# another").unwrap().0.len(), 0);
    assert_eq!(read("package p x := 1 y := 2").unwrap().0.len(), 2);
}

#[test]
fn what_takes_long_is_refused() {
    let nested = |open: &str, depth: usize, close: &str| {
        format!("package p\nx := {}1{}\n", open.repeat(depth), close.repeat(depth))
    };
    for (open, close, taken) in
        [("[", "]", 10), ("{", "}", 10), ("{1: ", "}", 9), ("(", ")", 12), ("a[", "]", 12)]
    {
        assert!(read(&nested(open, taken, close)).is_ok(), "{open}");
        assert!(read(&nested(open, taken + 1, close)).is_err(), "{open}");
    }
    assert!(read(&nested("y in [", 12, "]")).is_err());
    // Each by itself, however many there are.
    let one = format!("x contains {}1{}\n", "[".repeat(10), "]".repeat(10));
    assert_eq!(read(&format!("package p\n{}", one.repeat(10))).unwrap().0.len(), 10);
    let table = |rows: usize| format!("package p\nx := {{\n{}}}\n", "\"k\": [\"a\", \"b\"],\n".repeat(rows));
    assert!(read(&table(300)).is_ok() && read(&table(1_000)).is_err());
}
