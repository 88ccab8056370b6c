//! Tails of distributions: how likely chance alone is to show as much.
//!
//! Every function is total: what has no meaning (a share outside of 0 to 1) is taken as the nearest
//! that has, and a result is between 0 and 1.

/// The logarithm of the gamma function for `x` > 0 (Lanczos' approximation, g = 7, 9 terms).
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    let mut at = x;
    for term in TERMS {
        at += 1.0;
        sum += term / at;
    }
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// P(X ≥ `least`) for X binomial: `trials`, each a success with `share`.
#[must_use]
pub fn binomial_tail(least: u64, trials: u64, share: f64) -> f64 {
    let share = share.clamp(0.0, 1.0);
    if least == 0 || share >= 1.0 && least <= trials {
        return 1.0;
    }
    if least > trials || share <= 0.0 {
        return 0.0;
    }
    incomplete_beta(float(least), float(trials - least) + 1.0, share)
}

/// P(X ≥ `least`) for X Poisson with this mean.
#[must_use]
pub fn poisson_tail(least: u64, mean: f64) -> f64 {
    if least == 0 {
        return 1.0;
    }
    if mean <= 0.0 || mean.is_nan() {
        return 0.0;
    }
    lower_gamma(float(least), mean)
}

/// P(at least `both` of `first` chosen ones are among `second` marked ones of `all`), the one-sided
/// test of Fisher.
#[must_use]
pub fn hypergeometric_tail(both: u64, first: u64, second: u64, all: u64) -> f64 {
    let most = first.min(second);
    let fewest = (first + second).saturating_sub(all);
    if both <= fewest {
        return 1.0;
    }
    if both > most || first > all || second > all {
        return 0.0;
    }
    let ln_choose = |n: u64, k: u64| {
        ln_gamma(float(n) + 1.0) - ln_gamma(float(k) + 1.0) - ln_gamma(float(n - k) + 1.0)
    };
    let whole = ln_choose(all, first);
    let mut tail = 0.0;
    for x in both..=most {
        let term = (ln_choose(second, x) + ln_choose(all - second, first - x) - whole).exp();
        tail += term;
        // Past the peak the terms only fall.
        if term < tail * 1e-12 && float(x) > float(first) * float(second) / float(all) {
            break;
        }
    }
    tail.clamp(0.0, 1.0)
}

/// Most rounds of a series or continued fraction: the greatest counts need about their root.
const ROUNDS: u32 = 20_000;
const PRECISION: f64 = 1e-13;
const TINY: f64 = 1e-300;

/// The regularised incomplete beta function, by Lentz' continued fraction.
#[expect(
    clippy::many_single_char_names,
    reason = "the names that the literature has"
)]
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x > (a + 1.0) / (a + b + 2.0) {
        return (1.0 - incomplete_beta(b, a, 1.0 - x)).clamp(0.0, 1.0);
    }
    let ln_front =
        ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p() - a.ln();
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for round in 1..=ROUNDS {
        let m = f64::from(round);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            step = c * d;
            fraction *= step;
        }
        if (step - 1.0).abs() < PRECISION {
            break;
        }
    }
    (ln_front.exp() * fraction).clamp(0.0, 1.0)
}

/// The regularised lower incomplete gamma function.
#[expect(
    clippy::many_single_char_names,
    reason = "the names that the literature has"
)]
fn lower_gamma(a: f64, x: f64) -> f64 {
    let ln_front = a * x.ln() - x - ln_gamma(a);
    if x < a + 1.0 {
        let mut term = 1.0 / a;
        let mut sum = term;
        for round in 1..=ROUNDS {
            term *= x / (a + f64::from(round));
            sum += term;
            if term < sum * PRECISION {
                break;
            }
        }
        return (ln_front.exp() * sum).clamp(0.0, 1.0);
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for round in 1..=ROUNDS {
        let i = f64::from(round);
        let term = -i * (i - a);
        b += 2.0;
        d = 1.0 / (term * d + b);
        c = b + term / c;
        let step = c * d;
        fraction *= step;
        if (step - 1.0).abs() < PRECISION {
            break;
        }
    }
    (1.0 - ln_front.exp() * fraction).clamp(0.0, 1.0)
}

/// A count as a number with a fraction; beyond 2^53 rounded.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of events stay below 2^53"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(actual: f64, expected: f64) {
        let scale = expected.abs().max(1e-300);
        assert!(
            ((actual - expected) / scale).abs() < 1e-8,
            "{actual:e} for {expected:e}"
        );
    }

    /// The sum itself, term by term.
    fn binomial_sum(least: u64, trials: u64, share: f64) -> f64 {
        let mut term = (1.0 - share).powf(float(trials));
        let mut tail = 0.0;
        for k in 0..=trials {
            if k >= least {
                tail += term;
            }
            term *= float(trials - k) / float(k + 1) * share / (1.0 - share);
        }
        tail
    }

    #[test]
    fn gamma_is_the_factorial() {
        let mut factorial: f64 = 1.0;
        for n in 1..20_u64 {
            assert!((ln_gamma(float(n)) - factorial.ln()).abs() < 1e-10, "{n}");
            factorial *= float(n);
        }
        near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
    }

    #[test]
    fn binomial_tails_are_their_sums() {
        for trials in [1, 2, 5, 10, 40] {
            for least in 0..=trials {
                for share in [0.01, 0.2, 0.5, 0.9] {
                    near(
                        binomial_tail(least, trials, share),
                        binomial_sum(least, trials, share),
                    );
                }
            }
        }
        // Ten heads of ten.
        near(binomial_tail(10, 10, 0.5), 1.0 / 1024.0);
    }

    #[test]
    fn poisson_tails_are_their_sums() {
        for mean in [0.01_f64, 0.5, 3.0, 20.0] {
            let mut term = (-mean).exp();
            let mut below = 0.0;
            for least in 0..30_u64 {
                // From 1 downwards the sum keeps its precision only where the tail is large.
                if below < 0.999 {
                    assert!(
                        (poisson_tail(least, mean) - (1.0 - below)).abs() < 1e-10,
                        "{least} {mean}"
                    );
                }
                below += term;
                term *= mean / float(least + 1);
            }
        }
        near(poisson_tail(1, 1e-9), 1e-9 - 0.5e-18);
    }

    #[test]
    fn fisher_on_tables_worked_by_hand() {
        // Both of two marked ones of four when two are chosen: 1 of 6 ways; at least one: 5 of 6.
        near(hypergeometric_tail(2, 2, 2, 4), 1.0 / 6.0);
        near(hypergeometric_tail(1, 2, 2, 4), 5.0 / 6.0);
        // The lady tasting tea: 4 of 4 is 1 of 70, 3 or more 17 of 70.
        near(hypergeometric_tail(4, 4, 4, 8), 1.0 / 70.0);
        near(hypergeometric_tail(3, 4, 4, 8), 17.0 / 70.0);
    }

    #[test]
    fn edges_have_meaning() {
        for (actual, expected) in [
            (binomial_tail(0, 0, 0.5), 1.0),
            (binomial_tail(1, 0, 0.5), 0.0),
            (binomial_tail(3, 5, 0.0), 0.0),
            (binomial_tail(3, 5, 1.0), 1.0),
            (binomial_tail(6, 5, 1.0), 0.0),
            (binomial_tail(3, 5, -4.0), 0.0),
            (poisson_tail(0, 0.0), 1.0),
            (poisson_tail(3, 0.0), 0.0),
            (poisson_tail(3, f64::NAN), 0.0),
            (hypergeometric_tail(0, 0, 0, 0), 1.0),
            (hypergeometric_tail(5, 4, 4, 8), 0.0),
        ] {
            assert!((actual - expected).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn great_counts_are_near_the_normal_distribution() {
        // Mean 500 000, deviation 500: 1 500 above it is three of them.
        let tail = binomial_tail(501_500, 1_000_000, 0.5);
        assert!((0.00134..0.00136).contains(&tail), "{tail}");
        let far = binomial_tail(9_000_000, 10_000_000, 0.5);
        assert!(far < 1e-300, "{far:e}");
    }
}
