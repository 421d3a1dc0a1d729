//! A chart of the throughputs, with their spread and the worker's processor time.

use std::fmt::Write as _;

use crate::ratios::Runs;
use crate::scenario::SCENARIOS;
use crate::statistics::Spread;

const ROW: usize = 26;
/// Where the bars begin and how long the longest is, in pixels.
const LEFT: f64 = 330.0;
const LONGEST: f64 = 420.0;

/// An SVG document: a bar for each scenario that ran.
pub fn svg(runs: &Runs) -> String {
    let rows: Vec<_> = SCENARIOS
        .iter()
        .filter_map(|scenario| {
            let runs = runs.get(scenario.name)?;
            let of = |figure: fn(&crate::run::Run) -> f64| {
                Spread::of(&runs.iter().map(figure).collect::<Vec<_>>())
            };
            Some((scenario, of(|run| run.requests_per_s)?, of(|run| run.cpu_us)?))
        })
        .collect();
    let most = rows.iter().map(|(_, rate, _)| rate.most).fold(1.0, f64::max);
    let x = |rate: f64| LEFT + rate / most * LONGEST;
    let height = (rows.len() + 2) * ROW;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"960\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"18\" font-weight=\"bold\">requests/s with one worker: median, least and most; \
         processor time for a request</text>\n"
    );
    for (number, (scenario, rate, cpu)) in rows.iter().enumerate() {
        let top = (number + 1) * ROW + 6;
        let (middle, base) = (top + ROW / 2 - 4, top + ROW / 2);
        let colour = if matches!(scenario.letter(), "a" | "b" | "c" | "d") { "#9aa5b1" } else { "#2f6fde" };
        // Into a string nothing fails.
        let _ = write!(
            text,
            "<text x=\"8\" y=\"{base}\">{}</text>\n<rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\n\
             <line x1=\"{:.1}\" y1=\"{middle}\" x2=\"{:.1}\" y2=\"{middle}\" stroke=\"black\"/>\n\
             <text x=\"{:.1}\" y=\"{base}\">{:.0} ({:.1} us)</text>\n",
            scenario.what,
            x(rate.median) - LEFT,
            ROW - 8,
            x(rate.least),
            x(rate.most),
            x(rate.most) + 8.0,
            rate.median,
            cpu.median,
        );
    }
    text + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Run;

    #[test]
    fn the_longest_bar_is_the_fastest_scenario() {
        let run = |requests_per_s| Run { requests_per_s, cpu_us: 12.34, ..Run::default() };
        let runs =
            Runs::from([("a", vec![run(200.0)]), ("e_rs256", vec![run(50.0), run(100.0), run(150.0)])]);
        let text = svg(&runs);
        assert_eq!(text.matches("height=\"18\"").count(), 2);
        assert!(text.contains("width=\"420.0\"") && text.contains("width=\"210.0\""), "{text}");
        assert!(text.contains("100 (12.3 us)") && text.contains("no filter"), "{text}");
    }
}
