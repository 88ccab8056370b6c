//! What several exporters derive from a reset in the same way.

use std::time::Duration;

use crate::kernel::observation::{Exit, Observation};

/// How long no payload had moved, either way; `None` where neither direction is known.
pub(super) fn idle(observation: &Observation) -> Option<Duration> {
    let both = [observation.since_data_in, observation.since_data_out];
    both.into_iter().flatten().min()
}

/// How a process was dying: the kernel says it of the closer, and of the owner where it saw it.
pub(super) fn exit(pid: u32, observation: &Observation) -> Option<Exit> {
    let tasks = [&observation.closer, &observation.owner];
    let mut same = tasks.into_iter().flatten().filter(|task| task.pid == pid);
    same.find_map(|task| task.exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;

    #[test]
    fn idle_is_the_shorter_silence() {
        let seconds = |secs: u64| Some(Duration::from_secs(secs));
        for (data_in, data_out, expected) in [
            (seconds(5), seconds(9), seconds(5)),
            (seconds(9), seconds(5), seconds(5)),
            (None, seconds(5), seconds(5)),
            (seconds(5), None, seconds(5)),
            (None, None, None),
        ] {
            let mut observation = sample::received().observation;
            observation.since_data_in = data_in;
            observation.since_data_out = data_out;
            assert_eq!(idle(&observation), expected);
        }
    }
}
