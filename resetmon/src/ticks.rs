//! A periodic timer that wakes the agent once a period, and not more often.
//!
//! The event loop's own timers wait on a wheel: a sleep of a second wakes it twice or more, to sort
//! what is left. An idle agent is to be idle, so its one regular timer is a `timerfd`.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Ticks until it is dropped. Ticks that were not waited for count as one.
#[derive(Debug)]
pub struct Ticks(AsyncFd<OwnedFd>);

impl Ticks {
    /// Ticks at once and then every `period`; needs a running event loop.
    ///
    /// Errors: no descriptor is left, or `period` is zero.
    pub fn every(period: Duration) -> io::Result<Self> {
        if period.is_zero() {
            return Err(io::Error::other("a timer needs a period above zero"));
        }
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let period = Timespec::try_from(period).map_err(io::Error::other)?;
        let setting = Itimerspec {
            it_interval: period,
            // Zero would stop it.
            it_value: Timespec {
                tv_sec: 0,
                tv_nsec: 1,
            },
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &setting)?;
        // SAFETY: the descriptor is owned here, and an `OwnedFd` stays open and the same until it is
        // dropped.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self(timer))
    }

    /// Waits for the next tick.
    ///
    /// Dropping the future before it is done loses nothing.
    pub async fn tick(&self) -> io::Result<()> {
        self.0
            .async_io(Interest::READABLE, |timer| {
                let mut expirations = [0; 8];
                rustix::io::read(timer, &mut expirations)?;
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn ticks_come_a_period_apart_and_missed_ones_are_one() {
        assert!(Ticks::every(Duration::ZERO).is_err());
        let period = Duration::from_millis(20);
        let ticks = Ticks::every(period).unwrap();
        ticks.tick().await.unwrap();
        let start = Instant::now();
        ticks.tick().await.unwrap();
        ticks.tick().await.unwrap();
        assert!(start.elapsed() > period, "ticks are a period apart");
        std::thread::sleep(period * 4);
        ticks.tick().await.unwrap();
        let waited = Instant::now();
        ticks.tick().await.unwrap();
        ticks.tick().await.unwrap();
        assert!(
            waited.elapsed() > period,
            "ticks that nobody waited for are not made up for"
        );
    }
}
