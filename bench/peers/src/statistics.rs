//! Medians, spreads and percentiles.

/// The least value that this share of all is not above; not a number where there are none.
pub fn at(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// A median with its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of values, or `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = |at: usize| sorted.get(at).copied();
        let (low, high) = (middle((sorted.len() - 1) / 2)?, middle(sorted.len() / 2)?);
        Some(Self { median: (low + high) / 2.0, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_two() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0]), Some(Spread { median: 3.0, least: 3.0, most: 3.0 }));
        assert_eq!(Spread::of(&[9.0, 1.0, 4.0]), Some(Spread { median: 4.0, least: 1.0, most: 9.0 }));
        assert_eq!(Spread::of(&[9.0, 1.0, 4.0, 6.0]), Some(Spread { median: 5.0, least: 1.0, most: 9.0 }));
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let values: Vec<f64> = (1..=1_000).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.99, 0.999, 1.0].map(|share| at(&values, share)), [500.0, 990.0, 999.0, 1_000.0]);
        assert_eq!(at(&[7.0], 0.999), 7.0);
        assert!(at(&[], 0.5).is_nan());
    }
}
