//! Rules of the packet filter, each row's in a table of its own.

use anyhow::Result;

use crate::scene::Scene;

/// Drops what `matches` (nft) on its way.
pub(crate) fn drop_silently(scene: &Scene<'_>, matches: &str) -> Result<()> {
    add(scene, matches, "drop")
}

/// Answers what `matches` (nft) with a RST.
pub(crate) fn reject(scene: &Scene<'_>, matches: &str) -> Result<()> {
    add(scene, matches, "reject with tcp reset")
}

/// Takes the row's rules back.
pub(crate) fn clear(scene: &Scene<'_>) -> Result<()> {
    let name = scene.route.name;
    scene.netns.nft(&format!("delete table inet {name}"))
}

/// Where packets come in: what was dropped as it leaves its sender would know of.
fn add(scene: &Scene<'_>, matches: &str, verdict: &str) -> Result<()> {
    let name = scene.route.name;
    scene.netns.nft(&format!(
        "table inet {name} {{\nchain input {{\ntype filter hook input priority 0;\n\
         {matches} {verdict}\n}}\n}}"
    ))
}
