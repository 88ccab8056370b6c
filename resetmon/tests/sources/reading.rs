//! A gateway as a source sees it.

use std::path::Path;

use resetmon::routes::instance::{Family, Instance};
use resetmon::routes::source::{Reading, Source};

use crate::program::Program;

/// The gateway as it runs now.
pub(crate) fn instance(program: &Program) -> Instance {
    let proc_root = Path::new("/proc");
    let family = Family::read(proc_root).unwrap();
    Instance::of(proc_root, &family, program.pid()).unwrap()
}

/// What it says of itself.
pub(crate) fn read(source: &dyn Source, instance: &Instance) -> Reading {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(source.read(instance)).unwrap()
}

/// A reading in short: the listeners, then `route [listeners] -> upstreams`, then
/// `upstream: endpoints`, then what was not understood.
pub(crate) fn shown(reading: &Reading) -> Vec<String> {
    fn list(items: &[impl ToString]) -> String {
        let items: Vec<_> = items.iter().map(ToString::to_string).collect();
        items.join(" ")
    }
    let mut lines = vec![format!("listeners {}", list(&reading.listeners))];
    for route in &reading.routes {
        let (listeners, upstreams) = (list(&route.listeners), list(&route.upstreams));
        lines.push(format!("{} [{listeners}] -> {upstreams}", route.name));
    }
    for upstream in &reading.upstreams {
        lines.push(format!("{}: {}", upstream.name, list(&upstream.endpoints)));
    }
    lines.extend(reading.not_understood.iter().cloned());
    lines
}
