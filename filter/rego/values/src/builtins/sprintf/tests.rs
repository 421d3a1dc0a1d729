use super::*;
use crate::builtins::numbers::tests::n;
use crate::value::Set;

fn print(format: &str, values: &[Value]) -> Result<Value, Failure> {
    sprintf(&mut Budget::new(0, 100_000), &[Value::from(format), Value::from(values.to_vec())])
}

#[test]
fn what_is_printed_is_what_go_prints() {
    let s = |text: &str| Value::from(text);
    let long = || n("123456789012345678901");
    for (format, values, expected) in [
            ("%d|%5d|%-5d|%05d|%+d|% d|%.3d", vec![n("5"); 7], "5|    5|5    |00005|+5| 5|005"),
            ("%x|%X|%#x|%o|%O|%#o|%b|%#b", vec![n("255"); 8], "ff|FF|0xff|377|0o377|0377|11111111|0b11111111"),
            ("%c|%q|%U|%#U|%c", vec![n("8364"), n("65"), n("65"), n("65"), n("-1")], "€|'A'|U+0041|U+0041 'A'|\u{fffd}"),
            ("%.0d|%3.0d|", vec![n("0"), n("0")], "|   |"),
            ("%v|%e|%.2f|%g|%06.1f|%+.1e|%.3g", vec![n("1.5"), n("1.5"), n("2.675"), n("123456789.5"), n("-2.5"), n("1234.5"), n("1234.5")],
                "1.5|1.500000e+00|2.67|1.234567895e+08|-002.5|+1.2e+03|1.23e+03"),
            ("%T %T %T %T %T", vec![n("1.0"), n("1.5"), n("1e2"), long(), Value::Null], "int64 float64 string *big.Int string"),
            ("%s %v %25d|%+v|%x|%z", vec![long(); 6],
                "123456789012345678901 123456789012345678901     123456789012345678901|+123456789012345678901|6b14e9f812f366c35|%!z(big.Int=123456789012345678901)"),
            ("%s|%6.2s|%-4s|%q|%+q|%#q|% x|%#X|%05s", vec![s("hé"); 9], "hé|    hé|hé  |\"hé\"|\"h\\u00e9\"|`hé`|68 c3 a9|0X68C3A9|000hé"),
            ("%d %s %t %z", vec![s("x"), n("1.5"), Value::Bool(true), n("1")], "%!d(string=x) %!s(float64=1.5) %!t(string=true) %!z(int64=1)"),
            ("%d %d", vec![n("1")], "1 %!d(MISSING)"),
            ("%d", vec![n("1"), s("a"), n("1.5")], "1%!(EXTRA string=a, float64=1.5)"),
            ("%[2]d %[1]d|%[3]d|%[x]d", vec![n("1"), n("2")], "2 1|%!d(BADINDEX)|%!d(BADINDEX)"),
            ("%*d|%-*d|%.*f", vec![n("4"), n("7"), n("3"), n("7"), n("1"), n("0.25")], "   7|7  |0.2"),
            ("%*d|%.*d", vec![s("x"), n("7"), n("-1"), n("8")], "%!(BADWIDTH)7|%!(BADPREC)8"),
            ("100%%|%!|%", vec![], "100%|%!!(MISSING)|%!(NOVERB)"),
        ] {
            assert_eq!(print(format, &values).ok().as_ref().and_then(Value::as_str), Some(expected), "{format}");
        }
}

#[test]
fn collections_are_printed_in_their_order_with_texts_in_quotes() {
    let value = Value::from(vec![
        Value::from([n("2"), n("1.50")].into_iter().collect::<Set>()),
        Value::from(Set::default()),
        Value::from(
            [(n("1.0"), Value::Null), (Value::from("a\"\n\u{1}\u{200b}é"), Value::from(true))]
                .into_iter()
                .collect::<crate::value::Object>(),
        ),
    ]);
    let text = value_text(&value, &mut Budget::new(0, 1_000)).unwrap();
    assert_eq!(text, "[{1.50, 2}, set(), {1.0: null, \"a\\\"\\n\\x01\\u200bé\": true}]");
}

#[test]
fn nothing_is_printed_past_the_budget_or_of_what_go_keeps_in_memory() {
    for (format, value) in [
        ("%1000000d", n("1")),
        ("%.9999999f", n("1.5")),
        ("%x", n("1.5")),
        ("%#g", n("1.5")),
        ("%p", n("123456789012345678901")),
    ] {
        assert!(matches!(print(format, &[value]), Err(Failure::Limit)), "{format}");
    }
}
