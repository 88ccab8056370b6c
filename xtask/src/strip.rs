//! The eBPF object without DWARF.
//!
//! The linker makes BTF of DWARF and leaves both. The kernel and the loader read BTF alone, and DWARF
//! is three quarters of the object, which every agent embeds and holds in memory.

use anyhow::{Context, Result};
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// What the names of sections begin with that hold DWARF, or relocations of it.
const DWARF: [&[u8]; 2] = [b".debug_", b".rel.debug_"];

/// The object without its DWARF; all else stays as it is, above all `.BTF` and `.BTF.ext`.
///
/// # Errors
/// When it is not an ELF object.
pub(crate) fn without_dwarf(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object).context("the eBPF object is not as ELF has it")?;
    for section in &mut builder.sections {
        section.delete = DWARF.iter().any(|start| section.name.starts_with(start));
    }
    // LLVM keeps the names of sections with those of symbols, which the builder cannot write.
    let is_table = |section: &SectionData<'_>| matches!(section, SectionData::SectionString);
    if !builder.sections.iter().any(|one| is_table(&one.data)) {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    let mut stripped = Vec::new();
    builder
        .write(&mut stripped)
        .context("cannot write the eBPF object without its DWARF")?;
    Ok(stripped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object, Relocation, StandardSegment, Symbol, SymbolSection};
    use object::{
        Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags,
        SymbolKind, SymbolScope, elf,
    };

    /// A program that refers to a map, BTF, and DWARF that refers to both the program and itself.
    fn sample() -> Vec<u8> {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let mut add = |name: &str, kind, data: &[u8]| {
            let segment = object.segment_name(StandardSegment::Data).to_vec();
            let id = object.add_section(segment, name.as_bytes().to_vec(), kind);
            object.append_section_data(id, data, 8);
            id
        };
        let program = add("tp_btf/x", SectionKind::Text, &[1; 16]);
        let maps = add(".maps", SectionKind::Data, &[2; 8]);
        let names = add(".debug_str", SectionKind::Debug, b"name\0");
        let info = add(".debug_info", SectionKind::Debug, &[3; 64]);
        add(".BTF", SectionKind::Other, &[4; 24]);
        let lines = add(".BTF.ext", SectionKind::Other, &[5; 32]);
        // Near misses.
        add(".debug", SectionKind::Other, &[6; 8]);
        add("my.debug_x", SectionKind::Other, &[7; 8]);
        let map = object.add_symbol(Symbol {
            name: b"MAP".to_vec(),
            value: 0,
            size: 8,
            kind: SymbolKind::Data,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(maps),
            flags: SymbolFlags::None,
        });
        let of_names = object.section_symbol(names);
        let of_program = object.section_symbol(program);
        for (section, offset, symbol, r_type) in [
            (program, 0, map, elf::R_BPF_64_64),
            (info, 8, of_names, elf::R_BPF_64_32),
            (info, 16, of_program, elf::R_BPF_64_64),
            (lines, 4, of_program, elf::R_BPF_64_32),
        ] {
            let relocation = Relocation {
                offset,
                symbol,
                addend: 0,
                flags: RelocationFlags::Elf { r_type },
            };
            object.add_relocation(section, relocation).unwrap();
        }
        object.write().unwrap()
    }

    /// The same with one table for all names, as LLVM writes it.
    fn of_llvm() -> Vec<u8> {
        let mut object = sample();
        let word = |object: &[u8], at: usize| {
            usize::try_from(u64::from_le_bytes(object[at..at + 8].try_into().unwrap())).unwrap()
        };
        let half = |object: &[u8], at: usize| u16::from_le_bytes([object[at], object[at + 1]]);
        // e_shoff, e_shentsize, e_shnum, e_shstrndx; then sh_name, sh_type, sh_offset, sh_size.
        let (start, count, names) = (word(&object, 40), half(&object, 60), half(&object, 62));
        let header = |index: u16| start + usize::from(index) * 64;
        let bytes = |object: &[u8], at: usize| {
            let offset = word(object, at + 24);
            object[offset..offset + word(object, at + 32)].to_vec()
        };
        let symbols = (1..count)
            .find(|&index| index != names && object[header(index) + 4] == 3)
            .unwrap();
        let mut table = bytes(&object, header(symbols));
        let shift = u32::try_from(table.len()).unwrap();
        table.extend(bytes(&object, header(names)));
        for index in 1..count {
            let at = header(index);
            let name = u32::from_le_bytes(object[at..at + 4].try_into().unwrap());
            object[at..at + 4].copy_from_slice(&(name + shift).to_le_bytes());
        }
        let (offset, size) = (object.len() as u64, table.len() as u64);
        let at = header(symbols);
        object[at + 24..at + 32].copy_from_slice(&offset.to_le_bytes());
        object[at + 32..at + 40].copy_from_slice(&size.to_le_bytes());
        // That of sections is the last, and is no more.
        assert_eq!(names, count - 1);
        object[60..62].copy_from_slice(&names.to_le_bytes());
        object[62..64].copy_from_slice(&symbols.to_le_bytes());
        object.extend(table);
        object
    }

    /// Name, bytes and, where they are relocations, what they name.
    fn sections(object: &[u8]) -> Vec<(String, Vec<u8>)> {
        use object::{Object as _, ObjectSection as _};
        let file = object::File::parse(object).unwrap();
        let data = |section: &object::Section<'_, '_>| section.data().unwrap().to_vec();
        file.sections()
            .filter(|one| !matches!(one.kind(), SectionKind::Metadata))
            .map(|one| (one.name().unwrap().to_owned(), data(&one)))
            .collect()
    }

    /// Section, offset, and name of the symbol's section, of each relocation.
    fn relocations(object: &[u8]) -> Vec<(String, u64, String)> {
        use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};
        let file = object::File::parse(object).unwrap();
        let mut found = Vec::new();
        for section in file.sections() {
            for (offset, relocation) in section.relocations() {
                let RelocationTarget::Symbol(symbol) = relocation.target() else {
                    panic!("{relocation:?}");
                };
                let symbol = file.symbol_by_index(symbol).unwrap();
                let of = file
                    .section_by_index(symbol.section_index().unwrap())
                    .unwrap();
                let name = |section: &object::Section<'_, '_>| section.name().unwrap().to_owned();
                found.push((name(&section), offset, name(&of)));
            }
        }
        found
    }

    #[test]
    fn takes_dwarf_alone() {
        for whole in [sample(), of_llvm()] {
            let stripped = without_dwarf(&whole).unwrap();
            let is_dwarf = |name: &str| [".debug_str", ".debug_info"].contains(&name);

            let mut expected = sections(&whole);
            assert_eq!(expected.len(), 8);
            expected.retain(|(name, _)| !is_dwarf(name));
            assert_eq!(sections(&stripped), expected);

            let mut expected = relocations(&whole);
            assert_eq!(expected.len(), 4);
            expected.retain(|(section, ..)| !is_dwarf(section));
            assert_eq!(relocations(&stripped), expected);
        }
    }

    #[test]
    fn what_has_none_loses_nothing() {
        let once = without_dwarf(&sample()).unwrap();
        let twice = without_dwarf(&once).unwrap();
        assert_eq!(sections(&twice), sections(&once));
        assert_eq!(relocations(&twice), relocations(&once));
    }

    #[test]
    fn refuses_what_is_no_object() {
        let whole = sample();
        for wrong in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &whole[..80]] {
            assert!(without_dwarf(wrong).is_err());
        }
    }
}
