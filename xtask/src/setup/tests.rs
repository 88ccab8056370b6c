use super::*;

const NGINX: Tool = Tool {
    program: "nginx",
    package: "nginx-light",
};
const PROMTOOL: Tool = Tool {
    program: "promtool",
    package: "prometheus",
};
const PROMETHEUS: Tool = Tool {
    program: "prometheus",
    package: "prometheus",
};

/// A bare Debian host, as root.
fn bare() -> Findings {
    Findings {
        toolchain_missing: true,
        tools_missing: vec![NGINX, PROMETHEUS, PROMTOOL],
        root: true,
        apt: true,
        toolchain_packaged: true,
        rustup: Rustup::Absent,
    }
}

fn install(packages: &[&'static str], rustup: Option<&'static [&'static str]>) -> Plan {
    Plan::Install {
        packages: packages.to_vec(),
        rustup,
    }
}

#[test]
fn plans() {
    let rows = [
        (
            "bare Debian",
            bare(),
            install(
                &[
                    "rustc-web",
                    "libstd-rust-web-dev-bpf",
                    "rust-web-clippy",
                    "nginx-light",
                    "prometheus",
                ],
                None,
            ),
        ),
        (
            "Debian's compiler goes before rustup's",
            Findings {
                rustup: Rustup::WithNightly,
                tools_missing: vec![],
                ..bare()
            },
            install(
                &["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"],
                None,
            ),
        ),
        (
            "not root",
            Findings {
                root: false,
                tools_missing: vec![],
                ..bare()
            },
            Plan::AskRoot {
                packages: TOOLCHAIN.to_vec(),
            },
        ),
        (
            "only tools are missing",
            Findings {
                toolchain_missing: false,
                tools_missing: vec![PROMTOOL],
                ..bare()
            },
            install(&["prometheus"], None),
        ),
        (
            "nothing is missing: root is not needed",
            Findings {
                toolchain_missing: false,
                tools_missing: vec![],
                root: false,
                ..bare()
            },
            Plan::Ready,
        ),
        (
            "apt without such a compiler, nightly without rust-src",
            Findings {
                toolchain_packaged: false,
                rustup: Rustup::WithNightly,
                ..bare()
            },
            install(&["nginx-light", "prometheus"], Some(RUSTUP_COMPLETE)),
        ),
        (
            "no apt: rustup needs no root",
            Findings {
                apt: false,
                root: false,
                tools_missing: vec![],
                rustup: Rustup::WithoutNightly,
                ..bare()
            },
            install(&[], Some(RUSTUP_INSTALL)),
        ),
    ];
    for (case, findings, expected) in rows {
        assert_eq!(plan(&findings), expected, "{case}");
    }
}

#[test]
fn a_host_without_apt_and_rustup_hears_names() {
    let findings = Findings {
        apt: false,
        ..bare()
    };
    let Plan::ByHand(needs) = plan(&findings) else {
        panic!("{:?}", plan(&findings));
    };
    assert_eq!(needs.len(), 2);
    assert!(needs[0].contains("rust-src"), "{}", needs[0]);
    assert_eq!(needs[1], "the programs nginx, prometheus, promtool");
}

#[test]
fn a_failed_step_is_named() {
    let error = step("fetching", || bail!("no network")).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "setup stopped at: fetching: no network"
    );
}
