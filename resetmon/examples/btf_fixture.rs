//! Cuts a kernel's BTF down to what resetmon looks up, for a test fixture.
//!
//! `cargo run --example btf_fixture -- FULL REDUCED` reads raw BTF (a `.BTF` section or
//! `/sys/kernel/btf/vmlinux`) and writes raw BTF. Kept are the structs of `Layout::MEMBERS` with the
//! members on those paths, two enums of reasons, the tracepoints' typedefs and a few functions.
//! Offsets, sizes, names and kinds stay as they were; pointers lead to forward declarations.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, bail};
use gateway_ebpf_common::layout::Layout;
use resetmon::kernel::btf::{Btf, Field, Kind, Record};

const TRACEPOINTS: [&str; 8] = [
    "tcp_send_reset",
    "tcp_receive_reset",
    "inet_sock_set_state",
    "tcp_destroy_sock",
    "inet_sk_error_report",
    "kfree_skb",
    "mark_victim",
    "sched_process_exit",
];
const FUNCTIONS: [&str; 6] = [
    "__bpf_trace_tcp_send_reset",
    "tcp_v4_send_reset",
    "tcp_reset",
    "inet_csk_accept",
    "nf_ct_attach",
    "rcu_read_unlock_trace_special",
];
/// Of which only the name matters.
const STRUCT: &str = "srcu_ctr";
const ENUMS: [&str; 2] = ["sk_rst_reason", "skb_drop_reason"];
/// `kind_flag` of a forward declaration: it is a union.
const FORWARD_UNION: u32 = 1 << 31;
const FORWARD: u32 = 7 << 24;
const HEADER: u32 = 24;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [full, reduced] = arguments.as_slice() else {
        bail!("usage: btf_fixture FULL REDUCED");
    };
    let btf = Btf::from_file(Path::new(full))?;
    let mut writer = Writer::new(&btf);
    for (_, path) in Layout::MEMBERS {
        let mut names = path.split('.');
        let container = names.next().and_then(|name| only(&btf, name, Kind::Struct));
        if let Some(container) = container {
            mark(
                &btf,
                &mut writer.kept,
                container,
                &names.collect::<Vec<_>>(),
            );
            writer.roots.insert(container);
        }
    }
    for tracepoint in TRACEPOINTS {
        writer.roots.extend(only(
            &btf,
            &format!("btf_trace_{tracepoint}"),
            Kind::Typedef,
        ));
    }
    for function in FUNCTIONS {
        writer.roots.extend(only(&btf, function, Kind::Func));
    }
    writer.roots.extend(only(&btf, STRUCT, Kind::Struct));
    for values in ENUMS {
        writer.roots.extend(only(&btf, values, Kind::Enum));
    }
    let data = writer.finish()?;
    std::fs::write(reduced, data).with_context(|| format!("cannot write {reduced}"))?;
    Ok(())
}

/// The first type of a name and kind.
fn only(btf: &Btf, name: &str, kind: Kind) -> Option<u32> {
    btf.ids(name)
        .find(|id| btf.record(*id).is_some_and(|record| record.kind == kind))
}

/// Marks the members on a path, anonymous ones included; `false` if there is no such member.
fn mark(btf: &Btf, kept: &mut HashSet<(u32, usize)>, container: u32, names: &[&str]) -> bool {
    let Some((name, rest)) = names.split_first() else {
        return true;
    };
    let Some(record) = btf.record(container) else {
        return false;
    };
    for (number, field) in record.fields().enumerate() {
        let inner = btf
            .strip(field.type_id)
            .filter(|(_, record)| record.kind.is_composite());
        let found = match btf.string(field.name_offset) {
            "" => inner.is_some_and(|(id, _)| mark(btf, kept, id, names)),
            // Kept even where the rest of the path leads nowhere, as it is in this kernel.
            this if this == *name => {
                if let Some((id, _)) = inner {
                    mark(btf, kept, id, rest);
                }
                true
            }
            _ => false,
        };
        if found {
            kept.insert((container, number));
            return true;
        }
    }
    false
}

/// Copies types under new ids.
struct Writer<'a> {
    btf: &'a Btf,
    roots: HashSet<u32>,
    /// `(struct, number of the member)`.
    kept: HashSet<(u32, usize)>,
    /// New ids by old ones; 0 while a type is on its way.
    ids: HashMap<u32, u32>,
    /// Records by new id, from 1.
    records: Vec<Vec<u32>>,
    forwards: HashMap<String, u32>,
    strings: Vec<u8>,
    string_offsets: HashMap<String, u32>,
}

impl<'a> Writer<'a> {
    fn new(btf: &'a Btf) -> Self {
        Self {
            btf,
            roots: HashSet::new(),
            kept: HashSet::new(),
            ids: HashMap::new(),
            records: Vec::new(),
            forwards: HashMap::new(),
            strings: vec![0],
            string_offsets: HashMap::from([(String::new(), 0)]),
        }
    }

    fn finish(mut self) -> anyhow::Result<Vec<u8>> {
        let mut roots: Vec<u32> = self.roots.iter().copied().collect();
        roots.sort_unstable();
        for root in roots {
            self.copy(root)?;
        }
        let types: Vec<u8> = self
            .records
            .iter()
            .flatten()
            .flat_map(|w| w.to_ne_bytes())
            .collect();
        let (types_length, strings_length) = (
            u32::try_from(types.len())?,
            u32::try_from(self.strings.len())?,
        );
        let mut data = 0xeb9f_u16.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        for word in [HEADER, 0, types_length, types_length, strings_length] {
            data.extend(word.to_ne_bytes());
        }
        data.extend(types);
        data.extend(self.strings);
        Ok(data)
    }

    fn string(&mut self, offset: u32) -> anyhow::Result<u32> {
        let text = self.btf.string(offset);
        if let Some(known) = self.string_offsets.get(text) {
            return Ok(*known);
        }
        let offset = u32::try_from(self.strings.len())?;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        self.string_offsets.insert(text.to_owned(), offset);
        Ok(offset)
    }

    /// Takes the next id; the record follows when its parts have theirs.
    fn reserve(&mut self) -> anyhow::Result<u32> {
        self.records.push(Vec::new());
        Ok(u32::try_from(self.records.len())?)
    }

    /// Copies a type and what it is made of; returns its new id.
    fn copy(&mut self, id: u32) -> anyhow::Result<u32> {
        if id == 0 {
            return Ok(0);
        }
        if let Some(known) = self.ids.get(&id) {
            return Ok(*known);
        }
        let record = self
            .btf
            .record(id)
            .with_context(|| format!("no type {id}"))?;
        let new = self.reserve()?;
        self.ids.insert(id, new);
        let name = self.string(record.name_offset)?;
        let flag = u32::from(record.flag) << 31;
        let old = words(record.bytes);
        let (info, size_or_type, extra) = match record.kind {
            Kind::Struct | Kind::Union => {
                let extra = self.fields(id, record)?;
                let kind = old[1] & 0x7f00_0000;
                (
                    flag | kind | u32::try_from(extra.len() / 3)?,
                    record.size_or_type,
                    extra,
                )
            }
            Kind::Ptr => (old[1], self.target(record.size_or_type)?, Vec::new()),
            Kind::Array => {
                let (element, index, count) = record.array().context("an array without a type")?;
                (
                    old[1],
                    0,
                    vec![self.copy(element)?, self.copy(index)?, count],
                )
            }
            Kind::Enum => {
                let mut extra = Vec::new();
                for (place, enumerator) in record.enumerators().enumerate() {
                    extra.extend([self.string(enumerator.name_offset)?, old[4 + 2 * place]]);
                }
                (old[1], record.size_or_type, extra)
            }
            Kind::FuncProto => {
                let mut extra = Vec::new();
                for (param, type_id) in record.params() {
                    extra.extend([self.string(param)?, self.copy(type_id)?]);
                }
                (old[1], self.copy(record.size_or_type)?, extra)
            }
            Kind::Int => (old[1], record.size_or_type, old[3..].to_vec()),
            Kind::Fwd => (old[1], 0, Vec::new()),
            kind if kind.is_modifier() || kind == Kind::Func => {
                (old[1], self.copy(record.size_or_type)?, Vec::new())
            }
            kind => bail!("type {id} is a {kind:?}, which nothing here leads to"),
        };
        let record = &mut self.records[new as usize - 1];
        record.extend([name, info, size_or_type]);
        record.extend(extra);
        Ok(new)
    }

    /// The marked members of a struct.
    fn fields(&mut self, id: u32, record: Record<'a>) -> anyhow::Result<Vec<u32>> {
        let places = words(record.bytes);
        let mut extra = Vec::new();
        for (
            number,
            Field {
                name_offset,
                type_id,
                ..
            },
        ) in record.fields().enumerate()
        {
            if self.kept.contains(&(id, number)) {
                let place = places[3 + 3 * number + 2];
                extra.extend([self.string(name_offset)?, self.copy(type_id)?, place]);
            }
        }
        Ok(extra)
    }

    /// What a pointer leads to: structs that are no root become forward declarations.
    fn target(&mut self, id: u32) -> anyhow::Result<u32> {
        let Some(record) = self.btf.record(id) else {
            return Ok(0);
        };
        if self.roots.contains(&id) || record.kind == Kind::FuncProto {
            return self.copy(id);
        }
        match record.kind {
            Kind::Struct | Kind::Union => self.forward(record),
            // `const struct sock *` and the like keep their qualifier.
            Kind::Const | Kind::Volatile => {
                let new = self.reserve()?;
                let target = self.target(record.size_or_type)?;
                self.records[new as usize - 1].extend([0, words(record.bytes)[1], target]);
                Ok(new)
            }
            _ => Ok(0),
        }
    }

    fn forward(&mut self, record: Record<'a>) -> anyhow::Result<u32> {
        let name = self.btf.string(record.name_offset);
        if name.is_empty() {
            return Ok(0);
        }
        if let Some(known) = self.forwards.get(name) {
            return Ok(*known);
        }
        let new = self.reserve()?;
        let union = if record.kind == Kind::Union {
            FORWARD_UNION
        } else {
            0
        };
        let offset = self.string(record.name_offset)?;
        self.records[new as usize - 1].extend([offset, FORWARD | union, 0]);
        self.forwards.insert(name.to_owned(), new);
        Ok(new)
    }
}

/// A record as 32-bit words.
fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .filter_map(|word| word.try_into().ok())
        .map(u32::from_ne_bytes)
        .collect()
}
