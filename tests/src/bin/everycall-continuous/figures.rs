//! Figures with the bounds that they must keep.

use std::io::IsTerminal as _;

/// One row of the table.
pub struct Figure {
    pub what: String,
    pub samples: usize,
    /// Half of the samples are at most this.
    pub median: Option<f64>,
    pub p99: Option<f64>,
    pub longest: Option<f64>,
    /// What is bounded: one of these, or a count.
    pub value: f64,
    pub unit: &'static str,
    pub bound: Option<f64>,
}

impl Figure {
    /// Seconds whose 99th percentile is bounded.
    pub fn seconds(what: impl Into<String>, samples: &Samples, bound: f64) -> Self {
        Self {
            what: what.into(),
            samples: samples.count(),
            median: Some(samples.at(0.5)),
            p99: Some(samples.at(0.99)),
            longest: Some(samples.at(1.0)),
            value: samples.at(0.99),
            unit: "s",
            bound: Some(bound),
        }
    }

    /// Something that must not be.
    pub fn never(what: &str, count: usize, of: usize) -> Self {
        #[allow(clippy::cast_precision_loss)] // thousands
        let value = count as f64;
        Self { unit: "", ..Self::one(what, of, value, 0.0) }
    }

    /// Seconds of which there is one figure only.
    pub fn one(what: &str, samples: usize, value: f64, bound: f64) -> Self {
        Self {
            what: what.into(),
            samples,
            median: None,
            p99: None,
            longest: None,
            value,
            unit: "s",
            bound: Some(bound),
        }
    }

    /// What is wrong, if it is worse than it may be.
    pub fn broken(&self) -> Option<String> {
        let bound = self.bound.filter(|bound| self.value > *bound)?;
        Some(format!("{}: {} {} is more than {bound}", self.what, self.value, self.unit))
    }
}

/// What was measured, in order.
#[derive(Debug, Default, Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The least sample that this share of all is not above. Without samples it is above any bound.
    pub fn at(&self, share: f64) -> f64 {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = (share * self.0.len() as f64).ceil() as usize;
        rounded(self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::MAX))
    }

    pub fn least(&self) -> f64 {
        self.0.first().copied().map_or(0.0, rounded)
    }
}

/// To thousandths.
pub fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

pub fn print(figures: &[Figure]) {
    let width = figures.iter().map(|figure| figure.what.chars().count()).max().unwrap_or_default();
    let colour = std::io::stdout().is_terminal();
    println!("{:width$}  samples   median  p99/count  longest    bound", "");
    for figure in figures {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value}"));
        let mark = match (figure.broken().is_some(), colour) {
            (true, true) => "  \x1b[31mbroken\x1b[0m",
            (true, false) => "  broken",
            (false, _) => "",
        };
        println!(
            "{:width$} {:>8} {:>8} {:>10} {:>8} {:>8} {}{mark}",
            figure.what,
            figure.samples,
            number(figure.median),
            figure.p99.unwrap_or(figure.value),
            number(figure.longest),
            number(figure.bound),
            figure.unit,
        );
    }
}

/// Numbers that look random, and are the same each time.
pub struct Chance(pub u64);

impl Chance {
    /// One below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}
