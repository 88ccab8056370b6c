//! Statistics of repeated measurements.

/// The median; `None` of nothing.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[middle - 1], upper))
}

/// Measures `rounds` pairs of (without, with), the order swapped from pair to pair, so that what
/// changes slowly on the machine falls on both alike.
///
/// # Errors
/// The first error of a measurement.
pub(crate) fn alternate<E>(
    rounds: usize,
    mut measure: impl FnMut(bool) -> Result<f64, E>,
) -> Result<Vec<(f64, f64)>, E> {
    let mut pairs = Vec::with_capacity(rounds);
    for round in 0..rounds {
        pairs.push(if round % 2 == 0 {
            let without = measure(false)?;
            (without, measure(true)?)
        } else {
            let with = measure(true)?;
            (measure(false)?, with)
        });
    }
    Ok(pairs)
}

/// With divided by without, pair by pair; a pair without anything is left out.
pub(crate) fn ratios(pairs: &[(f64, f64)]) -> Vec<f64> {
    pairs
        .iter()
        .filter(|(without, _)| *without > 0.0)
        .map(|(without, with)| with / without)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let rows: [(&[f64], Option<f64>); 5] = [
            (&[], None),
            (&[3.0], Some(3.0)),
            (&[3.0, 1.0], Some(2.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[4.0, 1.0, 3.0, 2.0], Some(2.5)),
        ];
        for (samples, expected) in rows {
            assert_eq!(median(samples), expected, "{samples:?}");
        }
    }

    #[test]
    fn pairs_swap_their_order() {
        let mut order = Vec::new();
        let mut time = 0.0;
        let pairs = alternate(3, |with| {
            order.push(with);
            time += 1.0;
            Ok::<_, ()>(time)
        });
        assert_eq!(order, [false, true, true, false, false, true]);
        assert_eq!(pairs, Ok(vec![(1.0, 2.0), (4.0, 3.0), (5.0, 6.0)]));
        assert_eq!(alternate(2, |_| Err::<f64, _>("no")), Err("no"));
    }

    #[test]
    fn ratios_are_by_pair() {
        assert_eq!(ratios(&[(2.0, 1.0), (0.0, 5.0), (4.0, 4.0)]), [0.5, 1.0]);
    }
}
