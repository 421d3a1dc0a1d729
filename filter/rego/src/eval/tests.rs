use super::*;
use crate::facts::InputDocument;
use crate::library::Library;

fn evaluate(body: &str) -> Outcome<Option<Value>> {
    let mut library = Library::default();
    library.add("p.rego", &format!("package p\n{body}")).unwrap();
    let plan = library.plan(&["p.x"]).unwrap();
    let facts = InputDocument::new(&plan, None, None);
    plan.evaluate(0, &facts, &mut Budget::new(50_000, 1_000_000))
}

fn refused(modules: &[&str], entries: &[&str]) -> String {
    let mut library = Library::default();
    let mut added = modules.iter().enumerate().map(|(at, text)| library.add(&format!("m{at}.rego"), text));
    if let Some(Err(message)) = added.find(Result::is_err) {
        return message;
    }
    library.plan(entries).map(|_| String::new()).unwrap_or_else(|messages| messages.join("\n"))
}

#[test]
fn a_rule_that_reads_itself_is_seen_whoever_read_its_package_before() {
    for circle in
        ["b := data.p", "b contains data", "b := data.p[input.x]", "b[k] := 1 if { some k in data.p }"]
    {
        let modules = [&format!("package p\nc := 1\n{circle}"), "package q\na := data.p\nd := data"];
        for entries in
            [&["q.a"][..], &["p.b"], &["q.a", "p.b"], &["p", "q"], &["p", ""], &["", "p"], &["q.d", "p.b"]]
        {
            let said = refused(&modules, entries);
            assert!(said.contains("rules that call themselves"), "{circle}: {entries:?}: {said}");
        }
    }
    let modules = ["package p\nb := 1\nc := b", "package q\na := data.p\nd := [data.p, a]"];
    assert_eq!(refused(&modules, &["q", "p", ""]), "");
}

/// OPA evaluates such a statement before the variable that it waits for has a value, and ends in an internal
/// error, or lets a `not` hold.
#[test]
fn a_statement_that_waits_does_not_close_over_the_body() {
    let (early, late) = ("v = input.n", "w = input.l[_]");
    for statement in [
        "not w == [y | y := v]",
        "w in {y | y := v}",
        "every q in w { q == v }",
        "[w, [y | y := v]] == input.pair",
        "[y | y := v] == [count([y | y := w])]",
    ] {
        let said = refused(&[&format!("package p\nx if {{ {early}; {statement}; {late} }}")], &["p.x"]);
        assert!(said.starts_with("m0.rego:2: a closure here reads"), "{statement}: {said}");
        for body in [format!("{early}; {late}; {statement}"), format!("{statement}; {early}; {late}")] {
            assert_eq!(refused(&[&format!("package p\nx if {{ {body} }}")], &["p.x"]), "", "{body}");
        }
    }
    // What is read there has its value before, or nothing waits.
    for body in ["not w == [y | y := input.n]; w = input.l[_]", "v := 1; count([y | y := v]) > w; w = 0"] {
        assert_eq!(refused(&[&format!("package p\nx if {{ {body} }}")], &["p.x"]), "", "{body}");
    }
    assert_eq!(refused(&["package p\nf(v) if { not w == [y | y := v]; w = 1 }\nx := f(1)"], &["p.x"]), "");
}

#[test]
fn a_nul_does_not_end_a_module() {
    for text in ["x := 1\0\ndeny := true", "x := 1\n# \0", "x := \"\0\"", "x := `\0`", "\0"] {
        let said = refused(&[&format!("package p\n{text}")], &["p.x"]);
        assert!(said.starts_with("m0.rego:") && said.ends_with("a NUL character"), "{text:?}: {said}");
    }
}

/// OPA's answers: the minus belongs to what stands next to it.
#[test]
fn a_minus_stands_before_a_number_a_reference_or_a_call() {
    for (term, expected) in [
        ("-y", "-2"),
        ("- 1 + 3", "2"),
        ("-y - 1 - 1", "-4"),
        ("-y * 2 + 1", "-3"),
        ("2 - -y", "4"),
        ("2 * (-y) + 3", "-1"),
        ("-y == -2", "true"),
        ("1 == -y + 3", "true"),
        ("-y in [-2]", "true"),
        ("-count([y])", "-1"),
        ("[-y + 1, -l[1]]", "[-1,-3]"),
        ("[v | some v in l; -v < -1]", "[3,2]"),
        ("l[-l[0] + 1]", "1"),
    ] {
        let value = evaluate(&format!("y := 2\nl := [1, 3, 2]\nx := {term}")).unwrap();
        let value = value.map(|value| value.to_json());
        assert_eq!(value, serde_json::from_str(expected).unwrap(), "{term}");
    }
    for term in ["-s", "-l", "-absent"] {
        let body = format!("s := \"a\"\nl := [1]\nabsent := 1 if false\nx := {term}");
        assert_eq!(evaluate(&body).map(|value| value.is_none()), Ok(true), "{term}");
    }
    for term in ["-(1)", "-(y)", "--y", "-\"a\"", "-{1}", "-null", "2 - -y + 3", "3 * -y * 2"] {
        let said = refused(&[&format!("package p\ny := 2\nx := {term}")], &["p.x"]);
        assert!(said.starts_with("m0.rego:3"), "{term}: {said}");
    }
}

/// OPA's answers.
#[test]
fn what_stands_in_a_functions_place_shares_what_is_known() {
    let text = "f(x) := x\nf2(x) := 10\nf2m(x) := 20\nt := f2(1)\nh(x) := t\n\
        s[k] := v if { some k in [1]; v := f2(k) }\nh2(x) := s[x]\nh3(x) := t + f2(x)\n\
        a := [p, q] if { p := t; q := f(1) }\nb := [p, q, r] if { q := f(1); p := t; r := s[1] }\n\
        c := [p, q] if { p := s[1]; q := f(1) }\nd := [p, q] if { q := f(1); p := s[1] }\n\
        e := [p, q] if { p := s; q := f(1) }\n";
    for (read, instead, expected) in [
        ("a", "h", "[20,20]"),
        ("b", "h", "[10,10,20]"),
        ("c", "h2", "[20,20]"),
        ("d", "h2", "[10,10]"),
        ("e[1]", "h2", "20"),
        ("a", "h3", "[20,30]"),
        ("b", "h3", "[10,20,20]"),
    ] {
        let x = format!("x := v if v := {read} with data.p.f as {instead} with data.p.f2 as f2m");
        let value = evaluate(&format!("{text}{x}")).unwrap().unwrap();
        assert_eq!(value.to_json().to_string(), expected, "{x}");
    }
}

#[test]
fn values_in_which_one_part_stands_often_are_not_gone_through_for_ever() {
    let doubled: String = (1..44).map(|n| format!("v{n} := [v{}, v{}]\n", n - 1, n - 1)).collect();
    let twins: String = (1..44).map(|n| format!("w{n} := [w{}, w{}]\n", n - 1, n - 1)).collect();
    for x in [
        "x if v43 == w43",
        "x if v43 != w43",
        "x if v43 < w43",
        "x if v43 in [w43]",
        "x := {v43, w43}",
        "x := {y | some y in [v43, w43]}",
        "x := {y: 1 | some y in [v43, w43]}",
        "x := {v43: 1, w43: 2}",
        "x if { [y, y] = [v43, w43] }",
        "x if { y := {w43: 1}; y[v43] }",
        "x contains v43\nx contains w43",
        "x[v43] := 1\nx[w43] := 1",
        "x := v43\nx := w43",
        "x if { v43 = w43 }",
    ] {
        let text = format!("v0 := [1]\n{doubled}w0 := [1]\n{twins}{x}");
        assert_eq!(evaluate(&text), Err(Halt::Limit("much work")), "{x}");
    }
}
