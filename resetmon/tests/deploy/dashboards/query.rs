//! `PromQL` that both dashboards use.

/// The growth of a counter within each step, so that the points add up to what there was.
///
/// A series mostly appears with its first reset, already at 1, which `increase` cannot see: it counts
/// with its whole value where it was not there at the begin of the window, though its agent was;
/// with its last value, since an agent in trouble may miss a scrape.
pub(super) fn grown(metric: &str, matchers: &str) -> String {
    let window = "$__interval";
    format!(
        "(last_over_time({metric}{{{matchers}}}[{window}]) unless {metric} offset {window} \
         and on (job, instance) up{{job=\"resetmon\"}} offset {window} == 1) \
         or increase({metric}{{{matchers}}}[{window}])"
    )
}

/// The growth of a counter within the time shown.
///
/// An agent that was not scraped yet at its begin counts with all that it has, so that the first
/// minutes after the installation show something; one that was down does not.
pub(super) fn grown_in_range(metric: &str, matchers: &str) -> String {
    let window = "$__range";
    format!(
        "(last_over_time({metric}{{{matchers}}}[{window}]) unless {metric} offset {window} \
         unless on (job, instance) up{{job=\"resetmon\"}} offset {window} == 0) \
         or increase({metric}{{{matchers}}}[{window}])"
    )
}
