//! The object and its maps: new ones, or those that an earlier run pinned.

use std::path::PathBuf;

use aya::maps::{HashMap, Map, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use gateway_ebpf_common::layout::Switches;

use super::{AttachError, Options, Stay, chain};
use crate::kernel::marks::Marked;
use crate::kernel::pin::{PinError, PinSet};
use crate::kernel::probes::{Need, PROBES};

/// The object with its maps: those that are pinned, else new ones, which get pinned.
pub(super) fn open(
    mut loader: EbpfLoader<'static>,
    object: &[u8],
    options: &Options,
    pins: Option<&PinSet>,
) -> Result<(Ebpf, Stay), AttachError> {
    let Some(pins) = pins else {
        return Ok((load(loader, object, options, &[])?, Stay::No));
    };
    let there = pins.maps()?;
    if !there.is_empty() {
        let failed = match take_over(loader, object, options, pins, &there) {
            Ok(ebpf) => return Ok((ebpf, Stay::TakenOver)),
            Err(why) => why,
        };
        pins.remove()?;
        tracing::warn!(
            "programs of an earlier run could not be taken over ({failed}); new ones are attached"
        );
        loader = EbpfLoader::new();
    }
    let ebpf = load(loader, object, options, &[])?;
    match pin_maps(&ebpf, pins) {
        Ok(()) => Ok((ebpf, Stay::Pinned)),
        Err(error) => {
            tracing::warn!("the programs end with the agent: {error}");
            pins.remove()?;
            Ok((ebpf, Stay::No))
        }
    }
}

/// The object over the maps that an earlier run pinned, which are `there`.
///
/// Errors: they are not complete, no longer fit, or would run in another order.
fn take_over(
    loader: EbpfLoader<'static>,
    object: &[u8],
    options: &Options,
    pins: &PinSet,
    there: &[(String, PathBuf)],
) -> Result<Ebpf, String> {
    let ebpf = load(loader, object, options, there).map_err(|error| error.to_string())?;
    let missing = shared(&ebpf)
        .map(|(name, _)| name)
        .find(|name| there.iter().all(|(pin, _)| pin != name));
    if let Some(name) = missing {
        return Err(format!("the map {name} is not pinned"));
    }
    for probe in PROBES {
        if let Need::StandInFor(first) = probe.need
            && pins.has_link(probe.name)
            && !pins.has_link(first)
        {
            return Err(format!("{} is pinned, but {first} is not", probe.name));
        }
    }
    Ok(ebpf)
}

fn load(
    loader: EbpfLoader<'static>,
    object: &[u8],
    options: &Options,
    pins: &[(String, PathBuf)],
) -> Result<Ebpf, AttachError> {
    let switches = Switches {
        detail_rate: options.detail_rate,
        refusals: if options.refused_resets {
            options.switches.refusals
        } else {
            Switches::default().refusals
        },
        ..options.switches
    };
    let object = Marked::new(object, &options.layout, &switches)?;
    // Lent what lives shorter.
    let mut loader: EbpfLoader<'_> = loader;
    loader
        .override_global("SWITCHES", &switches, true)
        .override_global(aya_log::LEVEL, &options.log_level, false)
        .map_max_entries("EVENTS", options.ring_buffer_bytes);
    for (name, path) in pins {
        loader.map_pin_path(name, path.as_path());
    }
    loader
        .load(object.bytes())
        .map_err(|error| AttachError::Load(chain(&error)))
}

/// The maps that all programs of a set must have in common: not the sections with the globals,
/// which are the same for each.
fn shared(ebpf: &Ebpf) -> impl Iterator<Item = (&str, &Map)> {
    ebpf.maps().filter(|(name, _)| !name.starts_with('.'))
}

fn pin_maps(ebpf: &Ebpf, pins: &PinSet) -> Result<(), PinError> {
    pins.create()?;
    for (name, map) in shared(ebpf) {
        let path = pins.map(name);
        map.pin(&path).map_err(|error| PinError::Pin {
            path,
            reason: chain(&error),
        })?;
    }
    Ok(())
}

/// Lets the programs tell of every process again: what the earlier run read of them is gone.
pub(super) fn forget_announcements(ebpf: &mut Ebpf) {
    let Some(mut announced) = ebpf
        .map_mut("PROCESSES")
        .and_then(|map| HashMap::<_, [u64; 2], u64>::try_from(map).ok())
    else {
        return;
    };
    let keys: Vec<[u64; 2]> = announced.keys().filter_map(Result::ok).collect();
    for key in keys {
        // The programs evict on their own: gone is as good as removed.
        let _ = announced.remove(&key);
    }
    let latest = ebpf
        .map_mut("ANNOUNCED")
        .and_then(|map| PerCpuArray::<_, [u64; 3]>::try_from(map).ok());
    let none = nr_cpus()
        .ok()
        .and_then(|cpus| PerCpuValues::try_from(vec![[0; 3]; cpus]).ok());
    if let (Some(mut latest), Some(none)) = (latest, none) {
        // The map is ours, and of that size.
        let _ = latest.set(0, none, 0);
    }
}
