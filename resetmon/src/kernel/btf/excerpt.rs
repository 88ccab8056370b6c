//! A BTF with a few of the kernel's names under their own ids, and nothing else.
//!
//! The loader looks up the ids of attach points in a BTF that it reads in full, which takes longer
//! than all its other work. In this one every other type is the shortest there is, without a name.

use super::{Btf, Kind};

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
/// Up to `str_len`.
const HEADER: u32 = 24;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const FUNC: u32 = 12;

impl Btf {
    /// The typedefs and functions among `names` that this kernel has, as raw BTF.
    #[must_use]
    pub fn excerpt(&self, names: &[(Kind, String)]) -> Vec<u8> {
        let mut found: Vec<(u32, Kind, &str)> = names
            .iter()
            .filter(|(kind, _)| matches!(kind, Kind::Typedef | Kind::Func))
            .filter_map(|(kind, name)| Some((self.find(name, &[*kind])?.0, *kind, name.as_str())))
            .collect();
        found.sort_unstable_by_key(|(id, ..)| *id);
        found.dedup_by_key(|(id, ..)| *id);

        let mut types: Vec<[u32; 3]> = Vec::new();
        let mut strings = vec![0];
        for (id, kind, name) in found {
            // Id 0 is void, which is not written.
            types.resize(id as usize - 1, [0, FWD << 24, 0]);
            let number = if kind == Kind::Func { FUNC } else { TYPEDEF };
            let offset = u32::try_from(strings.len()).unwrap_or_default();
            types.push([offset, number << 24, 0]);
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
        }
        write(&types, &strings)
    }
}

fn write(types: &[[u32; 3]], strings: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let (types_len, strings_len) = (length(size_of_val(types)), length(strings.len()));
    let mut data = Vec::with_capacity(HEADER as usize + size_of_val(types) + strings.len());
    data.extend(MAGIC.to_ne_bytes());
    data.extend([VERSION, 0]);
    for word in [HEADER, 0, types_len, types_len, strings_len] {
        data.extend(word.to_ne_bytes());
    }
    data.extend(types.iter().flatten().flat_map(|word| word.to_ne_bytes()));
    data.extend(strings);
    data
}

#[cfg(test)]
mod tests {
    use crate::kernel::btf::builder::{Builder, kind};
    use crate::kernel::btf::{Btf, Kind};

    fn kernel() -> Btf {
        let mut builder = Builder::new();
        builder.int("int", 4);
        builder.plain(kind::TYPEDEF, "both", 1);
        builder.plain(kind::FUNC, "unwanted", 0);
        builder.plain(kind::FUNC, "both", 0);
        builder.plain(kind::FUNC, "alone", 0);
        builder.plain(kind::FUNC, "both", 0);
        Btf::parse(builder.finish()).unwrap()
    }

    #[test]
    fn names_keep_their_kinds_and_first_ids() {
        let wanted = [
            (Kind::Func, "alone"),
            (Kind::Func, "both"),
            (Kind::Typedef, "both"),
            (Kind::Typedef, "alone"),
            (Kind::Func, "absent"),
            (Kind::Int, "int"),
        ]
        .map(|(kind, name)| (kind, name.to_owned()));
        let kernel = kernel();
        let excerpt = Btf::parse(kernel.excerpt(&wanted)).unwrap();
        let id = |btf: &Btf, name, kind| btf.find(name, &[kind]).map(|(id, _)| id);
        for (name, kind, expected) in [
            ("both", Kind::Typedef, Some(2)),
            ("both", Kind::Func, Some(4)),
            ("alone", Kind::Func, Some(5)),
            ("alone", Kind::Typedef, None),
            ("unwanted", Kind::Func, None),
            ("int", Kind::Int, None),
        ] {
            assert_eq!(id(&excerpt, name, kind), expected, "{name}");
            if expected.is_some() {
                assert_eq!(id(&kernel, name, kind), expected, "{name}");
            }
        }
        assert_eq!(excerpt.type_count(), 6);
    }

    #[test]
    fn nothing_found_is_an_empty_btf() {
        let empty = Btf::parse(kernel().excerpt(&[])).unwrap();
        assert_eq!(empty.type_count(), 1);
    }

    #[test]
    fn the_loader_reads_it() {
        let kernel = kernel();
        let wanted = [(Kind::Func, "alone".to_owned())];
        let excerpt = kernel.excerpt(&wanted);
        assert!(aya::Btf::parse(&excerpt, aya::Endianness::default()).is_ok());
    }
}
