//! The stage that makes the packages and uses them as an operator would.

use anyhow::Result;

use super::{LIVE, ensure_root, own_harness};
use crate::debian;
use crate::ebpf::Kit;
use crate::package::{self, Arch, Options};
use crate::workspace::Workspace;

/// Tell the tests, which do not run without them, where the packages are, and a bare Debian.
const PACKAGES: &str = "RESETMON_PACKAGES";
const DEBIAN: &str = "RESETMON_DEBIAN";
/// What the names of the tests begin with.
const TESTS: &str = "package_";

/// Makes everything, then runs the tests.
pub(super) fn run(workspace: &Workspace, kit: &Kit, filters: &[String]) -> Result<String> {
    ensure_root()?;
    package::run(workspace, kit, Options::ALL)?;
    let root = debian::ensure(workspace)?;
    let folder = package::folder(workspace, Arch::HOST);
    let all = [TESTS.to_owned()];
    let filters = if filters.is_empty() { &all } else { filters };
    own_harness(
        workspace,
        LIVE,
        filters,
        &[(PACKAGES, &folder), (DEBIAN, &root)],
    )
}
