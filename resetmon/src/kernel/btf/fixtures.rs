//! The BTF of six kernels, cut down to what resetmon looks up (`tests/fixtures/btf/README.md`).

/// `(kernel, raw BTF)`, oldest first.
pub(crate) const ALL: [(&str, &[u8]); 6] = [
    (
        "5.10.223",
        include_bytes!("../../../tests/fixtures/btf/linux-5.10.223.btf"),
    ),
    (
        "6.1.192",
        include_bytes!("../../../tests/fixtures/btf/linux-6.1.192.btf"),
    ),
    (
        "6.12.117",
        include_bytes!("../../../tests/fixtures/btf/linux-6.12.117.btf"),
    ),
    (
        "6.18.15",
        include_bytes!("../../../tests/fixtures/btf/linux-6.18.15.btf"),
    ),
    (
        "6.18.44",
        include_bytes!("../../../tests/fixtures/btf/linux-6.18.44.btf"),
    ),
    (
        "7.2.13",
        include_bytes!("../../../tests/fixtures/btf/linux-7.2.13.btf"),
    ),
];

/// Number of the first kernel in [`ALL`] that tells the reason of a sent reset.
pub(crate) const FIRST_WITH_REASON: usize = 2;
