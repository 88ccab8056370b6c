//! Names of reset reasons, by the running kernel's own numbers.
//!
//! The numbers of `enum sk_rst_reason` changed within stable series, so none stands here.

use std::sync::Arc;

use crate::kernel::btf::Btf;
use crate::kernel::observation::Reason;

const ENUM: &str = "sk_rst_reason";
const PREFIX: &str = "SK_RST_REASON_";

/// Fewest numbers, from 0 on, whose names are kept ready; kernels up to 7.2 use 26.
const READY: u32 = 64;

/// The reasons of one kernel.
#[derive(Clone, Debug)]
pub struct Reasons {
    /// By number.
    names: Vec<Reason>,
}

impl Reasons {
    /// Reads `enum sk_rst_reason`; kernels before 6.10 have none, and tell no reasons either.
    #[must_use]
    pub fn from_btf(btf: &Btf) -> Self {
        let values = btf.enum_values(ENUM).unwrap_or_default();
        let highest = values
            .iter()
            .filter_map(|(_, number)| u16::try_from(*number).ok())
            .max();
        let ready = READY.max(highest.map_or(0, |highest| u32::from(highest) + 1));
        let mut names: Vec<Reason> = (0..ready).map(unnamed).collect();
        for (name, number) in values {
            let name = name.strip_prefix(PREFIX).unwrap_or(name);
            let slot = usize::try_from(number)
                .ok()
                .and_then(|number| names.get_mut(number));
            if let Some(slot) = slot
                && !name.is_empty()
            {
                *slot = Reason(Arc::from(name.to_ascii_lowercase()));
            }
        }
        Self { names }
    }

    /// The kernel's name of a number, lower case without its prefix; `reason_<number>` for
    /// a number that its enum does not have.
    ///
    /// Allocates only for numbers beyond every one of the enum.
    #[must_use]
    pub fn name(&self, number: u32) -> Reason {
        usize::try_from(number)
            .ok()
            .and_then(|number| self.names.get(number).cloned())
            .unwrap_or_else(|| unnamed(number))
    }
}

fn unnamed(number: u32) -> Reason {
    Reason(Arc::from(format!("reason_{number}")))
}

#[cfg(test)]
mod tests;
